"""What is known of people and how it is kept: counted, sealed under the current key, opened again, or never else.

Every step is one transaction and ends with rows as they shall be: who is interrupted starts again and goes on.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from authsvc.errors import NotPossible, StartupRefused
from authsvc.ledger.queries import PRIVACY_SQL, SQL
from authsvc.ledger.retention import hidden
from authsvc.ledger.session import session
from authsvc.privacy.columns import SEALED, opened, sealed
from authsvc.privacy.sealing import Sealer

if TYPE_CHECKING:
    from asyncpg import Connection, Record

_ACTOR: Final = "cli:privacy"
_AT_ONCE: Final = 500
# What erasing somebody leaves (persons.sql), for PostgreSQL as well.
_ERASED: Final = re.compile(r"Erased|erased-[0-9]+@erased[.]invalid")
_LOCK_TIMEOUT_MS: Final = 2_000


class Kept(NamedTuple):
    """How the values of a column are kept: how many under each key; 0 stands for those that are not sealed."""

    table: str
    column: str
    by_version: Mapping[int, int]


@asynccontextmanager
async def desk(database_url: str) -> "AsyncIterator[Connection[Record]]":
    """A connection for the functions below. Raises StartupRefused for whoever does not see every row."""
    async with session(database_url) as connection:
        try:
            if unseen := await hidden(connection, *SEALED):
                raise StartupRefused(f"this database user does not see every row of {', '.join(unseen)}")
            yield connection
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            raise StartupRefused("the database lacks tables or columns: run `authsvc db migrate`") from error
        except asyncpg.InsufficientPrivilegeError as error:
            raise StartupRefused("this database user may not do that: run it as the owner of the tables") from error


async def census(connection: "Connection[Record]") -> list[Kept]:
    """Every column that holds what is known of people."""
    found = []
    for table, columns in SEALED.items():
        for column in columns:
            rows = await connection.fetch(_on("census", table=table, column=column))
            found.append(Kept(table, column, {row["version"]: row["count"] for row in rows}))
    return found


async def to_do(connection: "Connection[Record]", version: int | None) -> int:
    """In how many rows `work` would write."""
    counts = [await connection.fetchval(_on("count", table=table, needs=_needs(table, version))) for table in SEALED]
    return sum(counts)


async def work(connection: "Connection[Record]", sealer: Sealer, version: int | None) -> AsyncIterator[int]:
    """Seal every value under the current key, whose `version` is given; None: open them all.

    Yields how many rows are done.

    Raises NotPossible when a value cannot be opened, or when two rows turn out to share what only one may have.
    """
    done = 0
    for table in SEALED:
        last_id = 0
        while True:
            async with connection.transaction():
                await connection.execute(SQL["tell"], _ACTOR)
                rows = await connection.fetch(
                    _on("some", table=table, columns=", ".join(SEALED[table]), needs=_needs(table, version)),
                    last_id,
                    _AT_ONCE,
                )
                if rows:
                    await _write(connection, table, rows, sealer, version)
            if not rows:
                break
            last_id = rows[-1]["id"]
            done += len(rows)
            yield done


async def reindex(connection: "Connection[Record]", sealer: Sealer) -> int:
    """Blind indexes anew, after the key of indexes was replaced: in one transaction. Returns in how many rows."""
    async with connection.transaction():
        await connection.execute(SQL["tell"], _ACTOR)
        count = 0
        for table, columns in SEALED.items():
            if not any(columns.values()):
                continue
            needs = " OR ".join(_on("under_any", column=column) for column, index in columns.items() if index)
            rows = await connection.fetch(
                _on("some", table=table, columns=", ".join(columns), needs=needs), 0, 2**31 - 1
            )
            if rows:
                await _write(connection, table, rows, sealer, sealer.version)
            count += len(rows)
    return count


async def is_enforced(connection: "Connection[Record]") -> bool:
    """Whether the database itself refuses what is not sealed."""
    return bool(await connection.fetchval(PRIVACY_SQL["is_enforced"], list(SEALED)) == len(SEALED))


async def enforce(connection: "Connection[Record]", *, is_on: bool) -> None:
    """From now on the database refuses what is not sealed, whoever writes it; or no longer.

    Raises NotPossible while something is not sealed, and when running statements hold the tables.
    """
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            for table, columns in SEALED.items():
                await connection.execute(_on("relax", table=table))
                if is_on:
                    condition = " AND ".join(_on("is_sealed", column=column) for column in columns)
                    await connection.execute(_on("enforce", table=table, condition=condition))
    except asyncpg.CheckViolationError as error:
        raise NotPossible("something is not sealed yet: run `authsvc privacy rotate` first") from error
    except asyncpg.LockNotAvailableError as error:
        raise NotPossible("running statements hold the tables: try again") from error


async def _write(
    connection: "Connection[Record]", table: str, rows: "Sequence[Record]", sealer: Sealer, version: int | None
) -> None:
    columns = SEALED[table]
    names = [*columns, *(index for index in columns.values() if index)]
    kept = [_kept(sealer, table, row, version) for row in rows]
    ids = [row["id"] for row in rows]
    types = {index: "BYTEA" for index in columns.values() if index}
    statement = _on(
        "write",
        table=table,
        assignments=", ".join(f"{name} = s.{name}" for name in names),
        arrays=", ".join(f"${n}::{types.get(name, 'TEXT')}[]" for n, name in enumerate(names, start=2)),
        columns=", ".join(names),
    )
    try:
        async with connection.transaction():
            await connection.execute(statement, ids, *([one[name] for one in kept] for name in names))
    except asyncpg.UniqueViolationError as error:
        raise NotPossible(await _shared(connection, table, ids, kept)) from error
    except asyncpg.CheckViolationError as error:
        raise NotPossible("the database refuses what is not sealed: `authsvc privacy enforce --off`") from error


def _kept(sealer: Sealer, table: str, row: "Record", version: int | None) -> dict[str, Any]:
    """The row as it shall be. What erasing left stays as it is."""
    clear = opened(sealer, table, row["id"], dict(row))
    indexes = {index: None for index in SEALED[table].values() if index}
    if version is None:
        return {**indexes, **clear}
    people = {column: value for column, value in clear.items() if value is None or not _ERASED.fullmatch(value)}
    return {**indexes, **clear, **sealed(sealer, table, row["id"], people)}


async def _shared(
    connection: "Connection[Record]", table: str, ids: Sequence[int], kept: Iterable[Mapping[str, Any]]
) -> str:
    """Which rows are in the way of these."""
    rows = list(kept)
    for column, index in SEALED[table].items():
        if index is not None:
            wanted = [row[index] for row in rows if row[index] is not None]
            others = await connection.fetch(_on("holders", table=table, index=index), wanted, ids)
            if others:
                named = ", ".join(str(row["id"]) for row in others[:5])
                return (
                    f"the {column} of {table} {named} is also that of another one, which was not sealed: change either"
                )
    return f"two of {table} have the same address: change either"


def _needs(table: str, version: int | None) -> str:
    columns = SEALED[table]
    if version is None:
        return " OR ".join(_on("under_any", column=column) for column in columns)
    return " OR ".join(_on("not_under", column=column, version=str(version)) for column in columns)


def _on(name: str, **parts: str) -> str:
    """A statement about a table or a column of ours; values are never part of it."""
    if "column" in parts:
        parts["erased"] = PRIVACY_SQL["erased"].format(column=parts["column"], erased_form=_ERASED.pattern)
    return PRIVACY_SQL[name].format(**parts)
