"""What a database needs before the service can run on it: the schema, partitions ahead, the catalogue of categories."""

import asyncio
import logging
from typing import Final

import asyncpg

from authsvc.errors import StartupRefused
from authsvc.ledger.migrate import upgrade
from authsvc.ledger.partitions import create_ahead
from loader.categories import fill

MONTHS_AHEAD: Final = 3
_log = logging.getLogger(__name__)


def prepare(database_url: str) -> list[str]:
    """Bring the database up to date; blocks. Returns the revisions that were applied."""
    try:
        return asyncio.run(_prepare(database_url))
    except OSError as error:
        raise StartupRefused("the database cannot be reached") from error


async def _prepare(database_url: str) -> list[str]:
    applied = await upgrade(database_url)
    connection = await asyncpg.connect(database_url)
    try:
        today = await connection.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
        made = await create_ahead(connection, MONTHS_AHEAD, today)
        if applied:
            await fill(connection)
    finally:
        await connection.close()
    _log.info("schema: %d revisions applied, %d partitions made", len(applied), len(made))
    return applied
