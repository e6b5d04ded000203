"""What nobody should send, and what the service says to it: the documented status, the field named, nothing recorded."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from authsvc.embedded import Servers
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests.serving import (
    Running,
    held_back,
    in_future,
    next_answer,
    refusal,
    request,
    serving,
    serving_module,
    until,
    until_held_back,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID, EXISTS = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS
EXHAUSTED, INTERNAL = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL
SERVICE = "/authsvc.v1.AuthorizationService"
BROKEN = {"wire type": b"\xff\xff\xff\xff", "length": b"\x0a\x7fx", "UTF-8": b"\x0a\x02\xc3\x28"}
# Words of the inside that no caller may read.
INSIDE = ("select", "insert", "asyncpg", "redis", "protobuf", "traceback", "exception", "authsvc.", "/")


def merchant(**changes: Any) -> dict[str, Any]:
    return {"merchant": types.Merchant(**({"mcc": "5812"} | changes))}


def moment(seconds: int, nanos: int = 0) -> dict[str, Any]:
    return {"transacted_at": Timestamp(seconds=seconds, nanos=nanos)}


BAD = {
    "a missing request_id": ({"request_id": ""}, "request_id"),
    "an oversized request_id": ({"request_id": "x" * 129}, "request_id"),
    "a request_id with a line break": ({"request_id": "a\nb"}, "request_id"),
    "a request_id with a delete character": ({"request_id": "a\x7fb"}, "request_id"),
    "a request_id beyond ASCII": ({"request_id": "é"}, "request_id"),
    "an oversized transaction_token": ({"transaction_token": "x" * 129}, "transaction_token"),
    "a transaction_token with a tab": ({"transaction_token": "a\tb"}, "transaction_token"),
    "a missing card_token": ({"card_token": ""}, "card_token"),
    "an oversized card_token": ({"card_token": "x" * 256}, "card_token"),
    "a missing kind": ({"kind": 0}, "kind"),
    "an unknown kind": ({"kind": 99}, "kind"),
    "a negative amount": ({"amount_minor": -1}, "amount_minor"),
    "an absent amount": ({"amount_minor": None}, "amount_minor"),
    "an amount of 100,000,000.00": ({"amount_minor": 10_000_000_000}, "amount_minor"),
    "the largest amount of the wire": ({"amount_minor": 2**63 - 1}, "amount_minor"),
    "a negative hold": ({"hold_minor": -1}, "hold_minor"),
    "a hold of 100,000,000.00": ({"hold_minor": 10_000_000_000}, "hold_minor"),
    "a missing currency": ({"currency": ""}, "currency"),
    "an unknown currency": ({"currency": "USX"}, "currency"),
    "a currency in small letters": ({"currency": "usd"}, "currency"),
    "another currency than the account's": ({"currency": "EUR"}, "currency"),
    "a missing merchant": ({"merchant": None}, "merchant"),
    "a missing mcc": (merchant(mcc=""), "merchant.mcc"),
    "an mcc of three digits": (merchant(mcc="581"), "merchant.mcc"),
    "an mcc of five digits": (merchant(mcc="58120"), "merchant.mcc"),
    "an mcc with a letter": (merchant(mcc="58l2"), "merchant.mcc"),
    "an mcc of digits that are not ASCII": (merchant(mcc="５８１２"), "merchant.mcc"),
    "an mcc with a line break": (merchant(mcc="5812\n"), "merchant.mcc"),
    "a country of two letters": (merchant(country="US"), "merchant.country"),
    "a merchant's currency in small letters": (merchant(currency="usd"), "merchant.currency"),
    "a negative merchant's amount": (merchant(amount_minor=-1), "merchant.amount_minor"),
    "an oversized acceptor id": (merchant(acceptor_id="x" * 65), "merchant.acceptor_id"),
    "an oversized descriptor": (merchant(descriptor="x" * 256), "merchant.descriptor"),
    "a descriptor with a record separator": (merchant(descriptor="a\x1eb"), "merchant.descriptor"),
    "a descriptor with a field separator": (merchant(descriptor="a\x1fb"), "merchant.descriptor"),
    "a city with a null character": (merchant(city="a\0b"), "merchant.city"),
    "an oversized state": (merchant(state="x" * 65), "merchant.state"),
    "a missing transacted_at": ({"transacted_at": None}, "transacted_at"),
    "a timestamp before 1970": (moment(-1), "transacted_at"),
    "a timestamp after the calendar's end": (moment(2**62), "transacted_at"),
    "a timestamp of too many nanoseconds": (moment(1_700_000_000, 1_000_000_000), "transacted_at"),
    "a timestamp of negative nanoseconds": (moment(1_700_000_000, -1), "transacted_at"),
    "a timestamp far ahead": ({"transacted_at": in_future(days=1)}, "transacted_at"),
    "an unknown entry mode": ({"entry_mode": 99}, "entry_mode"),
    "an unknown network": ({"network": 99}, "network"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def untouched(running: Running) -> AsyncIterator[None]:
    """Nothing is recorded and no counter moves in the test; and the service still decides after it."""
    await running.authorize(request())
    before = await running.recorded(), await running.counters(), await running.reservations()
    yield
    assert (await running.recorded(), await running.counters(), await running.reservations()) == before
    assert (await running.authorize(request())).decision == types.DECISION_APPROVED


@pytest.mark.parametrize(("changes", "field"), BAD.values(), ids=BAD.keys())
async def test_a_bad_field_is_refused_by_its_name_and_leaves_nothing(
    running: Running, untouched: None, changes: dict[str, Any], field: str
) -> None:
    bad = request(**changes)
    code, text = await refusal(running.authorize(bad))
    assert code is INVALID
    assert text.startswith(f"{field}: ")
    assert not any(word in text.lower() for word in INSIDE)
    assert await refusal(running.stub.Simulate(bad)) == (INVALID, text)
    (streamed,), (batched,) = await running.stream(bad), await running.batch(bad)
    assert streamed == batched
    assert streamed.request_id == bad.request_id
    assert (streamed.error.code, streamed.error.field, streamed.error.message) == (INVALID.value[0], field, text)


async def test_an_amount_of_the_most_that_fits_is_a_decision_and_not_an_error(running: Running) -> None:
    response = await running.authorize(request(amount_minor=9_999_999_999))
    assert response.reason == types.REASON_INSUFFICIENT_FUNDS


async def test_a_timestamp_four_minutes_ahead_is_accepted(running: Running) -> None:
    response = await running.authorize(request(transacted_at=in_future(minutes=4)))
    assert response.decision == types.DECISION_APPROVED


async def test_the_longest_request_id_is_accepted(running: Running) -> None:
    longest = "~" * 128
    assert (await running.authorize(request(request_id=longest))).request_id == longest


async def test_every_field_at_its_longest_is_recorded_as_it_was_sent(running: Running) -> None:
    words = {"acceptor_id": "a" * 64, "descriptor": "é" * 255, "city": "c" * 64, "state": "s" * 64, "country": "USA"}
    money = {"amount_minor": 2**63 - 1, "currency": "JPY"}
    sent = request(transaction_token="t" * 128, **merchant(**words, **money))
    response = await running.authorize(sent)
    row = await running.database.fetchrow("SELECT * FROM transactions WHERE id = $1", response.transaction_id)
    names = ("id", "name", "city", "state", "country", "amount_minor", "currency")
    assert [row[f"merchant_{name}"] for name in names] == [*words.values(), *money.values()]
    assert row["lithic_transaction_token"] == sent.transaction_token


async def test_a_message_of_10_mb_is_refused_as_too_large(running: Running, untouched: None) -> None:
    large = request(merchant=types.Merchant(mcc="5812", descriptor="x" * 10_000_000))
    code, _ = await refusal(running.authorize(large))
    assert code is EXHAUSTED


async def test_a_message_of_10_mb_ends_its_stream_only(running: Running) -> None:
    other = running.stub.AuthorizeStream()
    await other.write(request())
    assert (await next_answer(other)).response.decision == types.DECISION_APPROVED
    call = running.stub.AuthorizeStream()
    await call.write(request())
    assert (await next_answer(call)).response.decision == types.DECISION_APPROVED
    await call.write(request(merchant=types.Merchant(mcc="5812", descriptor="x" * 10_000_000)))
    assert await call.code() is EXHAUSTED
    await other.write(request())
    assert (await next_answer(other)).response.decision == types.DECISION_APPROVED
    other.cancel()


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("method", ["Authorize", "BatchAuthorize", "Simulate", "GetSpendingPower"])
async def test_malformed_bytes_are_an_invalid_argument(
    running: Running, untouched: None, method: str, broken: bytes
) -> None:
    # A field of each message's own is broken too: number 1 is a text in some and a message in others.
    code, text = await refusal(running.channel.unary_unary(f"{SERVICE}/{method}")(broken))
    assert code is INVALID
    assert text.startswith("message: is not a readable ")
    assert not any(word in text.lower() for word in INSIDE)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_malformed_bytes_on_a_stream_are_answered_and_the_stream_goes_on(running: Running, broken: bytes) -> None:
    good = [request(), request()]
    sent = [good[0].SerializeToString(), broken, good[1].SerializeToString()]
    call = running.channel.stream_stream(f"{SERVICE}/AuthorizeStream")(iter(sent))
    results = [result async for answer in call for result in pb.AuthorizeResults.FromString(answer).results]
    assert sorted(result.request_id for result in results) == ["", *sorted(one.request_id for one in good)]
    (refused,) = [result for result in results if result.HasField("error")]
    assert (refused.error.code, refused.error.field) == (INVALID.value[0], "message")
    assert await call.code() is grpc.StatusCode.OK


async def test_a_request_id_with_another_body_already_exists(running: Running) -> None:
    first = request()
    await running.authorize(first)
    before = await running.recorded(), await running.counters(), await running.reservations()
    for changes in (
        {"amount_minor": 1_001},
        {"card_token": "card_demo_daily"},
        {"card_token": "card_nobody"},
        moment(1),
    ):
        other = pb.AuthorizeRequest()
        other.CopyFrom(first)
        other.MergeFrom(pb.AuthorizeRequest(**changes))
        assert (await refusal(running.authorize(other)))[0] is EXISTS
        (result,) = await running.stream(other)
        assert result.error.code == EXISTS.value[0]
    assert (await running.recorded())[:2] == before[0][:2]
    assert await running.reservations() == before[2]
    # Counters of another card may have been loaded meanwhile; none that was there has moved.
    after = await running.counters()
    assert all(after[key].items() >= fields.items() for key, fields in before[1].items())


async def test_a_request_id_of_an_unknown_cards_refusal_already_exists_too(running: Running) -> None:
    first = request("card_nobody")
    assert (await running.authorize(first)).reason == types.REASON_UNKNOWN_CARD
    await running.authorize(request())
    before = await running.recorded(), await running.counters(), await running.reservations()
    code, _ = await refusal(running.authorize(request(request_id=first.request_id)))
    assert code is EXISTS
    assert (await running.recorded(), await running.counters(), await running.reservations()) == before


async def test_of_two_bodies_sent_at_once_one_is_decided_and_one_already_exists(running: Running) -> None:
    await running.authorize(request())
    before = await running.counters()
    twin = request(amount_minor=700)
    other = request(amount_minor=700, request_id=twin.request_id, partial_approval_capable=True)
    results = await running.batch(twin, other, twin, other)
    assert [result.error.code for result in results] == [0, EXISTS.value[0], 0, EXISTS.value[0]]
    assert [result.response.replayed for result in (results[0], results[2])] == [False, True]
    (key,) = [key for key, fields in before.items() if int(fields["h"])][:1]
    assert int((await running.counters())[key]["h"]) - int(before[key]["h"]) == 700


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_must_hold_1_to_1000_requests(running: Running, untouched: None, count: int) -> None:
    requests = [request() for _ in range(count)]
    code, text = await refusal(running.stub.BatchAuthorize(pb.BatchAuthorizeRequest(requests=requests)))
    assert (code, text) == (INVALID, "requests: must hold 1 to 1000 requests")


async def test_a_batch_of_1000_is_decided(running: Running) -> None:
    results = await running.batch(*[request(amount_minor=1) for _ in range(1_000)])
    assert {result.response.decision for result in results} == {types.DECISION_APPROVED}


async def test_of_a_thousand_and_one_streams_the_last_is_refused_and_the_others_work(running: Running) -> None:
    calls = [running.stub.AuthorizeStream() for _ in range(1_000)]
    for call in calls:
        await call.write(request(amount_minor=1))
    answers = await asyncio.gather(*(next_answer(call) for call in calls))
    assert {answer.response.decision for answer in answers} == {types.DECISION_APPROVED}
    assert (await refusal(running.stub.AuthorizeStream(iter([request()])).read()))[0] is EXHAUSTED
    await calls[0].write(request())
    assert (await next_answer(calls[0])).response.decision == types.DECISION_APPROVED
    for call in calls:
        await call.done_writing()
    assert {await call.code() for call in calls} == {grpc.StatusCode.OK}
    (result,) = await running.stream(request())
    assert result.response.decision == types.DECISION_APPROVED


async def test_an_answer_may_be_larger_than_the_largest_message_accepted(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url, message_max_bytes=1_024) as running:
        results = await running.batch(*[request("card_demo_travel", explain=True) for _ in range(5)])
        assert {len(result.response.checks) for result in results} == {9}
        code, _ = await refusal(running.stub.BatchAuthorize(pb.BatchAuthorizeRequest(requests=[request()] * 20)))
        assert code is EXHAUSTED


async def held(running: Running, account_id: int) -> tuple[int, int]:
    """Open holds of an account by the database and by the counters."""
    query = "SELECT coalesce(sum(held_minor), 0)::bigint FROM transactions WHERE account_id = $1"
    counted = await running.counters()
    (mine,) = [fields for key, fields in counted.items() if key.startswith(f"authsvc:{{{account_id}}}:")]
    return await running.database.fetchval(query, account_id), int(mine["h"])


VANISHING = """
import sys, time, grpc
channel = grpc.insecure_channel(sys.argv[1])
messages = [bytes.fromhex(line) for line in sys.stdin.read().split()]
def sending():
    yield from messages
    time.sleep(600)
call = channel.stream_stream("/authsvc.v1.AuthorizationService/AuthorizeStream")(sending())
for answer in call: pass
"""


async def test_requests_of_a_client_that_is_killed_are_counted_exactly(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url) as running:
        assert (await running.authorize(request())).decision == types.DECISION_APPROVED
        async with held_back(running, "card_demo_open") as blocker:
            ahead = asyncio.ensure_future(running.authorize(request()))
            await until_held_back(running, blocker)
            # The batch of `ahead` is under way; all of these wait for the next one.
            command = [sys.executable, "-c", VANISHING, running.address]
            with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as client:
                assert client.stdin is not None
                client.stdin.write("\n".join(request().SerializeToString().hex() for _ in range(50)))
                client.stdin.close()
                await until(lambda: running.service.decider.in_flight == 51)
                client.kill()
            await until(lambda: not running.service.servicer.streams_open)
        assert (await ahead).decision == types.DECISION_APPROVED
        await until(lambda: not running.service.decider.in_flight)
        assert await held(running, 1) == (2_000, 2_000)
        assert len(await running.reservations()) == 2
        assert (await running.authorize(request())).decision == types.DECISION_APPROVED


async def test_requests_of_a_stream_that_is_cancelled_are_counted_exactly(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url) as running:
        assert (await running.authorize(request())).decision == types.DECISION_APPROVED
        call = running.stub.AuthorizeStream()
        async with held_back(running, "card_demo_open") as blocker:
            await call.write(request())
            await until_held_back(running, blocker)
            for _ in range(20):
                await call.write(request())
            await until(lambda: running.service.decider.in_flight == 21)
            call.cancel()
            await until(lambda: not running.service.servicer.streams_open)
        await until(lambda: not running.service.decider.in_flight)
        # What was being committed is committed, the others are not.
        assert await held(running, 1) == (2_000, 2_000)
        assert (await running.authorize(request())).decision == types.DECISION_APPROVED


async def test_beyond_what_may_be_in_flight_requests_are_refused_at_once(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url, requests_in_flight_max=4) as running:
        async with held_back(running, "card_demo_open"):
            ahead = [asyncio.ensure_future(running.authorize(request())) for _ in range(4)]
            await until(lambda: running.service.decider.in_flight == 4)
            # Answered while nothing can move: they did not wait.
            assert (await refusal(running.authorize(request())))[0] is EXHAUSTED
            assert {result.error.code for result in await running.batch(request(), request())} == {EXHAUSTED.value[0]}
            assert {result.error.code for result in await running.stream(request())} == {EXHAUSTED.value[0]}
        assert {(await one).decision for one in ahead} == {types.DECISION_APPROVED}
        assert await held(running, 1) == (4_000, 4_000)
        assert len((await running.recorded())[0]) == 4


async def test_an_internal_error_says_nothing_but_that(database_url: str, redis_url: str) -> None:
    settings = {"reaper_grace_ms": 10, "reaper_interval_ms": 10}
    async with serving(database_url, redis_url, **settings) as running:
        assert (await running.authorize(request())).decision == types.DECISION_APPROVED
        await running.database.execute("ALTER TABLE request_keys RENAME COLUMN fingerprint TO moved_away")
        assert await refusal(running.authorize(request())) == (INTERNAL, "internal error")
        (streamed,) = await running.stream(request())
        assert (streamed.error.code, streamed.error.message) == (INTERNAL.value[0], "internal error")
        await running.database.execute("ALTER TABLE request_keys RENAME COLUMN moved_away TO fingerprint")
        assert (await running.authorize(request())).decision == types.DECISION_APPROVED

        async def healed() -> bool:
            counters = await running.counters()
            return bool(counters) and all("h" not in fields or fields["h"] == "2000" for fields in counters.values())

        await until(healed)
