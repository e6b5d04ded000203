"""Bringing a database to the schema of this release, and back to an older one.

Alembic keeps the order and the book (table alembic_version); the revisions are SQL files. No alembic.ini: the
configuration is made here, so that it works from an installed wheel.
"""

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from authsvc.errors import NotPossible, StartupRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy import Connection

# The name of an empty database, before the first revision.
BASE: Final = "base"
# Any number that no other program of the database uses for pg_advisory_lock.
MIGRATION_LOCK_KEY = 0x61757468_73766301


async def upgrade(database_url: str, revision: str = "head") -> list[str]:
    """Apply what is missing and return the applied revisions, oldest first; nothing missing is no error.

    revision: the last one to apply; everything, unless told.

    Two starters do not collide: the second waits for the first and then finds nothing to do. The lock has a
    connection of its own, so that each revision keeps its own transaction, and needs a session that lasts: do
    not run this through a pooler in transaction mode.
    """
    async with _locked(database_url):
        pending = [name for name, _, applied in await status(database_url) if not applied]
        if revision != "head":
            pending = [name for name in pending if name <= revision]
        if pending:
            await _run(database_url, lambda config: command.upgrade(config, revision))
        return pending


async def downgrade(database_url: str, revision: str) -> list[str]:
    """Take back what came after a revision, and return what was taken back, newest first. Data goes: see `losses`.

    revision: the one to stay at, or BASE for an empty database.

    Raises NotPossible when there is no such revision, or when the data does not fit into the older schema: what was
    taken back until then stays taken back.
    """
    async with _locked(database_url):
        going = [name for name, _ in await losses(database_url, revision)]
        try:
            if going:
                await _run(database_url, lambda config: command.downgrade(config, revision))
        except (DBAPIError, asyncpg.PostgresError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise NotPossible(f"the data does not fit into the schema of revision {revision}: {reason}") from error
        return going


async def losses(database_url: str, revision: str) -> list[tuple[str, str]]:
    """What a downgrade to this revision would take back, newest first, as (revision, what goes with it).

    Raises NotPossible when the database is not at this revision or a later one.
    """
    applied = [name for name, _, done in await status(database_url) if done]
    if revision not in {*applied, BASE}:
        raise NotPossible(f"{revision} is not a revision that this database has: see `authsvc db status`")
    going = applied[applied.index(revision) + 1 :] if revision != BASE else applied
    script = ScriptDirectory.from_config(_config())
    modules = [(name, script.get_revision(name).module) for name in reversed(going)]
    return [(name, module.downgrade.__doc__.splitlines()[0]) for name, module in modules]


@asynccontextmanager
async def _locked(database_url: str) -> "AsyncIterator[None]":
    lock = await asyncpg.connect(database_url)
    try:
        await lock.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK_KEY)
        yield
    finally:
        await lock.close()


async def status(database_url: str) -> list[tuple[str, str, bool]]:
    """Every revision of this release, oldest first, as (revision, title, applied).

    Raises StartupRefused when the database is at a revision that this release does not know.
    """
    script = ScriptDirectory.from_config(_config())
    connection = await asyncpg.connect(database_url)
    try:
        known = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        current = await connection.fetchval("SELECT version_num FROM alembic_version") if known else None
    finally:
        await connection.close()
    steps = list(reversed(list(script.walk_revisions())))
    revisions = [step.revision for step in steps]
    if current is not None and current not in revisions:
        message = (
            f"the database is at schema revision {current}, which this release does not know: it is too old for it"
        )
        raise StartupRefused(message)
    applied_count = 0 if current is None else revisions.index(current) + 1
    return [(step.revision, step.doc, index < applied_count) for index, step in enumerate(steps)]


async def _run(database_url: str, step: "Callable[[Config], None]") -> None:
    # The driver reads the URL itself: SQLAlchemy's own parser knows fewer forms (a socket folder as ?host=).
    connect = cast("Callable[[], Awaitable[object]]", lambda: asyncpg.connect(database_url))
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run_step, step)
    finally:
        await engine.dispose()


def _run_step(connection: "Connection", step: "Callable[[Config], None]") -> None:
    config = _config()
    config.attributes["connection"] = connection
    step(config)


def _config() -> Config:
    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("version_locations", str(folder / "versions").replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
