"""The load generator against a small gRPC server that answers as the service would."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import authorization_pb2_grpc, types_pb2
from bench import echo, generator, traffic
from bench.generator import Job, Outcome, percentile
from bench.http2 import MESSAGE_MAX_BYTES, data_frames, grpc_status

CARDS = [f"card-{number}" for number in range(50)]


def answer(request: pb.AuthorizeRequest) -> pb.AuthorizeResponse:
    declined = request.merchant.mcc == "7995"
    decision = types_pb2.DECISION_DECLINED if declined else types_pb2.DECISION_APPROVED
    return pb.AuthorizeResponse(request_id=request.request_id, decision=decision, message="x" * 40)


class Service(authorization_pb2_grpc.AuthorizationServiceServicer):
    """Remembers the ids it saw; declines gambling; `refuse` makes it fail every third request."""

    def __init__(self, *, refuse: bool) -> None:
        self.refuse = refuse
        self.seen: list[str] = []
        self.cards: list[str] = []

    def _fails(self, request: pb.AuthorizeRequest) -> bool:
        self.seen.append(request.request_id)
        self.cards.append(request.card_token)
        return self.refuse and len(self.seen) % 3 == 0

    async def Authorize(self, request, context):  # noqa: N802  (gRPC's names)
        if self._fails(request):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many")
        return answer(request)

    async def AuthorizeStream(self, requests, context):  # noqa: N802, ARG002
        waiting: list[pb.AuthorizeRequest] = []
        async for request in requests:
            waiting.append(request)
            if len(waiting) == 3:
                # Never in the order of the questions, and some together.
                yield pb.AuthorizeResults(results=[self._result(waiting[2])])
                yield pb.AuthorizeResults(results=[self._result(waiting[1]), self._result(waiting[0])])
                waiting.clear()
        yield pb.AuthorizeResults(results=[self._result(late) for late in waiting])

    async def BatchAuthorize(self, request, context):  # noqa: N802, ARG002
        return pb.BatchAuthorizeResponse(results=[self._result(one) for one in request.requests])

    def _result(self, request: pb.AuthorizeRequest) -> pb.AuthorizeResult:
        if self._fails(request):
            return pb.AuthorizeResult(request_id=request.request_id, error=pb.Error(code=8, message="too many"))
        return pb.AuthorizeResult(request_id=request.request_id, response=answer(request))


@pytest.fixture
async def start() -> AsyncIterator[object]:
    servers = []

    async def begin(*, refuse: bool = False) -> tuple[Service, int]:
        service = Service(refuse=refuse)
        server = grpc.aio.server()
        authorization_pb2_grpc.add_AuthorizationServiceServicer_to_server(service, server)
        server.add_generic_rpc_handlers((echo.handlers(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        servers.append(server)
        return service, port

    yield begin
    for server in servers:
        await server.stop(0)


def job(mode: generator.Mode, port: int, **changes) -> Job:
    plain = {"connections": 2, "in_flight": 9, "batch": 10, "warmup_s": 0.0, "seconds": 30.0, "calls_max": 120}
    return Job(mode, "127.0.0.1", port, CARDS, "run", 1_760_000_000_000_000, **(plain | changes))


def expected_decisions(mode: generator.Mode, one: Job) -> dict[str, int]:
    """What the traffic of the job must be answered with: gambling is declined."""
    count = one.calls_max // one.connections * (one.batch if mode == "batch" else 1)
    swipes = [
        swipe
        for lane in range(one.connections)
        for swipe, _ in zip(traffic.swipes(CARDS, one.seed * 1_000 + lane), range(count), strict=False)
    ]
    declined = sum(swipe.mcc == "7995" for swipe in swipes)
    return {"1": len(swipes) - declined, "3": declined} if declined else {"1": len(swipes)}


@pytest.mark.parametrize("mode", ["unary", "stream", "batch"])
async def test_every_prepared_request_is_sent_once_and_its_decision_counted(start, mode: generator.Mode) -> None:
    service, port = await start()
    one = job(mode, port, connections=1, calls_max=30 if mode == "batch" else 1_200)
    outcome = await generator.run(one)
    assert outcome.exhausted
    assert outcome.errors == {}
    assert outcome.decisions == expected_decisions(mode, one)
    assert len(service.seen) == len(set(service.seen)) == sum(outcome.decisions.values())


@pytest.mark.parametrize("mode", ["unary", "stream", "batch"])
async def test_refusals_are_counted_as_errors_and_not_as_decisions(start, mode: generator.Mode) -> None:
    service, port = await start(refuse=True)
    outcome = await generator.run(job(mode, port))
    refused = len(service.seen) // 3
    assert sum(outcome.errors.values()) == refused > 0
    assert sum(outcome.decisions.values()) == len(service.seen) - refused


async def test_a_touch_asks_once_for_each_card(start) -> None:
    service, port = await start()
    outcome = await generator.run(job("stream", port, once_each=True, connections=1))
    assert outcome.exhausted
    assert sorted(service.cards) == sorted(CARDS)


async def test_an_error_answer_tells_its_code_and_message(start) -> None:
    _, port = await start(refuse=True)
    outcome = await generator.run(job("stream", port))
    assert set(outcome.errors) == {"status 8 too many"}


async def test_the_echo_answers_without_errors_or_decisions(start) -> None:
    _, port = await start()
    outcome = await generator.run(job("echo", port))
    assert (outcome.errors, outcome.decisions) == ({}, {})


async def test_a_missing_method_is_an_error_with_its_status(start) -> None:
    _, port = await start()
    outcome = await generator.run(job("echo", port, path="/authsvc.bench.Echo/Missing", calls_max=20))
    assert sum(outcome.errors.values()) == 20
    assert all(text.startswith("status 12 ") for text in outcome.errors)


async def test_a_server_that_goes_away_is_an_error() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        outcome = await generator.run(job("echo", server.sockets[0].getsockname()[1]))
    assert outcome.errors == {"a connection was lost": 2, "never answered": 18}


async def test_a_process_of_its_own_reports_what_it_measured(start) -> None:
    _, port = await start()
    outcome = await generator.run_in_process(job("unary", port, connections=1))
    assert isinstance(outcome, Outcome)
    assert sum(outcome.decisions.values()) == 120
    assert outcome.cpu_us("generator") > 0


async def test_a_process_that_cannot_connect_says_why() -> None:
    with pytest.raises(RuntimeError, match="Connection refused"):
        await generator.run_in_process(job("unary", 1))


def test_a_message_longer_than_a_first_window_is_refused() -> None:
    with pytest.raises(ValueError, match="is longer than 65530"):
        data_frames(b"x" * MESSAGE_MAX_BYTES, 1, end_stream=True)


def test_a_long_message_is_split_and_only_its_last_frame_ends_the_stream() -> None:
    wire = data_frames(b"x" * 40_000, 1, end_stream=True)
    sizes, flags, at = [], [], 0
    while at < len(wire):
        size = int.from_bytes(wire[at : at + 3], "big")
        sizes.append(size)
        flags.append(wire[at + 4])
        at += 9 + size
    assert (sizes, flags) == ([16_384, 16_384, 7_237], [0, 0, 1])


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (b"\x00\x0bgrpc-status\x010", ("0", "")),
        (b"\x10\x0bgrpc-status\x0213\x00\x0cgrpc-message\x04oops", ("13", "oops")),
        (b"\x20\x88\x40\x0bgrpc-status\x018", ("8", "")),
        (b"\x00\x0bgrpc-status\x81\x07", ("huffman:07", "")),
        (b"\x0f\x10\x03abc", ("missing", "")),
        (b"\x00\x0cgrpc-message\x7f\x49" + b"m" * 200, ("missing", "m" * 200)),
    ],
)
def test_trailers_tell_their_status(block: bytes, status: tuple[str, str]) -> None:
    assert grpc_status(block) == status


@pytest.mark.parametrize(
    ("ordered", "share", "value"),
    [([], 0.5, 0.0), ([1.0], 0.99, 1.0), ([1.0, 2.0], 0.5, 1.0), ([float(n) for n in range(1, 101)], 0.99, 99.0)],
)
def test_a_percentile_is_the_nearest_rank(ordered: list[float], share: float, value: float) -> None:
    assert percentile(ordered, share) == value


def test_the_same_seed_gives_the_same_traffic() -> None:
    def first(seed: int) -> list[bytes]:
        return traffic.serialised(traffic.swipes(CARDS, seed), 20, "run", 1_760_000_000_000_000)

    assert first(7) == first(7) != first(8)


def test_a_batch_holds_its_requests_in_order() -> None:
    messages = traffic.serialised(traffic.swipes(CARDS, 1), 7, "run", 1_760_000_000_000_000)
    parsed = [pb.BatchAuthorizeRequest.FromString(one) for one in traffic.batches(messages, 3)]
    assert [[request.request_id[-1] for request in one.requests] for one in parsed] == [
        ["0", "1", "2"],
        ["3", "4", "5"],
    ]
