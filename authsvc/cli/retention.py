"""`authsvc retention`: what a scheduler runs every night."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeVar

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc import settings
from authsvc.cli.options import Json, database_url
from authsvc.cli.output import console, fail, print_json
from authsvc.clock import SystemClock
from authsvc.errors import NotPossible, StartupRefused, Unavailable

if TYPE_CHECKING:
    from authsvc.ledger.notices import DormantAccount, Verdict
    from authsvc.ledger.retention import OldPartition

_MONTHS_A_YEAR: Final = 12
_ACCOUNTS_SHOWN: Final = 20
_Day = TypeVar("_Day", date, datetime)
_AccountsDays = Annotated[
    int, typer.Option("--accounts-days", min=30, max=36_500, help="Accounts unused for so long are due for notice.")
]


class _Ages(NamedTuple):
    """From when on things are old."""

    now: datetime
    months_ahead: int
    transactions_until: date
    cards_before: datetime
    accounts_before: datetime
    notice_days: int
    webhooks_before: datetime
    keys_before: datetime


class _Report(NamedTuple):
    """What was done, or would be. `problems` are what could not be done."""

    created_partitions: list[str]
    archived_partitions: list[str]
    kept_partitions: "list[OldPartition]"
    archived_cards: int
    purged_webhooks: int
    purged_request_keys: int
    accounts_with_notice: "list[Verdict]"
    accounts_due_for_notice: "list[DormantAccount]"
    problems: list[str]


def retention(  # noqa: PLR0913 - one option for each thing that grows old
    context: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it. Without: only say what would be done.")] = False,
    months_ahead: Annotated[int, typer.Option(min=0, max=120, help="Partitions to have ahead of this month.")] = 3,
    transactions_months: Annotated[
        int, typer.Option(min=13, max=1200, help="Partitions that ended before so many months are archived.")
    ] = 84,
    cards_years: Annotated[int, typer.Option(min=1, max=100, help="Cards closed for so long are archived.")] = 7,
    accounts_days: _AccountsDays = 365,
    notice_days: Annotated[
        int, typer.Option(min=7, max=3650, help="Accounts still unused so long after their notice are archived.")
    ] = 30,
    webhooks_days: Annotated[
        int, typer.Option(min=90, max=36_500, help="Processed webhooks older than this are purged.")
    ] = 400,
    request_keys_days: Annotated[
        int,
        typer.Option(
            min=90,
            max=36_500,
            help="Keys of requests older than this are purged. A repeat of one is decided anew, and counts again.",
        ),
    ] = 400,
    as_json: Json = False,
) -> None:
    """Make partitions ahead; archive old ones, cards closed long ago and unused accounts after notice; purge old keys.

    A dry run without --yes. Transactions are archived, never deleted, and only where no limit can count them again.

    For every night: what has to wait is said, and tried again the next time. Ends with 1 if a part could not be done.
    """
    if context.invoked_subcommand is not None:
        return
    now = _now()
    ages = _Ages(
        now,
        months_ahead,
        _months_before(now.date(), transactions_months),
        _months_before(now, cards_years * _MONTHS_A_YEAR),
        now - timedelta(days=accounts_days),
        notice_days,
        now - timedelta(days=webhooks_days),
        now - timedelta(days=request_keys_days),
    )
    report = asyncio.run(_run(ages) if yes else _dry_run(ages))
    if as_json:
        print_json({"done": yes, **_facts(report)})
    else:
        _print(report, done=yes)
    if report.problems:
        fail("; ".join(report.problems))


def notice(
    account_ids: Annotated[list[int], typer.Argument(metavar="ACCOUNT_ID", min=1, help="The accounts.")],
    *,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Instead: take the notice back.")] = False,
    accounts_days: _AccountsDays = 365,
    as_json: Json = False,
) -> None:
    """Record that unused accounts were told that they will be closed. Telling them is yours to do.

    Any use of an account takes its notice back, and so does --withdraw. Of several accounts all get it, or none.
    """
    from authsvc.ledger import notices as ledger
    from authsvc.ledger.retention import keeper

    async def work() -> list[dict[str, Any]]:
        async with keeper(database_url()) as connection:
            if withdraw:
                withdrawn = await ledger.withdraw_notice(connection, account_ids)
                return [{"id": account_id, "withdrawn": account_id in withdrawn} for account_id in account_ids]
            since = _now() - timedelta(days=accounts_days)
            return [one._asdict() for one in await ledger.give_notice(connection, account_ids, since)]

    done = asyncio.run(work())
    if as_json:
        print_json(done)
        return
    for one in done:
        if withdraw:
            said = "notice withdrawn" if one["withdrawn"] else "had no notice"
        else:
            said = f"{'given notice' if one['is_new'] else 'was given notice before,'} on {one['notice_at']:%Y-%m-%d}"
        console().print(f"account {one['id']}: {said}")


async def _dry_run(ages: _Ages) -> _Report:
    from authsvc.doctor.schema import partition_names
    from authsvc.ledger import notices, webhooks
    from authsvc.ledger import retention as ledger

    async with ledger.keeper(database_url()) as connection:
        there = set(await ledger.monthly(connection))
        old = await ledger.old_partitions(connection, ages.transactions_until, ages.keys_before)
        report = _Report(
            [name for name in partition_names(ages.now.date(), ages.months_ahead) if name not in there],
            [one.name for one in old if not one.kept_for],
            [one for one in old if one.kept_for],
            await ledger.closed_cards(connection, ages.cards_before),
            0,
            await ledger.purgeable_keys(connection, ages.keys_before),
            await notices.verdicts(connection, ages.now, ages.notice_days),
            await notices.unused_accounts(connection, ages.accounts_before),
            [],
        )
    return await _with_webhooks(report, ages, webhooks.purgeable)


async def _run(ages: _Ages) -> _Report:
    from authsvc.ledger import notices, webhooks
    from authsvc.ledger import retention as ledger

    problems = []
    async with ledger.keeper(database_url()) as connection:
        created = []
        try:
            created = await ledger.make_ahead(connection, ages.months_ahead, ages.now.date())
        except NotPossible as error:
            problems.append(f"partitions ahead: {error}")
        keys = await ledger.purge_keys(connection, ages.keys_before)
        archived, kept = [], []
        for one in await ledger.old_partitions(connection, ages.transactions_until, ages.keys_before):
            reason = one.kept_for or await ledger.archive(connection, one.name, ages.keys_before)
            if reason:
                kept.append(one._replace(kept_for=reason))
            else:
                archived.append(one.name)
        cards = await ledger.archive_cards(connection, ages.cards_before)
        told = [
            await notices.settle(connection, one, ages.now, ages.notice_days)
            for one in await notices.verdicts(connection, ages.now, ages.notice_days)
        ]
        due = await notices.unused_accounts(connection, ages.accounts_before)
    report = _Report(created, archived, kept, cards, 0, keys, told, due, problems)
    return await _with_webhooks(report, ages, webhooks.purge)


async def _with_webhooks(
    report: _Report, ages: _Ages, purge: Callable[[Any, list[str], int], Awaitable[int]]
) -> _Report:
    """Webhooks may be kept in another database, whose troubles are no reason to leave the rest undone."""
    from authsvc.ledger import webhooks

    before_us = (ages.webhooks_before - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    try:
        async with webhooks.desk(settings.load().bridge_database_url or database_url()) as desk:
            return report._replace(purged_webhooks=await purge(desk, ["processed"], before_us))
    except (StartupRefused, Unavailable) as error:
        return report._replace(problems=[*report.problems, f"webhooks: {error}"])


def _print(report: _Report, *, done: bool) -> None:
    from authsvc.ledger.notices import Outcome

    outcomes = [one.outcome for one in report.accounts_with_notice]
    table = Table("what", "done" if done else "would be done", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_row("partitions made ahead", ", ".join(report.created_partitions) or "none")
    table.add_row("partitions archived", ", ".join(report.archived_partitions) or "none")
    table.add_row("closed cards archived", str(report.archived_cards))
    table.add_row("unused accounts archived", str(outcomes.count(Outcome.ARCHIVED)))
    table.add_row("notices withdrawn", str(outcomes.count(Outcome.WITHDRAWN)))
    table.add_row("webhooks purged", str(report.purged_webhooks))
    table.add_row("request keys purged", str(report.purged_request_keys))
    out = console()
    out.print(table)
    for partition in report.kept_partitions:
        out.print(f"[yellow]kept[/yellow] {partition.name}: {escape(partition.kept_for)}")
    if report.accounts_with_notice or report.accounts_due_for_notice:
        out.print(_accounts(report, done=done))
    if more := len(report.accounts_due_for_notice[_ACCOUNTS_SHOWN:]):
        out.print(f"{more} more accounts are due for notice: --json lists them")
    if report.accounts_due_for_notice:
        out.print("[dim]due for notice: tell the owners, then authsvc retention notice ACCOUNT_ID…[/dim]")
    if not done:
        out.print("[dim]a dry run: nothing was changed; --yes does it[/dim]")


def _accounts(report: _Report, *, done: bool) -> Table:
    from authsvc.ledger.notices import Outcome

    table = Table("account", "is", "notice given", "why", box=box.SIMPLE_HEAD, pad_edge=False)
    for one in report.accounts_with_notice:
        acts = one.outcome in (Outcome.ARCHIVED, Outcome.WITHDRAWN)
        said = one.outcome if done or not acts else f"would be: {one.outcome}"
        table.add_row(str(one.id), said, f"{one.notice_at:%Y-%m-%d}", one.why)
    for account in report.accounts_due_for_notice[:_ACCOUNTS_SHOWN]:
        why = f"last used {account.last_used_at:%Y-%m-%d}; {account.status}, {account.balance} {account.currency}"
        table.add_row(str(account.id), "[yellow]due for notice[/yellow]", "", why)
    return table


def _facts(report: _Report) -> dict[str, Any]:
    """`problems` are said on stderr."""
    return {
        name: [one if isinstance(one, str) else one._asdict() for one in value] if isinstance(value, list) else value
        for name, value in report._asdict().items()
    }


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now_us() / 1_000_000, UTC)


def _months_before(day: _Day, months: int) -> _Day:
    years, month_index = divmod(day.month - 1 - months, _MONTHS_A_YEAR)
    # The first of a month is there in every month.
    return day.replace(year=day.year + years, month=month_index + 1, day=1)
