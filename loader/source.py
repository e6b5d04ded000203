"""The directory's source in PostgreSQL."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from loader.records import CardRecord, ProfileRecord, SourceUnavailable
from rules.mcc import BLOCKED, NOT_ALLOWED, compile_table
from rules.money import divisor
from rules.reasons import Window
from rules.types import Limit

_CHUNK: Final = 2_000
_QUERIES: Final = Path(__file__).with_name("snapshot.sql").read_text(encoding="utf-8")
_SQL: Final = dict(re.findall(r"-- name: (\w+)\n(.*?)(?=\n-- name|\Z)", _QUERIES, re.DOTALL))
BY_TOKEN: Final = _SQL["cards"].replace("{which}", "c.lithic_card_token = ANY($1::text[])")
_ALL: Final = _SQL["cards"].replace("{which}", "c.lithic_card_token IS NOT NULL") + "\nORDER BY a.id, c.id LIMIT $1"
_WINDOWS: Final = {window.name.lower(): window for window in Window if window is not Window.UNSPECIFIED}

Connection = Any  # a pooled asyncpg connection; the stubs have no name for it


class PostgresSource:
    """Reads configuration. Everything of one call is one snapshot, so row and version belong together."""

    def __init__(self, pool: asyncpg.Pool, *, acquire_timeout_ms: int) -> None:
        """`acquire_timeout_ms` bounds the wait for a connection."""
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_ms / 1000
        # Profiles of the same lists share one table: 10,000 bytes each would add up.
        self._tables: dict[bytes, bytes] = {}

    async def cards(self, tokens: Sequence[str]) -> list[CardRecord]:
        """See `Source.cards`."""
        async with self._snapshot() as connection:
            rows = await connection.fetch(BY_TOKEN, list(tokens))
            profiles = await self._profiles(connection, rows)
        return [_record(row, profiles) for row in rows]

    async def all_cards(self, cards_max: int) -> AsyncIterator[list[CardRecord]]:
        """See `Source.all_cards`."""
        async with self._snapshot() as connection:
            known: dict[int, ProfileRecord] = {}
            cursor = await connection.cursor(_ALL, cards_max)
            while rows := await cursor.fetch(_CHUNK):
                missing = [row for row in rows if row["profile_id"] is not None and row["profile_id"] not in known]
                known |= await self._profiles(connection, missing)
                yield [_record(row, known) for row in rows]

    async def versions(self, account_ids: Sequence[int]) -> dict[int, int]:
        """See `Source.versions`."""
        async with self._snapshot() as connection:
            rows = await connection.fetch(
                "SELECT id, config_version FROM accounts WHERE id = ANY($1::int[])", list(account_ids)
            )
        return {row["id"]: row["config_version"] for row in rows}

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        try:
            async with (
                self._pool.acquire(timeout=self._acquire_timeout_s) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
            TimeoutError,
        ) as error:
            raise SourceUnavailable from error

    async def _profiles(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> dict[int, ProfileRecord]:
        ids = {row["profile_id"] for row in rows if row["profile_id"] is not None}
        if not ids:
            return {}
        currency = {row["profile_id"]: row["currency"] for row in rows}
        found = await connection.fetch(_SQL["profiles"], list(ids))
        return {
            row["profile_id"]: ProfileRecord(
                row["profile_id"],
                _limit(row["spend_limit"], row["spend_limit_duration"], currency[row["profile_id"]]),
                row["shared"],
                self._table(row),
            )
            for row in found
        }

    def _table(self, row: asyncpg.Record) -> bytes | None:
        allowed = _list(row["allowed"]) + (row["allowed_codes"] or [])
        blocked = _list(row["blocked"]) + (row["blocked_codes"] or [])
        blocked = [code for code in blocked if code is not None]
        allowed = [code for code in allowed if code is not None]
        table = compile_table(allowed, blocked)
        if row["allow_rules"] and not allowed:
            # An allowed set whose group holds no category allows nothing; it must not turn into "everything".
            table = compile_table([], blocked) or b"\0" * 10_000
            table = bytes(BLOCKED if code == BLOCKED else NOT_ALLOWED for code in table)
        return self._tables.setdefault(table, table) if table is not None else None


def _record(row: asyncpg.Record, profiles: dict[int, ProfileRecord]) -> CardRecord:
    currency = row["currency"]
    return CardRecord(
        row["token"],
        row["card_id"],
        row["card_status"],
        _limit(row["card_limit"], row["card_window"], currency),
        row["account_id"],
        row["account_status"],
        currency,
        row["timezone"],
        row["balance_check"],
        row["config_version"],
        row["user_id"],
        row["user_status"],
        profiles[row["profile_id"]] if row["profile_id"] is not None else None,
    )


def _limit(amount: Decimal | None, duration: str | None, currency: str) -> Limit | None:
    if amount is None or duration is None:
        return None
    return Limit(int(amount * divisor(currency)), _WINDOWS[duration])


def _list(stored: str | None) -> list[str]:
    return orjson.loads(stored) or [] if stored is not None else []
