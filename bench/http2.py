"""Just enough HTTP/2 (RFC 9113) and HPACK (RFC 7541) for a gRPC load generator.

A full client costs as much CPU per call as the server it measures; on a shared machine that would halve the result.
This one reads nine bytes of each frame and little else. What it leaves out on purpose, it refuses with ProtocolError:
padding, priorities, CONTINUATION, compressed (Huffman) status headers, server push.
"""

import asyncio
import struct
from typing import Final, cast

MESSAGE_MAX_BYTES: Final = 65_535  # the window a stream starts with; a longer message would have to wait in the middle
FRAME_MAX_BYTES: Final = 16_384  # what every server accepts without being asked
_WINDOW_MAX: Final = 2**31 - 1
_WINDOW_REFILL: Final = 2**29

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_PRIORITY, _PUSH_PROMISE, _CONTINUATION = 2, 5, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY_FLAG = 0x1, 0x1, 0x4, 0x8, 0x20
_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW, _MAX_FRAME = 1, 2, 4, 5

_FRAME: Final = struct.Struct(">HBBBI")
_SETTING: Final = struct.Struct(">HI")


class ProtocolError(Exception):
    """The server spoke HTTP/2 in a way this client does not know."""


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame, ready to be written."""
    length = len(payload)
    return _FRAME.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def data_frames(message: bytes, stream_id: int, *, end_stream: bool) -> bytes:
    """A gRPC message (five bytes of prefix added) as DATA frames.

    Raises ValueError when it would not fit the window that a stream starts with.
    """
    if len(message) + 5 > MESSAGE_MAX_BYTES:
        raise ValueError(f"a message of {len(message)} bytes is longer than {MESSAGE_MAX_BYTES - 5}")
    body = b"\x00" + len(message).to_bytes(4, "big") + message
    parts = [body[at : at + FRAME_MAX_BYTES] for at in range(0, len(body), FRAME_MAX_BYTES)]
    last = len(parts) - 1
    return b"".join(
        frame(_DATA, _END_STREAM if end_stream and at == last else 0, stream_id, part) for at, part in enumerate(parts)
    )


def end_of_stream(stream_id: int) -> bytes:
    """An empty DATA frame: nothing more will be sent on the stream."""
    return frame(_DATA, _END_STREAM, stream_id)


class RequestHeaders:
    """The header frames of one gRPC method: spelled out on a connection's first stream, nine indexes after that.

    That is what any real client does, so the server decodes what it would decode in production.
    """

    def __init__(self, path: str, authority: str, timeout: str | None = None) -> None:
        """`timeout` is a grpc-timeout value such as `2S`; None sends none."""
        fields = [("\x44", path), ("\x41", authority), ("\x5f", "application/grpc"), ("\x7a", "authsvc-bench")]
        named = [("te", "trailers")] + ([("grpc-timeout", timeout)] if timeout else [])
        spelled = [prefix.encode() + _string(value) for prefix, value in fields]
        spelled += [b"\x40" + _string(name) + _string(value) for name, value in named]
        # 0x83 is `:method: POST`, 0x86 `:scheme: http`; what was spelled out last has the dynamic index 62.
        self._first = b"\x83\x86" + b"".join(spelled)
        self._later = b"\x83\x86" + bytes(0x80 | (61 + len(spelled) - at) for at in range(len(spelled)))

    def frame(self, stream_id: int) -> bytes:
        """The HEADERS frame that opens `stream_id`; stream 1 is the first of its connection."""
        return frame(_HEADERS, _END_HEADERS, stream_id, self._first if stream_id == 1 else self._later)


def _string(text: str) -> bytes:
    return _integer(len(text), 0x7F) + text.encode("ascii")


def _integer(value: int, limit: int) -> bytes:
    """An HPACK integer with its prefix of `limit` (all ones), no flag bits set."""
    if value < limit:
        return bytes([value])
    parts = [limit]
    value -= limit
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def grpc_status(block: bytes) -> tuple[str, str]:
    """The grpc-status and grpc-message of a trailer block that was encoded without a dynamic table.

    `("missing", "")` when there is no grpc-status.
    """
    status, message, at = "missing", "", 0
    while at < len(block):
        first = block[at]
        if first & 0x80:  # an indexed field: all of the static table, none is a grpc-status
            _, at = _read_integer(block, at, 0x7F)
            continue
        if first & 0xE0 == 0x20:  # a new size of the dynamic table
            _, at = _read_integer(block, at, 0x1F)
            continue
        index, at = _read_integer(block, at, 0x3F if first & 0x40 else 0x0F)
        name = b""
        if index == 0:
            name, at = _read_string(block, at)
        value, at = _read_string(block, at)
        if name == b"grpc-status":
            status = value.decode("ascii", "replace")
        elif name == b"grpc-message":
            message = value.decode("ascii", "replace")
    return status, message


def _read_integer(block: bytes, at: int, limit: int) -> tuple[int, int]:
    value = block[at] & limit
    at += 1
    if value < limit:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        value += (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return value, at


def _read_string(block: bytes, at: int) -> tuple[bytes, int]:
    huffman = block[at] & 0x80
    length, at = _read_integer(block, at, 0x7F)
    text = block[at : at + length]
    return (b"huffman:" + text.hex().encode() if huffman else text), at + length


class Connection(asyncio.Protocol):
    """One connection to a gRPC server. Subclasses fill in the four callbacks.

    `sendable` is the connection's flow control window, `stream_sendable` the window of stream 1 for one that lasts.
    """

    def __init__(self) -> None:
        """Nothing happens before the connection is made."""
        self.sendable = 65_535
        self.stream_sendable = 65_535
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self._rest = b""
        self._partial: dict[int, bytes] = {}
        self._received = 0
        self._statuses: dict[bytes, tuple[str, str]] = {}
        self._initial_window = 65_535

    def ready(self) -> None:
        """Called once, when requests may be sent."""

    def message(self, data: bytes, start: int, stop: int, stream_id: int) -> None:
        """One message of the server: `data[start:stop]`."""
        raise NotImplementedError

    def ended(self, stream_id: int, status: str, text: str) -> None:
        """A stream is over. `status` is the grpc-status, `0` for OK, or what happened instead."""
        raise NotImplementedError

    def turn_over(self) -> None:
        """Everything that came in one read was handed out; the moment to write."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Preface, settings and one huge window, then `ready`."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from asyncio's
        wanted = [(_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW, _WINDOW_MAX), (_MAX_FRAME, 2**20)]
        self._write(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(_SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in wanted))
            + frame(_WINDOW_UPDATE, 0, 0, (_WINDOW_MAX - 65_535).to_bytes(4, "big"))
        )
        self.ready()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """Whoever waits sees `lost`."""
        self.lost = True

    def data_received(self, data: bytes) -> None:
        """Hands out every whole frame; keeps what is left for the next read."""
        if self._rest:
            data = self._rest + data
        unpack = _FRAME.unpack_from
        at, end = 0, len(data)
        while at + 9 <= end:
            high, low, kind, flags, stream_id = unpack(data, at)
            start = at + 9
            stop = start + (high << 8 | low)
            if stop > end:
                break
            at = stop
            if kind == _DATA:
                self._received += stop - start
                self._messages(data, start, stop, stream_id)
            elif kind == _HEADERS:
                if flags & (_PADDED | _PRIORITY_FLAG) or not flags & _END_HEADERS:
                    raise ProtocolError(f"HEADERS with flags {flags:#x}")
                if flags & _END_STREAM:
                    self.ended(stream_id, *self._status(data[start:stop]))
            else:
                self._control(kind, flags, stream_id, data[start:stop])
        self._rest = data[at:]
        if self._received > _WINDOW_REFILL:
            self._refill()
        self.turn_over()

    def _messages(self, data: bytes, start: int, stop: int, stream_id: int) -> None:
        """A DATA frame may hold several gRPC messages, or a part of one."""
        if self._partial:
            kept = self._partial.pop(stream_id, b"")
            if kept:
                data, start, stop = kept + data[start:stop], 0, len(kept) + stop - start
        while stop - start >= 5:
            after = start + 5 + int.from_bytes(data[start + 1 : start + 5], "big")
            if after > stop:
                break
            self.message(data, start + 5, after, stream_id)
            start = after
        if start < stop:
            self._partial[stream_id] = data[start:stop]

    def _status(self, block: bytes) -> tuple[str, str]:
        """Nearly all trailers are the same few bytes: each spelling is decoded once."""
        status = self._statuses.get(block)
        if status is None:
            status = grpc_status(block)
            if len(self._statuses) < 1_000:
                self._statuses[block] = status
        return status

    def _refill(self) -> None:
        """Gives back what the server has used of the connection's window and of the long stream's, if there is one."""
        used = self._received.to_bytes(4, "big")
        self._received = 0
        self._write(frame(_WINDOW_UPDATE, 0, 0, used) + frame(_WINDOW_UPDATE, 0, 1, used))

    def _control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: C901  (a flat list)
        if kind == _WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream_id == 0:
                self.sendable += more
            elif stream_id == 1:
                self.stream_sendable += more
        elif kind == _PING and not flags & _ACK:
            self._write(frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS and not flags & _ACK:
            for name, value in _SETTING.iter_unpack(payload):
                if name == _INITIAL_WINDOW:
                    self.stream_sendable += value - self._initial_window
                    self._initial_window = value
            self._write(frame(_SETTINGS, _ACK, 0))
        elif kind == _RST_STREAM:
            self.ended(stream_id, f"reset {int.from_bytes(payload, 'big')}", "")
        elif kind == _GOAWAY:
            self.lost = True
        elif kind in {_PRIORITY, _PUSH_PROMISE, _CONTINUATION}:
            raise ProtocolError(f"frame of kind {kind}")

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)
