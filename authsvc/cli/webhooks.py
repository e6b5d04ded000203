"""`authsvc webhooks`: what Lithic told, what became of it, and what to do when that was nothing."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc import settings
from authsvc.cli.options import Json, database_url
from authsvc.cli.output import console, fail, print_json
from authsvc.clock import SystemClock

if TYPE_CHECKING:
    from authsvc.ledger.webhooks import Kept

_DAY_US: Final = 24 * 3_600 * 1_000_000
_STYLES: Final = {"pending": "yellow", "processed": "green", "failed": "bold red"}
_Name = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its number here, or Lithic's name of it (msg_…).")]
_Result = TypeVar("_Result")


def list_webhooks(
    *,
    status: Annotated[Literal["pending", "processed", "failed"] | None, typer.Option(help="Only these.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Only these: card.updated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List the latest webhooks, newest first."""
    from authsvc.ledger.webhooks import listed

    kept = _on_database(lambda connection: listed(connection, status, event_type, limit))
    if as_json:
        print_json([_facts(one) for one in kept])
        return
    if not kept:
        console().print("no webhooks")
        return
    table = Table("id", "received", "type", "status", "tries", "account", "why", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[4].justify = "right"
    for one in kept:
        account = "" if one.account_id is None else str(one.account_id)
        why = escape(one.error_message or "")
        table.add_row(
            str(one.id), _local(one.received_at), one.event_type, _status(one), str(one.retry_count), account, why
        )
    console().print(table)


def show(name: _Name, *, as_json: Json = False) -> None:
    """Show a webhook and its body, as it was stored."""
    from authsvc.ledger.webhooks import shown

    one = _on_database(lambda connection: shown(connection, name))
    if one is None:
        fail(f"there is no webhook {name}")
    if as_json:
        print_json({**_facts(one), "payload": one.payload})
        return
    out = console()
    out.print(f"webhook [bold]{one.id}[/bold] {escape(one.webhook_id)}  {one.event_type}  {_status(one)}")
    if one.error_message:
        out.print(f"[dim]why[/dim] {escape(one.error_message)}")
    account = "unknown" if one.account_id is None else str(one.account_id)
    out.print(f"[dim]account[/dim] {account}  [dim]tries in vain[/dim] {one.retry_count}")
    times = {"sent": one.sent_at, "received": one.received_at}
    times |= {"processed": one.processed_at} if one.processed_at is not None else {}
    times |= {"next try": one.next_attempt_at} if one.status == "pending" else {}
    out.print("  ".join(f"[dim]{label}[/dim] {_local(at)}" for label, at in times.items()))
    print_json(one.payload)


def retry(
    name: Annotated[
        str | None, typer.Argument(metavar="[WEBHOOK]", help="Its number here, or Lithic's name of it (msg_…).")
    ] = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Instead: all that have failed.")] = False,
    as_json: Json = False,
) -> None:
    """Process a webhook again, as if it had just come. Safe to repeat: what was applied once is not applied twice."""
    from authsvc.ledger.webhooks import retry as again

    if (name is None) != failed:
        raise typer.BadParameter("name one webhook, or give --failed")
    count = _on_database(lambda connection: again(connection, name, SystemClock().now_us()))
    if not count and not failed:
        fail(f"there is no webhook {name}")
    if as_json:
        print_json({"pending": count})
    else:
        console().print(f"{count} will be tried again: a bridge takes {'it' if count == 1 else 'them'} within a second")


def purge(
    *,
    older_than: Annotated[int, typer.Option(min=0, max=36_500, metavar="DAYS", help="Received longer ago than this.")],
    failed: Annotated[bool, typer.Option("--failed", help="Those that have failed as well.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete old webhooks that are processed. Pending ones stay, always.

    Keep them for longer than Lithic can deliver one again (90 days, when somebody asks it to): a webhook that is gone
    counts as new.
    """
    from authsvc.ledger import webhooks

    before_us = SystemClock().now_us() - older_than * _DAY_US
    statuses = ["processed", "failed"] if failed else ["processed"]
    if not yes:
        count = _on_database(lambda connection: webhooks.purgeable(connection, statuses, before_us))
        typer.confirm(f"Delete {count} webhooks ({' and '.join(statuses)}, older than {older_than} days)?", abort=True)
    deleted = _on_database(lambda connection: webhooks.purge(connection, statuses, before_us))
    if as_json:
        print_json({"deleted": deleted})
    else:
        console().print(f"{deleted} deleted")


def _on_database(question: Callable[[Any], Awaitable[_Result]]) -> _Result:
    """The answer of the database in which the bridge keeps webhooks."""
    from authsvc.ledger.webhooks import desk

    async def ask() -> _Result:
        async with desk(settings.load().bridge_database_url or database_url()) as connection:
            return await question(connection)

    return asyncio.run(ask())


def _facts(one: "Kept") -> dict[str, Any]:
    return {name: value for name, value in one._asdict().items() if name != "payload"}


def _status(one: "Kept") -> str:
    return f"[{_STYLES[one.status]}]{one.status}[/{_STYLES[one.status]}]"


def _local(at: datetime) -> str:
    return f"{at.astimezone():%d %b %Y %H:%M:%S}"
