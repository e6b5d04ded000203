"""What grows old: partitions that no limit counts any more, closed cards, request keys. Accounts are in notices.py.

Nothing of the books is deleted. Why a partition may be archived, or not: docs/adr/0024.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from authsvc.errors import NotPossible, StartupRefused
from authsvc.ledger import notices
from authsvc.ledger.partitions import create_ahead
from authsvc.ledger.queries import RETENTION_SQL, SQL
from authsvc.ledger.session import session

if TYPE_CHECKING:
    from asyncpg import Connection, Record

ARCHIVE: Final = "archive"
# Decisions queue behind whoever waits for the table. Below the server's deadlock_timeout, so that it is us who give up.
_LOCK_TIMEOUT_MS: Final = 500
_CARDS_AT_ONCE: Final = 500
_KEYS_AT_ONCE: Final = 10_000
_LOOKED_AT: Final = ("accounts", "cards", "request_keys", "spending_profiles", "transactions", "users")
_BUSY: Final = "running statements hold the table: try again"


class OldPartition(NamedTuple):
    """A month that is old enough. `kept_for` says what still needs it; empty: nothing does."""

    name: str
    kept_for: str


@asynccontextmanager
async def keeper(database_url: str) -> "AsyncIterator[Connection[Record]]":
    """A connection for the functions below and those of notices.py.

    Raises StartupRefused for a user who may not do what they do, or whom row security shows only a part of the rows.
    """
    async with session(database_url) as connection:
        try:
            if unseen := await hidden(connection, *notices.LOOKED_AT):
                raise StartupRefused(
                    f"this database user may not see all of {', '.join(unseen)}: run it as the owner of the tables"
                )
            yield connection
        except asyncpg.InsufficientPrivilegeError as error:
            raise StartupRefused("this database user may not do that: run it as the owner of the tables") from error
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            raise StartupRefused("the database is older than this program: run `authsvc db migrate`") from error


async def monthly(connection: "Connection[Record]") -> list[str]:
    """The names of all monthly partitions."""
    return [row[0] for row in await connection.fetch(RETENTION_SQL["months"], date.max)]


async def make_ahead(connection: "Connection[Record]", months: int, today: date) -> list[str]:
    """See `create_ahead`. Raises NotPossible where that gives up waiting."""
    try:
        return await create_ahead(connection, months, today)
    except asyncpg.LockNotAvailableError as error:
        raise NotPossible(_BUSY) from error


async def old_partitions(
    connection: "Connection[Record]", ends_by: date, keys_kept_since: datetime
) -> list[OldPartition]:
    """The partitions that end by then, oldest first. Request keys older than `keys_kept_since` count as purged."""
    names = [row[0] for row in await connection.fetch(RETENTION_SQL["months"], ends_by)]
    return [OldPartition(name, await _kept_for(connection, name, keys_kept_since)) for name in names]


async def archive(connection: "Connection[Record]", name: str, keys_kept_since: datetime) -> str:
    """Detach a partition and move it to the schema `archive`. Returns why that was not done, or nothing.

    It looks at all rows first and at what may have changed again under the lock, which decisions wait for only then.
    PostgreSQL detaches CONCURRENTLY only where there is no default partition, and there is one.
    """
    newest = await connection.fetchval(f"SELECT max(id) FROM {_quoted(name)}")  # noqa: S608 (a name of ours, checked)
    if reason := await _kept_for(connection, name, keys_kept_since):
        return reason
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            await connection.execute(RETENTION_SQL["lock_parent"])
            for table in ("transactions", _quoted(name)):
                await connection.execute(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
            if not await connection.fetchval(_on("unchanged", name), newest):
                return "it is being written to"
            await connection.execute(f"ALTER TABLE transactions DETACH PARTITION {_quoted(name)}")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {ARCHIVE}")
            await connection.execute(f"ALTER TABLE {_quoted(name)} SET SCHEMA {ARCHIVE}")
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return _BUSY
    return ""


async def archived(connection: "Connection[Record]") -> list[str]:
    """The names of what `archive` moved."""
    return [row[0] for row in await connection.fetch(RETENTION_SQL["archived"])]


async def missed(connection: "Connection[Record]") -> list[str]:
    """Archived partitions with spending that a limit may count again: a profile was restored, or became shared."""
    return [
        name for name in await archived(connection) if await _still_needed(connection, f"{ARCHIVE}.{_quoted(name)}")
    ]


async def hidden(connection: "Connection[Record]", *tables: str) -> list[str]:
    """Of the tables that are looked at, and of these, those of which row security hides something from this user."""
    return [row[0] for row in await connection.fetch(RETENTION_SQL["hidden"], [*_LOOKED_AT, *tables])]


async def closed_cards(connection: "Connection[Record]", before: datetime) -> int:
    """How many `archive_cards` would archive."""
    return int(await connection.fetchval(RETENTION_SQL["closed_cards"], before))


async def archive_cards(connection: "Connection[Record]", before: datetime) -> int:
    """Soft-delete cards that were closed before then. Their rows and their transactions stay. Returns how many."""

    async def some() -> int:
        async with connection.transaction():
            await connection.execute(SQL["tell"], notices.BY_SCHEDULE)
            return _count(await connection.execute(RETENTION_SQL["archive_cards"], before, _CARDS_AT_ONCE))

    return await _until_fewer(some, _CARDS_AT_ONCE)


async def purgeable_keys(connection: "Connection[Record]", before: datetime) -> int:
    """How many `purge_keys` would delete."""
    return int(await connection.fetchval(RETENTION_SQL["purgeable_keys"], before))


async def purge_keys(connection: "Connection[Record]", before: datetime) -> int:
    """Delete request keys that were written before then, some at a time. Returns how many."""

    async def some() -> int:
        return _count(await connection.execute(RETENTION_SQL["purge_keys"], before, _KEYS_AT_ONCE))

    return await _until_fewer(some, _KEYS_AT_ONCE)


async def _kept_for(connection: "Connection[Record]", name: str, keys_kept_since: datetime) -> str:
    if reason := await _still_needed(connection, _quoted(name)):
        return reason
    repeats = await connection.fetchval(_on("repeats", name), keys_kept_since)
    return f"{repeats} requests that may be repeated" if repeats else ""


async def _still_needed(connection: "Connection[Record]", table: str) -> str:
    if unseen := await hidden(connection, table):
        return f"rows of {', '.join(unseen)} that this database user may not see"
    record: Any = await connection.fetchrow(RETENTION_SQL["still_needed"].format(table=table))
    needs = {
        "open holds": record["holds"],
        "cards that are not closed": record["open_cards"],
        "shared profiles": record["shared_profiles"],
    }
    return ", ".join(f"{count} {what}" for what, count in needs.items() if count)


async def _until_fewer(some: Callable[[], Awaitable[int]], at_once: int) -> int:
    total = 0
    while True:
        count = await some()
        total += count
        if count < at_once:
            return total


def _on(statement: str, name: str) -> str:
    return RETENTION_SQL[statement].format(table=_quoted(name))


def _quoted(name: str) -> str:
    """Only names of partitions get here; they are quoted all the same."""
    return '"' + name.replace('"', '""') + '"'


def _count(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
