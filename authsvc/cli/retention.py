"""`authsvc retention`: what a scheduler runs every night."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeVar

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc import settings
from authsvc.cli.options import Json, database_url
from authsvc.cli.output import console, print_json
from authsvc.clock import SystemClock

if TYPE_CHECKING:
    from authsvc.ledger.retention import DormantAccount, OldPartition

_MONTHS_A_YEAR: Final = 12
_Day = TypeVar("_Day", date, datetime)


class _Ages(NamedTuple):
    """From when on things are old."""

    today: date
    months_ahead: int
    transactions_until: date
    cards_before: datetime
    accounts_before: datetime
    webhooks_before: datetime
    keys_before: datetime


class _Report(NamedTuple):
    """What was done, or would be."""

    created_partitions: list[str]
    archived_partitions: list[str]
    kept_partitions: "list[OldPartition]"
    archived_cards: int
    purged_webhooks: int
    purged_request_keys: int
    accounts_due_for_notice: "list[DormantAccount]"


def retention(  # noqa: PLR0913 - one option for each thing that grows old
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it. Without: only say what would be done.")] = False,
    months_ahead: Annotated[int, typer.Option(min=0, max=120, help="Partitions to have ahead of this month.")] = 3,
    transactions_months: Annotated[
        int, typer.Option(min=13, max=1200, help="Partitions that ended before so many months are archived.")
    ] = 84,
    cards_years: Annotated[int, typer.Option(min=1, max=100, help="Cards closed for so long are archived.")] = 7,
    accounts_days: Annotated[
        int, typer.Option(min=30, max=36_500, help="Accounts unused for so long are listed: due for notice.")
    ] = 365,
    webhooks_days: Annotated[
        int, typer.Option(min=90, max=36_500, help="Processed webhooks older than this are purged.")
    ] = 400,
    request_keys_days: Annotated[
        int, typer.Option(min=90, max=36_500, help="Keys of requests older than this are purged.")
    ] = 400,
    as_json: Json = False,
) -> None:
    """Make partitions ahead, archive old ones and cards closed long ago, purge old keys and webhooks.

    A dry run without --yes. Transactions are archived, never deleted, and only where no limit can count them again.
    """
    now = datetime.fromtimestamp(SystemClock().now_us() / 1_000_000, UTC)
    ages = _Ages(
        now.date(),
        months_ahead,
        _months_before(now.date(), transactions_months),
        _months_before(now, cards_years * _MONTHS_A_YEAR),
        now - timedelta(days=accounts_days),
        now - timedelta(days=webhooks_days),
        now - timedelta(days=request_keys_days),
    )
    report = asyncio.run(_run(ages) if yes else _dry_run(ages))
    if as_json:
        print_json({"done": yes, **_facts(report)})
    else:
        _print(report, done=yes)


async def _dry_run(ages: _Ages) -> _Report:
    from authsvc.doctor.schema import partition_names
    from authsvc.ledger import retention as ledger
    from authsvc.ledger import webhooks

    async with webhooks.desk(settings.load().bridge_database_url or database_url()) as desk:
        purgeable = await webhooks.purgeable(desk, ["processed"], _us(ages.webhooks_before))
    async with ledger.keeper(database_url()) as connection:
        there = set(await ledger.monthly(connection))
        old = await ledger.old_partitions(connection, ages.transactions_until, ages.keys_before)
        return _Report(
            [name for name in partition_names(ages.today, ages.months_ahead) if name not in there],
            [one.name for one in old if not one.kept_for],
            [one for one in old if one.kept_for],
            await ledger.closed_cards(connection, ages.cards_before),
            purgeable,
            await ledger.purgeable_keys(connection, ages.keys_before),
            await ledger.dormant_accounts(connection, ages.accounts_before),
        )


async def _run(ages: _Ages) -> _Report:
    from authsvc.ledger import retention as ledger
    from authsvc.ledger import webhooks

    async with webhooks.desk(settings.load().bridge_database_url or database_url()) as desk:
        purged = await webhooks.purge(desk, ["processed"], _us(ages.webhooks_before))
    async with ledger.keeper(database_url()) as connection:
        created = await ledger.make_ahead(connection, ages.months_ahead, ages.today)
        keys = await ledger.purge_keys(connection, ages.keys_before)
        archived, kept = [], []
        for one in await ledger.old_partitions(connection, ages.transactions_until, ages.keys_before):
            reason = one.kept_for or await ledger.archive(connection, one.name, ages.keys_before)
            if reason:
                kept.append(one._replace(kept_for=reason))
            else:
                archived.append(one.name)
        cards = await ledger.archive_cards(connection, ages.cards_before)
        dormant = await ledger.dormant_accounts(connection, ages.accounts_before)
    return _Report(created, archived, kept, cards, purged, keys, dormant)


def _print(report: _Report, *, done: bool) -> None:
    table = Table("what", "done" if done else "would be done", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_row("partitions made ahead", ", ".join(report.created_partitions) or "none")
    table.add_row("partitions archived", ", ".join(report.archived_partitions) or "none")
    table.add_row("closed cards archived", str(report.archived_cards))
    table.add_row("webhooks purged", str(report.purged_webhooks))
    table.add_row("request keys purged", str(report.purged_request_keys))
    out = console()
    out.print(table)
    for one in report.kept_partitions:
        out.print(f"[yellow]kept[/yellow] {one.name}: {escape(one.kept_for)}")
    for account in report.accounts_due_for_notice:
        out.print(
            f"[yellow]due for notice[/yellow] account {account.id} ({account.status}, {account.balance} "
            f"{account.currency}), last used {account.last_used_at:%Y-%m-%d}"
        )
    if not done:
        out.print("[dim]a dry run: nothing was changed; --yes does it[/dim]")


def _facts(report: _Report) -> dict[str, Any]:
    return {
        **report._asdict(),
        "kept_partitions": [one._asdict() for one in report.kept_partitions],
        "accounts_due_for_notice": [one._asdict() for one in report.accounts_due_for_notice],
    }


def _months_before(day: _Day, months: int) -> _Day:
    years, month_index = divmod(day.month - 1 - months, _MONTHS_A_YEAR)
    # The first of a month is there in every month.
    return day.replace(year=day.year + years, month=month_index + 1, day=1)


def _us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
