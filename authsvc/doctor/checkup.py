"""The whole examination, in the order of the report: each check reads, judges, and mends where that was asked for."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from authsvc.clock import Clock
from authsvc.counters.store import RedisCounters
from authsvc.doctor import counters, lithic, schema, servers, tables, tokens
from authsvc.doctor.chart import RedisChart
from authsvc.doctor.finding import Finding
from authsvc.errors import AuthsvcError, NotPossible, Unavailable
from authsvc.ledger import privacy, retention
from authsvc.ledger.doctor import PostgresChart, open_chart
from authsvc.ledger.store import PostgresLedger
from authsvc.privacy.columns import SEALED

LONG_S: Final = 300
NOT_ASKED: Final = Finding("tokens at lithic", "skipped", "no Lithic API key was given", "Set AUTHSVC_LITHIC_API_KEY.")
_TIMEOUT_MS: Final = 5_000


class Growth(NamedTuple):
    """The figures of a visit: bytes by table, and when that was."""

    at_us: int
    bytes_by_table: dict[str, int]


@dataclass(slots=True)
class Visit:
    """What this visit is to do. `before` are the figures of the last one; `now` is filled with those of this one.

    `at_lithic`: whom to ask there, or the finding that says why nobody is.
    """

    database_url: str
    redis_url: str
    record_ttl_ms: int
    sample: int
    fix: bool
    clock: Clock
    before: Growth | None = None
    now: Growth | None = None
    at_lithic: lithic.Ask | Finding = NOT_ASKED


@dataclass(slots=True)
class _Patient:
    visit: Visit
    chart: PostgresChart
    ledger: PostgresLedger
    redis: RedisChart
    redis_info: Mapping[str, str] | None


async def examine(visit: Visit) -> list[Finding]:
    """Every check. What cannot be asked is said, and leaves the others."""
    async with AsyncExitStack() as stack:
        redis = RedisChart(visit.redis_url, _TIMEOUT_MS)
        stack.push_async_callback(redis.close)
        findings, info = await _redis_server(redis)
        try:
            chart, ledger = await stack.enter_async_context(
                open_chart(visit.database_url, record_ttl_ms=visit.record_ttl_ms)
            )
        except Unavailable:
            advice = "Start it, or correct AUTHSVC_DATABASE_URL; no decision is made meanwhile."
            return [Finding("postgresql", "failed", "it does not answer", advice), *findings]
        patient = _Patient(visit, chart, ledger, redis, info)
        first = await _checked("postgresql", _postgres_server, patient)
        rest = [await _checked(name, check, patient) for name, check in _CHECKS]
        return [*first, *findings, *(finding for group in rest for finding in group)]


async def _checked(
    name: str, check: Callable[[_Patient], Awaitable[list[Finding]]], patient: _Patient
) -> list[Finding]:
    try:
        return await check(patient)
    except NotPossible as error:
        return [Finding(name, "skipped", str(error))]
    except AuthsvcError as error:
        return [Finding(name, "failed", str(error), "See the other lines; try again.")]


async def _redis_server(redis: RedisChart) -> tuple[list[Finding], Mapping[str, str] | None]:
    try:
        info = await redis.info()
    except Unavailable:
        advice = "Start it, or correct AUTHSVC_REDIS_URL; no decision is made meanwhile."
        return [Finding("redis", "failed", "it does not answer", advice)], None
    return [servers.redis(info), servers.eviction(info)], info


async def _postgres_server(patient: _Patient) -> list[Finding]:
    return [servers.postgres(await patient.chart.server())]


async def _clocks(patient: _Patient) -> list[Finding]:
    clocks: dict[str, Callable[[], Awaitable[int]]] = {"PostgreSQL": patient.chart.clock_us}
    if patient.redis_info is not None:
        clocks["Redis"] = patient.redis.clock_us
    away_us = {}
    for name, ask in clocks.items():
        asked_us = patient.visit.clock.now_us()
        told_us = await ask()
        # Halfway through the round trip.
        away_us[name] = told_us - (asked_us + patient.visit.clock.now_us()) // 2
    return [servers.clocks(away_us)]


async def _replication(patient: _Patient) -> list[Finding]:
    return [servers.replication(*await patient.chart.standbys())]


async def _migrations(patient: _Patient) -> list[Finding]:
    return [schema.migrations(await patient.chart.revisions())]


async def _partitions(patient: _Patient) -> list[Finding]:
    today = _today(patient)
    finding = schema.partitions(await patient.chart.partitions(), today)
    if finding.state != "ok" and patient.visit.fix:
        with suppress(NotPossible):
            async with patient.chart.connection() as connection:
                made = await retention.make_ahead(connection, schema.MONTHS_AHEAD, today)
            finding = schema.partitions(await patient.chart.partitions(), today)
            finding = finding._replace(finding=f"{finding.finding}; made {', '.join(made)}")
    return [finding]


async def _default_partition(patient: _Patient) -> list[Finding]:
    rows = await patient.chart.default_rows()
    return [schema.default_rows(sum(rows.values()), _today(patient), list(rows))]


def _today(patient: _Patient) -> date:
    """In UTC, like the months of partitions."""
    return datetime.fromtimestamp(patient.visit.clock.now_us() / 1_000_000, UTC).date()


async def _need_sight(patient: _Patient, *tables: str) -> None:
    """Raises NotPossible where row security hides rows, of these tables too: what is not seen is not well."""
    async with patient.chart.connection() as connection:
        if unseen := await retention.hidden(connection, *tables):
            raise NotPossible(f"this database user does not see all rows of {', '.join(unseen)}")


async def _archive(patient: _Patient) -> list[Finding]:
    await _need_sight(patient)
    async with patient.chart.connection() as connection:
        names, missed = await retention.archived(connection), await retention.missed(connection)
    return [schema.archive(names, missed)]


async def _sizes(patient: _Patient) -> list[Finding]:
    visit, sizes = patient.visit, await patient.chart.sizes()
    visit.now = Growth(visit.clock.now_us(), {one.name: one.total_bytes for one in sizes})
    before = visit.before
    since_us = None if before is None else visit.now.at_us - before.at_us
    bytes_before = {} if before is None else before.bytes_by_table
    return [tables.growth(sizes, bytes_before, since_us), tables.dead_rows(sizes)]


async def _indexes(patient: _Patient) -> list[Finding]:
    keys = tables.foreign_keys(await patient.chart.foreign_keys_without_index())
    return [tables.indexes(await patient.chart.indexes()), keys]


async def _joins(patient: _Patient) -> list[Finding]:
    return [tables.joins(await patient.chart.slow_joins())]


async def _privacy(patient: _Patient) -> list[Finding]:
    await _need_sight(patient, *SEALED)
    async with patient.chart.connection() as connection:
        return [tables.privacy(await privacy.census(connection), is_enforced=await privacy.is_enforced(connection))]


async def _long_transactions(patient: _Patient) -> list[Finding]:
    return [tables.long_transactions(await patient.chart.long_transactions(LONG_S))]


async def _tokens(patient: _Patient) -> list[Finding]:
    await _need_sight(patient)
    return [tokens.tokens(await patient.chart.token_problems())]


async def _tokens_at_lithic(patient: _Patient) -> list[Finding]:
    asked = patient.visit.at_lithic
    if isinstance(asked, Finding):
        return [asked]
    await _need_sight(patient)
    return await lithic.ask(asked, patient.chart)


async def _counters(patient: _Patient) -> list[Finding]:
    visit = patient.visit
    if patient.redis_info is None:
        return [Finding("counters", "skipped", "Redis does not answer")]
    await _need_sight(patient)
    # Nothing is reserved here, so neither time to live matters.
    store = RedisCounters(
        visit.redis_url, timeout_ms=_TIMEOUT_MS, record_ttl_ms=visit.record_ttl_ms, counters_ttl_s=_COUNTERS_TTL_S
    )
    try:
        comparison = counters.Comparison(patient.redis, store, patient.ledger)
        accounts = await patient.chart.sample(visit.sample, visit.clock.now_us())
        compared = [await comparison.compare(account) for account in accounts]
        wrong = [one for one in compared if one.outcome in ("different", "ahead")] if visit.fix else []
        for one in wrong:
            await comparison.start_afresh(one)
    finally:
        await store.close()
    return [counters.judge(compared, [one.account_id for one in wrong])]


# An epoch that a fix opens lasts as long as by default; the next one is the service's own again.
_COUNTERS_TTL_S: Final = 86_400
_CHECKS: Final[tuple[tuple[str, Callable[[_Patient], Awaitable[list[Finding]]]], ...]] = (
    ("clocks", _clocks),
    ("replication", _replication),
    ("migrations", _migrations),
    ("partitions", _partitions),
    ("default partition", _default_partition),
    ("archive", _archive),
    ("table growth", _sizes),
    ("indexes", _indexes),
    ("slow joins", _joins),
    ("long transactions", _long_transactions),
    ("privacy", _privacy),
    ("lithic tokens", _tokens),
    ("tokens at lithic", _tokens_at_lithic),
    ("counters", _counters),
)
