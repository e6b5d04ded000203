"""The load of the bridge and of events: what is sent is what Lithic and the network would send, and is counted once."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc
import pytest
from lithic.types import CardAuthorizationApprovalRequestWebhookEvent

from authsvc.bridge import asa, signature
from authsvc.v1 import transactions_pb2 as tx
from authsvc.v1 import transactions_pb2_grpc
from bench import events, generator, lithic, processes, traffic
from bench.generator import Job
from bench.http1 import HttpLane
from bench.lanes import Tally

AT_US = 1_760_000_000_000_000
NOW_S = 1_760_000_000
CARDS = [f"card-{number}" for number in range(20)]
TRANSACTIONS = [(f"txn-{number}", 100 * number + 2) for number in range(30)]


def calls(count: int) -> list[tuple[dict[str, str], bytes]]:
    """Headers and bodies of the requests that a run would send."""
    sent = []
    for call in lithic.calls(traffic.swipes(CARDS, 1), count, "run", AT_US, NOW_S):
        head, _, body = call.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        assert first == "POST /lithic/asa HTTP/1.1"
        sent.append((dict(line.split(": ", 1) for line in lines), body))
    return sent


def test_each_call_is_a_request_of_lithics_signed_and_one_of_its_own() -> None:
    keys = set()
    for headers, body in calls(40):
        assert not CardAuthorizationApprovalRequestWebhookEvent.model_validate_json(body).model_extra
        signature.verify(body, headers, [signature.key_of(lithic.SECRET)], NOW_S)
        request = asa.parse(body)
        assert (request.kind, request.hold_minor) == ("AUTHORIZATION", request.amount_minor)
        assert request.card_token in CARDS
        assert int(headers["content-length"]) == len(body)
        keys |= {request.event_token, request.token}
    assert len(keys) == 80


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that gives these answers, in parts where they say `|`, then hangs up; and the calls it got."""
    got: list[bytes] = []
    left = deque(answers)
    callers: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, IndexError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                answer = left.popleft()
                length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
                got.append(head + await reader.readexactly(length))
                await tell(answer, writer)
        writer.close()
        await writer.wait_closed()

    async def tell(answer: bytes, writer: asyncio.StreamWriter) -> None:
        for part in answer.split(b"|"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], got
        await asyncio.gather(*callers)


def job(port: int, mode: generator.Mode = "http", **changes) -> Job:
    plain = {"connections": 1, "in_flight": 1, "warmup_s": 0.0, "seconds": 30.0, "calls_max": 4}
    return Job(mode, "127.0.0.1", port, CARDS, "run", AT_US, **(plain | changes))


APPROVED = b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"result":"APPROVED"}'
PAUSED = b'HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{"result":"CARD_PAUSED"}'


async def test_answers_are_counted_whole_or_in_parts_and_refusals_are_errors() -> None:
    refused = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"
    async with answering(APPROVED, PAUSED.replace(b"\r\n\r\n", b"\r|\n\r\n|"), refused, APPROVED) as (port, got):
        outcome = await generator.run(job(port))
    assert (outcome.decisions, outcome.errors) == ({"1": 2, "3": 1}, {"status 401": 1})
    assert len(set(got)) == 4


async def test_a_call_waits_for_the_answer_before_it() -> None:
    async with answering(APPROVED) as (port, got):
        outcome = await generator.run(job(port))
    assert (len(got), outcome.errors) == (1, {"a connection was lost": 1, "never answered": 1})


def test_an_answer_without_a_length_is_refused() -> None:
    lane = HttpLane(deque(), lithic.read_result, Tally())
    with pytest.raises(ValueError, match="length"):
        lane.data_received(b"HTTP/1.1 200 OK\r\n\r\n{}")


@pytest.mark.parametrize("arguments", [(), ("bare",)])
async def test_the_constant_answer_is_an_approval_whatever_is_asked(arguments: tuple[str, ...]) -> None:
    with processes.alone("bench.constant", *arguments) as constant:
        outcome = await generator.run(job(constant.port, connections=3, calls_max=30))
    assert (outcome.decisions, outcome.errors) == ({"1": 30}, {})


class Network(transactions_pb2_grpc.TransactionServiceServicer):
    """Keeps the messages it gets; every `refused` is an error, and what comes again is told so."""

    def __init__(self, refused: str = "") -> None:
        self.got: list[tx.ApplyEventRequest] = []
        self._refused = refused

    async def ApplyEvent(self, request, context):  # noqa: N802, ARG002  (gRPC's names)
        replayed = any(request.event_id == one.event_id for one in self.got)
        self.got.append(request)
        return tx.ApplyEventResponse(event_id=request.event_id, replayed=replayed)

    async def BatchApplyEvents(self, request, context):  # noqa: N802
        results = []
        for one in request.events:
            if one.transaction_token == self._refused:
                results.append(tx.ApplyEventResult(event_id=one.event_id, error={"code": 5, "message": "none"}))
            else:
                results.append(tx.ApplyEventResult(response=await self.ApplyEvent(one, context)))
        return tx.BatchApplyEventsResponse(results=results)


@asynccontextmanager
async def listening(network: Network) -> AsyncIterator[int]:
    server = grpc.aio.server()
    transactions_pb2_grpc.add_TransactionServiceServicer_to_server(network, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@pytest.mark.parametrize("mode", ["event", "events"])
async def test_of_each_transaction_a_part_is_cleared_and_the_rest_reversed(mode: generator.Mode) -> None:
    """On one connection: of several, the first that has nothing left to send ends the phase."""
    network = Network()
    async with listening(network) as port:
        outcome = await generator.run(job(port, mode, in_flight=4, batch=10, transactions=TRANSACTIONS))
    assert (outcome.decisions, outcome.errors) == ({"1": 60}, {})
    assert len({one.event_id for one in network.got}) == 60
    kinds = Counter((one.transaction_token, tx.EventKind.Name(one.kind)) for one in network.got)
    assert kinds == {(token, f"EVENT_KIND_{kind}"): 1 for token, _ in TRANSACTIONS for kind in ("CLEARING", "REVERSAL")}
    cleared = {one.transaction_token: one.amount_minor for one in network.got if one.HasField("amount_minor")}
    assert all(0 < cleared[token] < held_minor for token, held_minor in TRANSACTIONS)


async def test_events_that_are_refused_or_were_applied_before_are_errors() -> None:
    network = Network(refused="txn-3")
    twice = [*TRANSACTIONS[:5], *TRANSACTIONS[:5]]
    async with listening(network) as port:
        first = job(port, "events", batch=10, transactions=TRANSACTIONS[:5])
        assert (await generator.run(first)).errors == {"status 5 none": 2}
        outcome = await generator.run(job(port, "events", batch=10, transactions=twice))
    assert outcome.errors == {"status 5 none": 4, "applied before": 8}
    assert outcome.decisions == {"1": 8}


def test_five_hundred_events_fit_into_one_call() -> None:
    transactions = [(f"txn-0123abcd-events10s-3-{number:08}", 10) for number in range(250)]
    messages = events.serialised(transactions, "0123abcd-events10-3", AT_US)
    [batch] = traffic.batches(messages, 500)
    assert len(batch) < 65_000
