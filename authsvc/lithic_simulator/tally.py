"""What a simulation sent, and what it was told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from authsvc.lithic_simulator.lives import Life
from authsvc.lithic_simulator.shapes import Figures

# What is no answer at all is counted beside the statuses.
NO_ANSWER: Final = "no answer"


@dataclass(slots=True)
class Tally:
    """Counts of one run. `errors` are by what was sent (`asa`, `event`) and what came instead of 200."""

    asked: int = 0
    results: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    ends: dict[str, Figures] = field(default_factory=dict)
    elapsed_s: float = 0.0

    def lived(self, life: Life) -> None:
        """Count what happened to a swipe, whatever becomes of the webhooks about it."""
        self.events.update(webhook.kind for webhook in life.webhooks)
        self.ends |= life.ends

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "asked": self.asked,
            "results": dict(sorted(self.results.items())),
            "events": dict(sorted(self.events.items())),
            "duplicates": self.duplicates,
            "errors": {f"{what} {status}": count for (what, status), count in sorted(self.errors.items())},
            "asa_p50_ms": round(self.latency_ms(0.5), 3),
            "asa_p99_ms": round(self.latency_ms(0.99), 3),
            "elapsed_s": round(self.elapsed_s, 3),
        }

    def latency_ms(self, share: float) -> float:
        """The time that `share` of the questions were answered within; 0 without any."""
        return _at(sorted(self.latencies_ms), share)


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
