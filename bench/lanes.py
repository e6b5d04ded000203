"""A lane: one connection that keeps a number of calls in flight. All it will write is built before the clock starts."""

import time
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate

from authsvc.v1 import authorization_pb2 as pb
from bench.http2 import Connection, RequestHeaders, data_frames, end_of_stream

Reader = Callable[[bytes, int, int, "Tally"], None]


class Tally:
    """What all lanes of a run saw. `latencies_s`: one entry a call (for a stream: a message), as they completed."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.latencies_s = array("d")
        self.decisions: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()


def read_nothing(data: bytes, start: int, stop: int, tally: Tally) -> None:
    """For answers that say nothing (the echo)."""


def read_response(data: bytes, start: int, stop: int, tally: Tally) -> None:
    """Counts the decision of an AuthorizeResponse: field 2, right behind the request_id (at most 127 bytes here)."""
    at = start + 2 + data[start + 1]
    if at + 1 < stop and data[at] == 0x10:
        tally.decisions[data[at + 1]] += 1
    else:
        tally.errors["an answer without a decision"] += 1


def read_result(data: bytes, start: int, stop: int, tally: Tally) -> None:  # noqa: ARG001  (a Reader)
    """Counts an AuthorizeResult: the decision of its response (field 2), or its error (field 3)."""
    at = start + 2 + data[start + 1] if data[start] == 0x0A else start
    if data[at] == 0x12:
        length, at = _varint(data, at + 1)
        read_response(data, at, at + length, tally)
    else:
        length, at = _varint(data, at + 1)
        error = pb.Error.FromString(data[at : at + length])
        tally.errors[f"status {error.code} {error.message}"] += 1


def read_results(data: bytes, start: int, stop: int, tally: Tally) -> None:
    """Counts every AuthorizeResult of a BatchAuthorizeResponse."""
    while start < stop:
        length, start = _varint(data, start + 1)
        read_result(data, start, start + length, tally)
        start += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


class Lane(Connection):
    """Keeps `in_flight` calls open until told to stop; `frames` are its calls in order, each whole."""

    def __init__(self, frames: Sequence[bytes], costs: Sequence[int], in_flight: int, tally: Tally) -> None:
        """`costs` are the bytes of each call that count against the server's flow control window."""
        super().__init__()
        self.tally = tally
        self.in_flight_max = in_flight
        self.stopped = False
        self.sent = 0
        self.done = 0
        self._frames = frames
        # A write wakes the server and costs more than all else here: a quarter of the calls at a time is cheaper.
        self._clump = max(1, in_flight // 4)
        self._spent = [0, *accumulate(costs)]
        self._sent_at = array("d")

    @property
    def exhausted(self) -> bool:
        """Every prepared call was sent: the run was faster than it was prepared for."""
        return self.sent == len(self._frames)

    @property
    def idle(self) -> bool:
        """No call is open."""
        return self.done == self.sent

    def turn_over(self) -> None:
        """Sends as many calls as were answered and the window allows, in one write; waits until it is worth one."""
        first = self.sent
        last = min(self.done + self.in_flight_max, len(self._frames))
        if self.stopped or (last - first < self._clump and last < len(self._frames)):
            return
        budget = self.budget()
        if self._spent[last] - self._spent[first] > budget:
            last = bisect_right(self._spent, self._spent[first] + budget) - 1
        if last <= first:
            return
        self.spend(self._spent[last] - self._spent[first])
        self._sent_at.extend([time.perf_counter()] * (last - first))
        self.sent = last
        self._write(b"".join(self._frames[first:last]))

    def budget(self) -> int:
        """How many bytes of DATA may be written now."""
        return self.sendable

    def spend(self, amount: int) -> None:
        """That many bytes of DATA are being written."""
        self.sendable -= amount


class UnaryLane(Lane):
    """Each call is a stream of its own: call i has the stream id 2i+1."""

    def __init__(
        self, messages: Sequence[bytes], headers: RequestHeaders, in_flight: int, read: Reader, tally: Tally
    ) -> None:
        """`messages` are serialised; `read` counts each answer."""
        frames = [
            headers.frame(2 * at + 1) + data_frames(message, 2 * at + 1, end_stream=True)
            for at, message in enumerate(messages)
        ]
        super().__init__(frames, [len(message) + 5 for message in messages], in_flight, tally)
        self._read = read

    def ready(self) -> None:
        """The first calls go out at once."""
        self.turn_over()

    def message(self, data: bytes, start: int, stop: int, stream_id: int) -> None:  # noqa: ARG002  (one message a stream)
        """The answer; its time is taken when its status has come."""
        self._read(data, start, stop, self.tally)

    def ended(self, stream_id: int, status: str, text: str) -> None:
        """One call is over."""
        sent_at = self._sent_at[stream_id >> 1]
        if sent_at == 0.0:
            return
        self._sent_at[stream_id >> 1] = 0.0
        self.done += 1
        self.tally.latencies_s.append(time.perf_counter() - sent_at)
        if status != "0":
            self.tally.errors[f"status {status} {text}".rstrip()] += 1


class StreamLane(Lane):
    """One bidirectional stream. Answers are matched by the number that ends each request_id."""

    def __init__(
        self,
        messages: Sequence[bytes],
        headers: RequestHeaders,
        in_flight: int,
        tally: Tally,
        digits: int,
    ) -> None:
        """The last `digits` characters of every request_id (field 1, also of answers) are its place in `messages`."""
        frames = [data_frames(message, 1, end_stream=False) for message in messages]
        super().__init__(frames, [len(message) + 5 for message in messages], in_flight, tally)
        self.over = False
        self._headers = headers
        self._digits = digits

    def ready(self) -> None:
        """Opens the stream; the first requests follow."""
        self._write(self._headers.frame(1))
        self.turn_over()

    def budget(self) -> int:
        """The connection's window and the stream's: the smaller."""
        return min(self.sendable, self.stream_sendable)

    def spend(self, amount: int) -> None:
        """Both windows shrink."""
        self.sendable -= amount
        self.stream_sendable -= amount

    def message(self, data: bytes, start: int, stop: int, stream_id: int) -> None:  # noqa: ARG002  (there is one stream)
        """Answers that were ready together: AuthorizeResults."""
        while start < stop:
            length, start = _varint(data, start + 1)
            self._answer(data, start, start + length)
            start += length

    def _answer(self, data: bytes, start: int, stop: int) -> None:
        behind = start + 2 + data[start + 1]
        at = int(data[behind - self._digits : behind])
        sent_at = self._sent_at[at]
        if sent_at == 0.0:
            self.tally.errors["answered twice"] += 1
            return
        self._sent_at[at] = 0.0
        self.done += 1
        self.tally.latencies_s.append(time.perf_counter() - sent_at)
        read_result(data, start, stop, self.tally)

    def ended(self, stream_id: int, status: str, text: str) -> None:  # noqa: ARG002  (there is one stream)
        """The stream is over; an error when requests were still open, or its status is not OK."""
        self.over = True
        if status != "0":
            self.tally.errors[f"status {status} {text}".rstrip()] += 1

    def finish(self) -> None:
        """Says that nothing more will come; the server answers with the stream's status."""
        self._write(end_of_stream(1))
