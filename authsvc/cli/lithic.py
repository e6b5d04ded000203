"""`authsvc lithic simulate`: Lithic's traffic for a bridge, without a Lithic account."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import ipaddress
import sys
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc import settings
from authsvc.cli.options import Json
from authsvc.cli.output import console, fail, print_json
from authsvc.clock import SystemClock

if TYPE_CHECKING:
    from authsvc.lithic_simulator.run import Plan
    from authsvc.lithic_simulator.tally import Tally

# Those of the sample program that may spend somewhere, and some of those that may not.
SAMPLE_CARDS: Final = (
    "card_demo_open",
    "card_demo_open",
    "card_demo_yearly",
    "card_demo_yearly",
    "card_demo_travel",
    "card_demo_daily",
    "card_demo_lunch_uma",
    "card_demo_lunch_anna",
    "card_demo_office",
    "card_demo_new_york",
    "card_demo_kitchen_1",
    "card_demo_kitchen_2",
    "card_demo_driver",
    "card_demo_software",
    "card_demo_lifetime",
    "card_demo_small_balance",
    "card_demo_inactive",
    "card_demo_closed",
)
_Share = Annotated[
    float, typer.Option(min=0, max=1, metavar="P", help="The share of webhooks that are sent twice, 0 to 1.")
]


def simulate(  # noqa: PLR0913 (options of a command)
    *,
    url: Annotated[
        str | None, typer.Option(help="The bridge; default: AUTHSVC_BRIDGE_HOST and PORT.", show_default=False)
    ] = None,
    swipes: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many.")] = 200,
    concurrency: Annotated[int, typer.Option(min=1, max=1_000, help="Swipes under way at once.")] = 8,
    rate: Annotated[float, typer.Option(min=0, help="Swipes per second at most; 0: as fast as it goes.")] = 0,
    cards: Annotated[
        str | None,
        typer.Option(metavar="TOKEN,…", help="Cards to swipe. Default: the sample program.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same purchases.")] = 1,
    duplicates: _Share = 0,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Mix the webhooks of each swipe.")] = False,
    webhooks: Annotated[bool, typer.Option("--webhooks/--no-webhooks", help="Tell what becomes of each swipe.")] = True,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Send made-up transactions to a bridge that is not on this machine.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Stand in for Lithic before a bridge: swipes that it is asked about, and webhooks of what becomes of each.

    Requests are signed with the first of AUTHSVC_BRIDGE_ASA_SECRETS, webhooks with the first of
    AUTHSVC_BRIDGE_EVENT_SECRETS; without a secret they go unsigned. Exit code 1 when anything was answered with
    another status than 200.

    [bold]authsvc lithic simulate --swipes 1000 --duplicates 0.1 --shuffle[/bold]
    """
    from authsvc.lithic_simulator.run import Plan

    effective = settings.load()
    target = (url or f"http://{_named(effective.bridge_host)}:{effective.bridge_port}").rstrip("/")
    _check_target(target, allow_remote=allow_remote)
    tokens = [token.strip() for token in cards.split(",") if token.strip()] if cards else SAMPLE_CARDS
    if not tokens:
        raise typer.BadParameter("names no card", param_hint="--cards")
    plan = Plan(
        seed=seed,
        run=f"{SystemClock().now_us():x}",
        card_tokens=tokens,
        swipes=swipes,
        concurrency=concurrency,
        rate=rate,
        duplicates=duplicates,
        shuffle=shuffle,
        webhooks=webhooks,
    )
    tally = asyncio.run(_run(target, plan, effective, quiet=as_json))
    if as_json:
        print_json({"url": target, "seed": seed, **tally.summary()})
    else:
        _show(tally)
    sys.exit(1 if tally.errors else 0)


async def _run(url: str, plan: "Plan", effective: settings.Settings, *, quiet: bool) -> "Tally":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from authsvc.lithic_simulator import run
    from authsvc.lithic_simulator.tally import Tally

    if not await run.answers(url):
        fail(f"no bridge answers at {url}: start one with `authsvc bridge`, or name another with --url")
    out, clock, tally = console(stderr=True), SystemClock(), Tally()
    asa_key, event_key = (next(iter(keys), None) for keys in (effective.asa_keys(), effective.event_keys()))
    columns = (TextColumn("[bold]swipes[/bold]"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn())
    async with run.connected(url, clock, tally, asa_key, event_key, plan.concurrency) as lithic:
        with Progress(*columns, console=out, transient=True, disable=quiet or not out.is_terminal) as progress:
            task = progress.add_task("swipes", total=plan.swipes)
            await run.simulate(lithic, plan, clock, tally, lambda: progress.advance(task))
    return tally


def _show(tally: "Tally") -> None:
    table = Table("what", "", "count", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[2].justify = "right"
    for result, count in tally.results.most_common():
        style = "green" if result == "APPROVED" else "yellow" if result.startswith("PARTIALLY") else "red"
        table.add_row("asked, answered", f"[{style}]{escape(result)}[/{style}]", f"{count:,}")
    table.add_section()
    for kind, count in tally.events.most_common():
        table.add_row("told", kind, f"{count:,}")
    if tally.duplicates:
        table.add_row("told again", "", f"{tally.duplicates:,}")
    for (what, status), count in sorted(tally.errors.items()):
        table.add_row("[bold red]not taken[/bold red]", escape(f"{what}: {status}"), f"{count:,}")
    out = console()
    out.print(table)
    told = sum(tally.events.values()) + tally.duplicates
    out.print(
        f"{tally.asked:,} questions and {told:,} webhooks in {tally.elapsed_s:.1f} s; "
        f"[bold]answers: p50 {tally.latency_ms(0.5):.1f} ms, p99 {tally.latency_ms(0.99):.1f} ms[/bold]"
    )


def _named(host: str) -> str:
    """A host as it stands in a URL; what listens on every address is asked on this machine."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 (it is compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _check_target(url: str, *, allow_remote: bool) -> None:
    """Ends the command with wrong usage when nothing may be sent there."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme in {"http", "https"} and parts.port != 0 else None
    except ValueError:
        host = None
    if not host:
        raise typer.BadParameter("must be like http://127.0.0.1:8080", param_hint="--url")
    if not (allow_remote or _is_loopback(host)):
        problem = f"{host} is not this machine, and the transactions are made up: add --allow-remote to do it"
        raise typer.BadParameter(problem, param_hint="--url")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
