"""What each operation of the `Counters` port means."""

from typing import Any

import pytest

from authsvc.ports import Ask, Claim, Counters, Missing, Orphan, Reserved, Turn
from rules.reasons import CheckName, Level, Window
from rules.types import Bound, Counter, Limit, Plan, Usage
from tests.behaviour.places import Place

DAY, MONTH = (Counter(name, Level.CARD, 7, 0, 1) for name in ("c7:d:0", "c7:m:0"))
FUNDS = (1_000, 100)
OTHER_RUN = "another-server"


def plan_of(
    *limits: tuple[Counter | None, int], funds: bool = True, caps: tuple[int, ...] = (), also: tuple[Counter, ...] = ()
) -> Plan:
    """Limits on counters (and `also`: counters that only count), and caps on each transaction alone."""
    counters = tuple(dict.fromkeys([*(counter for counter, _ in limits if counter is not None), *also]))
    bounds = [
        Bound(CheckName.CARD_LIMIT, Limit(limit, Window.DAILY), counters.index(counter), 0, 1, shared=False)
        for counter, limit in limits
        if counter is not None
    ]
    bounds += [
        Bound(CheckName.CARD_LIMIT, Limit(cap, Window.TRANSACTION), None, None, None, shared=False) for cap in caps
    ]
    return Plan(0, 1, counters, tuple(bounds), funds, min(caps, default=None))


PLAN = plan_of((DAY, 200), (MONTH, 500))


def ask(plan: Plan = PLAN, amount_minor: int = 50, **other: Any) -> Ask:
    fields = {"account_id": 1, "epoch_min": 0, "name": "ab/1/r1", "partial": False, "posts": False, "moves": True}
    return Ask(plan=plan, amount_minor=amount_minor, **{**fields, **other})


def claim_of(asked: Ask, reserved: Reserved | Missing) -> Claim:
    assert isinstance(reserved, Reserved)
    return Claim(asked.account_id, reserved.run, reserved.epoch, asked.name, asked.plan, asked.posts)


async def reserve(counters: Counters, *asks: Ask) -> Any:
    results = await counters.reserve(asks, [])
    return results[0] if len(asks) == 1 else results


async def opened(place: Place, *used: tuple[str, int], epoch: int = 5, funds: tuple[int, int] = FUNDS) -> str:
    """Counters at an epoch, with funds. Returns the run."""
    missing = await reserve(place.counters, ask())
    await place.counters.open_epoch(1, missing.run, epoch)
    await place.counters.install(1, missing.run, epoch, funds, used or [(DAY.name, 10), (MONTH.name, 20)])
    return str(missing.run)


async def usage(place: Place, plan: Plan = PLAN) -> Usage:
    reserved = await reserve(place.counters, ask(plan, 0, moves=False))
    assert isinstance(reserved, Reserved)
    return reserved.usage


async def test_an_unknown_account_must_be_rebuilt(place: Place) -> None:
    missing = await reserve(place.counters, ask())
    assert (missing.epoch, missing.funds, missing.counters) == (None, True, ())
    assert missing.run


async def test_an_open_epoch_lacks_everything(place: Place) -> None:
    run = (await reserve(place.counters, ask())).run
    await place.counters.open_epoch(1, run, 5)
    assert await reserve(place.counters, ask()) == Missing(run, 5, True, (0, 1))


async def test_only_what_is_missing_is_named(place: Place) -> None:
    run = (await reserve(place.counters, ask())).run
    await place.counters.open_epoch(1, run, 5)
    await place.counters.install(1, run, 5, None, [(DAY.name, 10)])
    assert await reserve(place.counters, ask()) == Missing(run, 5, True, (1,))
    await place.counters.install(1, run, 5, FUNDS, [])
    assert await reserve(place.counters, ask()) == Missing(run, 5, False, (1,))


async def test_a_reservation_moves_every_counter_and_tells_what_was_before(place: Place) -> None:
    run = await opened(place)
    assert await reserve(place.counters, ask()) == Reserved(run, 5, Usage(1_000, 100, (10, 20)), 50)
    assert await usage(place) == Usage(1_000, 150, (60, 70))


async def test_a_posting_takes_the_balance_instead_of_holding(place: Place) -> None:
    await opened(place)
    await reserve(place.counters, ask(posts=True))
    assert await usage(place) == Usage(950, 100, (60, 70))


async def test_reading_moves_nothing(place: Place) -> None:
    await opened(place)
    assert (await reserve(place.counters, ask(moves=False))).moved_minor == 0
    assert await usage(place) == Usage(1_000, 100, (10, 20))


@pytest.mark.parametrize(
    ("plan", "amount", "partial", "moved"),
    [
        (PLAN, 190, False, 190),  # the day's limit exactly met
        (PLAN, 191, False, 0),
        (PLAN, 191, True, 190),
        (plan_of((DAY, 10)), 1, True, 0),  # nothing is left
        (plan_of((DAY, 5)), 1, True, 0),  # less than nothing
        (plan_of((DAY, 0)), 1, False, 0),
        (plan_of((DAY, 500), (MONTH, 30)), 50, True, 10),  # the tighter one
        (plan_of((DAY, 500), (DAY, 40)), 50, True, 30),  # two limits on one counter
        (plan_of(caps=(40,)), 40, False, 40),
        (plan_of(caps=(40,)), 41, False, 0),
        (plan_of(caps=(40, 30)), 41, True, 30),
        (plan_of(caps=(0,)), 1, True, 0),
        (plan_of(), 900, False, 900),  # balance less holds
        (plan_of(), 901, False, 0),
        (plan_of(), 901, True, 900),
        (plan_of(funds=False), 901, False, 901),
        (plan_of(also=(DAY,)), 300, False, 300),  # a counter without a limit of its own
    ],
)
async def test_a_reservation_moves_what_fits(place: Place, plan: Plan, amount: int, partial: bool, moved: int) -> None:
    await opened(place)
    before = await usage(place, plan)
    assert (await reserve(place.counters, ask(plan, amount, partial=partial))).moved_minor == moved
    after = await usage(place, plan)
    assert after == Usage(before[0], before[1] + moved, tuple(used + moved for used in before[2]))


async def test_a_refusal_leaves_no_trace(place: Place) -> None:
    await opened(place)
    await reserve(place.counters, ask(amount_minor=191))
    assert await place.counters.pending(0) == []
    assert await usage(place) == Usage(1_000, 100, (10, 20))


async def test_a_duplicate_shares_the_reservation(place: Place) -> None:
    await opened(place)
    first = await reserve(place.counters, ask())
    assert await reserve(place.counters, ask()) == first
    assert await usage(place) == Usage(1_000, 150, (60, 70))


async def test_a_duplicate_of_a_partial_one_shares_what_was_moved(place: Place) -> None:
    await opened(place)
    asked = ask(amount_minor=500, partial=True)
    first = await reserve(place.counters, asked)
    assert (first.moved_minor, await reserve(place.counters, asked)) == (190, first)


async def test_a_shared_reservation_is_given_back_by_its_last_owner(place: Place) -> None:
    await opened(place)
    claim = claim_of(ask(), await reserve(place.counters, ask()))
    await reserve(place.counters, ask())
    await place.counters.release([claim])
    assert await usage(place) == Usage(1_000, 150, (60, 70))
    await place.counters.release([claim])
    assert await usage(place) == Usage(1_000, 100, (10, 20))
    await place.counters.release([claim])
    assert await usage(place) == Usage(1_000, 100, (10, 20))


async def test_a_posting_is_given_back_to_the_balance(place: Place) -> None:
    await opened(place)
    asked = ask(posts=True)
    await place.counters.release([claim_of(asked, await reserve(place.counters, asked))])
    assert await usage(place) == Usage(1_000, 100, (10, 20))


async def test_other_names_do_not_share(place: Place) -> None:
    await opened(place)
    for name in ("ab/1/r1", "ab/2/r1", "cd/1/r1", "ab/1/r2"):
        await reserve(place.counters, ask(amount_minor=10, name=name))
    assert await usage(place) == Usage(1_000, 140, (50, 60))
    assert len(await place.counters.pending(0)) == 4


async def test_a_pipeline_is_carried_out_in_order(place: Place) -> None:
    await opened(place)
    first, second, third = await reserve(
        place.counters,
        ask(amount_minor=100, name="ab/1/r1"),
        ask(amount_minor=100, name="ab/1/r2"),
        ask(amount_minor=90, name="ab/1/r3"),
    )
    assert [one.moved_minor for one in (first, second, third)] == [100, 0, 90]
    assert (second.usage, third.usage) == (Usage(1_000, 200, (110, 120)), Usage(1_000, 200, (110, 120)))


async def test_accounts_do_not_share_counters(place: Place) -> None:
    run = await opened(place)
    here, there = await reserve(place.counters, ask(), ask(account_id=2))
    assert isinstance(here, Reserved)
    assert there == Missing(run, None, True, ())


async def test_a_release_under_another_epoch_or_run_does_nothing(place: Place) -> None:
    await opened(place)
    claim = claim_of(ask(), await reserve(place.counters, ask()))
    await place.counters.release(
        [claim._replace(epoch=4), claim._replace(run=OTHER_RUN), claim._replace(name="ab/1/r9")]
    )
    assert await usage(place) == Usage(1_000, 150, (60, 70))


async def test_counters_older_than_asked_for_must_be_rebuilt(place: Place) -> None:
    run = await opened(place)
    assert isinstance(await reserve(place.counters, ask(epoch_min=5)), Reserved)
    assert await reserve(place.counters, ask(name="ab/1/r2", epoch_min=6)) == Missing(run, None, True, ())


async def test_a_newer_epoch_starts_empty(place: Place) -> None:
    run = await opened(place)
    await reserve(place.counters, ask())
    await place.counters.open_epoch(1, run, 6)
    assert await place.counters.pending(0) == []
    assert await reserve(place.counters, ask()) == Missing(run, 6, True, (0, 1))


async def test_a_reservation_of_an_older_epoch_is_not_shared_in_a_newer_one(place: Place) -> None:
    run = await opened(place)
    await reserve(place.counters, ask())
    await place.counters.open_epoch(1, run, 6)
    await place.counters.install(1, run, 6, FUNDS, [(DAY.name, 0), (MONTH.name, 0)])
    assert await reserve(place.counters, ask()) == Reserved(run, 6, Usage(1_000, 100, (0, 0)), 50)


@pytest.mark.parametrize("epoch", [4, 5])
async def test_an_epoch_that_is_not_newer_opens_nothing(place: Place, epoch: int) -> None:
    run = await opened(place)
    await place.counters.open_epoch(1, run, epoch)
    assert await usage(place) == Usage(1_000, 100, (10, 20))


async def test_another_run_opens_and_installs_nothing(place: Place) -> None:
    run = await opened(place, (DAY.name, 10))
    await place.counters.open_epoch(1, OTHER_RUN, 6)
    await place.counters.install(1, OTHER_RUN, 5, None, [(MONTH.name, 20)])
    assert await reserve(place.counters, ask()) == Missing(run, 5, False, (1,))


async def test_installing_changes_nothing_that_is_there(place: Place) -> None:
    run = await opened(place, (DAY.name, 10))
    await place.counters.install(1, run, 5, (1, 1), [(DAY.name, 99), (MONTH.name, 20)])
    assert await usage(place) == Usage(1_000, 100, (10, 20))


@pytest.mark.parametrize("epoch", [4, 6])
async def test_installing_for_another_epoch_changes_nothing(place: Place, epoch: int) -> None:
    run = await opened(place, (DAY.name, 10))
    await place.counters.install(1, run, epoch, None, [(MONTH.name, 20)])
    assert await reserve(place.counters, ask()) == Missing(run, 5, False, (1,))


async def advance(place: Place, before: int, after: int, **changes: int) -> bool:
    (moved,) = await place.counters.advance([Turn(1, before, after, changes)])
    return moved


async def test_counters_move_on_to_the_epoch_of_a_commit_with_what_it_changed(place: Place) -> None:
    run = await opened(place)
    assert await advance(place, 5, 6, b=-30, h=-20, **{DAY.name: -5})
    assert await reserve(place.counters, ask(epoch_min=6)) == Reserved(run, 6, Usage(970, 80, (5, 20)), 50)


@pytest.mark.parametrize("before", [4, 6])
async def test_counters_of_another_epoch_do_not_move_on(place: Place, before: int) -> None:
    run = await opened(place)
    assert not await advance(place, before, before + 1, b=-30)
    assert await reserve(place.counters, ask()) == Reserved(run, 5, Usage(1_000, 100, (10, 20)), 50)


async def test_unknown_counters_do_not_move_on(place: Place) -> None:
    assert not await advance(place, 5, 6, b=-30)
    missing = await reserve(place.counters, ask())
    assert missing.epoch is None


async def test_what_is_not_loaded_stays_missing_when_counters_move_on(place: Place) -> None:
    run = await opened(place, (DAY.name, 10))
    assert await advance(place, 5, 6, **{DAY.name: 7, MONTH.name: 7})
    assert await reserve(place.counters, ask()) == Missing(run, 6, False, (1,))
    await place.counters.install(1, run, 5, None, [(MONTH.name, 20)])
    assert await reserve(place.counters, ask()) == Missing(run, 6, False, (1,))
    await place.counters.install(1, run, 6, None, [(MONTH.name, 27)])
    assert await usage(place) == Usage(1_000, 100, (17, 27))


async def test_a_reservation_of_before_is_given_back_after_counters_moved_on(place: Place) -> None:
    run = await opened(place)
    claim = claim_of(ask(), await reserve(place.counters, ask()))
    assert await advance(place, 5, 6, h=-100)
    assert await usage(place) == Usage(1_000, 50, (60, 70))
    assert await place.counters.pending(0) == [Orphan(1, run, 5, "ab/1/r1")]
    await place.counters.release([claim._replace(epoch=7), claim._replace(epoch=6)])
    assert await usage(place) == Usage(1_000, 50, (60, 70))
    await place.counters.release([claim])
    assert await usage(place) == Usage(1_000, 0, (10, 20))
    assert await place.counters.pending(0) == []


async def test_a_reservation_of_before_is_not_shared_after_counters_moved_on(place: Place) -> None:
    run = await opened(place)
    first = await reserve(place.counters, ask())
    assert await advance(place, 5, 6, h=0)
    again = await reserve(place.counters, ask())
    assert again == Reserved(run, 6, Usage(1_000, 150, (60, 70)), 50)
    await place.counters.confirm([Orphan(1, run, 5, "ab/1/r1")])
    assert await place.counters.pending(0) == [Orphan(1, run, 6, "ab/1/r1")]
    await place.counters.release([claim_of(ask(), first)])
    assert await usage(place) == Usage(1_000, 150, (60, 70))


async def test_several_accounts_move_on_at_once_each_for_itself(place: Place) -> None:
    run = await opened(place)
    turns = [Turn(2, 5, 6, {"b": 1}), Turn(1, 5, 6, {"b": 1})]
    assert await place.counters.advance(turns) == [False, True]
    assert await reserve(place.counters, ask()) == Reserved(run, 6, Usage(1_001, 100, (10, 20)), 50)


async def test_a_wiped_server_knows_nothing(place: Place) -> None:
    run = await opened(place)
    await reserve(place.counters, ask())
    await place.wipe_counters()
    assert await place.counters.pending(0) == []
    assert await reserve(place.counters, ask()) == Missing(run, None, True, ())


async def test_a_release_after_a_wipe_and_a_rebuild_does_nothing(place: Place) -> None:
    run = await opened(place)
    claim = claim_of(ask(), await reserve(place.counters, ask()))
    await place.wipe_counters()
    await place.counters.open_epoch(1, run, 5)
    await place.counters.install(1, run, 5, FUNDS, [(DAY.name, 10), (MONTH.name, 20)])
    await place.counters.release([claim])
    assert await usage(place) == Usage(1_000, 100, (10, 20))


async def test_a_reservation_is_pending_until_it_is_confirmed(place: Place) -> None:
    run = await opened(place)
    await reserve(place.counters, ask())
    orphan = Orphan(1, run, 5, "ab/1/r1")
    assert await place.counters.pending(0) == [orphan]
    assert await place.counters.pending(60_000) == []
    await place.counters.confirm([orphan._replace(epoch=4), orphan._replace(run=OTHER_RUN)])
    assert await place.counters.pending(0) == [orphan]
    await place.counters.confirm([orphan])
    assert await place.counters.pending(0) == []
    assert await usage(place) == Usage(1_000, 150, (60, 70))


async def test_a_reservation_is_confirmed_beside_the_next_ones(place: Place) -> None:
    await opened(place)
    claim = claim_of(ask(), await reserve(place.counters, ask()))
    await place.counters.reserve([ask(name="ab/1/r2")], [claim])
    assert [orphan.name for orphan in await place.counters.pending(0)] == ["ab/1/r2"]


async def test_a_confirmed_reservation_is_still_shared(place: Place) -> None:
    await opened(place)
    first = await reserve(place.counters, ask())
    assert await place.counters.reserve([ask()], [claim_of(ask(), first)]) == [first]
    assert await place.counters.pending(0) == []
    await place.counters.release([claim_of(ask(), first)])
    assert await usage(place) == Usage(1_000, 150, (60, 70))


async def test_a_released_reservation_is_not_pending(place: Place) -> None:
    await opened(place)
    await place.counters.release([claim_of(ask(), await reserve(place.counters, ask()))])
    assert await place.counters.pending(0) == []


async def test_amounts_of_fifteen_digits_are_exact(place: Place) -> None:
    huge = 999_999_999_999_999
    plan = plan_of((DAY, huge))
    await opened(place, (DAY.name, 1), funds=(huge, 0))
    reserved = await reserve(place.counters, ask(plan, huge - 1))
    assert reserved.moved_minor == huge - 1
    assert await reserve(place.counters, ask(plan, huge - 1)) == reserved
    assert await usage(place, plan) == Usage(huge, huge - 1, (huge,))
    for _ in range(2):
        await place.counters.release([claim_of(ask(plan), reserved)])
    assert await usage(place, plan) == Usage(huge, 0, (1,))


async def test_counters_below_zero_are_told_as_they_are(place: Place) -> None:
    await opened(place, (DAY.name, -5), funds=(-70, 30))
    plan = plan_of((DAY, 10), funds=False)
    assert await usage(place, plan) == Usage(-70, 30, (-5,))
    assert (await reserve(place.counters, ask(plan, 15))).moved_minor == 15
