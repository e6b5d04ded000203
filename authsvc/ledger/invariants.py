"""What must hold of a database at any instant, asked of one that was restored, or of any other."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from authsvc.errors import StartupRefused
from authsvc.ledger.migrate import status
from authsvc.ledger.queries import INVARIANTS_SQL, SQL
from authsvc.ledger.session import session

if TYPE_CHECKING:
    from asyncpg import Connection, Record

FAULTS_SHOWN: Final = 3
SAMPLE_CARDS: Final = 200
_BEFORE_ALL: Final = datetime(1, 1, 1, tzinfo=UTC)
_AFTER_ALL: Final = datetime(9999, 12, 31, tzinfo=UTC)


class Check(NamedTuple):
    """An invariant, what was looked at, and the first faults. Without faults it holds."""

    name: str
    looked_at: str
    faults: Sequence[str]


_MIGRATIONS: Final = "the schema is the one of this release"
_CHECKS: Final = (
    ("balances", "no balance is below zero unless a posting said so", "accounts"),
    ("contributions", "nothing held, settled or approved is below zero", "transactions"),
    ("keys", "every request key has its transaction", "keys"),
    ("transactions", "every decided transaction has its request key", "transactions"),
    ("references", "every transaction has its account, card and user", "transactions"),
    ("versions", "no transaction knows a version that its account has not reached", "transactions"),
    ("partitions", "no partition of transactions is missing between others", "partitions"),
    ("sequence", "the next transaction gets an id of its own", "transactions"),
)


async def check(database_url: str) -> list[Check]:
    """All of them, for a role that sees every row. Raises Unavailable when the database goes away."""
    migrations = await _migrations(database_url)
    if migrations.faults:
        return [migrations]  # the statements below are of this release's schema
    async with session(database_url) as connection:
        counts = await connection.fetchrow(INVARIANTS_SQL["counts"])
        assert counts is not None
        checks = [
            Check(name, f"{counts[of]} {of}", await _faults(connection, INVARIANTS_SQL[block]))
            for block, name, of in _CHECKS
        ]
        return [migrations, *checks, await _sums(connection)]


async def _migrations(database_url: str) -> Check:
    try:
        revisions = await status(database_url)
    except StartupRefused as refused:
        return Check(_MIGRATIONS, "its revision", [str(refused)])
    missing = [f"{name} ({title}) is missing" for name, title, applied in revisions if not applied]
    return Check(_MIGRATIONS, f"{len(revisions)} revisions", missing[:FAULTS_SHOWN])


async def _faults(connection: "Connection[Record]", sql: str) -> list[str]:
    """The first faults, and how many more there are. Rows that cannot be read are a fault as well."""
    try:
        records = await connection.fetch(f"SELECT fault, count(*) OVER () FROM ({sql}\n) AS f LIMIT {FAULTS_SHOWN}")  # noqa: S608
    except (asyncpg.DataCorruptedError, asyncpg.IndexCorruptedError, asyncpg.InternalServerError) as error:
        return [f"PostgreSQL cannot read it: {error}"]
    more = records[0]["count"] - len(records) if records else 0
    return [str(record["fault"]) for record in records] + ([f"and {more} more"] if more else [])


async def _sums(connection: "Connection[Record]") -> Check:
    """Sums of cards as the service loads them into counters, against sums written plainly."""
    cards = await connection.fetch(INVARIANTS_SQL["sample"], SAMPLE_CARDS)
    faults = []
    for account_id, card_id, start, end in cards:
        plain = await connection.fetchrow(INVARIANTS_SQL["sums"], account_id, card_id, start, end)
        loaded = await connection.fetchrow(
            SQL["load"], account_id, [card_id, card_id], [start, _BEFORE_ALL], [end, _AFTER_ALL], [], [], []
        )
        assert plain is not None
        sums = None if loaded is None else [*loaded["cards"][0], *loaded["cards"][1], loaded["held_minor"]]
        if sums != [*plain]:
            faults.append(f"card {card_id} is loaded as {sums}, its rows add up to {[*plain]}")
    return Check("counters can be loaded and equal the rows", f"{len(cards)} cards", faults[:FAULTS_SHOWN])
