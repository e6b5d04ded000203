"""An increment is decided, counts where its transaction counts, and lives and ends with it."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest

from authsvc.v1 import authorization_pb2 as auth
from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests.network import ADVICE, APPROVED, CLEARING, DECLINED, REVERSAL, SETTLED, SNAPSHOT, Network, counts, event
from tests.programs import Card
from tests.serving import NOON, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")
INCREMENT = pb.EVENT_KIND_INCREMENT


async def test_an_approved_increment_adds_to_the_hold(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 4_000)
    answer = await network.say(event(INCREMENT, swipe, 1_500))
    assert counts(answer) == (5_500, 0, 0, APPROVED)
    assert answer.transaction_id == swipe.transaction_id
    assert (answer.decision.decision, answer.decision.approved_minor) == (types.DECISION_APPROVED, 1_500)
    assert answer.decision.transaction_id != swipe.transaction_id
    assert (await network.swipe(card, 4_501)).decision == types.DECISION_DECLINED
    assert counts(await network.say(event(CLEARING, swipe, 5_500))) == (0, 5_500, 0, SETTLED)
    assert await network.drift() == []


async def test_a_declined_increment_leaves_the_first_hold_as_it_was(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 9_000)
    answer = await network.say(event(INCREMENT, swipe, 1_001))
    assert counts(answer) == (9_000, 0, 0, APPROVED)
    assert (answer.decision.decision, answer.decision.reason) == (
        types.DECISION_DECLINED,
        types.REASON_PROFILE_LIMIT_EXCEEDED,
    )
    assert answer.decision.deciding_check.used_minor == 9_000
    assert counts(await network.known(swipe.transaction_id)) == (9_000, 0, 0, APPROVED)
    assert await network.drift() == []


async def test_an_increment_is_decided_once_and_told_again(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 1_000)
    increment = event(INCREMENT, swipe, 500)
    answers = await asyncio.gather(*(network.say(increment) for _ in range(5)))
    assert {counts(answer) for answer in answers} == {(1_500, 0, 0, APPROVED)}
    assert len({answer.decision.transaction_id for answer in answers}) == 1
    assert (await network.say(increment)).replayed
    other = pb.ApplyEventRequest()
    other.CopyFrom(increment)
    other.amount_minor = 501
    assert await refusal(network.say(other)) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "This event_id was already used with a different body.",
    )
    assert await network.drift() == []


async def test_an_increment_counts_in_the_windows_of_its_transaction(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 8_000)
    months_later = NOON + timedelta(minutes=200)
    last_month = NOON - timedelta(days=40)
    early = await network.swipe(card, 8_000, transacted_at=last_month)
    answer = await network.say(event(INCREMENT, early, 2_001, occurred_at=months_later))
    assert answer.decision.reason == types.REASON_PROFILE_LIMIT_EXCEEDED
    answer = await network.say(event(INCREMENT, early, 2_000, occurred_at=months_later))
    assert counts(answer) == (10_000, 0, 0, APPROVED)
    assert (await network.swipe(card, 2_000)).decision == types.DECISION_APPROVED
    assert counts(await network.known(swipe.transaction_id)) == (8_000, 0, 0, APPROVED)
    assert await network.drift() == []


@pytest.mark.parametrize("token", ["", "network-named"])
async def test_a_transaction_takes_increments_whether_the_network_named_it_or_not(
    network: Network, card: Card, token: str
) -> None:
    swipe = await network.swipe(card, 1_000, transaction_token=f"{token}-{card.token}" if token else "")
    for total in (1_100, 1_200):
        assert counts(await network.say(event(INCREMENT, swipe, 100))) == (total, 0, 0, APPROVED)
    assert counts(await network.say(event(REVERSAL, swipe, 150))) == (1_050, 0, 0, APPROVED)


async def test_messages_and_increments_of_a_batch_end_alike_in_any_order(network: Network, card: Card) -> None:
    ends = []
    for backwards in (False, True):
        swipe = await network.swipe(card, 1_000)
        life = [
            event(ADVICE, swipe, 1_500),
            event(INCREMENT, swipe, 300),
            event(REVERSAL, swipe, 100),
            event(CLEARING, swipe, 700),
        ]
        for message in reversed(life) if backwards else life:
            await network.say(message)
        ends.append(counts(await network.known(swipe.transaction_id)))
    swipe = await network.swipe(card, 1_000)
    batch = [event(ADVICE, swipe, 1_500), event(INCREMENT, swipe, 300), event(REVERSAL, swipe, 100)]
    results = await network.say_all(*batch, event(CLEARING, swipe, 700))
    assert [result.WhichOneof("outcome") for result in results] == ["response"] * 4
    ends.append(counts(await network.known(swipe.transaction_id)))
    assert ends == [(1_000, 700, 0, SETTLED)] * 3
    assert await network.drift() == []


async def test_an_increment_that_arrives_after_what_followed_it_has_no_last_word(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 1_000)
    increment = event(INCREMENT, swipe, 500)
    await network.say(event(SNAPSHOT, swipe, 0, settled_minor=1_500))
    assert counts(await network.say(increment)) == (0, 1_500, 0, SETTLED)
    assert (await network.swipe(card, 8_500)).decision == types.DECISION_APPROVED
    assert await network.drift() == []


async def test_an_increment_of_a_declined_transaction_is_decided_for_itself(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 10_001)
    assert counts(await network.known(swipe.transaction_id)) == (0, 0, 0, DECLINED)
    answer = await network.say(event(INCREMENT, swipe, 100))
    assert (answer.decision.decision, answer.held_minor) == (types.DECISION_APPROVED, 100)
    assert await network.drift() == []


async def test_increments_at_once_never_pass_the_limit(network: Network, card: Card) -> None:
    swipe = await network.swipe(card, 1_000)
    answers = await asyncio.gather(*(network.say(event(INCREMENT, swipe, 1_000)) for _ in range(20)))
    approved = [answer for answer in answers if answer.decision.decision == types.DECISION_APPROVED]
    assert len(approved) == 9
    assert counts(await network.known(swipe.transaction_id)) == (10_000, 0, 0, APPROVED)
    assert await network.drift() == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"amount_minor": None}, "amount_minor: is required"),
        ({"amount_minor": -1}, "amount_minor: must not be negative"),
        ({"event_id": ""}, "event_id: must be 1 to 128 printable ASCII characters"),
        ({"currency": "EUR"}, "currency: is not the transaction's"),
        ({"currency": "usd"}, "currency: must be the ISO 4217 code of an active currency, like USD"),
        ({"is_final": True}, "is_final: must be absent: an increment adds to a transaction that is known"),
        ({"settled_minor": 1}, "settled_minor: must be absent: an increment adds to a transaction that is known"),
        ({"card_token": "c"}, "card_token: must be absent: an increment adds to a transaction that is known"),
        ({"occurred_at": None}, "occurred_at: is required"),
    ],
)
async def test_a_bad_increment_is_refused_by_its_field(
    network: Network, card: Card, changes: dict[str, Any], told: str
) -> None:
    swipe: auth.AuthorizeResponse = await network.swipe(card, 1_000)
    assert await refusal(network.say(event(INCREMENT, swipe, **({"amount_minor": 100} | changes)))) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        told,
    )
    assert counts(await network.known(swipe.transaction_id)) == (1_000, 0, 0, APPROVED)


async def test_an_increment_of_an_unknown_transaction_is_not_found(network: Network) -> None:
    code, _ = await refusal(network.say(event(INCREMENT, None, 100, transaction_token="nobody knows it")))
    assert code == grpc.StatusCode.NOT_FOUND
