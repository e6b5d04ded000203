"""What was decided, told again: lists and explanations."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import grpc
import pytest
import pytest_asyncio

from authsvc.v1 import authorization_pb2 as auth
from authsvc.v1 import history_pb2 as pb
from authsvc.v1 import types_pb2 as types
from authsvc.v1.history_pb2_grpc import HistoryServiceStub
from tests.network import (
    APPROVED,
    CLEARING,
    DECLINED,
    REFUND,
    RESTAURANT,
    REVERSAL,
    SETTLED,
    VOIDED,
    Network,
    event,
    make_card,
)
from tests.programs import Card, add_account, add_card
from tests.serving import NOON, WAIT_S, refusal, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_FOUND = grpc.StatusCode.NOT_FOUND
DAY = timedelta(days=1)
AROUND: dict[str, Any] = {"start_time": NOON - 30 * DAY, "end_time": NOON + 30 * DAY}
AIRLINE = types.Merchant(mcc="3001", acceptor_id="acceptor-1", descriptor="An airline", city="Dallas", country="USA")


class Past(NamedTuple):
    """An account with two cards, and what became of requests on them, by name."""

    account_id: int
    account_token: str
    card: Card
    other: Card
    rows: dict[str, int]

    def names(self, rows: list[pb.RecordedTransaction]) -> list[str]:
        known = {number: name for name, number in self.rows.items()}
        return [known[row.transaction_id] for row in rows]


@pytest.fixture
def history(network: Network) -> Any:
    return HistoryServiceStub(network.running.channel)


async def listed(history: Any, **fields: Any) -> list[pb.RecordedTransaction]:
    answer = await history.ListTransactions(pb.ListTransactionsRequest(**AROUND | fields), timeout=WAIT_S)
    assert answer.next_page_token == ""
    return list(answer.transactions)


async def explained(history: Any, **fields: Any) -> pb.ExplainTransactionResponse:
    return await history.ExplainTransaction(pb.ExplainTransactionRequest(**fields), timeout=WAIT_S)


async def account_with_token(database: asyncpg.Connection) -> tuple[int, str]:
    account_id = await add_account(database)
    token = f"account-token-{account_id}"
    await database.execute("UPDATE accounts SET lithic_account_token = $2 WHERE id = $1", account_id, token)
    return account_id, token


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def past(network: Network) -> AsyncIterator[Past]:
    database = network.running.database
    account_id, token = await account_with_token(database)
    card = await add_card(database, account_id, "100.00", "monthly")
    other = await add_card(database, account_id)
    rows: dict[str, int] = {}

    async def swipe(name: str, on: Card, amount_minor: int, day: int, **changes: Any) -> auth.AuthorizeResponse:
        answer = await network.swipe(on, amount_minor, transacted_at=NOON + day * DAY, **changes)
        rows[name] = answer.transaction_id
        return answer

    await swipe("lunch", card, 1_000, -3)
    flight = await swipe("flight", card, 4_000, -2, merchant=AIRLINE)
    await swipe("too much", card, 50_000, -1, merchant=AIRLINE)
    await swipe("in part", card, 50_000, 0, partial_approval_capable=True)
    hotel = await swipe("hotel", other, 9_000, 1, merchant=types.Merchant(mcc="7011"))
    await network.say(event(CLEARING, flight, 4_000))
    await network.say(event(REVERSAL, hotel))
    refund = event(REFUND, None, 700, transaction_token="past-refund", card_token=other.token, merchant=RESTAURANT)
    refund.transacted_at.FromDatetime(NOON + 2 * DAY)
    rows["refund"] = (await network.say(refund)).transaction_id
    yield Past(account_id, token, card, other, rows)


# --- lists ----------------------------------------------------------------------------------------------------------


async def test_a_list_tells_every_row_of_an_account_newest_first(history: Any, past: Past) -> None:
    rows = await listed(history, account_id=past.account_id)
    assert past.names(rows) == ["refund", "hotel", "in part", "too much", "flight", "lunch"]
    told = dict(zip(past.names(rows), rows, strict=True))
    figures = {
        name: (row.amount_minor, row.approved_minor, row.held_minor, row.settled_minor, row.credited_minor, row.status)
        for name, row in told.items()
    }
    assert figures == {
        "lunch":    ( 1_000, 1_000, 1_000,     0,   0, APPROVED),
        "flight":   ( 4_000, 4_000,     0, 4_000,   0, SETTLED),
        "too much": (50_000,     0,     0,     0,   0, DECLINED),
        "in part":  (50_000, 5_000, 5_000,     0,   0, APPROVED),
        "hotel":    ( 9_000, 9_000,     0,     0,   0, VOIDED),
        "refund":   (   700,     0,     0,     0, 700, SETTLED),
    }  # fmt: skip
    answers = {name: (row.decision, row.reason) for name, row in told.items()}
    limit = types.REASON_CARD_LIMIT_EXCEEDED
    assert answers == {
        "lunch": (types.DECISION_APPROVED, types.REASON_APPROVED),
        "flight": (types.DECISION_APPROVED, types.REASON_APPROVED),
        "too much": (types.DECISION_DECLINED, limit),
        "in part": (types.DECISION_PARTIALLY_APPROVED, limit),
        "hotel": (types.DECISION_APPROVED, types.REASON_APPROVED),
        "refund": (types.DECISION_UNSPECIFIED, types.REASON_UNSPECIFIED),
    }
    flight = told["flight"]
    assert (flight.account_id, flight.user_id, flight.card_token) == (
        past.account_id,
        past.card.user_id,
        past.card.token,
    )
    assert (flight.currency, flight.kind, flight.merchant) == ("USD", types.KIND_AUTHORIZATION, AIRLINE)
    assert flight.transacted_at.ToDatetime(UTC) == NOON - 2 * DAY


EVERY = ["refund", "hotel", "in part", "too much", "flight", "lunch"]
FILTERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing else": ({}, EVERY),
    "category": ({"mcc": "3001"}, ["too much", "flight"]),
    "group": ({"category_group": "Airlines"}, ["too much", "flight"]),
    "category and its group": ({"mcc": "3001", "category_group": "Airlines"}, ["too much", "flight"]),
    "category and another group": ({"mcc": "3001", "category_group": "Lodging"}, []),
    "a group nobody knows": ({"category_group": "Spaceships"}, []),
    "approved": ({"status": APPROVED}, ["in part", "lunch"]),
    "voided": ({"status": VOIDED}, ["hotel"]),
    "no check failed": ({"reason": types.REASON_APPROVED}, ["hotel", "flight", "lunch"]),
    "a limit": ({"reason": types.REASON_CARD_LIMIT_EXCEEDED}, ["in part", "too much"]),
    "a limit and declined": ({"reason": types.REASON_CARD_LIMIT_EXCEEDED, "status": DECLINED}, ["too much"]),
    "another reason": ({"reason": types.REASON_CARD_CLOSED}, []),
    "from a moment on": ({"start_time": NOON}, ["refund", "hotel", "in part"]),
    "up to a moment": ({"end_time": NOON}, ["too much", "flight", "lunch"]),
    "31 days before the end": ({"start_time": None, "end_time": NOON + 30 * DAY}, EVERY[:4]),
}


@pytest.mark.parametrize("case", FILTERS)
async def test_filters_must_all_hold(history: Any, past: Past, case: str) -> None:
    fields, names = FILTERS[case]
    rows = await listed(history, **{"account_token": past.account_token} | fields)
    assert past.names(rows) == names


async def test_a_list_may_be_of_a_card_a_cardholder_or_an_account_with_its_card(history: Any, past: Past) -> None:
    of_other = ["refund", "hotel"]
    assert past.names(await listed(history, card_token=past.other.token)) == of_other
    assert past.names(await listed(history, user_id=past.other.user_id)) == of_other
    both = {"account_id": past.account_id, "card_token": past.other.token}
    assert past.names(await listed(history, **both, user_id=past.card.user_id)) == []
    assert past.names(await listed(history, **both, user_id=past.other.user_id)) == of_other


async def test_a_card_that_is_gone_keeps_its_history(network: Network, history: Any, card: Card) -> None:
    swipe = await network.swipe(card, 100)
    database = network.running.database
    await database.execute("UPDATE cards SET status = 'closed', deleted_at = now() WHERE id = $1", card.id)
    assert [row.transaction_id for row in await listed(history, card_token=card.token)] == [swipe.transaction_id]


@pytest.mark.parametrize(
    "fields",
    [{"account_id": 2**31 - 1}, {"account_token": "nobody"}, {"card_token": "nobody"}, {"user_id": 2**31 - 1}],
    ids=str,
)
async def test_whom_nobody_knows_has_no_transactions(history: Any, past: Past, fields: dict[str, Any]) -> None:
    assert await listed(history, **fields) == []


async def test_without_a_card_or_an_account_a_list_reaches_as_far_back_as_it_must(
    network: Network, history: Any, card: Card
) -> None:
    ages = [timedelta(minutes=1), timedelta(hours=2), timedelta(hours=70), timedelta(days=9), timedelta(days=29)]
    rare = types.Merchant(mcc="0780")
    swipes = [await network.swipe(card, 1, transacted_at=NOON - age, merchant=rare) for age in ages]
    expected = [swipe.transaction_id for swipe in swipes]
    for count in range(1, 6):
        query = pb.ListTransactionsRequest(mcc="0780", end_time=NOON, page_size=count)
        answer = await history.ListTransactions(query, timeout=WAIT_S)
        assert [row.transaction_id for row in answer.transactions] == expected[:count]
        assert bool(answer.next_page_token) == (count < 5)


async def test_without_times_a_list_holds_what_the_last_31_days_brought_even_what_is_dated_ahead(
    network: Network, history: Any, card: Card
) -> None:
    now = datetime.now(UTC)
    ahead = await network.swipe(card, 1, transacted_at=now + timedelta(minutes=4))
    recent = await network.swipe(card, 1, transacted_at=now - 30 * DAY)
    await network.swipe(card, 1, transacted_at=now - 32 * DAY)
    answer = await history.ListTransactions(pb.ListTransactionsRequest(card_token=card.token), timeout=WAIT_S)
    assert [row.transaction_id for row in answer.transactions] == [ahead.transaction_id, recent.transaction_id]


async def test_pages_neither_repeat_nor_hide_a_row_while_others_are_recorded(
    network: Network, history: Any, card: Card
) -> None:
    # Many at one instant: the order among them is by id.
    before = [(await network.swipe(card, 1)).transaction_id for _ in range(5)]
    before += [(await network.swipe(card, 1, transacted_at=NOON - DAY)).transaction_id for _ in range(4)]
    seen: list[int] = []
    token = ""
    pages = 0
    while token or not pages:
        query = pb.ListTransactionsRequest(**AROUND, card_token=card.token, page_size=2 + pages % 2, page_token=token)
        answer = await history.ListTransactions(query, timeout=WAIT_S)
        seen += [row.transaction_id for row in answer.transactions]
        token, pages = answer.next_page_token, pages + 1
        if token:
            await network.swipe(card, 1)
            await network.swipe(card, 1, transacted_at=NOON + DAY)
    assert seen == [*sorted(before[:5], reverse=True), *sorted(before[5:], reverse=True)]
    assert pages == 4


async def test_a_page_of_a_list_without_times_keeps_the_first_ones_span(
    network: Network, history: Any, card: Card
) -> None:
    now = datetime.now(UTC)
    swipes = [await network.swipe(card, 1, transacted_at=now - days * DAY) for days in (1, 2, 3)]
    fields: dict[str, Any] = {"card_token": card.token, "page_size": 2}
    first = await history.ListTransactions(pb.ListTransactionsRequest(**fields), timeout=WAIT_S)
    query = pb.ListTransactionsRequest(**fields, page_token=first.next_page_token)
    second = await history.ListTransactions(query, timeout=WAIT_S)
    told = [row.transaction_id for page in (first, second) for row in page.transactions]
    assert (told, second.next_page_token) == ([swipe.transaction_id for swipe in swipes], "")


# --- explanations ---------------------------------------------------------------------------------------------------


def as_answered(answer: auth.AuthorizeResponse) -> auth.AuthorizeResponse:
    """Without what is measured."""
    same = auth.AuthorizeResponse()
    same.CopyFrom(answer)
    same.ClearField("elapsed_us")
    return same


async def test_an_explanation_is_the_answer_of_then_whatever_has_changed_since(network: Network, history: Any) -> None:
    database = network.running.database
    card = await make_card(database)
    asked = [
        request(card.token, 4_000, explain=True),
        request(card.token, 50_000, explain=True, partial_approval_capable=True),
        request(card.token, 50_000, explain=True),
        request(card.token, 0, explain=True, kind=types.KIND_BALANCE_INQUIRY),
        request(card.token, 500, explain=True, kind=types.KIND_FINANCIAL_CREDIT_AUTHORIZATION),
        request(card.token, 900, explain=True, merchant=types.Merchant(mcc="0000")),
    ]
    answers = [await network.running.authorize(one) for one in asked]
    assert {answer.decision for answer in answers} == {1, 2, 3}
    await network.say(event(REVERSAL, answers[0]))
    await database.execute("UPDATE cards SET status = 'closed' WHERE id = $1", card.id)
    await database.execute("UPDATE spending_profiles SET spend_limit = 1 WHERE account_id = $1", card.account_id)
    for one, answer in zip(asked, answers, strict=True):
        told = await explained(history, transaction_id=answer.transaction_id)
        assert as_answered(told.answer) == as_answered(answer)
        assert told.transaction.transaction_id == answer.transaction_id
        assert told.recorded_at == told.transaction.recorded_at
        assert await explained(history, request_id=one.request_id) == told


async def test_an_explanation_names_who_decided_and_how_long_it_took(
    network: Network, history: Any, card: Card
) -> None:
    number = (await network.swipe(card, 100)).transaction_id
    change = "UPDATE transactions SET explanation = explanation || $2::text::jsonb WHERE id = $1"
    await network.running.database.execute(change, number, '{"node": "auth-7", "us": 1234}')
    told = await explained(history, transaction_id=number)
    assert (told.decided_by, told.answer.elapsed_us) == ("auth-7", 1_234)


async def test_an_explanation_of_a_row_that_does_not_tell_who_decided_leaves_it_empty(
    network: Network, history: Any, card: Card
) -> None:
    number = (await network.swipe(card, 100)).transaction_id
    change = "UPDATE transactions SET explanation = explanation - 'node' - 'us' WHERE id = $1"
    await network.running.database.execute(change, number)
    told = await explained(history, transaction_id=number)
    assert (told.decided_by, told.answer.elapsed_us, len(told.answer.checks)) == ("", 0, 9)


async def test_the_refusal_of_an_unknown_card_is_explained_by_its_request(network: Network, history: Any) -> None:
    asked = request("nobody-knows-this-card", explain=True)
    answer = await network.running.authorize(asked)
    told = await explained(history, request_id=asked.request_id)
    assert as_answered(told.answer) == as_answered(answer)
    assert (told.HasField("transaction"), told.HasField("recorded_at")) == (False, True)


async def test_what_nobody_decided_cannot_be_explained(history: Any, past: Past) -> None:
    ask = pb.ExplainTransactionRequest(transaction_id=past.rows["refund"])
    code, text = await refusal(history.ExplainTransaction(ask, timeout=WAIT_S))
    assert (code, "nobody decided this transaction" in text) == (NOT_FOUND, True)
    for fields in ({"transaction_id": 2**62}, {"request_id": "never-sent"}):
        ask = pb.ExplainTransactionRequest(**fields)
        refused = await refusal(history.ExplainTransaction(ask, timeout=WAIT_S))
        assert refused == (NOT_FOUND, "no such transaction")
