"""Random lives of transactions on real servers, cut short by crashes, against a model that adds everything up again.

Two workers stand on the real adapters. A crash is that of a process: whatever the worker had begun stays as it is, and
nothing of it reaches the servers any more. Callers ask again until they are answered.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from authsvc.ledger.events import _Batch
from authsvc.ledger.store import PostgresLedger
from authsvc.lifecycle.increments import Increment
from authsvc.lifecycle.messages import Message
from rules.lifecycle import Event, EventKind
from rules.reasons import Kind, Window
from tests.behaviour.places import Program, RealPlace, insert_program
from tests.programs import set_setting
from tests.property.lives import (
    MINUTE_US,
    NUMBERS,
    Account,
    Crash,
    More,
    Quiet,
    Swipe,
    Together,
    Word,
    accounts,
    steps,
)
from tests.property.living import Died, World, added, applied, decided
from tests.property.test_histories import PATIENCE_S, one_place
from tests.simulation.postgres import CardRow, ProfileRow, UserRow
from tests.waiting import until_clear

EXAMPLES = 40


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture
def real(database_url: str, redis_url: str, runner: asyncio.Runner) -> Iterator[RealPlace]:
    place = one_place((database_url, redis_url))
    yield runner.run(place.__aenter__())
    runner.run(place.__aexit__(None, None, None))


async def world_of(real: RealPlace, account: Account) -> World:
    users = [UserRow(account.row.id, account.row.id, "active")]
    await insert_program(real.pool, Program([account.row], users, [account.profile], list(account.cards)))
    await set_setting(real.pool, account.row.id, "refund_policy", account.policy)  # type: ignore[arg-type]
    return World(real, account)


async def live(real: RealPlace, account: Account, happens: list[Any]) -> World:
    world = await world_of(real, account)
    for step in [*happens, Quiet()]:
        await world.take(step)
    return world


def test_random_lives_count_what_the_model_counts_and_what_a_rebuild_counts(
    real: RealPlace, runner: asyncio.Runner
) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
        derandomize=True,
        # Without shrinking: every step costs real commits, and an example is short enough to read.
        phases=[Phase.generate],
    )
    @given(accounts(), steps)
    def every(account: Account, happens: list[Any]) -> None:
        note(f"{account.policy}, {account.profile}, {account.cards}")
        runner.run(live(real, account, happens))

    every()


# --- lives by hand ----------------------------------------------------------------------------------------------------


def alone(item: Swipe | More | Word, cut: Crash | None = None) -> Together:
    return Together([item], twice=False, cut=cut)


def word(kind: EventKind, amount_minor: int, minute: int) -> Word:
    return Word(0, kind, amount_minor, 0, False, minute)


def test_a_transaction_that_the_network_named_first_may_be_declined_and_then_approved(
    real: RealPlace, runner: asyncio.Runner
) -> None:
    happens = [
        alone(word(EventKind.REVERSAL, 5, 1)),
        alone(Swipe(0, Kind.AUTHORIZATION, 50)),
        Quiet(),
        alone(Swipe(0, Kind.AUTHORIZATION, 20)),
    ]
    world = runner.run(live(real, simple_account(), happens))
    assert world.account.funds() == (1_000, 15)


def test_a_declined_transaction_that_cleared_all_the_same_may_be_approved_afterwards(
    real: RealPlace, runner: asyncio.Runner
) -> None:
    happens = [
        alone(Swipe(0, Kind.AUTHORIZATION, 50)),
        alone(word(EventKind.CLEARING, 10, 1)),
        Quiet(),
        alone(Swipe(0, Kind.AUTHORIZATION, 20)),
    ]
    world = runner.run(live(real, simple_account(), happens))
    assert world.account.funds() == (990, 10)


def test_who_only_asks_is_told_the_truth_after_a_crash_between_the_commit_and_the_counters(
    real: RealPlace, runner: asyncio.Runner
) -> None:
    async def ask() -> None:
        world = await world_of(real, simple_account())
        await world.take(alone(Swipe(0, Kind.AUTHORIZATION, 30)))
        for worker in world.workers:
            worker.fate.crash = Crash("advance", "before")
        await world.take(alone(word(EventKind.REVERSAL, 10, 1), Crash("advance", "before")))
        await world.settle()
        await world.compare_counters(world.workers[0])

    runner.run(ask())


def test_a_decision_that_waited_for_a_message_to_be_committed_is_added_up_with_it(
    real: RealPlace, runner: asyncio.Runner
) -> None:
    async def race() -> None:
        world = await world_of(real, simple_account())
        declined = world.sending(word(EventKind.SNAPSHOT, 0, 1))
        swipe = world.sending(Swipe(0, Kind.AUTHORIZATION, 30))
        await world.send([world.sending(Swipe(2, Kind.AUTHORIZATION, 1))])
        async with committing(real, world.message(declined.life, declined.event)) as connection:
            deciding = asyncio.create_task(world.send([swipe]))
            await until_clear(lambda: nobody_waits_for(real, connection), PATIENCE_S)
        await deciding
        await world.send([declined])
        await world.settle()
        await world.compare()

    runner.run(race())


def test_an_increment_of_an_unnamed_transaction_is_added_up_after_a_crash_too(
    real: RealPlace, runner: asyncio.Runner
) -> None:
    async def increase() -> None:
        world = await world_of(real, simple_account())
        life = world.account.lives[0]
        unnamed = replace(world.inquiry(life), kind=Kind.AUTHORIZATION, amount_minor=20, asked_minor=20)
        swiped = await decided(world.workers[0], unnamed)
        assert swiped.transaction_id is not None
        told = Event(EventKind.SNAPSHOT, life.at_us + 5 * MINUTE_US, "cleared elsewhere", 0)
        await applied(world.workers[0], Message(told, b"1", swiped.transaction_id, "", "USD", None))
        more = Increment("more", b"2", swiped.transaction_id, "", 10, "USD", life.at_us + MINUTE_US)
        world.workers[0].fate.crash = Crash("restate", "before")
        with pytest.raises(Died):
            await added(world.workers[0], more)
        await world.settle()
        assert (await world.workers[0].lifecycle.transaction(swiped.transaction_id, "")).state.held_minor == 0

    runner.run(increase())


def simple_account() -> Account:
    """Limits of 40 a month on either card."""
    number = next(NUMBERS)
    cards = [
        CardRow(number * 10 + at, number, number, number, f"card-{number}-{at}", "active", 40, Window.MONTHLY)
        for at in range(2)
    ]
    return Account(number, 1_000, "never", ProfileRow(number, number, None, None, shared=False), cards)


@asynccontextmanager
async def committing(real: RealPlace, message: Message) -> AsyncIterator[Any]:
    """A message that is applied in the meantime, and committed at the end."""
    assert isinstance(real.ledger, PostgresLedger)
    async with real.ledger.posting() as connection, connection.transaction():
        await _Batch(connection).apply([message])
        yield connection


async def nobody_waits_for(real: RealPlace, connection: Any) -> bool:
    query = "SELECT count(*) = 0 FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
    return bool(await real.pool.fetchval(query, connection.get_server_pid()))
