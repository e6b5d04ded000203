"""`python -m bench`: every measurement in one go, on servers of its own, durable settings only."""

import asyncio
import contextlib
import itertools
import platform
import tempfile
import uuid
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
from bench import books, dataset, memory, phases, processes, report, rules_speed
from bench.phases import BATCH_IN_FLIGHT, CONNECTIONS, PROCEDURE_CONNECTIONS, STREAM_IN_FLIGHT, UNARY_IN_FLIGHT, Phase

LATEST = Path(__file__).parent / "results" / "latest.json"

Seconds = Annotated[float, typer.Option(min=0.5, help="Measured seconds of each phase in each round.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds; the table shows their medians.")]
Out = Annotated[Path, typer.Option(help="Where the JSON goes.")]
WithMemory = Annotated[bool, typer.Option("--memory/--no-memory", help="Measure 100,000 cards in the directory, too.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(seconds: Seconds = 1.5, rounds: Rounds = 9, out: Out = LATEST, *, with_memory: WithMemory = True) -> None:
    """Measure throughput beside a no-op echo. Exits 1 when an answer was an error or the books are wrong."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="authsvc-bench-") as folder, Servers.start(None) as servers:
        failed = asyncio.run(_measure(console, servers, Path(folder), (seconds, rounds, out), with_memory=with_memory))
    raise typer.Exit(1 if failed else 0)


async def _measure(
    console: Console, servers: Servers, folder: Path, options: tuple[float, int, Path], *, with_memory: bool
) -> bool:
    """The whole run; True when something was wrong."""
    seconds, rounds, out = options
    shape = dataset.Shape()
    await migrate.upgrade(servers.database_url)
    connection = await asyncpg.connect(servers.database_url)
    await dataset.fill(connection, shape)
    await dataset.fill_plain(connection, shape)
    plan = _plan(servers, seconds, rounds)
    results, of_memory = phases.Results(), phases.Results()
    steps = itertools.count()
    total = 1 + 9 * rounds + (2 + 4 * rounds if with_memory else 0)
    with _progress(console) as progress:
        bar = progress.add_task("starting", total=total)

        def told(name: str) -> None:
            progress.update(bar, description=name, completed=next(steps))

        with (
            processes.echo() as echo,
            processes.service(servers.database_url, servers.redis_url, folder / "service.log") as service,
            processes.service(servers.database_url, servers.redis_url, folder / "pair.log", workers="2") as pair,
        ):
            await phases.touch(plan, _touch(service, shape), results, told)
            await phases.run_rounds(plan, _phases(echo, service, pair, shape), results, told)
        urls = servers.valkey.url(1), servers.valkey.url(2)
        kept = await memory.measure(plan, urls, folder, of_memory, told) if with_memory else None
        progress.update(bar, description="done", completed=total)
    speed = rules_speed.measure()
    errors = sum(sum(counts.values()) for counts in (results.errors | of_memory.errors).values())
    problems = await books.problems(connection, results.answers, errors) + await books.plain_problems(connection)
    await connection.close()
    report.show(console, results, speed, kept)
    _tell(console, results, of_memory, problems)
    report.write(out, report.as_json(results, speed, kept, problems, _about(plan)))
    console.print(f"written to {out}")
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


def _phases(
    echo: processes.Process, service: processes.Process, pair: processes.Process, shape: dataset.Shape
) -> list[Phase]:
    spread, hot, port, pid = shape.spread, shape.hot, service.port, service.pid
    return [
        Phase("echo", "echo", echo.port, spread, echo.pid, CONNECTIONS, UNARY_IN_FLIGHT),
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
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        app()
