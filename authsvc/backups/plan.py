"""Which backup comes next, what belongs to it, and which ones may go. Pure: no clock, no disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["full", "incr"]

HOUR_US: Final = 3_600 * 1_000_000
DAY_US: Final = 24 * HOUR_US
WEEK_US: Final = 7 * DAY_US


@dataclass(frozen=True)
class Backup:
    """What a backup's manifest says of it; instants are UTC microseconds since the Unix epoch."""

    name: str
    kind: Kind
    # The backup that an incremental one is the difference to.
    parent: str | None
    started_us: int
    ended_us: int
    # PostgreSQL's server_version_num: 180006 is 18.6.
    server_version: int
    system_identifier: str
    timeline: int
    start_lsn: str
    end_lsn: str
    size_bytes: int
    # The database whose rows a restore test looks at, and the role that owns the cluster, as whom it does.
    database: str
    superuser: str
    # Of its last verification.
    verified_us: int
    problem: str | None = None


@dataclass(frozen=True)
class Source:
    """What a server is, as far as it decides how to back it up."""

    server_version: int
    system_identifier: str
    timeline: int
    # PostgreSQL 17 with summarize_wal: it knows which blocks have changed.
    has_summaries: bool


@dataclass(frozen=True)
class Policy:
    """A full backup is due this long after the last: a little less than a week, since no timer is on the second."""

    full_every_us: int = WEEK_US - HOUR_US


@dataclass(frozen=True)
class Next:
    """What to take, and why."""

    kind: Kind
    parent: Backup | None
    reason: str


def next_backup(existing: Sequence[Backup], source: Source, now_us: int, policy: Policy, *, full: bool = False) -> Next:
    """Full when that is wanted, due, or the only kind that could be restored; else incremental on the newest."""
    if full:
        return Next("full", None, "as asked for")
    if not existing:
        return Next("full", None, "there is none yet")
    if not source.has_summaries:
        return Next("full", None, "an incremental one needs PostgreSQL 17 or later with summarize_wal = on")
    parent = newest(existing)
    problem = chain_problem(parent, existing) or _foreign(parent, source)
    if problem is not None:
        return Next("full", None, problem)
    last_full = chain(parent, existing)[0]
    if now_us - last_full.started_us >= policy.full_every_us:
        return Next("full", None, f"the last full one is {(now_us - last_full.started_us) / DAY_US:.1f} days old")
    return Next("incr", parent, f"what has changed since {parent.name}")


def newest(existing: Sequence[Backup]) -> Backup:
    """The one that was started last."""
    return max(existing, key=lambda backup: (backup.started_us, backup.name))


def chain(backup: Backup, existing: Sequence[Backup]) -> list[Backup]:
    """The backup and all it builds on, the full one first. Stops at a parent that is missing."""
    by_name = {one.name: one for one in existing}
    links = [backup]
    while (parent := by_name.get(links[0].parent or "")) is not None and parent not in links:
        links.insert(0, parent)
    return links


def chain_problem(backup: Backup, existing: Sequence[Backup]) -> str | None:
    """Why a backup cannot be restored, as far as the manifests tell; None when it can."""
    links = chain(backup, existing)
    if links[0].kind != "full":
        return f"{links[0].name} lacks its parent {links[0].parent}"
    for link in links:
        if link.problem is not None:
            return f"{link.name} is damaged: {link.problem}"
        if link.system_identifier != links[0].system_identifier:
            return f"{link.name} is of another server than {links[0].name}"
    return None


def prunable(existing: Sequence[Backup], now_us: int, keep_weeks: int) -> list[Backup]:
    """What may go, the youngest first, so that nothing ever lies there without its parent.

    Kept are: whatever ended within `keep_weeks` weeks, all that builds on, and the last full backup that is whole.
    """
    cutoff_us = now_us - keep_weeks * WEEK_US
    kept = {link.name for one in existing if one.ended_us >= cutoff_us for link in chain(one, existing)}
    whole = [one for one in existing if one.kind == "full" and one.problem is None]
    if whole:
        last_full = newest(whole)
        kept |= {one.name for one in existing if last_full in chain(one, existing)}
    gone = [one for one in existing if one.name not in kept]
    return sorted(gone, key=lambda one: (one.started_us, one.name), reverse=True)


def _foreign(parent: Backup, source: Source) -> str | None:
    """Why nothing can build on `parent` any more: the server is another one, or has gone another way since."""
    if parent.system_identifier != source.system_identifier:
        return f"{parent.name} is of another server"
    if parent.server_version // 10_000 != source.server_version // 10_000:
        return f"{parent.name} is of PostgreSQL {parent.server_version // 10_000}"
    if parent.timeline != source.timeline:
        return f"{parent.name} is of timeline {parent.timeline}, the server is on {source.timeline}"
    return None
