"""Each part is broken in the midst of a load. No approval is lost, nothing is spent or counted twice, and it heals by itself."""

import asyncio

from authsvc.v1 import types_pb2 as types
from tests.fault.conftest import World
from tests.programs import Card, add_account, add_card
from tests.traffic import request

CUT_LISTENERS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'authsvc listener'"
)


async def test_a_worker_killed_in_the_midst_of_a_batch_loses_and_doubles_nothing(world: World) -> None:
    async def kill() -> None:
        world.service.kill(world.service.workers()[0])

    await world.survives(kill, kill, kill)

    assert world.callers.retries


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

    assert world.callers.retries


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

    assert world.callers.retries


async def test_a_database_that_restarts_in_order_has_every_approval(world: World) -> None:
    async def restart() -> None:
        await asyncio.to_thread(world.servers.postgres.restart)

    await world.survives(restart, restart)


async def test_a_change_that_no_listener_hears_is_obeyed_all_the_same(world: World) -> None:
    async with world.looking() as (database, _):
        card = await add_card(database, await add_account(database))
        assert await reasons(world, card) == {types.REASON_APPROVED}
        to_come = card._replace(token="card-unheard-of")

        async def cut() -> None:
            await asyncio.to_thread(world.servers.postgres.execute, CUT_LISTENERS)
            await database.execute("UPDATE cards SET status = 'inactive' WHERE id = $1", card.id)
            assert await reasons(world, card) == {types.REASON_CARD_INACTIVE}

        async def cut_again() -> None:
            assert await reasons(world, to_come) == {types.REASON_UNKNOWN_CARD}
            await asyncio.to_thread(world.servers.postgres.execute, CUT_LISTENERS)
            await database.execute("UPDATE cards SET status = 'closed' WHERE id = $1", card.id)
            assert await reasons(world, card) == {types.REASON_CARD_CLOSED}
            await add_card(database, card.account_id, token=to_come.token)
            assert await reasons(world, to_come) == {types.REASON_APPROVED}

        await world.survives(cut, cut_again)


async def reasons(world: World, card: Card) -> set[int]:
    """What every worker says of a card."""
    answers = [await world.callers.ask(request(card.token, 100), 2 * lane) for lane in range(len(world.callers.stubs))]
    return {answer.reason for answer in answers}
