"""Money that reaches or leaves an account by somebody's word: once, with a reason, and never what is spoken for."""

import asyncio
from typing import Any

import grpc
import pytest

from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests.network import Network
from tests.programs import Card, add_account, add_card
from tests.serving import refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")
FUNDING, WITHDRAWAL = pb.ADJUSTMENT_KIND_FUNDING, pb.ADJUSTMENT_KIND_WITHDRAWAL


def adjustment(card: Card, kind: int, amount_minor: int, adjustment_id: str, **changes: Any) -> pb.AdjustBalanceRequest:
    fields = {
        "adjustment_id": f"{adjustment_id}-{card.account_id}",
        "account_id": card.account_id,
        "kind": kind,
        "amount_minor": amount_minor,
        "currency": "USD",
        "reason": "a transfer of the bank",
    }
    return pb.AdjustBalanceRequest(**(fields | changes))


async def card_without_limit(network: Network, balance: str) -> Card:
    database = network.running.database
    return await add_card(database, await add_account(database, balance))


def told(answer: pb.AdjustBalanceResponse) -> tuple[int, int, bool]:
    return answer.balance_minor, answer.available_balance_minor, answer.replayed


async def test_the_next_decision_knows_what_came_in_and_what_went_out(network: Network) -> None:
    card = await card_without_limit(network, "10.00")
    assert (await network.swipe(card, 1_001)).reason == types.REASON_INSUFFICIENT_FUNDS
    assert told(await network.adjust(adjustment(card, FUNDING, 500, "in"))) == (1_500, 1_500, False)
    assert (await network.swipe(card, 1_001)).decision == types.DECISION_APPROVED
    assert told(await network.adjust(adjustment(card, WITHDRAWAL, 400, "out"))) == (1_100, 99, False)
    assert (await network.swipe(card, 100)).reason == types.REASON_INSUFFICIENT_FUNDS
    assert (await network.swipe(card, 99)).decision == types.DECISION_APPROVED
    assert await network.drift() == []


async def test_an_adjustment_is_made_once_however_often_it_is_sent(network: Network) -> None:
    card = await card_without_limit(network, "10.00")
    asked = adjustment(card, FUNDING, 250, "once")
    answers = await asyncio.gather(*(network.adjust(asked) for _ in range(8)))
    assert sorted(told(answer) for answer in answers) == [(1_250, 1_250, False)] + [(1_250, 1_250, True)] * 7
    assert await network.balance_minor(card) == 1_250
    assert await refusal(network.adjust(adjustment(card, FUNDING, 251, "once"))) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "this adjustment_id was already used with a different body",
    )


async def test_a_withdrawal_takes_no_money_that_is_held(network: Network) -> None:
    card = await card_without_limit(network, "10.00")
    await network.swipe(card, 600)
    code, text = await refusal(network.adjust(adjustment(card, WITHDRAWAL, 401, "too-much")))
    assert (code, text) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "The account's available balance does not cover it.",
    )
    assert told(await network.adjust(adjustment(card, WITHDRAWAL, 400, "all"))) == (600, 0, False)


async def test_withdrawals_and_swipes_at_once_never_spend_the_same_money(network: Network) -> None:
    card = await card_without_limit(network, "10.00")
    withdrawals = [network.adjust(adjustment(card, WITHDRAWAL, 100, f"race-{i}")) for i in range(10)]
    swipes = [network.swipe(card, 100) for _ in range(10)]
    outcomes = await asyncio.gather(*withdrawals, *swipes, return_exceptions=True)
    out = sum(isinstance(outcome, pb.AdjustBalanceResponse) for outcome in outcomes)
    spent = sum(getattr(outcome, "decision", None) == types.DECISION_APPROVED for outcome in outcomes[10:])
    assert (out + spent, await network.balance_minor(card)) == (10, 1_000 - 100 * out)
    assert await network.drift() == []


async def test_an_overdrawn_account_can_be_funded(network: Network) -> None:
    card = await card_without_limit(network, "0.00")
    await network.running.database.execute(
        "UPDATE accounts SET balance = -5, overdrawn = true WHERE id = $1", card.account_id
    )
    assert told(await network.adjust(adjustment(card, FUNDING, 200, "a part"))) == (-300, -300, False)
    assert told(await network.adjust(adjustment(card, FUNDING, 400, "the rest"))) == (100, 100, False)


async def test_an_adjustment_may_name_the_account_as_the_processor_does(network: Network) -> None:
    card = await card_without_limit(network, "1.00")
    token = f"account-of-{card.token}"
    await network.running.database.execute(
        "UPDATE accounts SET lithic_account_token = $2 WHERE id = $1", card.account_id, token
    )
    asked = adjustment(card, FUNDING, 100, "by-token", account_id=0, account_token=token)
    answer = await network.adjust(asked)
    assert (answer.account_id, answer.balance_minor) == (card.account_id, 200)


async def test_what_was_adjusted_is_kept_and_never_changed(network: Network) -> None:
    card = await card_without_limit(network, "1.00")
    await network.adjust(adjustment(card, FUNDING, 100, "kept", reason="monthly top-up"))
    database = network.running.database
    row = await database.fetchrow("SELECT * FROM balance_adjustments WHERE account_id = $1", card.account_id)
    assert (row["kind"], row["amount_minor"], row["reason"], row["balance_after_minor"]) == (
        "FUNDING",
        100,
        "monthly top-up",
        200,
    )
    for statement in ("UPDATE balance_adjustments SET amount_minor = 1", "DELETE FROM balance_adjustments"):
        with pytest.raises(Exception, match="never changed or deleted"):
            await database.execute(statement)


@pytest.mark.parametrize(
    ("changes", "told_field"),
    [
        ({"adjustment_id": ""}, "adjustment_id"),
        ({"adjustment_id": "x" * 129}, "adjustment_id"),
        ({"account_id": 0}, "account_token"),
        ({"account_id": -1}, "account_id"),
        ({"account_id": 2**40}, "account_id"),
        ({"account_token": "a"}, "account_token"),
        ({"kind": 0}, "kind"),
        ({"kind": 9}, "kind"),
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -1}, "amount_minor"),
        ({"amount_minor": 10_000_000_000}, "amount_minor"),
        ({"amount_minor": 9_999_999_999}, "amount_minor"),
        ({"currency": ""}, "currency"),
        ({"currency": "EUR"}, "currency"),
        ({"reason": ""}, "reason"),
        ({"reason": "   "}, "reason"),
        ({"reason": "x" * 256}, "reason"),
        ({"reason": "a\nb"}, "reason"),
    ],
)
async def test_a_bad_adjustment_is_refused_by_its_field(
    network: Network, card: Card, changes: dict[str, Any], told_field: str
) -> None:
    asked = adjustment(card, FUNDING, 100, "bad")
    for field, value in changes.items():
        setattr(asked, field, value)
    code, text = await refusal(network.adjust(asked))
    assert (code, text.partition(":")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, told_field)
    assert await network.balance_minor(card) == 100_000


async def test_an_unknown_account_is_not_found(network: Network, card: Card) -> None:
    asked = adjustment(card, FUNDING, 100, "nobody", account_id=2_000_000_000)
    assert (await refusal(network.adjust(asked)))[0] == grpc.StatusCode.NOT_FOUND
