"""`authsvc demo`: everything once, from servers to a check of the books, leaving nothing behind."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import shutil
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final

import typer

from authsvc import settings
from authsvc.cli.output import console
from authsvc.clock import SystemClock

if TYPE_CHECKING:
    from rich.console import Console

NEXT: Final = """
[bold]What to type next[/bold]
  {command} serve    [dim]# the same service, kept running: its data stays in .authsvc[/dim]
  {command} seed     [dim]# in another terminal: the same sample program[/dim]
  {command} authorize card_demo_travel 12.50 --mcc 5812
  {command} card limits card_demo_travel
"""
TERMINATED: Final = 128 + signal.SIGTERM


def demo(
    *,
    requests: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many authorizations.")] = 3_000,
    seed: Annotated[int, typer.Option(help="Of the generator of the traffic: the same seed, the same purchases.")] = 1,
) -> None:
    """See card traffic authorized on real servers, with reasons: takes a minute, leaves nothing behind.

    It starts a PostgreSQL and a Valkey of its own (or uses AUTHSVC_DATABASE_URL and AUTHSVC_REDIS_URL, and then what it
    makes stays there), makes a sample card program, runs the service as its own process, sends it a week of purchases
    through the public API, and checks the books. Exit code 0 when every request got a decision and the books are right.
    """
    from authsvc.demo import show

    effective = settings.load()
    out, clock = console(), SystemClock()
    with ExitStack() as stack:
        database_url, redis_url = _servers(effective, out, clock, stack)
        _migrate(database_url, out, clock)

        async def main() -> bool:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
            return await show(database_url, redis_url, out, clock, requests=requests, random_seed=seed)

        try:
            right = asyncio.run(main())
        except asyncio.CancelledError:
            sys.exit(TERMINATED)
    out.print(NEXT.format(command=_command()), end="", soft_wrap=True)
    sys.exit(0 if right else 1)


def _command() -> str:
    """How the command line is called from here: by its name, when a shell would find it."""
    if shutil.which("authsvc"):
        return "authsvc"
    return "python -m authsvc" if sys.argv[0].endswith("__main__.py") else sys.argv[0]


def _servers(effective: settings.Settings, out: "Console", clock: SystemClock, stack: ExitStack) -> tuple[str, str]:
    """The URLs of PostgreSQL and Redis: those of the settings, or of embedded servers that end with `stack`."""
    from authsvc.demo import step

    if effective.database_url is not None and effective.redis_url is not None:
        return effective.database_url, effective.redis_url
    from authsvc.embedded import Servers

    with step(out, clock, "servers", "starting PostgreSQL and Valkey") as said:
        servers = stack.enter_context(Servers.start(None))
        said.append("PostgreSQL and Valkey are running, in a temporary folder")
    return servers.database_url, servers.redis_url


def _migrate(database_url: str, out: "Console", clock: SystemClock) -> None:
    from authsvc.demo import step
    from authsvc.ledger.prepare import prepare

    with step(out, clock, "schema", "migrating") as said:
        applied = prepare(database_url)
        said.append(f"{len(applied)} migrations applied, partitions made, merchant categories of ISO 18245 filled in")
