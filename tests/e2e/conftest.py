"""The service as its own process, as an operator runs it, on a seeded database."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import asyncpg
import pytest

from authsvc.client import AuthorizationClient
from authsvc.embedded import Servers
from authsvc.seed import seed
from tests.privacy import KEYS_TEXT

_database_numbers = itertools.count(1)


class Service:
    """`authsvc serve` on one port for its whole life, however often it is killed and started."""

    def __init__(self, environment: dict[str, str]) -> None:
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self.port: int = chosen.getsockname()[1]
        self.target = f"127.0.0.1:{self.port}"
        self.environment = environment | {
            "AUTHSVC_PORT": str(self.port),
            "AUTHSVC_METRICS_PORT": "0",
            "AUTHSVC_LOG_DECISIONS": "false",
            "AUTHSVC_LOG_LEVEL": "WARNING",
        }
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "authsvc", "serve"],
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line != f"ready on {self.target}\n":
            self.kill()
            pytest.fail(f"the service said {line!r}; see its log above")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> int:
        """Drain it; returns its exit code."""
        self.signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def seeded_url(servers: Servers, template: str) -> Iterator[str]:
    """A database of this module's own, with the sample program in it."""
    name = f"e2e_{next(_database_numbers)}"
    servers.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    url = servers.postgres.url(name)
    # Accounts of another database have the same numbers, and their counters may still be there.
    servers.valkey.flush()
    asyncio.run(_seed(url))
    yield url
    servers.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def start_service(servers: Servers, seeded_url: str) -> Iterator[Callable[[], Service]]:
    """Starts services on the module's database; whatever still runs at the end is killed."""
    started: list[Service] = []
    environment = {
        "AUTHSVC_DATABASE_URL": seeded_url,
        "AUTHSVC_REDIS_URL": servers.redis_url,
        "AUTHSVC_PRIVACY_KEYS": KEYS_TEXT,
    }

    def start() -> Service:
        started.append(Service(environment))
        return started[-1]

    yield start
    for service in started:
        if service.process is not None and service.process.returncode is None:
            service.kill()


@pytest.fixture(scope="module")
def service(start_service: Callable[[], Service]) -> Service:
    """One service for all tests of the module; a test that stops or kills one starts its own."""
    return start_service()


@pytest.fixture
async def client(service: Service) -> AuthorizationClient:
    """A client of two streams."""
    async with AuthorizationClient(service.target, connections=2) as opened:
        yield opened


async def _seed(url: str) -> None:
    connection = await asyncpg.connect(url)
    await seed(connection)
    await connection.close()
