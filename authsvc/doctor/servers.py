"""Checks on the two servers: who they are, whether they keep what they are given, and what time they think it is."""

from collections.abc import Mapping, Sequence
from typing import Final

from authsvc.doctor.facts import IdleSlot, PostgresFacts, Standby
from authsvc.doctor.finding import Finding, some

POSTGRES_MIN: Final = 150_000
REDIS_MIN: Final = (7, 0)
# Requests more than five minutes ahead are refused; holds expire and records are purged by the clock.
CLOCK_WARNING_MS: Final = 1_000
CLOCK_FAILED_MS: Final = 60_000
LAG_WARNING_MS: Final = 10_000
LAG_FAILED_MS: Final = 300_000
BEHIND_WARNING_BYTES: Final = 256 * 1024**2


def postgres(facts: PostgresFacts) -> Finding:
    """Is it a version that the SQL was written for, and does it take writes?"""
    if facts.in_recovery:
        return Finding("postgresql", "failed", "it is a standby: it takes no writes", "Name the primary.")
    if facts.version < POSTGRES_MIN:
        return Finding("postgresql", "failed", f"version {facts.version_text}", "Upgrade to PostgreSQL 15 or later.")
    return Finding("postgresql", "ok", f"version {facts.version_text}")


def redis(info: Mapping[str, str]) -> Finding:
    """Is it a version that knows the scripts' commands, and the one that is written to?"""
    name = info.get("server_name", "redis")
    version = info.get("valkey_version") or info.get("redis_version", "0")
    if info.get("role") != "master":
        return Finding("redis", "failed", "it is a replica: it takes no writes", "Name the primary.")
    if _numbers(info.get("redis_version", "0")) < REDIS_MIN:
        return Finding("redis", "failed", f"{name} {version}", "Upgrade to Redis 7 or Valkey.")
    return Finding("redis", "ok", f"{name} {version}")


def eviction(info: Mapping[str, str]) -> Finding:
    """A server that evicts loses single counters, which nobody notices."""
    policy = info.get("maxmemory_policy", "")
    if not policy:
        return Finding("eviction", "skipped", "the server does not tell its maxmemory-policy")
    if policy != "noeviction":
        advice = "CONFIG SET maxmemory-policy noeviction, in the server's file as well; then FLUSHALL."
        return Finding("eviction", "failed", f"maxmemory-policy is {policy}", advice)
    return Finding("eviction", "ok", "maxmemory-policy is noeviction")


def clocks(away_us: Mapping[str, int]) -> Finding:
    """How far each server's clock is ahead of this machine's (microseconds, by the server's name)."""
    said = ", ".join(f"{name} {us / 1000:+.0f} ms" for name, us in away_us.items())
    apart_ms = (max([0, *away_us.values()]) - min([0, *away_us.values()])) // 1000
    if apart_ms < CLOCK_WARNING_MS:
        return Finding("clocks", "ok", said)
    return Finding("clocks", "warning" if apart_ms < CLOCK_FAILED_MS else "failed", said, "Let NTP set all clocks.")


def replication(standbys: Sequence[Standby], idle: Sequence[IdleSlot]) -> Finding:
    """What would be lost, or waited for, if a standby had to take over."""
    if not standbys and not idle:
        return Finding("replication", "skipped", "there is no standby")
    lost = [f"{one.name} {_mb(one.kept_bytes)} kept" for one in idle]
    far = [one for one in standbys if (one.replay_lag_ms or 0) >= LAG_FAILED_MS]
    late = [one for one in standbys if one.state != "streaming" or _is_late(one)]
    if far:
        return Finding("replication", "failed", _lags(far), "See why the standby does not keep up; do not fail over.")
    if lost:
        advice = "Start the standby, or drop its slot: the log kept for it fills the disk."
        return Finding("replication", "warning", f"slots that nobody reads: {some(lost)}", advice)
    if late:
        return Finding("replication", "warning", _lags(late), "Look at the standby's disk, network and long queries.")
    return Finding("replication", "ok", _lags(standbys))


def _is_late(one: Standby) -> bool:
    return (one.replay_lag_ms or 0) >= LAG_WARNING_MS or (one.behind_bytes or 0) >= BEHIND_WARNING_BYTES


def _lags(standbys: Sequence[Standby]) -> str:
    return some(f"{one.name} {one.state}, {one.replay_lag_ms or 0} ms, {_mb(one.behind_bytes)}" for one in standbys)


def _mb(count: int | None) -> str:
    return f"{(count or 0) / 1024**2:.1f} MB"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
