"""One connection for a command that comes and goes; the service itself uses pools."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from authsvc.errors import Unavailable

if TYPE_CHECKING:
    from asyncpg import Connection, Record


@asynccontextmanager
async def session(database_url: str) -> "AsyncIterator[Connection[Record]]":
    """A connection, closed at the end. Raises Unavailable when the database cannot be reached or goes away."""
    try:
        connection = await asyncpg.connect(database_url)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable("database") from error
    try:
        yield connection
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        raise Unavailable("database") from error
    finally:
        connection.terminate()
