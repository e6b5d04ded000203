"""Many callers who connect at once: the bridge's event loop must let them in while it serves those who are in."""

import asyncio
from contextlib import closing
from typing import Any

import uvloop

from authsvc.bridge import process

CALLERS = 96
CALL = b"POST / HTTP/1.1\r\nhost: bridge\r\ncontent-length: 0\r\n\r\n"


class Caller(asyncio.Protocol):
    """Calls again as soon as it has an answer, until everybody has had one."""

    def __init__(self, everybody: list["Caller"], done: asyncio.Event) -> None:
        self.answers = 0
        self._everybody = everybody
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(CALL)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if b"HTTP/1.1 200" not in data:
            return
        self.answers += 1
        if all(caller.answers for caller in self._everybody):
            self._done.set()
        else:
            self._transport.write(CALL)  # type: ignore[attr-defined]


async def _app(_scope: object, _receive: object, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _answers_until_all_have_one() -> list[int]:
    loop = asyncio.get_running_loop()
    with closing(process.listener_on("127.0.0.1", 0)) as listener:
        server = process.server_of(_app, drain_s=1)
        serving = asyncio.create_task(server.serve(process.doors_of(listener)))
        host, port = listener.getsockname()
        callers: list[Caller] = []
        done = asyncio.Event()
        callers += [Caller(callers, done) for _ in range(CALLERS)]
        async with asyncio.timeout(20):
            await asyncio.gather(
                *(loop.create_connection(lambda one=one: one, host, port) for one in callers)  # type: ignore[misc]
            )
            await done.wait()
        server.should_exit = True
        await serving
    return [caller.answers for caller in callers]


def test_of_many_who_connect_at_once_nobody_waits_until_others_were_answered_often() -> None:
    # From one listener the loop takes one caller a turn: then the first has dozens of answers before the last has one.
    assert max(uvloop.run(_answers_until_all_have_one())) <= CALLERS // 8
