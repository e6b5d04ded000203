"""After the decision: what the network says later moves holds, spend and balance, each message once."""

import asyncio
import random
from datetime import timedelta

import asyncpg
import grpc
import pytest

from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests import books
from tests.network import (
    ADVICE,
    APPROVED,
    CLEARING,
    DECLINED,
    EXPIRED,
    EXPIRY,
    REFUND,
    RESTAURANT,
    REVERSAL,
    SETTLED,
    SNAPSHOT,
    VOIDED,
    Network,
    counts,
    event,
    make_card,
)
from tests.programs import Card
from tests.serving import NOON, refusal, request

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_clearing_moves_the_hold_to_settled_and_the_money_from_the_balance(
    network: Network, card: Card
) -> None:
    swipe = await network.swipe(card, 4_000)
    answer = await network.say(event(CLEARING, swipe, 4_000))
    assert counts(answer) == (0, 4_000, 0, SETTLED)
    assert (answer.transaction_id, answer.replayed) == (swipe.transaction_id, False)
    assert await network.balance_minor(card) == 96_000
    after = await network.swipe(card, 6_001)
    assert after.reason == types.REASON_PROFILE_LIMIT_EXCEEDED
    assert (after.deciding_check.used_minor, after.balance_minor) == (4_000, 96_000)
    assert (await network.swipe(card, 6_000)).decision == types.DECISION_APPROVED
    assert await network.drift() == []


async def test_a_reversal_gives_the_limit_back_at_once(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 10_000)
    assert (await network.swipe(card, 1)).decision == types.DECISION_DECLINED
    assert counts(await network.say(event(REVERSAL, swipe, 2_500))) == (7_500, 0, 0, APPROVED)
    assert (await network.swipe(card, 2_501)).decision == types.DECISION_DECLINED
    assert (await network.swipe(card, 2_500)).decision == types.DECISION_APPROVED
    assert counts(await network.say(event(REVERSAL, swipe))) == (0, 0, 0, VOIDED)
    assert (await network.swipe(card, 7_500)).decision == types.DECISION_APPROVED
    assert await network.balance_minor(card) == 100_000
    assert await network.drift() == []


async def test_a_clearing_above_the_hold_counts_in_full_and_is_never_refused(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 9_000)
    assert counts(await network.say(event(CLEARING, swipe, 150_000))) == (0, 150_000, 0, SETTLED)
    assert await network.balance_minor(card) == -50_000
    declined = await network.swipe(card, 1)
    assert declined.reason == types.REASON_INSUFFICIENT_FUNDS
    assert (declined.deciding_check.limit_minor, declined.available_balance_minor) == (-50_000, -50_000)
    assert await network.drift() == []


async def test_several_clearings_add_up_and_the_final_one_releases_what_is_left(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 5_000)
    assert counts(await network.say(event(CLEARING, swipe, 1_000))) == (4_000, 1_000, 0, SETTLED)
    assert counts(await network.say(event(CLEARING, swipe, 2_000, is_final=True))) == (0, 3_000, 0, SETTLED)
    assert (await network.swipe(card, 7_000)).decision == types.DECISION_APPROVED
    assert await network.balance_minor(card) == 97_000
    assert await network.drift() == []


async def test_an_advice_sets_the_hold_above_the_limit_if_it_must(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 5_000)
    assert counts(await network.say(event(ADVICE, swipe, 12_000))) == (12_000, 0, 0, APPROVED)
    declined = await network.swipe(card, 1)
    assert (declined.reason, declined.deciding_check.used_minor) == (types.REASON_PROFILE_LIMIT_EXCEEDED, 12_000)
    assert counts(await network.say(event(ADVICE, swipe, 3_000))) == (3_000, 0, 0, APPROVED)
    assert (await network.swipe(card, 7_000)).decision == types.DECISION_APPROVED
    assert await network.drift() == []


async def test_an_expired_hold_is_released_and_a_late_clearing_still_counts(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 6_000)
    assert counts(await network.say(event(EXPIRY, swipe))) == (0, 0, 0, EXPIRED)
    assert (await network.swipe(card, 9_000)).decision == types.DECISION_APPROVED
    assert counts(await network.say(event(CLEARING, swipe, 6_000))) == (0, 6_000, 0, SETTLED)
    assert (await network.swipe(card, 1)).deciding_check.used_minor == 15_000
    assert await network.drift() == []


async def test_the_same_message_again_changes_nothing_and_gets_the_first_answer(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 5_000)
    clearing = event(CLEARING, swipe, 2_000)
    first = await network.say(clearing)
    await network.say(event(CLEARING, swipe, 500))
    before = await network.running.recorded()
    again = await network.say(clearing)
    assert (counts(again), again.replayed) == (counts(first), True)
    assert [result.response.replayed for result in await network.say_all(clearing, clearing)] == [True, True]
    assert await network.running.recorded() == before
    other = pb.ApplyEventRequest()
    other.CopyFrom(clearing)
    other.amount_minor = 2_001
    reused = (grpc.StatusCode.ALREADY_EXISTS, "This event_id was already used with a different body.")
    assert await refusal(network.say(other)) == reused
    assert await network.running.recorded() == before


async def test_one_message_sent_at_once_by_many_is_applied_once(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 5_000)
    clearing = event(CLEARING, swipe, 2_000)
    answers = await asyncio.gather(*(network.say(clearing) for _ in range(20)))
    assert {counts(answer) for answer in answers} == {(3_000, 2_000, 0, SETTLED)}
    assert [answer.replayed for answer in answers].count(False) == 1
    assert await network.balance_minor(card) == 98_000


async def test_a_clearing_without_authorization_creates_its_transaction(network: Network, card: Card) -> None:
    forced = event(CLEARING, None, 3_000, transaction_token="txn-forced", card_token=card.token, merchant=RESTAURANT)
    answer = await network.say(forced)
    assert counts(answer) == (0, 3_000, 0, SETTLED)
    assert await network.balance_minor(card) == 97_000
    assert (await network.swipe(card, 7_001)).deciding_check.used_minor == 3_000
    row = await network.running.database.fetchrow("SELECT * FROM transactions WHERE id = $1", answer.transaction_id)
    assert (row["is_decided"], row["transaction_type"], row["amount"]) == (False, "CLEARING", 30)
    assert (row["card_id"], row["merchant_category_code"]) == (card.id, "5812")
    assert counts(await network.say(event(CLEARING, None, 500, transaction_token="txn-forced"))) == (
        0,
        3_500,
        0,
        SETTLED,
    )
    assert await network.drift() == []


async def test_a_refund_of_its_own_credits_the_balance(network: Network, card: Card) -> None:
    refund = event(REFUND, None, 2_500, transaction_token="txn-refund", card_token=card.token, merchant=RESTAURANT)
    answer = await network.say(refund)
    assert counts(answer) == (0, 0, 2_500, SETTLED)
    assert await network.balance_minor(card) == 102_500
    back = event(pb.EVENT_KIND_REFUND_REVERSAL, answer, 2_500)
    assert counts(await network.say(back))[:3] == (0, 0, 0)
    assert await network.balance_minor(card) == 100_000
    assert await network.drift() == []


async def test_a_snapshot_says_everything_up_to_its_instant_and_the_newest_wins(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 5_000)
    old = event(SNAPSHOT, swipe, 4_000, occurred_at=NOON + timedelta(hours=1))
    new = event(SNAPSHOT, swipe, 500, settled_minor=3_000, occurred_at=NOON + timedelta(hours=2))
    assert counts(await network.say(new)) == (500, 3_000, 0, SETTLED)
    assert counts(await network.say(old)) == (500, 3_000, 0, SETTLED)
    late = event(CLEARING, swipe, 700, occurred_at=NOON + timedelta(hours=3))
    assert counts(await network.say(late)) == (0, 3_700, 0, SETTLED)
    assert await network.balance_minor(card) == 96_300
    assert await network.drift() == []


async def test_a_snapshot_without_a_hold_voids_what_was_approved_too_late(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 10_000)
    assert counts(await network.say(event(SNAPSHOT, swipe, 0))) == (0, 0, 0, VOIDED)
    assert (await network.swipe(card, 10_000)).decision == types.DECISION_APPROVED
    refused = await network.swipe(card, 1)
    assert counts(await network.say(event(SNAPSHOT, refused, 0))) == (0, 0, 0, DECLINED)


async def test_an_increment_is_decided_and_cleared_with_what_it_adds_to(network: Network, card: Card) -> None:
    first = await network.swipe(card, 6_000, transaction_token="txn-hotel")
    assert (await network.swipe(card, 4_001, transaction_token="txn-hotel")).decision == types.DECISION_DECLINED
    assert (await network.swipe(card, 3_000, transaction_token="txn-hotel")).decision == types.DECISION_APPROVED
    known = await network.known(first.transaction_id)
    assert (known.approved_minor, counts(known)) == (9_000, (9_000, 0, 0, APPROVED))
    clearing = event(CLEARING, None, 7_500, transaction_token="txn-hotel")
    assert counts(await network.say(clearing)) == (1_500, 7_500, 0, SETTLED)
    assert (await network.swipe(card, 1_001)).decision == types.DECISION_DECLINED
    assert counts(await network.say(event(EXPIRY, None, transaction_token="txn-hotel"))) == (0, 7_500, 0, SETTLED)
    assert (await network.swipe(card, 2_500)).decision == types.DECISION_APPROVED
    known = await network.known(first.transaction_id)
    assert [line.kind for line in known.events] == [CLEARING, EXPIRY]
    assert (known.card_token, known.transaction_token) == (card.token, "txn-hotel")
    assert await network.drift() == []


async def test_a_batch_answers_each_message_on_its_own_and_in_order(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 5_000)
    results = await network.say_all(
        event(CLEARING, swipe, 1_000),
        event(CLEARING, None, 1, transaction_token="txn-nobody-knows"),
        event(pb.EVENT_KIND_UNSPECIFIED, swipe, 1),
        event(CLEARING, swipe, 1, currency="EUR"),
        event(CLEARING, swipe, 2_000),
    )
    assert [result.WhichOneof("outcome") for result in results] == ["response", "error", "error", "error", "response"]
    assert [(result.error.code, result.error.field) for result in results[1:4]] == [
        (5, ""),
        (3, "kind"),
        (3, "currency"),
    ]
    assert counts(results[4].response) == (2_000, 3_000, 0, SETTLED)
    assert await network.balance_minor(card) == 97_000


async def test_messages_are_never_changed_or_deleted(network: Network, card: Card) -> None:
    await network.say(event(CLEARING, await network.swipe(card, 1_000), 1_000))
    for statement in ("UPDATE transaction_events SET amount_minor = 1", "DELETE FROM transaction_events"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await network.running.database.execute(statement)


async def test_a_declined_transaction_never_becomes_approved(network: Network, card: Card) -> None:
    refused = await network.swipe(card, 10_001)
    with pytest.raises(asyncpg.CheckViolationError):
        await network.running.database.execute(
            "UPDATE transactions SET status = 'APPROVED' WHERE id = $1", refused.transaction_id
        )
    forced = await network.say(event(CLEARING, refused, 10_001))
    assert counts(forced) == (0, 10_001, 0, SETTLED)


async def test_decisions_and_messages_at_once_leave_every_counter_right(network: Network) -> None:
    """A card that may spend 100.00 is asked for much more while its holds come and go: never more than 100.00 is held."""
    card = await make_card(network.running.database, balance="100000.00")
    chance = random.Random(20)

    async def caller() -> None:
        for _ in range(12):
            swipe = await network.swipe(card, chance.randrange(1, 4_000))
            if swipe.decision == types.DECISION_APPROVED:
                kind = chance.choice([REVERSAL, EXPIRY, SNAPSHOT])
                await network.say(event(kind, swipe, 0 if kind == SNAPSHOT else None))

    await asyncio.gather(*(caller() for _ in range(16)))
    database = network.running.database
    statuses = await database.fetch("SELECT DISTINCT status FROM transactions WHERE card_id = $1", card.id)
    assert {row["status"] for row in statuses} <= {"VOIDED", "EXPIRED", "DECLINED"}
    whole = await network.swipe(card, 10_000)
    assert (whole.decision, whole.balance_minor) == (types.DECISION_APPROVED, 10_000_000)
    assert await network.drift() == []


async def test_any_order_and_any_repetition_of_messages_ends_in_the_same_books(network: Network) -> None:
    database = network.running.database
    for seed in range(12):
        chance = random.Random(seed)
        cards = [await make_card(database), await make_card(database)]
        swipes = [await network.swipe(card, 8_000) for card in cards]
        kinds = [CLEARING, CLEARING, REVERSAL, ADVICE, SNAPSHOT, REFUND, EXPIRY]
        lives = [(chance.choice(kinds), chance.randrange(5_000), chance.randrange(-500, 500)) for _ in range(6)]
        ends = []
        for card, swipe in zip(cards, swipes, strict=True):
            told = [
                event(
                    kind,
                    swipe,
                    None if kind == EXPIRY else amount,
                    occurred_at=NOON + timedelta(minutes=minute),
                    settled_minor=settled if kind == SNAPSHOT else 0,
                )
                for minute, (kind, amount, settled) in enumerate(lives)
            ]
            arrivals = chance.sample(told + told[:3], len(told) + 3)
            await network.say_all(*arrivals[:4])
            for message in arrivals[4:]:
                await network.say(message)
            known = await network.known(swipe.transaction_id)
            after = await network.swipe(card, 0, kind=types.KIND_BALANCE_INQUIRY)
            ends.append((counts(known), await network.balance_minor(card), after.available_balance_minor))
        assert ends[0] == ends[1], f"seed {seed}"
        held, settled, credited, _ = ends[0][0]
        assert ends[0][1:] == (100_000 - settled + credited, 100_000 - settled + credited - held)
    assert await network.drift() == []


async def test_a_decline_that_is_known_after_its_reversal_stands_for_the_transaction(
    network: Network, card: Card
) -> None:
    early = event(REVERSAL, None, transaction_token="txn-early", card_token=card.token, merchant=RESTAURANT)
    assert counts(await network.say(early)) == (0, 0, 0, VOIDED)
    refused = await network.swipe(card, 10_001, transaction_token="txn-early")
    assert refused.decision == types.DECISION_DECLINED
    late = event(SNAPSHOT, None, 0, transaction_token="txn-early")
    assert counts(await network.say(late)) == (0, 0, 0, DECLINED)


async def test_counters_in_use_move_on_with_a_message_and_are_not_started_afresh(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 4_000)
    await network.running.authorize(request(card.token, 0, kind=types.KIND_BALANCE_INQUIRY))
    rebuilds = network.rebuilds()
    for message in (event(ADVICE, swipe, 5_000), event(REVERSAL, swipe, 2_500), event(CLEARING, swipe, 2_600)):
        await network.say(message)
        found = await books.drift(network.running.database, network.running.redis, current=[card.account_id])
        assert [line for line in found if f"account {card.account_id}" in line] == []
    assert (await network.swipe(card, 7_400)).decision == types.DECISION_APPROVED
    assert network.rebuilds() == rebuilds


async def test_messages_that_arrive_together_share_a_commit(network: Network, card: Card) -> None:
    swipes = [await network.swipe(card, 100) for _ in range(40)]
    await asyncio.gather(*(network.say(event(CLEARING, swipe, 100)) for swipe in swipes))
    commits = await network.running.database.fetchval(
        "SELECT count(DISTINCT xmin::text) FROM transaction_events WHERE transaction_id = ANY($1)",
        [swipe.transaction_id for swipe in swipes],
    )
    assert commits < 20
    assert await network.balance_minor(card) == 96_000
    assert await network.drift() == []


async def test_one_message_that_the_tables_refuse_does_not_take_others_with_it(network: Network, card: Card) -> None:
    swipe, other = await network.swipe(card, 100), await network.swipe(card, 200)
    huge = 9_999_999_999
    answers = await asyncio.gather(
        network.say(event(CLEARING, other, 200)),
        network.say(event(REFUND, swipe, huge)),
        network.say(event(CLEARING, swipe, 100)),
        return_exceptions=True,
    )
    assert [isinstance(answer, grpc.aio.AioRpcError) for answer in answers] == [False, True, False]
    assert await network.balance_minor(card) == 99_700
    assert await network.drift() == []
