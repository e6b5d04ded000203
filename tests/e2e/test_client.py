"""The client against the running service: many at once, lost connections, deadlines, retries that count once."""

import asyncio
import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from authsvc.client import AuthorizationClient, ClientError, DeadlineExceeded
from rules.reasons import CheckName, Decision, Reason

CARD = "card_demo_open"
MERCHANT = {"mcc": "5812", "descriptor": "Noodle Lane"}


async def used_minor(client: AuthorizationClient, card: str) -> int:
    """What the card's own limit counts as used now."""
    power = await client.spending_power(card, timeout_s=10)
    return power.limits[-1].used_minor


async def test_each_of_many_callers_at_once_gets_the_answer_to_its_own_request(client: AuthorizationClient) -> None:
    ids = [f"many-{number}" for number in range(300)]
    answers = await asyncio.gather(
        *(
            client.authorize(
                request_id=name, card_token=CARD, amount_minor=100 + number, merchant=MERCHANT, timeout_s=10
            )
            for number, name in enumerate(ids)
        )
    )
    assert [answer.request_id for answer in answers] == ids
    assert [answer.approved_minor for answer in answers] == list(range(100, 400))


async def test_two_callers_with_one_request_at_once_both_get_the_answer_and_it_counts_once(
    client: AuthorizationClient,
) -> None:
    before = await used_minor(client, "card_demo_yearly")
    request = client.request(card_token="card_demo_yearly", amount_minor=700, merchant=MERCHANT)
    answers = await asyncio.gather(*(client.authorize(request, timeout_s=10) for _ in range(5)))
    assert {answer.transaction_id for answer in answers} == {answers[0].transaction_id}
    assert {answer.approved_minor for answer in answers} == {700}
    assert await used_minor(client, "card_demo_yearly") == before + 700


async def test_two_bodies_under_one_request_id_at_once_get_one_decision_and_one_refusal(
    client: AuthorizationClient,
) -> None:
    bodies = [
        client.request(request_id="two-bodies", card_token=CARD, amount_minor=amount, merchant=MERCHANT)
        for amount in (100, 200)
    ]
    outcomes = await asyncio.gather(*(client.authorize(body, timeout_s=10) for body in bodies), return_exceptions=True)
    [refused] = [outcome for outcome in outcomes if isinstance(outcome, ClientError)]
    [decided] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert refused.code == "ALREADY_EXISTS"
    assert decided.approved_minor == bodies[outcomes.index(decided)].amount_minor


@pytest.mark.parametrize("call", ["authorize", "simulate"])
async def test_a_request_that_is_wrong_is_told_with_its_field(client: AuthorizationClient, call: str) -> None:
    with pytest.raises(ClientError) as caught:
        await getattr(client, call)(card_token=CARD, amount_minor=100, merchant={"mcc": "58"}, timeout_s=10)
    assert (caught.value.code, caught.value.field) == ("INVALID_ARGUMENT", "merchant.mcc")
    assert "four digits" in caught.value.message


async def test_a_request_that_could_break_the_stream_is_refused_before_it_is_sent(client: AuthorizationClient) -> None:
    with pytest.raises(ClientError, match="larger than") as caught:
        await client.authorize(card_token=CARD, amount_minor=1, merchant={"mcc": "5812", "descriptor": "x" * 2_000_000})
    assert caught.value.code == "RESOURCE_EXHAUSTED"
    answer = await client.authorize(card_token=CARD, amount_minor=100, merchant=MERCHANT, timeout_s=10)
    assert answer.decision == Decision.APPROVED


async def test_a_batch_keeps_its_order_and_holds_each_error_in_its_place(client: AuthorizationClient) -> None:
    requests = [
        client.request(card_token=CARD, amount_minor=100, merchant=MERCHANT),
        client.request(card_token=CARD, amount_minor=-1, merchant=MERCHANT),
        client.request(card_token="card_demo_closed", amount_minor=300, merchant=MERCHANT),
    ]
    first, second, third = await client.batch(requests, timeout_s=10)
    assert (first.request_id, first.approved_minor) == (requests[0].request_id, 100)
    assert isinstance(second, ClientError)
    assert (second.code, second.field) == ("INVALID_ARGUMENT", "amount_minor")
    assert (third.request_id, third.reason) == (requests[2].request_id, Reason.CARD_CLOSED)


async def test_simulating_lists_every_check_and_leaves_no_trace(client: AuthorizationClient) -> None:
    before = await used_minor(client, "card_demo_new_york")
    answer = await client.simulate(
        card_token="card_demo_new_york", amount_minor=99_900, merchant=MERCHANT, timeout_s=10
    )
    assert [check.name for check in answer.checks] == list(CheckName)
    assert (answer.decision, answer.transaction_id) == (Decision.APPROVED, 0)
    assert await used_minor(client, "card_demo_new_york") == before


async def test_the_spending_power_of_a_card_that_does_not_exist_is_not_found(client: AuthorizationClient) -> None:
    with pytest.raises(ClientError) as caught:
        await client.spending_power("card_demo_nobody_knows", timeout_s=10)
    assert caught.value.code == "NOT_FOUND"


async def test_spending_power_is_told_for_the_windows_of_the_instant_asked_for(client: AuthorizationClient) -> None:
    power = await client.spending_power("card_demo_new_york", at=datetime(2024, 2, 29, 12, tzinfo=UTC), timeout_s=10)
    [limit] = power.limits
    assert limit.reset_time.ToDatetime(UTC) == datetime(2024, 3, 1, 5, tzinfo=UTC)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        AuthorizationClient("127.0.0.1:1").request(transacted_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_what_a_request_leaves_out_is_filled_in_from_the_clock_and_by_chance() -> None:
    class Clock:
        def now_us(self) -> int:
            return 1_700_000_000_000_000

        def monotonic_s(self) -> float:
            return 0.0

    client = AuthorizationClient("127.0.0.1:1", clock=Clock())
    first, second = client.request(), client.request_from_json('{"amountMinor": "5"}')
    assert first.transacted_at.ToMicroseconds() == 1_700_000_000_000_000
    assert first.request_id != second.request_id
    assert (second.amount_minor, second.currency) == (5, "USD")


def test_json_that_is_no_request_is_an_invalid_argument() -> None:
    with pytest.raises(ClientError) as caught:
        AuthorizationClient("127.0.0.1:1").request_from_json('{"amount": 5}')
    assert caught.value.code == "INVALID_ARGUMENT"


async def test_where_nobody_listens_the_deadline_ends_the_wait() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{closed.getsockname()[1]}"
        async with AuthorizationClient(target, connections=1) as client:
            with pytest.raises(DeadlineExceeded, match=target):
                await client.authorize(card_token=CARD, amount_minor=100, merchant=MERCHANT, timeout_s=0.3)
            with pytest.raises(ClientError) as caught:
                await client.health(timeout_s=5)
    assert caught.value.code == "UNAVAILABLE"


async def test_requests_that_a_killed_server_did_not_answer_are_answered_by_the_next_one_and_count_once(
    start_service: Callable[[], Any],
) -> None:
    service = start_service()
    async with AuthorizationClient(service.target, connections=3) as client:
        before = await used_minor(client, "card_demo_software")
        merchant = {"mcc": "7372"}
        first = [
            asyncio.create_task(
                client.authorize(card_token="card_demo_software", amount_minor=100, merchant=merchant, timeout_s=60)
            )
            for _ in range(60)
        ]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        service.kill()
        second = [
            asyncio.create_task(
                client.authorize(card_token="card_demo_software", amount_minor=100, merchant=merchant, timeout_s=60)
            )
            for _ in range(10)
        ]
        await asyncio.to_thread(service.start)
        answers = await asyncio.gather(*first, *second)
        assert {answer.decision for answer in answers} == {Decision.APPROVED}
        assert await used_minor(client, "card_demo_software") == before + 70 * 100
    assert service.stop() == 0


async def test_a_drained_server_leaves_no_request_without_an_answer(start_service: Callable[[], Any]) -> None:
    service = start_service()
    async with AuthorizationClient(service.target, connections=2) as client:
        asked = [
            asyncio.create_task(client.authorize(card_token=CARD, amount_minor=100, merchant=MERCHANT, timeout_s=60))
            for _ in range(100)
        ]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert await asyncio.to_thread(service.stop) == 0
        await asyncio.to_thread(service.start)
        answers = await asyncio.gather(*asked)
    assert {answer.decision for answer in answers} == {Decision.APPROVED}
    assert len({answer.transaction_id for answer in answers}) == 100


async def test_an_answer_that_comes_too_late_is_dropped_and_the_retry_tells_it_and_counts_once(
    start_service: Callable[[], Any],
) -> None:
    service = start_service()
    async with AuthorizationClient(service.target, connections=1) as client:
        before = await used_minor(client, "card_demo_lifetime")
        await client.authorize(card_token=CARD, amount_minor=100, merchant=MERCHANT, timeout_s=10)
        request = client.request(card_token="card_demo_lifetime", amount_minor=100, merchant=MERCHANT)
        service.signal(signal.SIGSTOP)
        try:
            with pytest.raises(DeadlineExceeded):
                await client.authorize(request, timeout_s=0.2)
        finally:
            service.signal(signal.SIGCONT)
        answer = await client.authorize(request, timeout_s=10)
        other = await client.authorize(card_token=CARD, amount_minor=250, merchant=MERCHANT, timeout_s=10)
        assert (answer.request_id, answer.approved_minor, other.approved_minor) == (request.request_id, 100, 250)
        assert await used_minor(client, "card_demo_lifetime") == before + 100
    assert service.stop() == 0


async def test_messages_about_a_transaction_go_through_the_client_one_by_one_and_together(
    client: AuthorizationClient,
) -> None:
    swipe = await client.authorize(card_token=CARD, amount_minor=2_000, merchant=MERCHANT, timeout_s=10)
    messages = [
        client.event(kind="EVENT_KIND_CLEARING", transaction_id=swipe.transaction_id, amount_minor=500),
        client.event(kind="EVENT_KIND_CLEARING", transaction_id=swipe.transaction_id),
    ]
    cleared, refused = await client.apply_events(messages, timeout_s=10)
    assert (cleared.event_id, cleared.held_minor, cleared.settled_minor) == (messages[0].event_id, 1_500, 500)
    assert isinstance(refused, ClientError)
    assert (refused.code, refused.field) == ("INVALID_ARGUMENT", "amount_minor")
    reversed_ = await client.apply_event(kind="EVENT_KIND_REVERSAL", transaction_id=swipe.transaction_id, timeout_s=10)
    assert (reversed_.held_minor, reversed_.settled_minor) == (0, 500)
    known = await client.transaction(swipe.transaction_id, timeout_s=10)
    assert [event.event_id for event in known.events] == [messages[0].event_id, reversed_.event_id]
    with pytest.raises(ClientError) as caught:
        await client.transaction(transaction_token="txn-unheard-of", timeout_s=10)
    assert caught.value.code == "NOT_FOUND"
