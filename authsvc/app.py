"""The composition root: the only place that knows which adapters stand behind the ports."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import grpc
import uvloop

from authsvc import logs
from authsvc.admission import Admission, calling
from authsvc.clock import Clock, SystemClock
from authsvc.counters.store import RedisCounters
from authsvc.decide import Decider
from authsvc.enquire import Enquiry
from authsvc.errors import AuthsvcError, StartupRefused, Unavailable
from authsvc.history.own import OwnHistory
from authsvc.history.servicer import HistoryServicer
from authsvc.identity.assembly import identity_on
from authsvc.identity.authenticate import AUTHORIZE, EVENTS, HISTORY, MANAGE, Authenticator
from authsvc.identity.ports import Identities
from authsvc.identity.rates import RateLimit
from authsvc.identity.shapes import Refusal
from authsvc.ledger.events import PostgresEventLedger
from authsvc.ledger.funding import PostgresFundingLedger
from authsvc.ledger.history import PostgresHistory
from authsvc.ledger.identity import PostgresIdentities
from authsvc.ledger.management import PostgresStore
from authsvc.ledger.replicas import open_replicas
from authsvc.ledger.store import Pool, PostgresLedger, open_pool, open_recorders
from authsvc.lifecycle.apply import Lifecycle
from authsvc.lifecycle.expiry import HoldExpiry
from authsvc.lifecycle.increments import Increments
from authsvc.lifecycle.servicer import TransactionServicer
from authsvc.management.assembly import management_on
from authsvc.management.callers import OpenCallers
from authsvc.management.shapes import Store
from authsvc.metrics import Metrics
from authsvc.privacy.keys import privacy_of
from authsvc.reaper import Reaper
from authsvc.server import AUTHORIZATION_SERVICE, HISTORY_SERVICE, IDENTITY_SERVICE, TRANSACTION_SERVICE, Server
from authsvc.servicers import AuthorizationServicer
from authsvc.settings import Settings
from loader.directory import Directory
from loader.source import PostgresSource
from loader.watch import Watch

_NOTIFICATION_WAIT_S: Final = 0.1
_LISTENER_PING_S: Final = 5.0
_RETRY_S: Final = 0.2
_HEALTH_PERIOD_S: Final = 0.5
_WARM_REPORT_CARDS: Final = 20_000
# A request leaves no cycles of ours behind; what the libraries leave may pile up a little.
_GC_THRESHOLDS: Final = (20_000, 20, 20)
_CANCEL_AGAIN_S: Final = 1.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Service:
    """One worker's parts, wired."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    directory: Directory
    watch: Watch
    counters: RedisCounters
    ledger: PostgresLedger
    decider: Decider
    reaper: Reaper
    lifecycle: Lifecycle
    expiry: HoldExpiry
    servicer: AuthorizationServicer
    history: HistoryServicer
    server: Server
    port: int = 0
    metrics_port: int = 0


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    ready: Callable[[Service], None],
    worker: int = 0,
    clock: Clock | None = None,
) -> None:
    """Serve until `stop` is set, then drain. `ready` is called once requests can be decided.

    Raises `StartupRefused` when the service could not keep its promises here.
    """
    async with AsyncExitStack() as stack:
        service = await wire(settings, stack, clock)
        await _check_counters(service.counters)
        await _background(stack, service.watch.run())
        await service.watch.ready()
        await _warm(service.directory)
        _settle_memory()
        stop_metrics, service.metrics_port = service.metrics.serve(
            settings.host, settings.metrics_port + worker if settings.metrics_port else 0
        )
        stack.callback(stop_metrics)
        service.port = await service.server.start()
        await _background(stack, _every(settings.reaper_interval_ms, service, service.reaper.sweep))
        await _background(stack, _every(settings.reaper_interval_ms, service, service.lifecycle.catch_up))
        await _background(
            stack,
            _every(settings.hold_sweep_interval_ms, service, lambda: service.expiry.sweep(service.clock.now_us())),
        )
        await _background(stack, _health(service))
        _log.info("worker %d serves on port %d, metrics on port %d", worker, service.port, service.metrics_port)
        ready(service)
        await stop.wait()
        _log.info("worker %d drains", worker)
        drain_s = settings.drain_timeout_ms / 1000
        until_s = service.clock.monotonic_s() + drain_s
        service.servicer.drain()
        service.history.drain()
        await service.server.stop(drain_s)
        # Callers that are gone may have left a batch behind; it ends before the connections under it do.
        await service.decider.rest(max(0, until_s - service.clock.monotonic_s()))
        await service.lifecycle.rest(max(0, until_s - service.clock.monotonic_s()))
        _log.info("worker %d stops", worker)


async def wire(
    settings: Settings, stack: AsyncExitStack, clock: Clock | None = None, extra: Iterable[grpc.GenericRpcHandler] = ()
) -> Service:
    """Connect to PostgreSQL and Redis and put the parts together; `stack` closes what was opened."""
    clock = clock or SystemClock()
    metrics = Metrics()
    pool, recorders = await _connect(settings, stack)
    for name, connections in (("ledger", pool), ("recorder", recorders)):
        metrics.pool(name, connections.get_size, connections.get_idle_size, connections.get_max_size)
    ledger = PostgresLedger(
        pool, recorders, acquire_timeout_ms=settings.pg_acquire_timeout_ms, record_ttl_ms=settings.record_ttl_ms
    )
    counters = _counters(settings, stack)
    directory, watch = _directory(settings, clock, pool)
    decider = Decider(
        directory,
        counters,
        ledger,
        clock,
        metrics,
        batch_max=settings.batch_max,
        in_flight_max=settings.requests_in_flight_max,
        attempts_max=settings.decision_attempts_max,
        name=f"{socket.gethostname()}:{os.getpid()}",
    )
    reaper = Reaper(counters, ledger, decider.repair, metrics, grace_ms=settings.reaper_grace_ms)
    enquiry = Enquiry(directory, counters, decider.repair, attempts_max=settings.decision_attempts_max)
    servicer = _servicer(settings, decider, enquiry, ledger, clock, metrics)
    _gauges(metrics, directory, decider, servicer)
    events = PostgresEventLedger(ledger)
    lifecycle = Lifecycle(events, counters, decider.repair, metrics, waiting_max=settings.requests_in_flight_max)
    transactions = TransactionServicer(
        lifecycle,
        Increments(events, lifecycle, decider.decide),
        PostgresFundingLedger(ledger),
        clock,
        metrics,
        default_deadline_ms=settings.default_deadline_ms,
    )
    expiry = HoldExpiry(events, lifecycle, metrics.expired)
    replicas = await open_replicas(settings, clock.monotonic_s, metrics, stack)
    if replicas is not None:
        await _background(stack, replicas.run())
    past = OwnHistory(PostgresHistory(ledger, replicas), calling)
    history = HistoryServicer(past, clock, metrics, watchers_max=settings.streams_max)
    privacy = privacy_of(settings, os.urandom)
    store = PostgresStore(pool, replicas, privacy=privacy, acquire_timeout_ms=settings.pg_acquire_timeout_ms)
    identities = PostgresIdentities(ledger, privacy)
    authenticator, people = _management(settings, identities, store, clock, metrics, stack)
    programs = {AUTHORIZATION_SERVICE: servicer, TRANSACTION_SERVICE: transactions, HISTORY_SERVICE: history}
    servicers = {**_admitted(settings, programs, authenticator, metrics), **people}
    return Service(
        settings=settings,
        clock=clock,
        metrics=metrics,
        directory=directory,
        watch=watch,
        counters=counters,
        ledger=ledger,
        decider=decider,
        reaper=reaper,
        lifecycle=lifecycle,
        expiry=expiry,
        servicer=servicer,
        history=history,
        server=Server(settings, servicers, extra),
    )


def _servicer(
    settings: Settings, decider: Decider, enquiry: Enquiry, ledger: PostgresLedger, clock: Clock, metrics: Metrics
) -> AuthorizationServicer:
    return AuthorizationServicer(
        decider,
        enquiry,
        ledger,
        clock,
        metrics,
        logs.DecisionLog() if settings.log_decisions else None,
        default_deadline_ms=settings.default_deadline_ms,
        streams_max=settings.streams_max,
        stream_in_flight_max=settings.stream_in_flight_max,
    )


def _management(
    settings: Settings, identities: Identities, store: Store, clock: Clock, metrics: Metrics, stack: AsyncExitStack
) -> tuple[Authenticator, dict[str, object]]:
    """Who callers are, and the services of people: where they sign in, and what they edit."""
    authenticator, identity = identity_on(identities, settings, clock, os.urandom, metrics, stack)
    per_s = settings.management_calls_per_s
    rate = RateLimit(
        60 * per_s,
        clock.monotonic_s,
        at_once=per_s,
        text="too many calls; try again in a second",
        on_refusal=lambda: metrics.turned_away(Refusal.RATE),
    )
    callers = OpenCallers(authenticator.within(MANAGE), rate, is_open=not settings.credentials_required)
    return authenticator, {IDENTITY_SERVICE: identity, **management_on(store, callers, settings, clock, metrics)}


def _admitted(
    settings: Settings, programs: Mapping[str, object], authenticator: Authenticator, metrics: Metrics
) -> Mapping[str, object]:
    """The services of programs, for callers with credentials where they are required. Elsewhere nothing is between."""
    if not settings.credentials_required:
        return programs
    scopes = {AUTHORIZATION_SERVICE: AUTHORIZE, TRANSACTION_SERVICE: EVENTS, HISTORY_SERVICE: HISTORY}
    return Admission(authenticator, metrics, again_ms=settings.credentials_ttl_ms).before(programs, scopes)


def _counters(settings: Settings, stack: AsyncExitStack) -> RedisCounters:
    assert settings.redis_url is not None
    counters = RedisCounters(
        settings.redis_url,
        timeout_ms=settings.redis_timeout_ms,
        record_ttl_ms=settings.record_ttl_ms,
        counters_ttl_s=settings.counters_ttl_s,
    )
    stack.push_async_callback(counters.close)
    return counters


def _directory(settings: Settings, clock: Clock, pool: Pool) -> tuple[Directory, Watch]:
    """The configuration in memory, and what keeps it fresh."""
    assert settings.database_url is not None
    directory = Directory(
        PostgresSource(pool, acquire_timeout_ms=settings.pg_acquire_timeout_ms),
        clock.monotonic_s,
        cards_max=settings.directory_cards_max,
        unknown_max=settings.negative_max,
        unknown_ttl_s=settings.negative_ttl_ms / 1000,
        notification_wait_s=_NOTIFICATION_WAIT_S,
    )
    return directory, Watch(settings.database_url, directory, ping_s=_LISTENER_PING_S, retry_s=_RETRY_S)


async def _connect(settings: Settings, stack: AsyncExitStack) -> tuple[Pool, Pool]:
    """The pool, and the pool of the batches."""
    assert settings.database_url is not None
    timeout_ms = settings.pg_statement_timeout_ms
    try:
        pool = await open_pool(
            settings.database_url,
            size_min=settings.pg_pool_min,
            size_max=settings.pg_pool_max,
            idle_s=settings.pg_idle_s,
            statement_timeout_ms=timeout_ms,
        )
        stack.callback(pool.terminate)
        recorders = await open_recorders(settings.database_url, statement_timeout_ms=timeout_ms)
        stack.callback(recorders.terminate)
    except OSError as error:
        raise StartupRefused("the database cannot be reached") from error
    return pool, recorders


def _gauges(metrics: Metrics, directory: Directory, decider: Decider, servicer: AuthorizationServicer) -> None:
    counts = directory.counts
    metrics.watch("authsvc_directory_cards", "Cards in memory.", lambda: len(directory))
    metrics.watch("authsvc_listener_up", "1 while configuration changes are heard.", lambda: float(directory.listening))
    metrics.watch("authsvc_in_flight", "Requests being decided.", lambda: decider.in_flight)
    metrics.watch("authsvc_streams", "Open AuthorizeStream calls.", lambda: servicer.streams_open)
    metrics.count("authsvc_directory_hits", "Cards found in memory.", lambda: counts.hits)
    metrics.count("authsvc_directory_misses", "Cards not found in memory.", lambda: counts.misses)
    metrics.count("authsvc_directory_unknown_hits", "Tokens known to be unknown.", lambda: counts.unknown_hits)
    metrics.count("authsvc_directory_loads", "Cards asked of the database.", lambda: counts.loads)
    metrics.count("authsvc_directory_resyncs", "Times the listener was lost and came back.", lambda: counts.resyncs)


async def _check_counters(counters: RedisCounters) -> None:
    try:
        policy = await counters.eviction_policy()
    except Unavailable as error:
        raise StartupRefused("Redis cannot be reached") from error
    if policy not in ("noeviction", ""):
        raise StartupRefused(f"Redis may evict keys (maxmemory-policy is {policy}); set it to noeviction")


async def _warm(directory: Directory) -> None:
    reported = 0

    def progress(cards: int) -> None:
        nonlocal reported
        if cards - reported >= _WARM_REPORT_CARDS:
            reported = cards
            _log.info("directory: %d cards read", cards)

    count = await directory.warm(progress)
    _log.info("directory: warm with %d cards", count)


def _settle_memory() -> None:
    """The directory stays: the collector need not walk over every card again and again, for tens of milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


async def _every(interval_ms: int, service: Service, sweep: Callable[[], Awaitable[int]]) -> None:
    """A round of something that heals or tidies up, again and again."""
    while True:
        await asyncio.sleep(interval_ms / 1000)
        try:
            await sweep()
        except AuthsvcError as error:
            _log.warning("a sweep failed: %s", error)
        except Exception as error:  # noqa: BLE001 - it must go on; the next round tries again
            service.metrics.failed(error)


async def _health(service: Service) -> None:
    """Healthy while every part that decisions need answers."""
    said: bool | None = None
    while True:
        up = {"database": await _answers(service.ledger.ping()), "counters": await _answers(service.counters.ping())}
        for part, part_up in up.items():
            service.metrics.part(part, up=part_up)
        healthy = all(up.values())
        if healthy != said:
            said = healthy
            _log.log(logging.INFO if healthy else logging.WARNING, "health: %s", up)
            await service.server.report(healthy=healthy)
        await asyncio.sleep(_HEALTH_PERIOD_S)


async def _answers(ping: Coroutine[Any, Any, None]) -> bool:
    try:
        await ping
    except AuthsvcError:
        return False
    return True


async def _background(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)

    async def end() -> None:
        # A cancellation that meets the end of an awaited operation may be lost (asyncio.wait_for before Python 3.12).
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)

    stack.push_async_callback(end)


def run_worker(
    settings: Settings, ready: Callable[[Service], None], worker: int = 0, lifeline: int | None = None
) -> None:
    """A whole process: serve until SIGTERM or SIGINT, or until the pipe `lifeline` is closed at its other end."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if lifeline is not None:
            asyncio.get_running_loop().add_reader(lifeline, _cut, lifeline, stop)
        await serve(settings, stop, ready, worker)

    uvloop.run(main())


def _cut(lifeline: int, stop: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(lifeline)
    stop.set()
