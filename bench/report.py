"""The table that people read and the JSON that scripts read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.generator import Outcome
from bench.phases import HTTP_CONNECTIONS, HTTP_CONNECTIONS_FEW, Results
from bench.rules_speed import Speed


@dataclass(frozen=True)
class Target:
    """A figure with what it must reach and what it should. For `at_most` less is better."""

    name: str
    value: float
    must: float
    goal: float
    unit: str = ""
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """`goal`, `reached` or `missed`."""

        def holds(bound: float) -> bool:
            return self.value <= bound if self.at_most else self.value >= bound

        return "goal" if holds(self.goal) else "reached" if holds(self.must) else "missed"


@dataclass(frozen=True)
class Memory:
    """What cards cost in memory, and what many of them do to speed: medians of the same run."""

    cards: int
    bytes_a_card: float
    load_s: float
    unary_ratio: float
    stream_ratio: float


HOT_PAIR = "Stream hot, 2 workers"
CONSTANT = "constant"
BRIDGE = "bridge"
BARE = "constant, bare"
CONSTANT_FEW = f"constant, {HTTP_CONNECTIONS_FEW} calls"
BRIDGE_FEW = f"bridge, {HTTP_CONNECTIONS_FEW} calls"
EVENT = "ApplyEvent"
EVENTS = "BatchApplyEvents of 500"
# What speaks HTTP is measured apart: its figures stand in a table of their own.
OVER_HTTP = (CONSTANT, BARE, BRIDGE, CONSTANT_FEW, BRIDGE_FEW)
GROUPS = ("bridge", "service", "postgres", "valkey", "generator")


def targets(results: Results, speed: Speed) -> list[Target]:
    """The figures that the project holds itself to, of what was measured."""
    found = [Target("rules.evaluate", speed.evaluate_us, 5.0, 2.0, unit="µs", at_most=True)]
    if "echo" in results.outcomes:
        found = [*_of_decisions(results), *found]
    if BRIDGE in results.outcomes:
        found.append(Target("bridge / constant", results.ratio(BRIDGE, CONSTANT), 0.4, 0.5))
    if EVENTS in results.outcomes:
        found.append(Target("events in batches", results.median(EVENTS, _rate), 5_000, 10_000, unit="/s"))
    return found


def _rate(outcome: Outcome) -> float:
    return outcome.per_second


def _of_decisions(results: Results) -> list[Target]:
    return [
        Target("unary / echo", results.ratio("Authorize", "echo"), 0.55, 0.8),
        Target("stream / echo", results.ratio("AuthorizeStream", "echo"), 1.3, 2.0),
        Target("hot account / spread, unary", results.ratio("Authorize, hot", "Authorize"), 0.7, 0.9),
        Target("hot account / spread, stream", results.ratio("AuthorizeStream, hot", "AuthorizeStream"), 0.7, 0.9),
        # The procedure has a server process for each of its connections, so it may use every core: so may the service.
        Target("hot, 2 workers / procedure, hot", results.ratio(HOT_PAIR, "procedure, hot"), 4.0, 8.0),
    ]


def show(console: Console, results: Results, speed: Speed, memory: Memory | None) -> None:
    """Prints everything."""
    console.print(_figures(results))
    if BRIDGE in results.outcomes:
        console.print(_over_http(results))
    console.print(_targets(targets(results, speed)))
    if "procedure" in results.outcomes:
        console.print(_procedure(results))
    console.print(f"rules: evaluate {speed.evaluate_us:.2f} µs, settle {speed.settle_us:.2f} µs a call")
    if memory is not None:
        console.print(
            f"{memory.cards:,} cards in the directory: {memory.bytes_a_card:,.0f} bytes a card, loaded in "
            f"{memory.load_s:.1f} s; speed against 100 cards: unary {memory.unary_ratio:.2f}, "
            f"stream {memory.stream_ratio:.2f}"
        )


def _procedure(results: Results) -> str:
    return (
        f"one worker's streams / procedure: hot {results.ratio('AuthorizeStream, hot', 'procedure, hot'):.2f}, "
        f"spread {results.ratio('AuthorizeStream', 'procedure'):.2f} (the procedure has no gRPC in front of it)"
    )


def as_json(
    results: Results, speed: Speed, memory: Memory | None, problems: list[str], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything, for scripts. CPU is microseconds a request."""
    phases = {
        name: {**_row(results, name), "rounds": [round(outcome.per_second) for outcome in outcomes]}
        for name, outcomes in results.outcomes.items()
    }
    return {
        "about": dict(about),
        "phases": phases,
        "targets": [asdict(target) | {"verdict": target.verdict} for target in targets(results, speed)],
        "rules": asdict(speed),
        "memory": None if memory is None else asdict(memory),
        "errors": results.errors,
        "problems": problems,
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes the JSON; makes the folder when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _row(results: Results, name: str) -> dict[str, float]:
    """The figures of a phase. Its ratio is to what does nothing on the same stack; 0 where that was not measured."""
    other = CONSTANT if name in OVER_HTTP else "echo"
    beside = CONSTANT_FEW if name in (CONSTANT_FEW, BRIDGE_FEW) else other
    return {
        "requests_per_second": results.median(name, lambda outcome: outcome.per_second),
        "p50_ms": results.median(name, lambda outcome: outcome.p50_ms),
        "p99_ms": results.median(name, lambda outcome: outcome.p99_ms),
        f"ratio_to_{other}": results.ratio(name, beside) if beside in results.outcomes else 0.0,
    } | {
        f"cpu_{group}_us": results.median(name, lambda outcome, group=group: outcome.cpu_us(group))  # type: ignore[misc]
        for group in GROUPS
    }


def _figures(results: Results) -> Table:
    table = Table(
        title="Medians of the rounds. p50, p99: ms. The last four: µs of CPU a request.", box=box.SIMPLE, padding=0
    )
    table.add_column("phase", no_wrap=True)
    for heading in ("req/s", "/echo", "p50", "p99", "serv.", "PG", "Valkey", "gen."):
        table.add_column(heading, justify="right", no_wrap=True, min_width=6)
    for name in results.outcomes:
        if name not in OVER_HTTP:
            _add(table, results, name, "ratio_to_echo", GROUPS[1:])
    return table


def _over_http(results: Results) -> Table:
    """`constant` is a route of the bridge's framework, `bare` its HTTP server alone."""
    title = f"Over HTTP, {HTTP_CONNECTIONS} calls in flight. The last five: µs of CPU a request."
    table = Table(title=title, box=box.SIMPLE, padding=0)
    table.add_column("phase", no_wrap=True)
    for heading in ("req/s", "/const", "p50", "p99", "HTTP", "serv.", "PG", "Valkey", "gen."):
        table.add_column(heading, justify="right", no_wrap=True, min_width=6)
    for name in (one for one in OVER_HTTP if one in results.outcomes):
        _add(table, results, name, "ratio_to_constant", GROUPS)
    return table


def _add(table: Table, results: Results, name: str, ratio: str, groups: Sequence[str]) -> None:
    row = _row(results, name)
    table.add_row(
        name,
        f"{row['requests_per_second']:,.0f}",
        f"{row[ratio]:.2f}",
        f"{row['p50_ms']:.1f}",
        f"{row['p99_ms']:.1f}",
        *(f"{row[f'cpu_{group}_us']:.0f}" for group in groups),
    )


def _targets(figures: list[Target]) -> Table:
    table = Table(title="Targets")
    table.add_column("figure")
    for heading in ("measured", "must", "goal"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    colours = {"goal": "green", "reached": "yellow", "missed": "red"}
    for one in figures:
        sign = "≤" if one.at_most else "≥"
        bounds = [f"{sign} {bound:g} {one.unit}".rstrip() for bound in (one.must, one.goal)]
        shown = f"[{colours[one.verdict]}]{one.verdict}[/]"
        value = f"{one.value:,.2f}" if one.value < 1_000 else f"{one.value:,.0f}"
        table.add_row(one.name, f"{value} {one.unit}".rstrip(), *bounds, shown)
    return table
