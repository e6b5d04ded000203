"""The database commits, and the answer never arrives. Nobody can tell then, so nothing may be given back or forgotten."""

from contextlib import AsyncExitStack

import asyncpg

from tests.fault.conftest import REAPER, World, program
from tests.fault.lossy import LossyWay
from tests.service import running
from tests.traffic import Callers


async def test_commits_whose_answer_is_lost_count_once_and_are_answered_as_they_were_decided(breakable, tmp_path):
    database = await asyncpg.connect(breakable.database_url)
    async with AsyncExitStack() as stack:
        way = stack.enter_context(LossyWay(breakable.database_url))
        service = stack.enter_context(running(way.url, breakable.redis_url, tmp_path, **REAPER))
        cards = await program(database)
        await database.close()
        world = World(breakable, service, await stack.enter_async_context(Callers(service)), cards)

        async def lose() -> None:
            way.lose += 3

        await world.survives(*[lose] * 6)

        assert way.lost == 18
