"""What the bridge counts, for Prometheus."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from authsvc.scrape import serve_registry

_LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0)


class BridgeMetrics:
    """Counters of one bridge, with a registry of their own."""

    def __init__(self) -> None:
        """All at zero."""
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "authsvc_bridge_answers",
            "Decisions told to Lithic, repeated ones included.",
            ["result", "reason"],
            registry=self.registry,
        )
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
        self._seconds = Histogram(
            "authsvc_bridge_answer_seconds",
            "Receipt to answer, fallbacks included.",
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def answered(self, result: str, reason: str, elapsed_s: float) -> None:
        """A decision was told."""
        self._answers.labels(result, reason).inc()
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
