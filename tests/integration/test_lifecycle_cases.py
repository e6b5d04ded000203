"""The lives of tests/cases/lifecycle_*.json, lived through the whole service in the order in which they arrive."""

from datetime import timedelta
from typing import Any

import pytest

from authsvc.v1 import authorization_pb2 as auth
from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1 import types_pb2 as types
from rules.lifecycle import EventKind, Status
from tests.network import RESTAURANT, Network, counts, event
from tests.programs import Card, add_account, add_card, add_profile
from tests.serving import request
from tests.unit.test_lifecycle_cases import LIVES, Life, Step

pytestmark = pytest.mark.asyncio(loop_scope="module")
BALANCE_MINOR = 1_000_000_00
GAMBLING = types.Merchant(mcc="7995")


async def decide(network: Network, card: Card, token: str, step: Step) -> None:
    """A decline is a request at a merchant whose category is blocked."""
    declines = step.event.kind is EventKind.DECLINE
    kind = "AUTHORIZATION" if declines else step.event.kind.name
    answer = await network.swipe(
        card,
        step.event.amount_minor or 1_000 if declines else step.event.amount_minor,
        kind=types.Kind.Value(f"KIND_{kind}"),
        transaction_token=token,
        transacted_at=step.at,
        merchant=GAMBLING if declines else RESTAURANT,
    )
    assert (answer.decision == types.DECISION_DECLINED) == declines


async def say(network: Network, card: Card, token: str, step: Step) -> None:
    told = step.event
    changes: dict[str, Any] = {
        "event_id": f"{token}-{told.identity}",
        "occurred_at": step.at,
        "settled_minor": told.settled_minor,
        "is_final": told.is_final,
        "transaction_token": token,
        "card_token": card.token,
        "merchant": RESTAURANT,
    }
    await network.say(event(told.kind, None, told.amount_minor, **changes))


async def live(network: Network, card: Card, life: Life, place: int) -> list[tuple[int, int, int, int]]:
    """What the transaction counts after each step."""
    token, told = f"life-{place}", []
    for step in life.steps:
        await (decide if step.event.kind >= EventKind.AUTHORIZATION else say)(network, card, token, step)
        # What a sweep does every few seconds: an older message may have been here before the decision.
        await network.running.service.lifecycle.catch_up()
        asked = pb.GetTransactionRequest(transaction_token=token)
        told.append(counts(await network.stub.GetTransaction(asked)))
    return told


def expected(life: Life) -> list[tuple[int, int, int, int]]:
    return [
        (*step.state[:3], pb.TransactionStatus.Value(f"TRANSACTION_STATUS_{Status(step.state.status).value}"))
        for step in life.steps
    ]


async def test_every_life_counts_after_every_message_what_its_case_says(network: Network) -> None:
    """All on one account: their sums, too, must be those of the cases."""
    database = network.running.database
    account_id = await add_account(database, "1000000.00", balance_check="off")
    profile_id = await add_profile(database, account_id)
    await database.execute("UPDATE spending_profiles SET blocked_categories = '[\"7995\"]' WHERE id = $1", profile_id)
    card = await add_card(database, account_id, profile_id=profile_id)
    unlike = {}
    for place, life in enumerate(LIVES):
        told = await live(network, card, life, place)
        if told != expected(life):
            unlike[life.id] = (told, expected(life))
    assert unlike == {}
    assert await network.balance_minor(card) == BALANCE_MINOR + sum(life.steps[-1].balance_minor for life in LIVES)
    moment = LIVES[0].steps[0].at + timedelta(days=1)
    power = await network.running.stub.GetSpendingPower(auth.GetSpendingPowerRequest(card_token=card.token, at=moment))
    assert power.held_minor == sum(life.steps[-1].state.held_minor for life in LIVES)
    await network.running.authorize(request(card.token, 1))
    assert await network.drift() == []
