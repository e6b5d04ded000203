"""Commands on the database: its schema, its partitions, sample data."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from authsvc import settings
from authsvc.cli.options import Json, database_url, known_database_url, sealer
from authsvc.cli.output import console, print_json
from authsvc.clock import SystemClock
from authsvc.errors import Unavailable

if TYPE_CHECKING:
    from authsvc.seed import SeedReport


def migrate(*, as_json: Json = False) -> None:
    """Bring the schema to this release, create partitions ahead and fill the merchant categories. Safe to repeat."""
    from authsvc.ledger.prepare import prepare

    with _database() as url:
        applied = prepare(url)
    if as_json:
        print_json({"applied": applied})
    elif applied:
        console().print(f"[green]applied[/green] {', '.join(applied)}")
    else:
        console().print("nothing to do: the schema is the one of this release")


def status(*, as_json: Json = False) -> None:
    """List the revisions of this release; exit code 1 when the database lacks one."""
    from authsvc.ledger.migrate import status as revisions_of
    from authsvc.ledger.session import session

    async def revisions() -> list[tuple[str, str, bool]]:
        url = database_url()
        async with session(url):
            return await revisions_of(url)

    revisions_now = asyncio.run(revisions())
    if as_json:
        print_json([{"revision": name, "title": title, "applied": done} for name, title, done in revisions_now])
    else:
        table = Table("revision", "title", "state", box=box.SIMPLE_HEAD)
        for name, title, done in revisions_now:
            table.add_row(name, title, "[green]applied[/green]" if done else "[yellow]missing[/yellow]")
        console().print(table)
    sys.exit(0 if all(done for _, _, done in revisions_now) else 1)


def rollback(
    revision: Annotated[str, typer.Argument(help="The revision to stay at; base: none at all.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take the schema back to an older revision. Says first which data goes: nothing brings it back but a backup.

    Stop the service before, and install the older release after: this one would migrate again when it starts.
    """
    from authsvc.ledger.migrate import downgrade, losses
    from authsvc.ledger.session import session

    async def going(url: str) -> list[tuple[str, str]]:
        async with session(url):
            return await losses(url, revision)

    url = database_url()
    lost = asyncio.run(going(url))
    if lost and not yes:
        for name, what in lost:
            console(stderr=True).print(f"{name}  {what}")
        typer.confirm(f"Take back {len(lost)} revision{'' if len(lost) == 1 else 's'}?", abort=True, err=True)
    taken = asyncio.run(downgrade(url, revision)) if lost else []
    if as_json:
        print_json({"taken_back": taken})
    elif taken:
        console().print(f"[yellow]taken back[/yellow] {', '.join(taken)}")
    else:
        console().print(f"nothing to do: the schema is at revision {revision}")


def partitions(
    *,
    months: Annotated[int, typer.Option(min=0, max=120, help="Months after this one.")] = 12,
    as_json: Json = False,
) -> None:
    """Create the monthly partitions of transactions ahead of time. Safe to repeat; run it from a scheduler."""
    from authsvc.ledger.partitions import create_ahead
    from authsvc.ledger.session import session

    today = datetime.fromtimestamp(SystemClock().now_us() / 1_000_000, UTC).date()

    async def create(url: str) -> list[str]:
        async with session(url) as connection:
            return await create_ahead(connection, months, today)

    created = asyncio.run(create(database_url()))
    if as_json:
        print_json({"created": created})
    else:
        console().print("\n".join(f"[green]created[/green] {name}" for name in created) or "nothing to do")


def seed(*, as_json: Json = False) -> None:
    """Make the sample program: accounts, users of every role, profiles, cards in every status. Safe to repeat."""
    from authsvc.ledger.prepare import prepare

    with _database() as url:
        prepare(url)
        report = asyncio.run(_seed(url))
    if as_json:
        print_json(report._asdict() | {"cards": [card._asdict() for card in report.cards]})
        return
    table = Table("card", "status", "cardholder", "account", "what it is for", box=box.SIMPLE_HEAD)
    for card in report.cards:
        state = f"[green]{card.status}[/green]" if card.status == "active" else f"[yellow]{card.status}[/yellow]"
        table.add_row(card.token, state, card.cardholder, card.account_name, card.purpose)
    out = console()
    out.print(table)
    out.print(
        f"{report.created} cards made; now {report.accounts} accounts, {report.users} users, {len(report.cards)} cards"
    )


async def _seed(url: str) -> "SeedReport":
    from authsvc.ledger.privacy import desk, work
    from authsvc.seed import seed as make

    cipher = sealer()
    async with desk(url) as connection:
        report = await make(connection, cipher)
        if cipher.has_keys:
            async for _ in work(connection, cipher, cipher.version):
                pass
    return report


@contextmanager
def _database() -> Iterator[str]:
    """The database that is known; else an embedded one on AUTHSVC_DATA_DIR, for as long as the command takes."""
    effective = settings.load()
    url = known_database_url()
    # The note of a service that was killed names a server that is gone.
    if url is not None and (not effective.embedded or asyncio.run(_is_up(url))):
        yield url
        return
    from authsvc.embedded import Servers

    with Servers.start(effective.data_dir) as servers:
        yield servers.database_url


async def _is_up(url: str) -> bool:
    from authsvc.ledger.session import session

    try:
        async with session(url):
            return True
    except Unavailable:
        return False
