"""Bringing a database to the schema of this release.

Alembic keeps the order and the book (table alembic_version); the revisions are SQL files. No alembic.ini: the
configuration is made here, so that it works from an installed wheel.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from authsvc.errors import StartupRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Connection

# Any number that no other program of the database uses for pg_advisory_lock.
MIGRATION_LOCK_KEY = 0x61757468_73766301


async def upgrade(database_url: str) -> list[str]:
    """Apply what is missing and return the applied revisions, oldest first; nothing missing is no error.

    Two starters do not collide: the second waits for the first and then finds nothing to do. The lock has a
    connection of its own, so that each revision keeps its own transaction, and needs a session that lasts: do
    not run this through a pooler in transaction mode.
    """
    lock = await asyncpg.connect(database_url)
    try:
        await lock.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK_KEY)
        pending = [revision for revision, _, applied in await status(database_url) if not applied]
        if pending:
            await _upgrade_to_head(database_url)
        return pending
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


async def _upgrade_to_head(database_url: str) -> None:
    # The driver reads the URL itself: SQLAlchemy's own parser knows fewer forms (a socket folder as ?host=).
    connect = cast("Callable[[], Awaitable[object]]", lambda: asyncpg.connect(database_url))
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run_upgrade)
    finally:
        await engine.dispose()


def _run_upgrade(connection: "Connection") -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("version_locations", str(folder / "versions").replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
