"""One AuthorizeStream call: requests are read while earlier ones are decided, answers are written as they are ready."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import grpc

from authsvc.codec import Malformed
from authsvc.flight import Flight
from authsvc.v1 import authorization_pb2 as pb

# So many answers that are ready together go into one message: far below the least size that callers accept.
TOGETHER_MAX: Final = 256


class Refusal(NamedTuple):
    """What becomes of a request that cannot be taken: its id as it was sent, and why."""

    request_id: str
    error: BaseException


Outcome = Flight | Refusal
_Submit = Callable[[pb.AuthorizeRequest | Malformed, float, Callable[[Outcome], None]], Flight | None]


class Stream:
    """The state of one stream: what is in flight, and which answers wait to be written. Both together are bounded."""

    def __init__(
        self,
        submit: _Submit,
        write: Callable[[pb.AuthorizeResult, Outcome], None],
        patience_s: float,
        in_flight_max: int,
    ) -> None:
        """`submit` decides one request and gives its outcome back by a call; `write` puts an outcome into a message.

        `patience_s` is each request's deadline.
        """
        self._submit = submit
        self._write = write
        self._patience_s = patience_s
        self._in_flight_max = in_flight_max
        self._in_flight: dict[int, Flight] = {}
        self._open = 0
        self._outbox: deque[Outcome] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._reader: asyncio.Task[None] | None = None

    def drain(self) -> None:
        """Take no more requests."""
        if self._reader is not None:
            self._reader.cancel()

    async def serve(self, context: Any) -> None:
        """Until the caller has sent everything and has every answer, or is gone."""
        self._reader = asyncio.get_running_loop().create_task(self._read(context))
        self._reader.add_done_callback(lambda _: self._wake.set())
        try:
            while not (self._reader.done() and self._open == 0 and not self._outbox):
                if not self._outbox:
                    self._wake.clear()
                    await self._wake.wait()
                while self._outbox:
                    # Each message costs the transport about as much as a decision costs here.
                    await context.write(self._together())
                    self._room.set()
            if not self._reader.cancelled():
                # What ended the reading, if it was not the caller, must not look like a good end.
                self._reader.result()
        finally:
            self._reader.cancel()
            for flight in self._in_flight.values():
                flight.abandoned = True

    def _together(self) -> pb.AuthorizeResults:
        message = pb.AuthorizeResults()
        for _ in range(min(len(self._outbox), TOGETHER_MAX)):
            self._write(message.results.add(), self._outbox.popleft())
        return message

    async def _read(self, context: Any) -> None:
        number = 0
        while (message := await context.read()) is not grpc.aio.EOF:
            number += 1
            self._take(number, message)
            if self._open + len(self._outbox) >= self._in_flight_max:
                # The transport's flow control holds further requests back, also those of a caller who reads no answers.
                self._room.clear()
                await self._room.wait()

    def _take(self, number: int, message: pb.AuthorizeRequest | Malformed) -> None:
        self._open += 1

        def settle(outcome: Outcome) -> None:
            self._in_flight.pop(number, None)
            self._open -= 1
            self._outbox.append(outcome)
            self._wake.set()

        flight = self._submit(message, self._patience_s, settle)
        if flight is not None and not flight.landed:
            self._in_flight[number] = flight
