"""What the bridge counts, for Prometheus."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from authsvc.scrape import serve_registry
from authsvc.tallies import Counts, Latencies

# From an idle worker's wake-up to the day on which a card is imported at last.
_LAG_BUCKETS_S: Final = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    15.0,
    60.0,
    300.0,
    1_800.0,
    7_200.0,
    43_200.0,
)
_LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0)


class WebhookMetrics:
    """What becomes of webhooks. Types that the bridge does not know are counted as `other`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """All at zero."""
        self._received = Counter(
            "authsvc_webhooks_received",
            "Webhooks that Lithic was told are taken, by what became of them.",
            ["type", "outcome"],
            registry=registry,
        )
        self._processed = Counter("authsvc_webhooks_processed", "Webhooks processed.", ["type"], registry=registry)
        self._failed = Counter("authsvc_webhooks_failed", "Webhooks given up.", ["type"], registry=registry)
        self._retries = Counter(
            "authsvc_webhooks_retries",
            "Tries in vain that are repeated later, by status.",
            ["status"],
            registry=registry,
        )
        self._lag = Histogram(
            "authsvc_webhooks_lag_seconds", "Receipt to processed.", buckets=_LAG_BUCKETS_S, registry=registry
        )
        self._waiting = Gauge(
            "authsvc_webhooks_waiting", "Webhooks in the table, by status.", ["status"], registry=registry
        )
        self._oldest = Gauge(
            "authsvc_webhooks_oldest_pending_seconds",
            "Age of the oldest webhook that is not processed.",
            registry=registry,
        )

    def received(self, event_type: str, outcome: str) -> None:
        """Lithic was told that it is taken: `new`, `repeated`, or `not_kept`."""
        self._received.labels(event_type, outcome).inc()

    def processed(self, event_type: str, lag_s: float) -> None:
        """It is done."""
        self._processed.labels(event_type).inc()
        self._lag.observe(lag_s)

    def failed(self, event_type: str) -> None:
        """It is given up."""
        self._failed.labels(event_type).inc()

    def retried(self, status: str) -> None:
        """It will be tried again. `status` is a gRPC status name."""
        self._retries.labels(status).inc()

    def waiting(self, pending: int, failed: int, oldest_s: float) -> None:
        """What the table holds now."""
        self._waiting.labels("pending").set(pending)
        self._waiting.labels("failed").set(failed)
        self._oldest.set(oldest_s)


class BridgeMetrics:
    """Counters of one bridge, with a registry of their own."""

    def __init__(self) -> None:
        """All at zero."""
        self.registry = CollectorRegistry()
        self._answers = Counts[tuple[str, str]](
            "authsvc_bridge_answers",
            "Decisions told to Lithic, repeated ones included.",
            ["result", "reason"],
            lambda labels: labels,
        )
        self.registry.register(self._answers)
        self._fallbacks = Counter(
            "authsvc_bridge_fallbacks",
            "Answers without a decision of the engine, by why there was none.",
            ["status"],
            registry=self.registry,
        )
        self._uncertain = Counter(
            "authsvc_bridge_uncertain_fallbacks",
            "Of these, those that the engine may have decided all the same, too late.",
            registry=self.registry,
        )
        self._undone = Counter(
            "authsvc_bridge_late_approvals_undone",
            "Approvals that came too late and were undone.",
            registry=self.registry,
        )
        self._unsettled = Counter(
            "authsvc_bridge_late_decisions_unsettled",
            "Decisions of which it could not be found out in time whether they hold anything.",
            registry=self.registry,
        )
        self._refused = Counter(
            "authsvc_bridge_refused", "Calls that got an HTTP error.", ["status", "why"], registry=self.registry
        )
        self._seconds = Latencies(
            "authsvc_bridge_answer_seconds", "Receipt to answer, fallbacks included.", _LATENCY_BUCKETS_S
        )
        self.registry.register(self._seconds)
        self.webhooks = WebhookMetrics(self.registry)
        ProcessCollector(registry=self.registry)

    def answered(self, result: str, reason: str, elapsed_s: float) -> None:
        """A decision was told."""
        self._answers.count((result, reason))
        self._seconds.observe(elapsed_s)

    def fell_back(self, status: str, elapsed_s: float, *, uncertain: bool) -> None:
        """An answer was told without a decision. `status` is a gRPC status name."""
        self._fallbacks.labels(status).inc()
        self._seconds.observe(elapsed_s)
        if uncertain:
            self._uncertain.inc()

    def undone(self) -> None:
        """An approval came too late and was undone."""
        self._undone.inc()

    def unsettled(self) -> None:
        """It is not known whether a late decision holds anything."""
        self._unsettled.inc()

    def refused(self, status: int, why: str) -> None:
        """A call got an HTTP error."""
        self._refused.labels(str(status), why).inc()

    def serve(self, host: str, port: int) -> tuple[Callable[[], None], int]:
        """See `serve_registry`."""
        return serve_registry(self.registry, host, port)
