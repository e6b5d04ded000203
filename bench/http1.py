"""Just enough HTTP/1.1 (RFC 9112) for a load generator: one call at a time on a connection that is kept alive.

As a webhook's sender would, it waits for each answer before it asks again; what is in flight together is on as many
connections. An answer must tell its length, as those of the servers measured here do.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from bench.lanes import Tally

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_OK: Final = b"HTTP/1.1 200 "

# What is counted of an answer's body.
BodyReader = Callable[[bytes, Tally], None]


class HttpLane(asyncio.Protocol):
    """One connection. `calls` are whole requests, shared by the lanes of a run: each takes the next one."""

    def __init__(self, calls: deque[bytes], read: BodyReader, tally: Tally) -> None:
        """`read` counts the body of each answer with status 200; any other is an error."""
        self.tally = tally
        self.stopped = False
        self.lost = False
        self.sent = 0
        self.done = 0
        self.transport: asyncio.Transport | None = None
        self._calls = calls
        self._read = read
        self._sent_at = 0.0
        self._rest = b""

    @property
    def exhausted(self) -> bool:
        """Every prepared call was sent: the run was faster than it was prepared for."""
        return not self._calls

    @property
    def idle(self) -> bool:
        """No call is open."""
        return self.done == self.sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first call goes out at once."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from asyncio's
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """Whoever waits sees `lost`."""
        self.lost = True

    def data_received(self, data: bytes) -> None:
        """An answer or a part of one; the next call goes out when it is whole."""
        if self._rest:
            data = self._rest + data
        start = data.find(b"\r\n\r\n") + 4
        told = _LENGTH.search(data, 0, start) if start >= 4 else None
        if start >= 4 and told is None:
            raise ValueError("an answer that does not tell its length")
        if told is None or len(data) < start + int(told[1]):
            self._rest = data
            return
        self._rest = b""
        self.done += 1
        self.tally.latencies_s.append(time.perf_counter() - self._sent_at)
        if data.startswith(_OK):
            self._read(data[start:], self.tally)
        else:
            self.tally.errors[f"status {data[9:12].decode('ascii', 'replace')}"] += 1
        self._next()

    def _next(self) -> None:
        if self.stopped or not self._calls:
            return
        assert self.transport is not None
        self.sent += 1
        self._sent_at = time.perf_counter()
        self.transport.write(self._calls.popleft())
