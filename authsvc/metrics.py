"""What is counted, for Prometheus. Observing never fails and never waits."""

import logging
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric

from authsvc.identity.shapes import Refusal, SignInEvent
from authsvc.scrape import serve_registry
from authsvc.tallies import Counts, Latencies
from rules.reasons import LEVEL_OF_REASON, Decision, Reason

_LATENCY_BUCKETS_S: Final = (
    0.001,
    0.002,
    0.003,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.0,
    5.0,
)
_SIZE_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_log = logging.getLogger(__name__)


class Metrics:
    """The `Observer` of the use case, and the counters of the server around it."""

    def __init__(self) -> None:
        """Each process has a registry of its own, served on its own port."""
        self.registry = CollectorRegistry()
        self._decisions = Counts(
            "authsvc_decisions",
            "Decisions given.",
            ["decision", "reason", "level"],
            lambda key: (key[0].name, key[1].name, LEVEL_OF_REASON[key[1]].name),
            product(Decision, Reason),
        )
        self._seconds = Latencies("authsvc_decision_seconds", "Receipt to answer.", _LATENCY_BUCKETS_S)
        self.registry.register(self._decisions)
        self.registry.register(self._seconds)
        self._replays = Counter("authsvc_replays", "Answers that were given before.", registry=self.registry)
        self._errors = Counter(
            "authsvc_errors", "Requests without a decision, by status.", ["status"], registry=self.registry
        )
        stage = Histogram(
            "authsvc_stage_seconds", "A batch's stages.", ["stage"], buckets=_LATENCY_BUCKETS_S, registry=self.registry
        )
        self._reserve_s, self._record_s = stage.labels("reserve"), stage.labels("record")
        self._batch_size = Histogram(
            "authsvc_batch_size", "Requests a batch.", buckets=_SIZE_BUCKETS, registry=self.registry
        )
        self._fenced = Counter(
            "authsvc_fence_retries", "Decisions refused at commit and made again.", registry=self.registry
        )
        self._rebuilt = Counter(
            "authsvc_rebuilds", "Accounts whose counters were started afresh.", registry=self.registry
        )
        self._loaded = Counter("authsvc_counters_loaded", "Counters loaded from the database.", registry=self.registry)
        self._reaped = Counter("authsvc_reaped_reservations", "Abandoned reservations found.", registry=self.registry)
        self._expired = Counter("authsvc_expired_holds", "Holds whose time ran out.", registry=self.registry)
        self._failures = Counter("authsvc_unexpected_failures", "Steps that failed unforeseen.", registry=self.registry)
        self._up = Gauge("authsvc_part_up", "1 while the part answers.", ["part"], registry=self.registry)
        self._pools = tuple(
            Gauge(name, text, ["pool"], registry=self.registry)
            for name, text in (
                ("authsvc_pool_size", "Open database connections."),
                ("authsvc_pool_idle", "Idle database connections."),
                ("authsvc_pool_size_max", "Database connections there may be."),
            )
        )
        self._replica_lag_s = Gauge(
            "authsvc_replica_lag_seconds", "No older commit is missing.", ["replica"], registry=self.registry
        )
        self._replica_up = Gauge("authsvc_replica_up", "1 while it is read.", ["replica"], registry=self.registry)
        self._reads = Counter("authsvc_replica_reads", "Lists, by where.", ["place"], registry=self.registry)
        self._signing_in = Counter("authsvc_signin_events", "At sign-in.", ["event"], registry=self.registry)
        self._turned_away = Counter(
            "authsvc_calls_turned_away", "Calls not let in, by why.", ["why"], registry=self.registry
        )
        # From 0 on: an alert must see the first of them.
        for event in SignInEvent:
            self._signing_in.labels(event)
        for why in Refusal:
            self._turned_away.labels(why)
        ProcessCollector(registry=self.registry)

    def batch(self, size: int, reserve_s: float, record_s: float) -> None:
        """See `Observer.batch`."""
        self._batch_size.observe(size)
        self._reserve_s.observe(reserve_s)
        self._record_s.observe(record_s)

    def fenced(self, count: int) -> None:
        """See `Observer.fenced`."""
        self._fenced.inc(count)

    def rebuilt(self) -> None:
        """See `Observer.rebuilt`."""
        self._rebuilt.inc()

    def loaded(self, count: int) -> None:
        """See `Observer.loaded`."""
        self._loaded.inc(count)

    def reaped(self, count: int) -> None:
        """See `Observer.reaped`."""
        self._reaped.inc(count)

    def failed(self, error: BaseException) -> None:
        """See `Observer.failed`. The log has the whole story; callers are told nothing of it."""
        self._failures.inc()
        _log.error("a step failed", exc_info=error)

    def decided(self, decision: Decision, reason: Reason, elapsed_s: float, *, replayed: bool) -> None:
        """An answer was given."""
        self._decisions.count((decision, reason))
        self._seconds.observe(elapsed_s)
        if replayed:
            self._replays.inc()

    def refused(self, status: str) -> None:
        """A request got a status instead of a decision."""
        self._errors.labels(status).inc()

    def expired(self, count: int) -> None:
        """Holds were released because their time had run out."""
        self._expired.inc(count)

    def part(self, name: str, *, up: bool) -> None:
        """A part that decisions need answers, or does not."""
        self._up.labels(name).set(up)

    def pool(self, name: str, *reads: Callable[[], float]) -> None:
        """A pool of connections. `reads` tell how many are open, how many are idle, and how many there may be."""
        for gauge, read in zip(self._pools, reads, strict=True):
            gauge.labels(name).set_function(read)

    def replica(self, name: str, lag_s: Callable[[], float], is_read: Callable[[], bool]) -> None:
        """A replica that lists may be read from."""
        self._replica_lag_s.labels(name).set_function(lag_s)
        self._replica_up.labels(name).set_function(is_read)

    def read_at(self, place: str) -> None:
        """A list or a sum was read there, in a service with replicas."""
        self._reads.labels(place).inc()

    def signing_in(self, event: SignInEvent) -> None:
        """See `EntranceObserver.signing_in`."""
        self._signing_in.labels(event).inc()

    def turned_away(self, why: Refusal) -> None:
        """See `EntranceObserver.turned_away`."""
        self._turned_away.labels(why).inc()

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def count(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A counter that somebody else keeps."""
        self.registry.register(_Read(name, text, read))

    def serve(self, host: str, port: int) -> tuple[Callable[[], None], int]:
        """See `serve_registry`."""
        return serve_registry(self.registry, host, port)


class _Read:
    """A counter kept elsewhere."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name, self._text, self._read = name, text, read

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._text, value=self._read())

    def describe(self) -> list[Any]:
        return []
