"""`python -m bench`: every measurement in one go, on servers of its own, durable settings only."""

import asyncio
import contextlib
import itertools
import platform
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import asyncpg
import psutil
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from authsvc.clock import SystemClock
from authsvc.embedded.servers import Servers
from authsvc.ledger import migrate
from bench import books, dataset, lithic, memory, phases, processes, report, rules_speed
from bench.phases import (
    BATCH_IN_FLIGHT,
    CONNECTIONS,
    EVENT_IN_FLIGHT,
    HTTP_CONNECTIONS,
    HTTP_CONNECTIONS_FEW,
    PROCEDURE_CONNECTIONS,
    STREAM_IN_FLIGHT,
    UNARY_IN_FLIGHT,
    Phase,
)

LATEST = Path(__file__).parent / "results" / "latest.json"

Seconds = Annotated[float, typer.Option(min=0.5, help="Measured seconds of each phase in each round.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds; the table shows their medians.")]
Out = Annotated[Path, typer.Option(help="Where the JSON goes.")]
WithDecisions = Annotated[bool, typer.Option("--decisions/--no-decisions", help="Measure decisions beside the echo.")]
WithBridge = Annotated[bool, typer.Option("--bridge/--no-bridge", help="Measure the bridge beside a constant answer.")]
WithEvents = Annotated[bool, typer.Option("--events/--no-events", help="Measure events, one by one and in batches.")]
WithMemory = Annotated[bool, typer.Option("--memory/--no-memory", help="Measure 100,000 cards in the directory, too.")]


@dataclass(frozen=True)
class Options:
    """What to measure, how long, and where the JSON goes."""

    seconds: float
    rounds: int
    out: Path
    decisions: bool
    bridge: bool
    events: bool
    memory: bool

    @property
    def steps(self) -> int:
        """How often a phase starts."""
        phase_count = 9 * self.decisions + 3 * self.bridge + 2 * self.events
        return 1 + phase_count * self.rounds + (2 + 4 * self.rounds if self.memory else 0)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(  # noqa: PLR0913  (options of a command)
    # At 170 ms an answer, half of this would be nine answers of each HTTP connection.
    seconds: Seconds = 3.0,
    rounds: Rounds = 9,
    out: Out = LATEST,
    *,
    decisions: WithDecisions = True,
    bridge: WithBridge = True,
    events: WithEvents = True,
    with_memory: WithMemory = True,
) -> None:
    """Measure throughput beside servers that do nothing. Exits 1 when an answer was an error or the books are wrong."""
    console = Console()
    options = Options(seconds, rounds, out, decisions, bridge, events, with_memory)
    with tempfile.TemporaryDirectory(prefix="authsvc-bench-") as folder, Servers.start(None) as servers:
        failed = asyncio.run(_measure(console, servers, Path(folder), options))
    raise typer.Exit(1 if failed else 0)


async def _measure(console: Console, servers: Servers, folder: Path, options: Options) -> bool:
    """The whole run; True when something was wrong."""
    shape = dataset.Shape()
    await migrate.upgrade(servers.database_url)
    connection = await asyncpg.connect(servers.database_url)
    await dataset.fill(connection, shape)
    await dataset.fill_plain(connection, shape)
    plan = _plan(servers, options.seconds, options.rounds)
    results, of_memory = phases.Results(), phases.Results()
    steps = itertools.count()
    with _progress(console) as progress:
        bar = progress.add_task("starting", total=options.steps)

        def told(name: str) -> None:
            progress.update(bar, description=name, completed=next(steps))

        with contextlib.ExitStack() as stack:
            service = stack.enter_context(
                processes.service(servers.database_url, servers.redis_url, folder / "service.log")
            )
            await phases.touch(plan, _touch(service, shape), results, told)
            chosen = _chosen(stack, options, servers, folder, service, shape)
            await phases.run_rounds(plan, chosen, results, told)
        urls = servers.valkey.url(1), servers.valkey.url(2)
        kept = await memory.measure(plan, urls, folder, of_memory, told) if options.memory else None
        progress.update(bar, description="done", completed=options.steps)
    speed = rules_speed.measure()
    errors = sum(sum(counts.values()) for counts in (results.errors | of_memory.errors).values())
    problems = [
        *await books.problems(connection, results.answers, errors),
        *await books.event_problems(connection, results.events),
        *await books.plain_problems(connection),
    ]
    await connection.close()
    report.show(console, results, speed, kept)
    _tell(console, results, of_memory, problems)
    report.write(options.out, report.as_json(results, speed, kept, problems, _about(plan)))
    console.print(f"written to {options.out}")
    return bool(errors or problems)


def _plan(servers: Servers, seconds: float, rounds: int) -> phases.Plan:
    watched = {"postgres": [servers.postgres.pid], "valkey": [servers.valkey.pid]}
    return phases.Plan(
        run=uuid.uuid4().hex[:8],
        seconds=seconds,
        warmup_s=0.5,
        rounds=rounds,
        transacted_at_us=SystemClock().now_us(),
        database_url=servers.database_url,
        watched={name: [pid for pid in pids if pid is not None] for name, pids in watched.items()},
    )


def _touch(service: processes.Process, shape: dataset.Shape) -> Phase:
    cards = shape.spread + shape.hot
    return Phase("first touch, stream", "stream", service.port, cards, service.pid, CONNECTIONS, UNARY_IN_FLIGHT)


def _chosen(
    stack: contextlib.ExitStack,
    options: Options,
    servers: Servers,
    folder: Path,
    service: processes.Process,
    shape: dataset.Shape,
) -> list[Phase]:
    """The phases of a round, after what they need was started."""
    chosen: list[Phase] = []
    if options.decisions:
        echo = stack.enter_context(processes.alone("bench.echo"))
        pair = stack.enter_context(
            processes.service(servers.database_url, servers.redis_url, folder / "pair.log", workers="2")
        )
        chosen += _phases(echo, service, pair, shape)
    if options.bridge:
        constant = stack.enter_context(processes.alone("bench.constant"))
        bare = stack.enter_context(processes.alone("bench.constant", "bare"))
        bridge = stack.enter_context(processes.bridge(service.port, lithic.SECRET, folder / "bridge.log"))
        chosen += _of_bridge(constant, bare, bridge, service, shape)
    if options.events:
        chosen += [
            Phase(report.EVENT, "event", service.port, shape.spread, service.pid, CONNECTIONS, EVENT_IN_FLIGHT),
            Phase(report.EVENTS, "events", service.port, shape.spread, service.pid, CONNECTIONS, BATCH_IN_FLIGHT),
        ]
    return chosen


def _of_bridge(
    constant: processes.Process,
    bare: processes.Process,
    bridge: processes.Process,
    service: processes.Process,
    shape: dataset.Shape,
) -> list[Phase]:
    """The constant answers are watched as the bridge is: each is the process that speaks HTTP."""
    cards, many, few = shape.spread, HTTP_CONNECTIONS, HTTP_CONNECTIONS_FEW
    return [
        Phase(report.CONSTANT, "http", constant.port, cards, 0, many, 1, bridge_pid=constant.pid, recorded_as=None),
        Phase(
            report.BRIDGE, "http", bridge.port, cards, service.pid, many, 1, bridge_pid=bridge.pid, recorded_as="event:"
        ),
        Phase(report.CONSTANT_FEW, "http", constant.port, cards, 0, few, 1, bridge_pid=constant.pid, recorded_as=None),
        Phase(
            report.BRIDGE_FEW,
            "http",
            bridge.port,
            cards,
            service.pid,
            few,
            1,
            bridge_pid=bridge.pid,
            recorded_as="event:",
        ),
        Phase(report.BARE, "http", bare.port, cards, 0, many, 1, bridge_pid=bare.pid, recorded_as=None),
    ]


def _phases(
    echo: processes.Process, service: processes.Process, pair: processes.Process, shape: dataset.Shape
) -> list[Phase]:
    spread, hot, port, pid = shape.spread, shape.hot, service.port, service.pid
    return [
        Phase("echo", "echo", echo.port, spread, echo.pid, CONNECTIONS, UNARY_IN_FLIGHT, recorded_as=None),
        Phase("Authorize", "unary", port, spread, pid, CONNECTIONS, UNARY_IN_FLIGHT),
        Phase("Authorize, hot", "unary", port, hot, pid, CONNECTIONS, UNARY_IN_FLIGHT),
        Phase("AuthorizeStream", "stream", port, spread, pid, CONNECTIONS, STREAM_IN_FLIGHT),
        Phase("AuthorizeStream, hot", "stream", port, hot, pid, CONNECTIONS, STREAM_IN_FLIGHT),
        # The same number in flight, on more connections: the kernel spreads connections over the workers.
        Phase(report.HOT_PAIR, "stream", pair.port, hot, pair.pid, 2 * CONNECTIONS, STREAM_IN_FLIGHT // 2),
        Phase("procedure, hot", None, 0, hot, 0, PROCEDURE_CONNECTIONS, 1),
        Phase("procedure", None, 0, spread, 0, PROCEDURE_CONNECTIONS, 1),
        Phase("BatchAuthorize of 100", "batch", port, spread, pid, CONNECTIONS, BATCH_IN_FLIGHT),
    ]


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def _tell(console: Console, results: phases.Results, of_memory: phases.Results, problems: list[str]) -> None:
    for name, counts in (results.errors | of_memory.errors).items():
        for text, count in counts.items():
            console.print(f"[red]{name}: {count} × {text}[/]")
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    if not problems:
        answered = sum(sum(counts.values()) for counts in results.answers.values())
        console.print(f"the books are right: {answered:,} decisions answered, as many recorded, every limit kept")


def _about(plan: phases.Plan) -> dict[str, object]:
    return {
        "run": plan.run,
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "python": platform.python_version(),
        "cores": psutil.cpu_count(),
        "connections": CONNECTIONS,
        "unary_in_flight": UNARY_IN_FLIGHT,
        "stream_in_flight": STREAM_IN_FLIGHT,
        "procedure_connections": PROCEDURE_CONNECTIONS,
        "http_connections": HTTP_CONNECTIONS,
        "event_in_flight": EVENT_IN_FLIGHT,
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        app()
