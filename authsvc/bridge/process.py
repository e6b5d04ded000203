"""The bridge as a process: a listener, the client behind it, the metrics beside it, and an end that drains."""

import asyncio
import logging
import math
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
import uvloop

from authsvc.bridge.app import app_of
from authsvc.bridge.metrics import BridgeMetrics
from authsvc.bridge.responder import Responder
from authsvc.client import AuthorizationClient
from authsvc.clock import Clock, SystemClock
from authsvc.errors import StartupRefused
from authsvc.settings import Settings

_UNSIGNED_TEXT: Final = (
    "no secret: set AUTHSVC_BRIDGE_ASA_SECRETS, or, to try things on loopback, AUTHSVC_BRIDGE_ALLOW_UNSIGNED=true"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """A bridge that takes calls, and where."""

    host: str
    port: int
    metrics_port: int


class _Server(uvicorn.Server):
    """Leaves signals to the process: one that ended by the signal it drained for would look like a failure."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    settings: Settings, stop: asyncio.Event, ready: Callable[[Listening], None], clock: Clock | None = None
) -> None:
    """Take calls until `stop` is set, then drain. Does not wait for the service: until it answers, calls fall back.

    Raises `StartupRefused` when it has no secret to verify with, or cannot listen.
    """
    if not settings.asa_keys() and not settings.bridge_allow_unsigned:
        raise StartupRefused(_UNSIGNED_TEXT)
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(closing(_listener(settings.bridge_host, settings.bridge_port)))
        metrics = BridgeMetrics()
        metrics_port = _serve_metrics(metrics, settings, stack)
        client = await stack.enter_async_context(AuthorizationClient(settings.bridge_target, clock=clock))
        responder = Responder(client, settings, clock, metrics)
        app = app_of(responder, client, metrics)
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=math.ceil(settings.drain_timeout_ms / 1000),
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        stopping = asyncio.create_task(stop.wait())
        port = listener.getsockname()[1]
        _log.info("the bridge listens on port %d, metrics on port %d", port, metrics_port)
        # The listener holds callers from the moment it was bound: none of them is turned away.
        ready(Listening(settings.bridge_host, port, metrics_port))
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        _log.info("the bridge drains")
        server.should_exit = True
        await serving
        await responder.late.rest(settings.drain_timeout_ms / 1000)
        _log.info("the bridge stops")


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2_048)
    except OSError as error:
        raise StartupRefused(f"cannot listen on {host}:{port} (AUTHSVC_BRIDGE_HOST, AUTHSVC_BRIDGE_PORT)") from error


def _serve_metrics(metrics: BridgeMetrics, settings: Settings, stack: AsyncExitStack) -> int:
    try:
        stop, port = metrics.serve(settings.bridge_host, settings.bridge_metrics_port)
    except OSError as error:
        raise StartupRefused("cannot listen on AUTHSVC_BRIDGE_METRICS_PORT") from error
    stack.callback(stop)
    return port


def run(settings: Settings, ready: Callable[[Listening], None]) -> None:
    """A whole process: serve until SIGTERM or SIGINT."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(settings, stop, ready)

    uvloop.run(main())
