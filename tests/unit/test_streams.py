"""One stream against a caller who misbehaves, without a network."""

import asyncio
from collections.abc import Callable

import grpc
import pytest

from authsvc.flight import Flight
from authsvc.streams import Outcome, Refusal, Stream
from authsvc.v1 import authorization_pb2 as pb


class Caller:
    """The context of a call: asks `count` questions at once, and reads answers only while `reading` is set."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.reading = asyncio.Event()
        self.answers: list[str] = []

    async def read(self) -> object:
        if not self.left:
            return grpc.aio.EOF
        self.left -= 1
        return pb.AuthorizeRequest(request_id=str(self.left))

    async def write(self, answers: pb.AuthorizeResults) -> None:
        await self.reading.wait()
        self.answers += [result.request_id for result in answers.results]


def at_once(message: pb.AuthorizeRequest, _: float, settle: Callable[[Outcome], None]) -> Flight | None:
    settle(Refusal(message.request_id, ValueError()))
    return None


def write(result: pb.AuthorizeResult, outcome: Outcome) -> None:
    assert isinstance(outcome, Refusal)
    result.request_id = outcome.request_id


async def test_of_a_caller_who_reads_no_answers_no_more_is_taken_than_may_be_in_flight() -> None:
    caller = Caller(1_000)
    serving = asyncio.create_task(Stream(at_once, write, 1.0, 16).serve(caller))
    # Idle turns of the loop: whatever could go on has gone on.
    for _ in range(100):
        await asyncio.sleep(0)
    # Some answers are on their way into the transport, the rest wait.
    assert 1_000 - caller.left <= 32
    caller.reading.set()
    await serving
    assert len(set(caller.answers)) == 1_000


async def test_a_stream_whose_reading_fails_does_not_end_well() -> None:
    class Broken(Caller):
        async def read(self) -> object:
            if self.left == 1:
                raise RuntimeError("nobody planned for this")
            return await super().read()

    caller = Broken(3)
    caller.reading.set()
    with pytest.raises(RuntimeError, match="nobody planned"):
        await Stream(at_once, write, 1.0, 16).serve(caller)
    assert len(caller.answers) == 2


async def test_a_drained_stream_answers_what_it_took_and_takes_no_more() -> None:
    taken: list[Callable[[], None]] = []

    def later(message: pb.AuthorizeRequest, _: float, settle: Callable[[Outcome], None]) -> Flight | None:
        taken.append(lambda: settle(Refusal(message.request_id, ValueError())))
        return None

    caller = Caller(1_000)
    caller.reading.set()
    stream = Stream(later, write, 1.0, 4)
    serving = asyncio.create_task(stream.serve(caller))
    for _ in range(20):
        await asyncio.sleep(0)
    stream.drain()
    for answer in taken:
        answer()
    await serving
    assert len(caller.answers) == len(taken) == 4
