"""Each part is broken in the midst of a load. No approval is lost, nothing is spent or counted twice, and it heals by itself."""

import asyncio

from tests.fault.conftest import World

KILLED_AT_ONCE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'authsvc listener'"
)


async def test_a_worker_killed_in_the_midst_of_a_batch_loses_and_doubles_nothing(world: World) -> None:
    async def kill() -> None:
        world.service.kill(world.service.workers()[0])

    await world.survives(kill, kill, kill)


async def test_counters_that_are_flushed_are_built_again(world: World) -> None:
    async def flush() -> None:
        await asyncio.to_thread(world.servers.valkey.flush)

    await world.survives(flush, flush, flush)


async def test_counters_that_are_lost_with_their_server_are_built_again(world: World) -> None:
    async def lose() -> None:
        await asyncio.to_thread(world.servers.valkey.kill)
        await world.callers.until_health_is("NOT_SERVING")
        await asyncio.to_thread(world.servers.valkey.start_again, empty=True)
        await world.callers.until_health_is("SERVING")

    await world.survives(lose)


async def test_counters_that_come_back_as_they_once_were_are_not_believed(world: World) -> None:
    async def save() -> None:
        await asyncio.to_thread(world.servers.valkey.save)

    async def restore() -> None:
        await asyncio.to_thread(world.servers.valkey.kill)
        await asyncio.to_thread(world.servers.valkey.start_again, empty=False)

    await world.survives(save, restore, restore)


async def test_database_connections_that_are_terminated_are_made_again(world: World) -> None:
    async def terminate() -> None:
        await asyncio.to_thread(world.servers.postgres.terminate_connections)

    await world.survives(terminate, terminate, terminate)


async def test_a_database_that_is_killed_and_recovers_has_every_approval(world: World) -> None:
    async def crash() -> None:
        await asyncio.to_thread(world.servers.postgres.kill)
        await world.callers.until_health_is("NOT_SERVING")
        await asyncio.to_thread(world.servers.postgres.restart)
        await world.callers.until_health_is("SERVING")

    await world.survives(crash)


async def test_a_database_that_restarts_in_order_has_every_approval(world: World) -> None:
    async def restart() -> None:
        await asyncio.to_thread(world.servers.postgres.restart)

    await world.survives(restart, restart)


async def test_a_listener_that_is_cut_off_hears_again_of_changes_and_misses_none(world: World) -> None:
    async def cut() -> None:
        await asyncio.to_thread(world.servers.postgres.execute, KILLED_AT_ONCE)

    await world.survives(cut, cut)
