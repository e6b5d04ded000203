"""The bridge's own HTTP server with a constant answer: what the bridge is compared with.

`python -m bench.constant` runs it alone and prints its port: the same listener, server, options and loop, and a route
of the same framework, which reads the body. With `bare`, nothing but the server and the callable that it calls.
"""

import asyncio
import signal
import sys
from contextlib import closing
from typing import Final

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from authsvc.bridge import process
from authsvc.bridge.app import ASA_PATH

ANSWER: Final = b'{"result":"APPROVED","token":"00000000-0000-4000-8000-000000000000"}'


async def _route(request: Request) -> Response:
    await request.body()
    return Response(ANSWER, media_type="application/json")


async def _bare(_: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body", False):
        pass
    headers = [(b"content-length", b"%d" % len(ANSWER)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def _serve(app: ASGIApp) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with closing(process.listener_on("127.0.0.1", 0)) as listener:
        server = process.server_of(app, drain_s=1)
        serving = asyncio.create_task(server.serve(process.doors_of(listener)))
        print(listener.getsockname()[1], flush=True)  # the parent reads it
        await stop.wait()
        server.should_exit = True
        await serving


if __name__ == "__main__":
    process.settle_memory()
    is_bare = sys.argv[1:] == ["bare"]
    uvloop.run(_serve(_bare if is_bare else Starlette(routes=[Route(ASA_PATH, _route, methods=["POST"])])))
