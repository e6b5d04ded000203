"""Metrics of what happens at every request. The library's own take locks, which each request would feel.

They are counted in one thread and read in another: a scrape may see a request counted and its latency not yet.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_Key = TypeVar("_Key")


class Counts(Collector, Generic[_Key]):
    """A counter with labels, by keys of the counting side's own."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        labels_of: Callable[[_Key], Sequence[str]],
        from_zero: Iterable[_Key] = (),
    ) -> None:
        """`labels_of` gives the labels of a key when they are asked for; `from_zero` are shown before they happen."""
        self._named = name, text, labels
        self._labels_of = labels_of
        self._counts = Counter(dict.fromkeys(from_zero, 0))

    def count(self, key: _Key) -> None:
        """It happened once more."""
        self._counts[key] += 1

    def describe(self) -> Iterator[Metric]:
        """The name alone."""
        name, text, labels = self._named
        yield CounterMetricFamily(name, text, labels=labels)

    def collect(self) -> Iterator[Metric]:
        """The counter as it is."""
        name, text, labels = self._named
        family = CounterMetricFamily(name, text, labels=labels)
        # A list, because a key may be new while this goes on.
        for key, count in list(self._counts.items()):
            family.add_metric(self._labels_of(key), count)
        yield family


class Latencies(Collector):
    """A histogram of seconds."""

    def __init__(self, name: str, text: str, bounds_s: Sequence[float]) -> None:
        """`bounds_s`: the upper bounds of the buckets, without the last, which has none."""
        self._named = name, text
        self._bounds_s = bounds_s
        self._in_bucket = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def observe(self, elapsed_s: float) -> None:
        """One more."""
        self._in_bucket[bisect_left(self._bounds_s, elapsed_s)] += 1
        self._sum_s += elapsed_s

    def describe(self) -> Iterator[Metric]:
        """The name alone."""
        yield HistogramMetricFamily(*self._named)

    def collect(self) -> Iterator[Metric]:
        """The histogram as it is."""
        bounds = [*map(str, self._bounds_s), "+Inf"]
        up_to = list(zip(bounds, accumulate(self._in_bucket), strict=True))
        family = HistogramMetricFamily(*self._named)
        family.add_metric([], up_to, self._sum_s)
        yield family
