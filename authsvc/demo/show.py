"""The demonstration from beginning to end, on servers that run already."""

import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from authsvc.client import AuthorizationClient
from authsvc.clock import Clock
from authsvc.demo import lithic, report
from authsvc.demo.books import check_books
from authsvc.demo.life import live, print_life
from authsvc.demo.process import serving
from authsvc.demo.replay import IN_FLIGHT, Outcome, replay
from authsvc.demo.traffic import Fields, traffic
from authsvc.ledger.session import session
from authsvc.seed import SeedCard, seed


async def show(
    database_url: str, redis_url: str, out: Console, clock: Clock, *, requests: int, random_seed: int
) -> bool:
    """Seed, serve, replay `requests` authorizations, and print what came of them. The schema must be there.

    True when every request got a decision and the books are right.
    """
    cards = await _seed(database_url, out, clock)
    tokens = [card.token for card in cards]
    now = datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC)
    orders = traffic(Random(random_seed), tokens, requests, now, run=f"demo-{clock.now_us():x}")  # noqa: S311
    async with AsyncExitStack() as stack:
        with step(out, clock, "service", "starting `authsvc serve` as its own process") as said:
            logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authsvc-demo-")))
            target = await stack.enter_async_context(serving(database_url, redis_url, logs / "serve.log"))
            said.append(f"`authsvc serve`, a process of its own, is ready on {target}")
        client = await stack.enter_async_context(AuthorizationClient(target))
        outcomes, elapsed_s = await _replay(client, orders, out, clock)
        steps = await live(client, tokens, run=f"demo-{clock.now_us():x}")
        with step(out, clock, "bridge", "starting `authsvc bridge`, and Lithic's traffic for it") as said:
            said.append("`authsvc bridge`, a process of its own, heard from a simulated Lithic over HTTP")
            bridge = lithic.bridged(target, database_url, logs / "bridge.log", clock)
            told = await lithic.play(client, await stack.enter_async_context(bridge), tokens, clock, random_seed)
        out.print()
        books = await check_books(client, database_url, tokens, now)
    report.print_decisions(out, outcomes)
    report.print_speed(out, outcomes, elapsed_s, IN_FLIGHT)
    report.print_explanations(out, outcomes)
    print_life(out, "The life of one purchase, and its card's limit", steps)
    right = [lithic.print_told(out, told), report.print_books(out, books)]
    return all(right) and all(outcome.error is None for outcome in outcomes)


@contextmanager
def step(out: Console, clock: Clock, name: str, doing: str) -> Iterator[list[str]]:
    """One line for a step: a spinner on a terminal while it lasts, then what was done (appended by the body)."""
    started_s = clock.monotonic_s()
    said: list[str] = []
    with out.status(f"{name}: {doing} …") if out.is_terminal else nullcontext():
        yield said
    elapsed_s = clock.monotonic_s() - started_s
    out.print(f"[green]✓[/green] [bold]{name:<9}[/bold]{', '.join(said) or doing} [dim]({elapsed_s:.1f} s)[/dim]")


async def _seed(database_url: str, out: Console, clock: Clock) -> tuple[SeedCard, ...]:
    with step(out, clock, "program", "making accounts, users, profiles and cards") as said:
        async with session(database_url) as connection:
            made = await seed(connection)
        said.append(
            f"{made.accounts} accounts, {made.users} users, {made.profiles} spending profiles, {len(made.cards)} cards"
        )
    return made.cards


async def _replay(
    client: AuthorizationClient, orders: list[Fields], out: Console, clock: Clock
) -> tuple[list[Outcome], float]:
    columns = (
        TextColumn("  [bold]traffic  [/bold]"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn("authorizations"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("traffic", total=len(orders))
        started_s = clock.monotonic_s()
        outcomes = await replay(client, orders, clock, lambda: progress.advance(task))
        elapsed_s = clock.monotonic_s() - started_s
    out.print(
        f"[green]✓[/green] [bold]traffic  [/bold]{len(orders):,} authorizations through the public API "
        f"[dim]({elapsed_s:.1f} s)[/dim]"
    )
    return outcomes, elapsed_s
