"""Parts break in the midst of messages and decisions about shared accounts: every message counts once, all heals by itself."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from tests.fault.conftest import REAPER, World
from tests.fault.storm import brewing
from tests.fault.ways import Way
from tests.service import running
from tests.traffic import Callers
from tests.waiting import pause

pytestmark = pytest.mark.asyncio(loop_scope="module")
_ADVANCE: Final = (Path(__file__).parents[2] / "authsvc" / "counters" / "advance.lua").read_bytes()


class Ground(NamedTuple):
    """A service of two workers, with a way to either server that the test can make bad."""

    world: World
    to_database: Way
    to_counters: Way


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(breakable: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    folder = tmp_path_factory.mktemp("messages")
    database_socket = Path(parse_qs(urlsplit(breakable.database_url).query)["host"][0]) / ".s.PGSQL.5432"
    counters_socket = urlsplit(breakable.redis_url).path
    async with AsyncExitStack() as stack:
        to_database = await stack.enter_async_context(
            Way(lambda: asyncio.open_unix_connection(database_socket), b"COMMIT;")
        )
        to_counters = await stack.enter_async_context(
            Way(lambda: asyncio.open_unix_connection(counters_socket), hashlib.sha1(_ADVANCE).hexdigest().encode())
        )
        name = urlsplit(breakable.database_url).path
        database_url = f"postgresql://postgres@127.0.0.1:{to_database.port}{name}?sslmode=disable"
        service = running(database_url, f"redis://127.0.0.1:{to_counters.port}/0", folder, **REAPER)
        # It connects by these ways, which need this loop meanwhile.
        started = await asyncio.to_thread(service.__enter__)
        stack.push_async_callback(asyncio.to_thread, service.__exit__, None, None, None)
        callers = await stack.enter_async_context(Callers(started))
        yield Ground(World(breakable, started, callers, []), to_database, to_counters)


async def test_workers_killed_between_the_commit_of_messages_and_their_counters_leave_both_as_the_messages_say(
    ground: Ground,
) -> None:
    storm = await brewing(ground.world, 1)

    async def kill() -> None:
        """Whoever has committed messages and would now move the counters."""
        before = len(ground.to_counters.held)
        ground.to_counters.hold += 1
        while len(ground.to_counters.held) == before:
            await pause(0.005)
        ground.world.service.kill(worker_at(ground.world, ground.to_counters.held[-1]))

    await storm.rage(kill, kill, kill)
    await storm.check()


async def test_workers_killed_at_any_moment_lose_and_double_no_message(ground: Ground) -> None:
    storm = await brewing(ground.world, 2)

    async def kill() -> None:
        # Messages go fast: those that were killed before may not be back yet.
        while not (workers := ground.world.service.workers()):
            await pause(0.005)
        ground.world.service.kill(workers[0])

    await storm.rage(kill, kill, kill)
    await storm.check()


async def test_counters_that_are_flushed_follow_the_messages_again(ground: Ground) -> None:
    storm = await brewing(ground.world, 3)

    async def flush() -> None:
        await asyncio.to_thread(ground.world.servers.valkey.flush)

    await storm.rage(flush, flush, flush)
    await storm.check()


async def test_counters_that_are_lost_or_come_back_as_they_once_were_follow_the_messages_again(ground: Ground) -> None:
    storm, valkey = await brewing(ground.world, 4), ground.world.servers.valkey

    async def save() -> None:
        await asyncio.to_thread(valkey.save)

    async def restore() -> None:
        await asyncio.to_thread(valkey.kill)
        await asyncio.to_thread(valkey.start_again, empty=False)

    async def lose() -> None:
        await asyncio.to_thread(valkey.kill)
        await asyncio.to_thread(valkey.start_again, empty=True)

    await storm.rage(save, restore, lose)
    await storm.check()


async def test_messages_survive_a_database_that_cuts_its_connections_and_restarts(ground: Ground) -> None:
    storm, postgres = await brewing(ground.world, 5), ground.world.servers.postgres

    async def terminate() -> None:
        await asyncio.to_thread(postgres.terminate_connections)

    async def restart() -> None:
        await asyncio.to_thread(postgres.restart)

    async def crash() -> None:
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(postgres.restart)

    await storm.rage(terminate, restart, crash)
    await storm.check()


async def test_messages_count_once_where_the_answers_of_commits_and_of_counters_are_lost(ground: Ground) -> None:
    storm = await brewing(ground.world, 6)

    async def lose() -> None:
        ground.to_database.lose += 3
        ground.to_counters.lose += 2

    await storm.rage(*[lose] * 5)
    await storm.check()

    assert (ground.to_database.lost, ground.to_counters.lost) == (15, 10)


def worker_at(world: World, port: int) -> int:
    """The worker whose connection begins at this port."""
    for worker in world.service.workers():
        if any(one.laddr.port == port for one in psutil.Process(worker).net_connections("tcp")):
            return worker
    raise AssertionError(f"no worker is at {port}")
