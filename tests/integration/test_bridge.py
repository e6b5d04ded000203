"""The bridge before a real service: what Lithic is told, what is recorded, and what it is told without a decision."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from tests.bridging import NOWHERE, Bridge, bridge_to, everything, row_of, spent
from tests.lithic import TOKEN, asa_request, encoded
from tests.serving import WAIT_S, Running, held_back, serving_module, until_held_back

BRIEF_MS = 300
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def bridge(running: Running) -> AsyncIterator[Bridge]:
    async with bridge_to(running.address) as one:
        yield one


# --- decisions --------------------------------------------------------------------------------------------------------


async def test_an_approval_is_told_and_recorded_with_what_lithic_said(bridge: Bridge, running: Running) -> None:
    answer = await bridge.ask(asa_request(event_token="approved", hold_minor=1_500))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == b'{"result":"APPROVED","token":"%s"}' % TOKEN.encode()
    row = await row_of(running, "event:approved")
    assert (row["held_minor"], row["merchant_category_code"], row["merchant_country"]) == (1_500, "5812", "FRA")
    assert (row["merchant_id"], row["merchant_name"], row["network"]) == ("ACCEPTOR-0001", "BISTRO NINE", "VISA")
    assert bridge.counted("answers", result="APPROVED", reason="APPROVED") == 1


@pytest.mark.parametrize(
    ("changes", "result", "reason"),
    [
        ({"card": "card_nobody_knows"}, "CARD_PAUSED", "UNKNOWN_CARD"),
        ({"card": "card_demo_suspended_account"}, "CARD_PAUSED", "ACCOUNT_NOT_ACTIVE"),
        ({"card": "card_demo_suspended_user"}, "CARD_PAUSED", "USER_NOT_ACTIVE"),
        ({"card": "card_demo_pending"}, "CARD_PAUSED", "CARD_PENDING"),
        ({"card": "card_demo_inactive"}, "CARD_PAUSED", "CARD_INACTIVE"),
        ({"card": "card_demo_closed"}, "CARD_PAUSED", "CARD_CLOSED"),
        ({"card": "card_demo_daily", "mcc": "5813"}, "UNAUTHORIZED_MERCHANT", "MCC_BLOCKED"),
        ({"card": "card_demo_travel", "mcc": "5942"}, "UNAUTHORIZED_MERCHANT", "MCC_NOT_ALLOWED"),
        ({"card": "card_demo_small_balance", "amount_minor": 15_001}, "INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS"),
        ({"card": "card_demo_small_balance", "hold_minor": 15_001}, "INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS"),
        (
            {"card": "card_demo_office", "mcc": "5942", "amount_minor": 50_001},
            "VELOCITY_EXCEEDED",
            "PROFILE_LIMIT_EXCEEDED",
        ),
        ({"card": "card_demo_zero"}, "VELOCITY_EXCEEDED", "CARD_LIMIT_EXCEEDED"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_decline_is_told_in_lithics_words(
    bridge: Bridge, running: Running, changes: dict[str, Any], result: str, reason: str
) -> None:
    before = await spent(running)
    answer = await bridge.ask(asa_request(**changes))
    assert answer.json() == {"result": result, "token": TOKEN}
    assert bridge.counted("answers", result=result, reason=reason) == 1
    assert await spent(running) == before


async def test_a_part_is_approved_only_where_the_terminal_can(bridge: Bridge) -> None:
    asked = {"card": "card_demo_office", "mcc": "5942", "amount_minor": 60_000}
    capable = await bridge.ask(asa_request(**asked, partial=True))
    assert capable.json() == {"result": "APPROVED", "token": TOKEN, "approved_amount": 50_000}
    incapable = await bridge.ask(asa_request(**asked, partial=False))
    assert incapable.json() == {"result": "VELOCITY_EXCEEDED", "token": TOKEN}


@pytest.mark.parametrize("card", ["card_demo_small_balance", "card_demo_lifetime"])
async def test_a_balance_inquiry_is_told_the_balances_and_reserves_nothing(
    bridge: Bridge, running: Running, card: str
) -> None:
    asked = asa_request(card, 0, status="BALANCE_INQUIRY", event_token=f"inquiry-{card}")
    first = await bridge.ask(asked)
    balance = 15_000 if card == "card_demo_small_balance" else 0
    assert first.json() == {"result": "APPROVED", "token": TOKEN, "balance": {"amount": balance, "available": balance}}
    assert (await bridge.ask(asked)).content == first.content
    assert (await row_of(running, f"event:inquiry-{card}"))["held_minor"] == 0


@pytest.mark.parametrize("status", ["CREDIT_AUTHORIZATION", "FINANCIAL_CREDIT_AUTHORIZATION"])
async def test_a_credit_is_approved_whatever_its_sign_and_the_limits(bridge: Bridge, status: str) -> None:
    for amount_minor in (700, -700):
        answer = await bridge.ask(asa_request("card_demo_zero", amount_minor, status=status))
        assert answer.json() == {"result": "APPROVED", "token": TOKEN}


async def test_a_single_message_leaves_no_hold(bridge: Bridge, running: Running) -> None:
    await bridge.ask(asa_request(status="FINANCIAL_AUTHORIZATION", event_token="single", hold_minor=9_000))
    row = await row_of(running, "event:single")
    assert (row["held_minor"], row["settled_minor"]) == (0, 1_250)


# --- the same question ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount_minor", [1_250, 60_000])
async def test_a_repeat_is_answered_with_the_same_bytes_and_counts_once(
    bridge: Bridge, running: Running, amount_minor: int
) -> None:
    asked = asa_request("card_demo_office", amount_minor, mcc="5942", partial=True, event_token=f"again-{amount_minor}")
    first = await bridge.ask(asked)
    before = await everything(running)
    # A message id of its own each: the event's token is the stronger one.
    again = await asyncio.gather(*(bridge.ask(asked) for _ in range(5)))
    assert {answer.content for answer in again} == {first.content}
    assert await everything(running) == before


async def test_equal_questions_at_the_same_time_count_once(bridge: Bridge, running: Running) -> None:
    asked = asa_request("card_demo_yearly", event_token="at-once")
    answers = await asyncio.gather(*(bridge.ask(asked) for _ in range(20)))
    assert len({answer.content for answer in answers}) == 1
    query = "SELECT count(*), sum(held_minor) FROM transactions t JOIN cards c ON c.id = t.card_id WHERE c.lithic_card_token = $1"
    assert tuple(await running.database.fetchrow(query, "card_demo_yearly")) == (1, 1_250)


async def test_without_an_event_token_the_message_id_tells_a_repeat(bridge: Bridge, running: Running) -> None:
    asked = asa_request()
    first = await bridge.ask(asked, "msg_repeated")
    before = await everything(running)
    assert (await bridge.ask(asked, "msg_repeated")).content == first.content
    assert await everything(running) == before
    assert (await row_of(running, "webhook:msg_repeated"))["held_minor"] == 1_250


async def test_without_any_id_the_body_tells_a_repeat(running: Running) -> None:
    async with bridge_to(running.address, bridge_allow_unsigned=True) as bridge:
        plain = {"webhook_id": None, "webhook_timestamp": None, "webhook_signature": None}
        body = encoded(asa_request(amount_minor=1_111))
        first = await bridge.send(body, **plain)
        before = await everything(running)
        assert (await bridge.send(body, **plain)).content == first.content
        assert await everything(running) == before
        await bridge.send(encoded(asa_request(amount_minor=1_112)), **plain)
        assert await everything(running) != before


async def test_a_repeat_of_an_undated_request_is_a_repeat(bridge: Bridge, running: Running) -> None:
    asked = orjson.dumps(asa_request(event_token="undated", created=None))
    first = await bridge.send(asked)
    before = await everything(running)
    assert (await bridge.send(asked)).content == first.content == b'{"result":"APPROVED","token":"%s"}' % TOKEN.encode()
    assert await everything(running) == before


async def test_two_events_of_one_transaction_both_count(bridge: Bridge, running: Running) -> None:
    for event in ("increment-1", "increment-2"):
        assert (await bridge.ask(asa_request(event_token=event))).json()["result"] == "APPROVED"
    rows = [await row_of(running, f"event:{event}") for event in ("increment-1", "increment-2")]
    assert [row["held_minor"] for row in rows] == [1_250, 1_250]
    assert rows[0]["id"] != rows[1]["id"]


# --- no decision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["CARD_PAUSED", "INSUFFICIENT_FUNDS"])
async def test_without_an_engine_lithic_is_told_the_fallback(result: str, caplog: pytest.LogCaptureFixture) -> None:
    async with bridge_to(NOWHERE, bridge_deadline_ms=BRIEF_MS, bridge_fallback_result=result) as bridge:
        answer = await bridge.ask(asa_request(event_token="nobody-home"))
        assert (answer.status_code, answer.json()) == (200, {"result": result, "token": TOKEN})
        assert bridge.counted("fallbacks", status="DEADLINE_EXCEEDED") == 1
        ready, alive = await bridge.http.get("/readyz"), await bridge.http.get("/healthz")
    assert (ready.status_code, alive.status_code) == (503, 200)
    [line] = [record for record in caplog.records if record.getMessage() == "answered without a decision"]
    assert (vars(line)["request_id"], vars(line)["result"]) == ("event:nobody-home", result)
    assert "BISTRO" not in str([vars(record) for record in caplog.records])


async def test_a_slow_engine_is_not_waited_for_and_its_decision_is_marked_as_uncertain(running: Running) -> None:
    async with bridge_to(running.address, bridge_deadline_ms=BRIEF_MS) as bridge:
        # The streams are open before the engine is held back.
        await bridge.ask(asa_request("card_demo_driver", mcc="5541"))
        async with held_back(running, "card_demo_driver") as blocker:
            asking = asyncio.create_task(bridge.ask(asa_request("card_demo_driver", mcc="5541", event_token="late")))
            await until_held_back(running, blocker)
            answer = await asking
        assert (answer.status_code, answer.json()["result"]) == (200, "CARD_PAUSED")
        assert bridge.counted("fallbacks", status="DEADLINE_EXCEEDED") == 1
        assert bridge.counted("uncertain_fallbacks") == 1


@pytest.mark.parametrize(
    "status", ["AUTHORIZATION", "FINANCIAL_AUTHORIZATION", "FINANCIAL_CREDIT_AUTHORIZATION", "CREDIT_AUTHORIZATION"]
)
async def test_what_an_approval_holds_that_came_too_late_is_given_back(running: Running, status: str) -> None:
    card, key = "card_demo_driver", f"late-{status}"
    async with bridge_to(running.address, bridge_deadline_ms=BRIEF_MS) as bridge:
        await bridge.ask(asa_request(card, mcc="5541"))
        before = [(account_id, balance) for account_id, balance, _ in (await running.recorded())[2]]
        request = asa_request(card, mcc="5541", event_token=key, status=status, token=f"txn-{key}")
        async with held_back(running, card) as blocker:
            asking = asyncio.create_task(bridge.ask(request, "msg_late"))
            await until_held_back(running, blocker)
            told = await asking
        again = await bridge.ask(request, "msg_late_again")
        assert (again.content, again.json()["result"]) == (told.content, "CARD_PAUSED")
        await bridge.responder.late.rest(WAIT_S)
        row = await row_of(running, f"event:{key}")
        assert row["approved_minor"] > 0
        assert (row["held_minor"], row["settled_minor"] - row["credited_minor"]) == (0, 0)
        balances = [(account_id, balance) for account_id, balance, _ in (await running.recorded())[2]]
        assert balances == before
        assert bridge.counted("late_decisions_unsettled") == 0


@pytest.mark.parametrize(
    "changes",
    [{"currency": "EUR"}, {"currency": "XYZ"}, {"mcc": "food"}, {"created": "2099-01-01T00:00:00Z"}, {"status": "QUASI_CASH"}, {"amount_minor": 2**62}],
    ids=str,
)  # fmt: skip
async def test_what_the_engine_calls_invalid_is_declined_for_certain(
    bridge: Bridge, running: Running, changes: dict[str, Any]
) -> None:
    before = await everything(running)
    answer = await bridge.send(orjson.dumps(asa_request(**changes)))
    assert (answer.status_code, answer.json()) == (200, {"result": "CARD_PAUSED", "token": TOKEN})
    assert bridge.counted("fallbacks", status="INVALID_ARGUMENT") == 1
    assert bridge.counted("uncertain_fallbacks") == 0
    assert await everything(running) == before


async def test_one_key_with_another_body_is_declined_for_certain(bridge: Bridge, running: Running) -> None:
    await bridge.ask(asa_request(event_token="reused"))
    before = await everything(running)
    answer = await bridge.ask(asa_request(event_token="reused", amount_minor=9))
    assert answer.json()["result"] == "CARD_PAUSED"
    assert bridge.counted("fallbacks", status="ALREADY_EXISTS") == 1
    assert await everything(running) == before


async def test_ready_means_that_the_service_behind_is_serving(bridge: Bridge) -> None:
    assert (await bridge.http.get("/readyz")).json() == {"service": "SERVING"}
