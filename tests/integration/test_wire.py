"""The wire contract beyond single decisions: health, reflection, order, Simulate, replays, deadlines, drain."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from authsvc.embedded import Servers
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests.serving import (
    WAIT_S,
    Running,
    held_back,
    next_answer,
    refusal,
    request,
    serving,
    serving_module,
    started,
    until,
    until_held_back,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTHORIZATION = "authsvc.v1.AuthorizationService"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
# In the sample program: a card for every reason that no counter is needed for.
STATIC = {
    "card_nobody": types.REASON_UNKNOWN_CARD,
    "card_demo_suspended_account": types.REASON_ACCOUNT_NOT_ACTIVE,
    "card_demo_suspended_user": types.REASON_USER_NOT_ACTIVE,
    "card_demo_pending": types.REASON_CARD_PENDING,
    "card_demo_inactive": types.REASON_CARD_INACTIVE,
    "card_demo_closed": types.REASON_CARD_CLOSED,
    "card_demo_office": types.REASON_MCC_NOT_ALLOWED,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template) as one:
        yield one


async def health(running: Running, name: str) -> Any:
    stub = health_pb2_grpc.HealthStub(running.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=WAIT_S)).status


def alike(response: pb.AuthorizeResponse) -> pb.AuthorizeResponse:
    """Without what may differ between an answer and its replay."""
    same = pb.AuthorizeResponse()
    same.CopyFrom(response)
    same.ClearField("replayed")
    same.ClearField("elapsed_us")
    return same


# --- health and reflection ------------------------------------------------------------------------------------------


async def test_health_is_told_for_the_server_and_for_the_service(running: Running) -> None:
    for name in ("", AUTHORIZATION):
        await until(lambda name=name: _is(running, name, SERVING))
    stub = health_pb2_grpc.HealthStub(running.channel)
    code, _ = await refusal(stub.Check(health_pb2.HealthCheckRequest(service="authsvc.v1.Nothing")))
    assert code is grpc.StatusCode.NOT_FOUND


async def _is(running: Running, name: str, status: Any) -> bool:
    return await health(running, name) == status


async def test_reflection_names_the_services_and_gives_the_contract(running: Running) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=AUTHORIZATION),
    ]
    listed, described = [answer async for answer in stub.ServerReflectionInfo(iter(asked), timeout=WAIT_S)]
    names = {service.name for service in listed.list_services_response.service}
    assert {AUTHORIZATION, "grpc.health.v1.Health"} <= names
    files = [FileDescriptorProto.FromString(raw) for raw in described.file_descriptor_response.file_descriptor_proto]
    methods = {method.name for file in files for service in file.service for method in service.method}
    assert methods == {"Authorize", "AuthorizeStream", "BatchAuthorize", "Simulate", "GetSpendingPower"}


async def test_reflection_can_be_turned_off(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url, reflection=False) as running:
        stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        assert (await refusal(call.read()))[0] is grpc.StatusCode.UNIMPLEMENTED


# --- streams and batches --------------------------------------------------------------------------------------------


async def test_stream_answers_match_their_requests_by_id(running: Running) -> None:
    sent = [request(amount_minor=index + 1) for index in range(200)]
    results = await running.stream(*sent)
    amounts = {result.request_id: result.response.approved_minor for result in results}
    assert len(results) == 200
    assert amounts == {one.request_id: one.amount_minor for one in sent}


async def test_a_stream_answers_what_is_ready_before_what_came_earlier(running: Running) -> None:
    slow, quick = request("card_demo_small_balance", amount_minor=1), request(amount_minor=-1)
    call = running.stub.AuthorizeStream()
    async with held_back(running, "card_demo_small_balance"):
        await call.write(slow)
        await call.write(quick)
        first = await next_answer(call)
        assert (first.request_id, first.error.field) == (quick.request_id, "amount_minor")
    second = await next_answer(call)
    assert (second.request_id, second.response.decision) == (slow.request_id, types.DECISION_APPROVED)
    await call.done_writing()
    assert await call.code() is grpc.StatusCode.OK


async def test_a_batch_keeps_its_order_with_errors_inside(running: Running) -> None:
    sent = [
        request(),
        request(amount_minor=-1),
        request("card_nobody"),
        request(currency="EUR"),
        request("card_demo_closed"),
        request(request_id=""),
        request(),
    ]
    results = await running.batch(*sent)
    assert [result.request_id for result in results] == [one.request_id for one in sent]
    assert [result.error.field for result in results] == ["", "amount_minor", "", "currency", "", "request_id", ""]
    reasons = [result.response.reason for result in results if result.HasField("response")]
    assert reasons == [
        types.REASON_APPROVED,
        types.REASON_UNKNOWN_CARD,
        types.REASON_CARD_CLOSED,
        types.REASON_APPROVED,
    ]


# --- simulate and explain -------------------------------------------------------------------------------------------


async def test_simulate_answers_as_authorize_does_and_leaves_nothing(running: Running) -> None:
    for card in ("card_demo_daily", "card_demo_small_balance", *STATIC):
        asked = request(card, amount_minor=200, explain=True)
        await running.stub.Simulate(asked)
        before = await running.recorded(), await running.counters(), await running.reservations()
        simulated = await running.stub.Simulate(asked)
        assert (await running.recorded(), await running.counters(), await running.reservations()) == before
        assert simulated.transaction_id == 0
        simulated.transaction_id = (decided := await running.authorize(asked)).transaction_id
        assert alike(simulated) == alike(decided)
        assert not decided.replayed


async def test_simulate_lists_every_check_though_nobody_asked_to_explain(running: Running) -> None:
    response = await running.stub.Simulate(request("card_demo_daily"))
    assert [check.name for check in response.checks] == list(range(1, 10))


@pytest.mark.parametrize(("card", "reason"), STATIC.items(), ids=STATIC.keys())
async def test_an_explanation_lists_nine_checks_in_order_up_to_the_first_that_failed(
    running: Running, card: str, reason: int
) -> None:
    response = await running.authorize(request(card, explain=True))
    assert response.reason == reason
    assert [check.name for check in response.checks] == list(range(1, 10))
    failed = [check for check in response.checks if check.result == types.CHECK_RESULT_FAILED]
    assert failed[0] == response.deciding_check
    before = response.checks[: failed[0].name - 1]
    assert {check.result for check in before} <= {types.CHECK_RESULT_PASSED, types.CHECK_RESULT_SKIPPED}
    assert all(check.text for check in response.checks)


async def test_a_static_decline_that_is_explained_shows_the_counters_too(running: Running) -> None:
    refused = request("card_demo_daily", merchant=types.Merchant(mcc="7995"), explain=True)
    response = await running.authorize(refused)
    assert response.reason == types.REASON_MCC_BLOCKED
    limit = response.checks[types.CHECK_NAME_CARD_LIMIT - 1]
    assert (limit.limit_minor, limit.window) == (20_000, types.WINDOW_DAILY)


async def test_without_explain_only_the_deciding_check_is_told(running: Running) -> None:
    response = await running.authorize(request("card_demo_zero"))
    assert not response.checks
    check = response.deciding_check
    assert (check.name, check.limit_minor, check.used_minor, check.remaining_minor) == (9, 0, 0, 0)


# --- replays --------------------------------------------------------------------------------------------------------


async def test_a_replay_is_equal_but_for_saying_so_and_for_its_time(running: Running) -> None:
    for card in ("card_demo_daily", "card_demo_zero", *STATIC):
        asked = request(card, amount_minor=100, explain=True)
        first = await running.authorize(asked)
        again = await running.authorize(asked)
        (batched,) = await running.batch(asked)
        (streamed,) = await running.stream(asked)
        assert alike(first) == alike(again) == alike(batched.response) == alike(streamed.response)
        assert (first.replayed, again.replayed, streamed.response.replayed) == (False, True, True)


async def test_a_replay_may_ask_for_the_explanation_that_the_first_did_not(running: Running) -> None:
    asked = request("card_demo_zero")
    first = await running.authorize(asked)
    asked.explain = True
    again = await running.authorize(asked)
    assert again.replayed
    assert (len(first.checks), len(again.checks)) == (0, 9)
    assert again.deciding_check == first.deciding_check


async def test_a_replay_after_a_change_of_configuration_still_says_what_was_said(running: Running) -> None:
    asked = request("card_demo_yearly", explain=True)
    first = await running.authorize(asked)
    close = "UPDATE cards SET status = 'closed' WHERE lithic_card_token = 'card_demo_yearly'"
    await running.database.execute(close)
    again = await running.authorize(asked)
    assert alike(again) == alike(first)
    assert (await running.authorize(request("card_demo_yearly"))).reason == types.REASON_CARD_CLOSED


async def test_who_waits_for_an_equal_request_is_answered_though_its_first_sender_is_gone(
    database_url: str, redis_url: str
) -> None:
    async with serving(database_url, redis_url) as running:
        await running.authorize(request())
        twin = request(amount_minor=300)
        async with held_back(running, "card_demo_open") as blocker:
            ahead = asyncio.ensure_future(running.authorize(request()))
            await until_held_back(running, blocker)
            first = running.stub.Authorize(twin)
            await until(lambda: running.service.decider.in_flight == 2)
            second = asyncio.ensure_future(running.authorize(twin))
            await until(lambda: running.service.decider.in_flight == 3)
            first.cancel()
            await until(first.cancelled)
        assert (await second).approved_minor == 300
        await ahead
        assert [row[3] for row in (await running.recorded())[0]] == [1_000, 1_000, 300]
        (counted,) = (await running.counters()).values()
        assert counted["h"] == "2300"


# --- the log ----------------------------------------------------------------------------------------------------------


async def test_each_decision_is_one_line_in_the_log_without_token_or_merchant(
    database_url: str, redis_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    merchant = types.Merchant(mcc="5812", descriptor="A private clinic", acceptor_id="acceptor-77", city="Springfield")
    sent = [request(merchant=merchant), request("card_demo_closed", merchant=merchant), request(amount_minor=-1)]
    async with serving(database_url, redis_url, log_decisions=True) as running:
        await running.batch(*sent)
    text = capfd.readouterr().err
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    told = {line["request_id"]: line["reason"] for line in lines if line.get("event") == "decision"}
    assert told == {sent[0].request_id: "APPROVED", sent[1].request_id: "CARD_CLOSED"}
    for secret in ("card_demo_open", "private clinic", "acceptor-77", "Springfield", "postgresql://"):
        assert secret not in text


# --- deadlines and drain --------------------------------------------------------------------------------------------


async def test_a_request_whose_deadline_passes_before_its_turn_is_not_recorded(
    database_url: str, redis_url: str
) -> None:
    async with serving(database_url, redis_url, default_deadline_ms=300) as running:
        assert (await running.authorize(request())).decision == types.DECISION_APPROVED
        async with held_back(running, "card_demo_open") as blocker:
            ahead = asyncio.ensure_future(running.authorize(request()))
            await until_held_back(running, blocker)
            code, _ = await refusal(running.authorize(request(), timeout_s=0.2))
            assert code is grpc.StatusCode.DEADLINE_EXCEEDED
            call = running.stub.AuthorizeStream()
            await call.write(request())
            await until(lambda: running.service.decider.in_flight == 3)
            clock = running.service.clock
            sent_s = clock.monotonic_s()
            await until(lambda: clock.monotonic_s() > sent_s + 0.3)
        assert (await ahead).decision == types.DECISION_APPROVED
        result = await next_answer(call)
        assert result.error.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
        await until(lambda: not running.service.decider.in_flight)
        assert [row[3] for row in (await running.recorded())[0]] == [1_000, 1_000]
        (counted,) = (await running.counters()).values()
        assert counted["h"] == "2000"
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK


async def test_drain_answers_what_is_in_flight_and_ends_streams_cleanly(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url) as running:
        stream = running.stub.AuthorizeStream()
        await stream.write(request(amount_minor=1))
        assert (await next_answer(stream)).response.decision == types.DECISION_APPROVED
        async with held_back(running, "card_demo_open") as blocker:
            unary = asyncio.ensure_future(running.authorize(request()))
            await until_held_back(running, blocker)
            await stream.write(request(amount_minor=2))
            await until(lambda: running.service.decider.in_flight == 2)
            running.stop.set()
            await until(lambda: _turned_away(running))
            # Draining, and nothing can be committed yet: what was taken is waited for.
            assert not running.serving.done()
        assert (await unary).decision == types.DECISION_APPROVED
        assert (await next_answer(stream)).response.approved_minor == 2
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
        await asyncio.wait_for(running.serving, WAIT_S)
        assert (await refusal(running.authorize(request(), timeout_s=1)))[0] is not grpc.StatusCode.OK
        assert [row[3] for row in (await running.recorded())[0]] == [1, 1_000, 2]


async def test_a_batch_whose_callers_are_gone_ends_before_the_connections_under_it(
    database_url: str, redis_url: str
) -> None:
    async with serving(database_url, redis_url) as running:
        await running.authorize(request())
        async with held_back(running, "card_demo_open") as blocker:
            gone = running.stub.Authorize(request())
            await until_held_back(running, blocker)
            waiting = running.stub.Authorize(request())
            await until(lambda: running.service.decider.in_flight == 2)
            gone.cancel()
            waiting.cancel()
            running.stop.set()
            await until(lambda: _turned_away(running))
            # There is no call left to wait for, yet it waits: as long as the commit cannot end.
            await asyncio.wait([running.serving], timeout=0.5)
            assert not running.serving.done()
        await asyncio.wait_for(running.serving, WAIT_S)
        # The one that was being committed is committed, the other was dropped; the counters agree.
        assert [row[3] for row in (await running.recorded())[0]] == [1_000, 1_000]
        (counted,) = (await running.counters()).values()
        assert counted["h"] == "2000"


async def _turned_away(running: Running) -> bool:
    """A server that drains says so, or takes no more questions."""
    try:
        return await health(running, "") == NOT_SERVING
    except grpc.aio.AioRpcError:
        return True


async def test_a_drained_service_leaves_no_connection_behind(
    database_url: str, redis_url: str, running: Running
) -> None:
    async with started(database_url, redis_url):
        assert await _connections(running, database_url) >= 4
    await until(lambda: _none_left(running, database_url))


async def _connections(running: Running, database_url: str) -> int:
    name = urlsplit(database_url).path.strip("/")
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'authsvc%'"
    return int(await running.database.fetchval(query, name))


async def _none_left(running: Running, database_url: str) -> bool:
    return await _connections(running, database_url) == 0
