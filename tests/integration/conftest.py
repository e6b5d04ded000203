"""A connection to the test's own database, and a small program of two accounts in it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from tests.network import Network, make_card
from tests.programs import Card
from tests.serving import serving_module

PROGRAM_SQL: Final = (Path(__file__).parent / "program.sql").read_text(encoding="utf-8")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A few connections to the test's own migrated database."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as opened:
        yield opened


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """One connection to the test's own migrated database."""
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def program(connection: asyncpg.Connection) -> asyncpg.Connection:
    """The connection, after program.sql: look there for the ids."""
    await connection.execute(PROGRAM_SQL)
    return connection


async def until_waiting(watcher: asyncpg.Connection, waiter: asyncpg.Connection) -> None:
    """Return once `waiter` waits for a lock; each look is a round trip of another connection."""
    async with asyncio.timeout(10):
        while not await watcher.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", waiter.get_server_pid()):
            pass


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network(servers: Servers, template: str) -> AsyncIterator[Network]:
    """A service of the module's own, and the card network before it."""
    async with serving_module(servers, template) as running:
        yield Network(running)


@pytest_asyncio.fixture(loop_scope="module")
async def card(network: Network) -> Card:
    """May spend 100.00 a month; its account has 1,000.00."""
    return await make_card(network.running.database)
