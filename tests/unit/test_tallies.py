"""What is counted at every request reads as the library's own metrics do, whatever was counted."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from authsvc.tallies import Counts, Latencies

BOUNDS_S = (0.001, 0.25, 1.0)
SECONDS = st.floats(0, 10) | st.sampled_from(BOUNDS_S)
OUTCOMES = st.tuples(st.sampled_from("ab"), st.sampled_from(['"', "\\", "c"]))


def shown(registry: CollectorRegistry) -> list[str]:
    """Every line but the times of creation, which the library adds to its own."""
    return sorted(line for line in generate_latest(registry).decode().splitlines() if "_created" not in line)


@given(st.lists(SECONDS), st.lists(OUTCOMES))
def test_they_are_shown_as_those_of_the_library(seconds: list[float], outcomes: list[tuple[str, str]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    latencies, counts = Latencies("x_seconds", "Long.", BOUNDS_S), Counts("x_done", "Done.", ["p", "q"], tuple)
    ours.register(latencies)
    ours.register(counts)
    histogram = Histogram("x_seconds", "Long.", buckets=BOUNDS_S, registry=theirs)
    counter = Counter("x_done", "Done.", ["p", "q"], registry=theirs)
    for elapsed_s in seconds:
        latencies.observe(elapsed_s)
        histogram.observe(elapsed_s)
    for outcome in outcomes:
        counts.count(outcome)
        counter.labels(*outcome).inc()
    assert shown(ours) == shown(theirs)


def test_what_never_happened_is_shown_as_zero_when_it_is_known() -> None:
    registry = CollectorRegistry()
    registry.register(Counts("x", "Of x.", ["number"], lambda number: [str(number)], from_zero=[7]))
    assert registry.get_sample_value("x_total", {"number": "7"}) == 0


def test_a_scrape_may_ask_for_them_by_name() -> None:
    registry = CollectorRegistry()
    registry.register(Latencies("x_seconds", "Long.", BOUNDS_S))
    registry.register(Counts("x_done", "Done.", ["p"], tuple, from_zero=["a"]))
    asked = registry.restricted_registry(["x_done_total", "x_seconds_count"])
    assert {sample.name for family in asked.collect() for sample in family.samples} == {
        "x_done_total",
        "x_seconds_count",
    }
