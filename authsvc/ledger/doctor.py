"""What `authsvc doctor` reads of PostgreSQL. It judges nothing and changes nothing."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import asyncpg

from authsvc.doctor.facts import (
    HeldCard,
    HeldRule,
    IdleSlot,
    IndexUse,
    LongTransaction,
    PostgresFacts,
    SampledAccount,
    SlowStatement,
    Standby,
    TableSize,
    TokenProblem,
)
from authsvc.errors import NotPossible, Unavailable
from authsvc.ledger.migrate import status
from authsvc.ledger.queries import DOCTOR_SQL
from authsvc.ledger.store import Pool, PostgresLedger, open_pool

STATEMENT_TIMEOUT_MS: Final = 30_000
_ACQUIRE_TIMEOUT_S: Final = 5.0


class PostgresChart:
    """Each question is a statement of its own: one that this user may not ask leaves the others."""

    def __init__(self, pool: Pool, database_url: str) -> None:
        """On a few connections of its own, to this database."""
        self._pool = pool
        self._database_url = database_url

    async def server(self) -> PostgresFacts:
        """Which server this is."""
        return PostgresFacts(**(await self._fetch("server"))[0])

    async def clock_us(self) -> int:
        """What time it is there, in microseconds since the Unix epoch."""
        return int((await self._fetch("clock"))[0][0])

    async def standbys(self) -> tuple[list[Standby], list[IdleSlot]]:
        """Who follows, and the slots that wait for somebody who does not."""
        following, slots = await self._fetch("standbys"), await self._fetch("idle_slots")
        return [Standby(**row) for row in following], [IdleSlot(**row) for row in slots]

    async def partitions(self) -> list[str]:
        """The names of the monthly ones."""
        return [row[0] for row in await self._fetch("partitions")]

    async def default_rows(self) -> dict[str, int]:
        """Rows of the default partition by month (2026-11)."""
        return {row["month"]: row["count"] for row in await self._fetch("default_rows")}

    async def sizes(self) -> list[TableSize]:
        """Every table."""
        return [TableSize(**row) for row in await self._fetch("sizes")]

    async def indexes(self) -> list[IndexUse]:
        """Every index."""
        return [IndexUse(**row) for row in await self._fetch("indexes")]

    async def foreign_keys_without_index(self) -> dict[str, int]:
        """As table.constraint, and how many rows the table has."""
        return {row["name"]: row["rows"] for row in await self._fetch("foreign_keys_without_index")}

    async def slow_joins(self) -> list[SlowStatement] | None:
        """The slowest on average; None without pg_stat_statements."""
        there, loaded, may_read = (await self._fetch("has_statements"))[0]
        if not there:
            return None
        if not loaded:
            raise NotPossible("pg_stat_statements is not in shared_preload_libraries")
        if not may_read:
            raise NotPossible("this database user may not read statements of others: GRANT pg_read_all_stats")
        return [SlowStatement(**row) for row in await self._fetch("slow_joins")]

    async def long_transactions(self, longer_than_s: int) -> list[LongTransaction]:
        """The oldest first."""
        return [LongTransaction(**row) for row in await self._fetch("long_transactions", longer_than_s)]

    async def token_problems(self) -> list[TokenProblem]:
        """By table and problem."""
        return [TokenProblem(**row) for row in await self._fetch("token_problems")]

    async def lithic_cards(self, tokens: Sequence[str]) -> list[HeldCard]:
        """Those with these tokens."""
        return [HeldCard(**row) for row in await self._fetch("lithic_cards", tokens)]

    async def lithic_cards_beside(self, ids: Sequence[int], count_max: int) -> tuple[int, list[HeldCard]]:
        """Those that are not closed and not among these: how many, and some of them, drawn by lot."""
        rows = await self._fetch("lithic_cards_beside", ids, count_max)
        cards = [HeldCard(row["id"], row["token"], row["status"]) for row in rows]
        return (rows[0]["count"] if rows else 0), cards

    async def lithic_unknown(self, card_tokens: Sequence[str], account_tokens: Sequence[str]) -> set[str]:
        """Which of these are none of ours."""
        return {row["token"] for row in await self._fetch("lithic_unknown", card_tokens, account_tokens)}

    async def lithic_rules(self) -> list[HeldRule]:
        """Profiles that stand for an auth rule."""
        return [HeldRule(**row) for row in await self._fetch("lithic_rules")]

    async def sample(self, count: int, seed: int) -> list[SampledAccount]:
        """Some of the accounts that were busy last; another seed, other ones."""
        return [SampledAccount(**row) for row in await self._fetch("sample", count, str(seed))]

    async def revisions(self) -> list[tuple[str, str, bool]]:
        """See `authsvc.ledger.migrate.status`."""
        with _translated():
            return await status(self._database_url)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """For what is asked, or mended, by functions of the ledger's own."""
        with _translated():
            async with self._pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as connection:
                yield connection

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return list(await connection.fetch(DOCTOR_SQL[name], *arguments))


@contextmanager
def _translated() -> Iterator[None]:
    """Away, or not to be asked: NotPossible says why, for the report."""
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        raise Unavailable("database") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise NotPossible("this database user may not read it") from error
    except asyncpg.UndefinedTableError as error:
        raise NotPossible("its tables are not there") from error
    except asyncpg.PostgresError as error:
        raise NotPossible(f"the database refused ({type(error).__name__})") from error


@asynccontextmanager
async def open_chart(database_url: str, *, record_ttl_ms: int) -> AsyncIterator[tuple[PostgresChart, PostgresLedger]]:
    """The chart, and the ledger that counters are compared with. Raises Unavailable when nobody answers."""
    try:
        pool = await open_pool(
            database_url, size_min=1, size_max=2, idle_s=0, statement_timeout_ms=STATEMENT_TIMEOUT_MS
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable("database") from error
    try:
        ledger = PostgresLedger(
            pool, pool, acquire_timeout_ms=round(_ACQUIRE_TIMEOUT_S * 1000), record_ttl_ms=record_ttl_ms
        )
        yield PostgresChart(pool, database_url), ledger
    finally:
        pool.terminate()
