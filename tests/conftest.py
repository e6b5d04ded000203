"""Real servers for every tier of tests. One set serves the whole run; a test that breaks servers brings its own."""

import asyncio
import itertools
import os
from collections.abc import Iterator
from typing import Final

import pytest

from authsvc.embedded import Servers
from authsvc.ledger.migrate import upgrade

TEMPLATE: Final = "authsvc_template"

_database_numbers = itertools.count(1)

# Tests start servers while gRPC's threads run; its handlers of a fork, which nobody here needs, crash the child then.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and Valkey, durable as in production. Shared by the whole run: neither stop nor configure them."""
    with Servers.start(None) as running:
        yield running


@pytest.fixture(scope="session")
def template(servers: Servers) -> str:
    """The name of a migrated, empty database that `database_url` copies. Nobody may connect to it."""
    servers.postgres.execute(f"CREATE DATABASE {TEMPLATE}")
    asyncio.run(upgrade(servers.postgres.url(TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """A database of this test's own, without any table."""
    yield from _database(servers, "template1")


@pytest.fixture
def database_url(servers: Servers, template: str) -> Iterator[str]:
    """A database of this test's own, migrated and empty."""
    yield from _database(servers, template)


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The shared Valkey, emptied before the test."""
    servers.valkey.flush()
    return servers.redis_url


@pytest.fixture
def own_servers() -> Iterator[Servers]:
    """Servers of this test's own, migrated and empty, to be killed, restarted and flushed."""
    with Servers.start(None) as running:
        asyncio.run(upgrade(running.database_url))
        yield running


def _database(servers: Servers, template: str) -> Iterator[str]:
    name = f"test_{next(_database_numbers)}"
    servers.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield servers.postgres.url(name)
    servers.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
