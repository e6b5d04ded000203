"""What an account spent, added up; and questions about the past that are refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from authsvc.history import codec
from authsvc.v1 import history_pb2 as pb
from authsvc.v1 import types_pb2 as types
from authsvc.v1.history_pb2_grpc import HistoryServiceStub
from tests.network import CLEARING, REFUND, RESTAURANT, Network, event
from tests.programs import Card, add_account, add_card
from tests.serving import NOON, WAIT_S, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
DAY, MONTH = pb.BUCKET_DAY, pb.BUCKET_MONTH
# The clocks of New York are set back on 2 November 2025, a day of 25 hours.
YEAR: dict[str, Any] = {"start_time": datetime(2025, 1, 1, tzinfo=UTC), "end_time": datetime(2026, 1, 1, tzinfo=UTC)}


@pytest.fixture
def history(network: Network) -> Any:
    return HistoryServiceStub(network.running.channel)


async def summed(history: Any, **fields: Any) -> pb.SpendSummaryResponse:
    return await history.SpendSummary(pb.SpendSummaryRequest(**YEAR | fields), timeout=WAIT_S)


def rows_of(answer: pb.SpendSummaryResponse) -> list[tuple[str, str, int, int, int]]:
    """When each bucket begins, its key, how many were approved and declined, and the spend."""
    return [
        (
            row.bucket_start.ToJsonString(),
            row.key,
            row.approved_count,
            row.declined_count,
            row.spend_minor,
        )
        for row in answer.rows
    ]


async def test_days_and_months_are_those_of_the_accounts_time_zone(network: Network, history: Any) -> None:
    account_id = await add_account(network.running.database, timezone="America/New_York")
    card = await add_card(network.running.database, account_id)
    moments = {
        "2025-11-01T03:59:59.999999Z": 1,  # 31 October there
        "2025-11-01T04:00:00Z": 10,
        "2025-11-02T03:59:59Z": 100,
        "2025-11-02T04:00:00Z": 1_000,
        "2025-11-03T04:59:59Z": 10_000,  # still the 2nd: it has 25 hours
        "2025-11-03T05:00:00Z": 100_000,
    }
    for moment, amount_minor in moments.items():
        await network.swipe(card, amount_minor, transacted_at=datetime.fromisoformat(moment))
    by_day = await summed(history, account_id=account_id, bucket=DAY)
    assert rows_of(by_day) == [
        ("2025-10-31T04:00:00Z", "", 1, 0, 1),
        ("2025-11-01T04:00:00Z", "", 2, 0, 110),
        ("2025-11-02T04:00:00Z", "", 2, 0, 11_000),
        ("2025-11-03T05:00:00Z", "", 1, 0, 100_000),
    ]
    assert (by_day.account_id, by_day.currency, by_day.timezone) == (account_id, "USD", "America/New_York")
    by_month = await summed(history, account_id=account_id, bucket=MONTH)
    assert rows_of(by_month) == [("2025-10-01T04:00:00Z", "", 1, 0, 1), ("2025-11-01T04:00:00Z", "", 5, 0, 111_110)]


async def test_a_span_may_begin_and_end_within_a_bucket(network: Network, history: Any, card: Card) -> None:
    for hours, amount_minor in ((-1, 1), (0, 10), (1, 100)):
        await network.swipe(card, amount_minor, transacted_at=NOON + timedelta(hours=hours))
    span = {"start_time": NOON, "end_time": NOON + timedelta(hours=1)}
    answer = await summed(history, account_id=card.account_id, bucket=DAY, **span)
    assert rows_of(answer) == [("2025-11-20T00:00:00Z", "", 1, 0, 10)]


async def test_figures_are_what_transactions_count_now(network: Network, history: Any, card: Card) -> None:
    await network.swipe(card, 1_000)
    cleared = await network.swipe(card, 2_000)
    await network.swipe(card, 1_000_000)
    await network.say(event(CLEARING, cleared, 2_500))
    forced = {"card_token": card.token, "merchant": RESTAURANT, "transacted_at": NOON}
    await network.say(event(CLEARING, None, 300, transaction_token="summary-forced", **forced))
    await network.say(event(REFUND, cleared, 40))
    (row,) = (await summed(history, account_id=card.account_id, bucket=MONTH)).rows
    assert (row.approved_count, row.declined_count, row.forced_count) == (2, 1, 1)
    assert (row.held_minor, row.settled_minor, row.credited_minor, row.spend_minor) == (1_000, 2_800, 40, 3_800)


async def test_rows_are_told_apart_by_category_group_card_cardholder_or_merchant(
    network: Network, history: Any
) -> None:
    database = network.running.database
    account_id = await add_account(database)
    token = f"summary-token-{account_id}"
    await database.execute("UPDATE accounts SET lithic_account_token = $2 WHERE id = $1", account_id, token)
    one, two = [await add_card(database, account_id) for _ in range(2)]
    airline = types.Merchant(mcc="3001", acceptor_id="acceptor-9", descriptor="An airline")
    nameless, unheard_of = types.Merchant(mcc="5812"), types.Merchant(mcc="0001", descriptor="A shop")
    swipes = [(one, 5_000, airline), (two, 700, airline), (two, 300, nameless), (one, 20, unheard_of)]
    for card, amount_minor, merchant in swipes:
        await network.swipe(card, amount_minor, merchant=merchant)

    async def keys(by: int) -> list[tuple[str, str, int]]:
        answer = await summed(history, account_token=token, bucket=MONTH, group_by=by)
        return [(row.key, row.merchant_name, row.spend_minor) for row in answer.rows]

    assert await keys(pb.GROUP_BY_UNSPECIFIED) == [("", "", 6_020)]
    airlines, food, no_group = ("Airlines", "", 5_700), ("Food & Dining", "", 300), ("", "", 20)
    assert await keys(pb.GROUP_BY_CATEGORY_GROUP) == [airlines, food, no_group]
    assert await keys(pb.GROUP_BY_CARD) == [(one.token, "", 5_020), (two.token, "", 1_000)]
    assert await keys(pb.GROUP_BY_USER) == [(str(one.user_id), "", 5_020), (str(two.user_id), "", 1_000)]
    assert await keys(pb.GROUP_BY_MERCHANT) == [
        ("acceptor-9", "An airline", 5_700),
        ("", "", 300),
        ("A shop", "A shop", 20),
    ]


async def test_an_account_without_transactions_has_no_rows(history: Any, card: Card) -> None:
    answer = await summed(history, account_id=card.account_id, bucket=DAY)
    assert (answer.account_id, list(answer.rows)) == (card.account_id, [])


async def test_more_rows_than_an_answer_holds_are_refused(
    network: Network, history: Any, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(3):
        await network.swipe(card, 1, transacted_at=NOON + timedelta(days=day))
    span = {"account_id": card.account_id, "start_time": NOON - timedelta(hours=12)}
    monkeypatch.setattr(codec, "SUMS_MAX", 3)
    ends = {days: NOON + timedelta(days=days) for days in (2, 3)}
    by_card = {"bucket": MONTH, "group_by": pb.GROUP_BY_CARD}
    assert len((await summed(history, **span, end_time=ends[2], bucket=DAY)).rows) == 2
    ask = pb.SpendSummaryRequest(**span, end_time=ends[3], bucket=DAY)
    code, text = await refusal(history.SpendSummary(ask, timeout=WAIT_S))
    assert (code, text) == (INVALID, "start_time: is more than 3 buckets before the end")
    assert len((await summed(history, **span, end_time=ends[3], **by_card)).rows) == 1
    monkeypatch.setattr(codec, "SUMS_MAX", 0)
    code, text = await refusal(history.SpendSummary(pb.SpendSummaryRequest(**span, **by_card), timeout=WAIT_S))
    assert code is INVALID


@pytest.mark.parametrize("fields", [{"account_id": 2**31 - 1}, {"account_token": "nobody"}], ids=str)
async def test_the_summary_of_an_account_nobody_knows_is_not_found(history: Any, fields: dict[str, Any]) -> None:
    ask = pb.SpendSummaryRequest(**YEAR, bucket=DAY, **fields)
    assert await refusal(history.SpendSummary(ask, timeout=WAIT_S)) == (NOT_FOUND, "no such account")


# --- questions that are refused -------------------------------------------------------------------------------------

GOOD_SUM: dict[str, Any] = {"account_id": 1, "bucket": DAY, "start_time": NOON}
BACKWARDS = {"start_time": NOON, "end_time": NOON}
BAD: dict[str, tuple[str, Any, str]] = {
    "a negative account": ("ListTransactions", {"account_id": -1}, "account_id"),
    "an account beyond all numbers": ("ListTransactions", {"account_id": 2**31}, "account_id"),
    "two names of an account": ("ListTransactions", {"account_id": 1, "account_token": "a"}, "account_token"),
    "an account token with a line break": ("ListTransactions", {"account_token": "a\n"}, "account_token"),
    "a card token that is too long": ("ListTransactions", {"card_token": "x" * 256}, "card_token"),
    "a negative cardholder": ("ListTransactions", {"user_id": -1}, "user_id"),
    "a category of three digits": ("ListTransactions", {"mcc": "581"}, "mcc"),
    "a group beyond ASCII": ("ListTransactions", {"category_group": "Café"}, "category_group"),
    "an unknown status": ("ListTransactions", {"status": 99}, "status"),
    "an unknown reason": ("ListTransactions", {"reason": 99}, "reason"),
    "an end before the start": ("ListTransactions", BACKWARDS, "start_time"),
    "a page of less than nothing": ("ListTransactions", {"page_size": -1}, "page_size"),
    "a page of 1,001": ("ListTransactions", {"page_size": 1_001}, "page_size"),
    "a page token that is none": ("ListTransactions", {"page_token": "gAAAA"}, "page_token"),
    "a page token beyond ASCII": ("ListTransactions", {"page_token": "é"}, "page_token"),
    "no decision": ("ExplainTransaction", {}, "request_id"),
    "a negative transaction": ("ExplainTransaction", {"transaction_id": -1}, "transaction_id"),
    "two names of a decision": ("ExplainTransaction", {"transaction_id": 1, "request_id": "a"}, "request_id"),
    "no account": ("SpendSummary", GOOD_SUM | {"account_id": 0}, "account_id"),
    "no start": ("SpendSummary", GOOD_SUM | {"start_time": None}, "start_time"),
    "no bucket": ("SpendSummary", GOOD_SUM | {"bucket": 0}, "bucket"),
    "an unknown bucket": ("SpendSummary", GOOD_SUM | {"bucket": 9}, "bucket"),
    "an unknown grouping": ("SpendSummary", GOOD_SUM | {"group_by": 9}, "group_by"),
    "a summary of no time": ("SpendSummary", GOOD_SUM | BACKWARDS, "start_time"),
    "a negative cursor": ("WatchTransactions", {"cursor": -1}, "cursor"),
    "a cursor ahead of everything": ("WatchTransactions", {"cursor": 2**62}, "cursor"),
    "a negative account to watch": ("WatchTransactions", {"account_id": -1}, "account_id"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_question_is_refused_and_the_field_is_named(history: Any, case: str) -> None:
    method, fields, field = BAD[case]
    call = getattr(history, method)(getattr(pb, f"{method}Request")(**fields), timeout=WAIT_S)
    code, text = await refusal(call.read() if method == "WatchTransactions" else call)
    assert (code, text.partition(": ")[0]) == (INVALID, field)


async def test_a_page_token_fits_no_other_question(network: Network, history: Any, card: Card) -> None:
    for _ in range(2):
        await network.swipe(card, 1)
    fields: dict[str, Any] = {"card_token": card.token, "end_time": NOON + timedelta(days=1), "page_size": 1}
    first = await history.ListTransactions(pb.ListTransactionsRequest(**fields), timeout=WAIT_S)
    token = first.next_page_token
    assert token.replace("-", "").replace("_", "").isalnum()
    again = pb.ListTransactionsRequest(**fields | {"page_token": token, "page_size": 10})
    assert len((await history.ListTransactions(again, timeout=WAIT_S)).transactions) == 1
    for change in ({"mcc": "5812"}, {"end_time": NOON + timedelta(days=2)}, {"card_token": "another"}):
        other = pb.ListTransactionsRequest(**fields | change, page_token=token)
        code, text = await refusal(history.ListTransactions(other, timeout=WAIT_S))
        assert (code, text.startswith("page_token: ")) == (INVALID, True)
