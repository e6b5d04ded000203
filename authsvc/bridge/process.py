"""The bridge as a process: a listener, the client behind it, the metrics beside it, and an end that drains."""

import asyncio
import gc
import logging
import math
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from random import SystemRandom
from typing import Final

import uvicorn
import uvloop
from starlette.types import ASGIApp

from authsvc.bridge.app import app_of
from authsvc.bridge.inbox import Inbox
from authsvc.bridge.metrics import BridgeMetrics
from authsvc.bridge.responder import Responder
from authsvc.bridge.workers import Workers
from authsvc.client import AuthorizationClient, presented_to
from authsvc.clock import Clock, SystemClock
from authsvc.errors import StartupRefused
from authsvc.ledger.webhooks import open_webhooks
from authsvc.settings import Settings

_UNSIGNED_TEXT: Final = (
    "no secret: set AUTHSVC_BRIDGE_ASA_SECRETS, or, to try things on loopback, AUTHSVC_BRIDGE_ALLOW_UNSIGNED=true"
)
_DOORS: Final = 32
_CHANCE: Final = SystemRandom().random
# A call leaves no cycles of ours behind; what the libraries leave may pile up a little.
_GC_THRESHOLDS: Final = (20_000, 20, 20)
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
        listener = stack.enter_context(closing(listener_on(settings.bridge_host, settings.bridge_port)))
        metrics = BridgeMetrics()
        metrics_port = _serve_metrics(metrics, settings, stack)
        client = await stack.enter_async_context(client_of(settings, clock))
        responder = Responder(client, settings, clock, metrics)
        inbox = await stack.enter_async_context(webhooks_of(settings, client, clock, metrics))
        app = app_of(responder, client, metrics, inbox)
        server = server_of(app, math.ceil(settings.drain_timeout_ms / 1000))
        serving = asyncio.create_task(server.serve(doors_of(listener)))
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


def client_of(settings: Settings, clock: Clock) -> AuthorizationClient:
    """What asks the service. Raises `StartupRefused` when a file of what it presents cannot be read."""
    presented = presented_to(settings.bridge_target, settings)
    return AuthorizationClient(settings.bridge_target, clock=clock, **presented._asdict())


@asynccontextmanager
async def webhooks_of(
    settings: Settings, client: AuthorizationClient, clock: Clock, metrics: BridgeMetrics
) -> AsyncIterator[Inbox | None]:
    """What takes webhooks in, with the workers behind it; None where they are neither kept nor processed."""
    url = settings.webhooks_url()
    if url is None:
        _log.info("the bridge takes no webhooks: that needs AUTHSVC_BRIDGE_EVENT_SECRETS and a database")
        yield None
        return
    async with open_webhooks(url) as store:
        workers = Workers(store, client, settings, clock, metrics.webhooks, _CHANCE)
        workers.start()
        try:
            yield Inbox(store, settings, clock, metrics.webhooks, workers.wake)
        finally:
            await workers.rest(settings.drain_timeout_ms / 1000)


def server_of(app: ASGIApp, drain_s: int) -> uvicorn.Server:
    """The HTTP server. Whoever runs it sets its `should_exit`; calls in flight then have `drain_s` to end."""
    return _Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=drain_s,
        )
    )


def listener_on(host: str, port: int) -> socket.socket:
    """A bound listener; port 0 is any free one. Raises `StartupRefused`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2_048)
    except OSError as error:
        raise StartupRefused(f"cannot listen on {host}:{port} (AUTHSVC_BRIDGE_HOST, AUTHSVC_BRIDGE_PORT)") from error


def doors_of(listener: socket.socket) -> list[socket.socket]:
    """The listener, several times over: in each turn the event loop takes one caller from each.

    From one alone, of many who connect to a busy bridge at once the last would wait for seconds.
    """
    return [listener, *(listener.dup() for _ in range(_DOORS - 1))]


def _serve_metrics(metrics: BridgeMetrics, settings: Settings, stack: AsyncExitStack) -> int:
    try:
        stop, port = metrics.serve(settings.bridge_host, settings.bridge_metrics_port)
    except OSError as error:
        raise StartupRefused("cannot listen on AUTHSVC_BRIDGE_METRICS_PORT") from error
    stack.callback(stop)
    return port


def settle_memory() -> None:
    """What was imported stays: the collector need not walk over it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def run(settings: Settings, ready: Callable[[Listening], None]) -> None:
    """A whole process: serve until SIGTERM or SIGINT."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(settings, stop, ready)

    settle_memory()
    uvloop.run(main())
