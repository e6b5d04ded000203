"""Who travels together: the client against a small gRPC server that answers when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from authsvc.client import AuthorizationClient, ClientError, DeadlineExceeded
from authsvc.client import departures as departures_module
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import authorization_pb2_grpc
from tests.waiting import until_clear

WAIT_S = 20.0


class Service(authorization_pb2_grpc.AuthorizationServiceServicer):
    """Remembers who came together; holds back whatever has a card named `held` until `gate` opens."""

    def __init__(self, together_max: int) -> None:
        self.calls: list[list[str]] = []
        self.gate = asyncio.Event()
        self.deadlines_s: list[float] = []
        self._together_max = together_max

    async def Authorize(self, request, context):  # noqa: N802  (gRPC's names)
        await self._take([request], context)
        if request.card_token == "refused":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "card_token: is not one")
        return pb.AuthorizeResponse(request_id=request.request_id)

    async def BatchAuthorize(self, request, context):  # noqa: N802
        await self._take(request.requests, context)
        if len(request.requests) > self._together_max:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max")
        return pb.BatchAuthorizeResponse(results=[self._result(one) for one in request.requests])

    async def _take(self, requests, context) -> None:
        self.calls.append([one.request_id for one in requests])
        self.deadlines_s.append(context.time_remaining())
        if any(one.card_token == "held" for one in requests):
            await self.gate.wait()

    def _result(self, one: pb.AuthorizeRequest) -> pb.AuthorizeResult:
        if one.card_token == "refused":
            error = pb.Error(code=3, message="is not one", field="card_token")
            return pb.AuthorizeResult(request_id=one.request_id, error=error)
        return pb.AuthorizeResult(request_id=one.request_id, response=pb.AuthorizeResponse(request_id=one.request_id))


@asynccontextmanager
async def talking(
    together_max: int = 1_000, connections: int = 1
) -> AsyncIterator[tuple[AuthorizationClient, Service]]:
    service, server = Service(together_max), grpc.aio.server()
    authorization_pb2_grpc.add_AuthorizationServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with AuthorizationClient(f"127.0.0.1:{port}", connections=connections) as client:
            yield client, service
    finally:
        service.gate.set()
        await server.stop(0)


def ask(client: AuthorizationClient, name: str, card: str = "open", timeout_s: float = WAIT_S):
    return asyncio.create_task(client.authorize(request_id=name, card_token=card, timeout_s=timeout_s))


async def departed(service: Service, count: int) -> None:
    async def missing() -> bool:
        return len(service.calls) < count

    await until_clear(missing, WAIT_S)


async def test_what_is_asked_at_once_travels_together_and_each_gets_its_own_answer() -> None:
    async with talking() as (client, service):
        names = [f"r{number}" for number in range(300)]
        answers = await asyncio.gather(*(ask(client, name) for name in names))
        assert [answer.request_id for answer in answers] == names
        assert [len(call) for call in service.calls] == [departures_module.TOGETHER_MAX, 44]


async def test_one_alone_is_told_its_error_as_one_of_many_is() -> None:
    async with talking() as (client, service):
        with pytest.raises(ClientError) as alone:
            await ask(client, "alone", "refused")
        outcomes = await asyncio.gather(ask(client, "x", "refused"), ask(client, "y"), return_exceptions=True)
        assert [len(call) for call in service.calls] == [1, 2]
    assert (alone.value.code, alone.value.field) == ("INVALID_ARGUMENT", "card_token")
    assert (outcomes[0].code, outcomes[0].field) == ("INVALID_ARGUMENT", "card_token")
    assert outcomes[1].request_id == "y"


async def test_a_call_that_takes_long_does_not_hold_up_those_who_come_after_it() -> None:
    async with talking() as (client, service):
        held = ask(client, "held", "held")
        await departed(service, 1)
        assert (await ask(client, "free")).request_id == "free"
        assert not held.done()
        service.gate.set()
        assert (await held).request_id == "held"


async def test_each_is_given_up_at_its_own_time_and_those_of_other_times_travel_apart() -> None:
    async with talking(connections=2) as (client, service):
        brief, patient = ask(client, "brief", "held", timeout_s=0.5), ask(client, "patient", "held")
        with pytest.raises(DeadlineExceeded, match=r"within 0\.5 s"):
            await brief
        await departed(service, 2)
        assert sorted(service.calls) == [["brief"], ["patient"]]
        # gRPC may tell a little more than is left.
        assert min(service.deadlines_s) < 0.6 < max(service.deadlines_s)
        service.gate.set()
        assert (await patient).request_id == "patient"


async def test_what_is_too_large_together_is_asked_one_by_one() -> None:
    async with talking(together_max=1) as (client, service):
        answers = await asyncio.gather(*(ask(client, name) for name in "abc"))
        assert [answer.request_id for answer in answers] == ["a", "b", "c"]
        assert sorted(service.calls) == [["a"], ["a", "b", "c"], ["b"], ["c"]]


async def test_after_the_client_is_closed_nobody_leaves_and_who_waits_is_told_at_the_deadline() -> None:
    async with talking() as (client, service):
        under_way = ask(client, "under way", "held", timeout_s=0.5)
        await departed(service, 1)
        waiting = ask(client, "waiting", timeout_s=0.5)
        await asyncio.sleep(0)
    for one in (under_way, waiting):
        with pytest.raises(DeadlineExceeded):
            await one
    assert service.calls == [["under way"]]


async def test_who_gave_up_before_leaving_is_not_asked_for() -> None:
    async with talking() as (client, service):
        gone, staying = ask(client, "gone"), ask(client, "staying")
        await asyncio.sleep(0)
        gone.cancel()
        assert (await staying).request_id == "staying"
        assert service.calls == [["staying"]]


async def test_each_is_told_that_its_own_time_is_up_and_none_before() -> None:
    async with talking() as (client, service):
        loop = asyncio.get_running_loop()
        ended: list[float] = []

        async def wait(timeout_s: float) -> None:
            started_s = loop.time()
            with pytest.raises(DeadlineExceeded):
                await client.authorize(card_token="held", timeout_s=timeout_s)
            # The loop's timers are exact to a millisecond.
            assert loop.time() - started_s > timeout_s - 0.002
            ended.append(timeout_s)

        await asyncio.gather(*(wait(timeout_s) for timeout_s in (0.6, 0.2, 0.4)))
        assert ended == [0.2, 0.4, 0.6]
        assert not service.gate.is_set()


async def test_an_answer_is_not_kept_until_its_time_would_have_been_up() -> None:
    deadlines = departures_module._Deadlines()
    until_s = asyncio.get_running_loop().time() + WAIT_S
    answer: asyncio.Future[pb.AuthorizeResponse] = asyncio.get_running_loop().create_future()
    together = deadlines.together(until_s)
    together.add(answer)
    assert deadlines.together(until_s) is together
    waiting = departures_module._Waiting(pb.AuthorizeRequest(), 0, until_s, answer, together)
    waiting.tell(pb.AuthorizeResponse(request_id="told"))
    assert (together, answer.result().request_id) == (set(), "told")
