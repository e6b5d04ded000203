"""`authsvc tx list|explain|summary|watch`: what was decided, why, and what it adds up to."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import orjson
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc.cli.ask import DECISION_STYLES, show_answer
from authsvc.cli.options import Address, Json, asking, target_of
from authsvc.cli.output import console, fail, print_json
from authsvc.cli.transactions import STATUSES, local, styled
from authsvc.clock import SystemClock
from rules.money import format_minor
from rules.reasons import Decision, Kind, Reason

if TYPE_CHECKING:
    from authsvc.client import AuthorizationClient

LISTED: Final = 50
PAGE_MAX: Final = 1_000
_SUMMARY_SPAN: Final = timedelta(days=30)
_Status = Literal["pending", "approved", "declined", "settled", "voided", "expired"]
# As in the contract: enumerations of the generated code would cost its import for every `--help`.
_STATUS_NUMBERS: Final = {status.value.lower(): number for number, status in STATUSES.items()}
_BUCKETS: Final = {"day": 1, "month": 2}
_BUCKET_FORMATS: Final = {"day": "%Y-%m-%d", "month": "%Y-%m"}
_GROUPINGS: Final = {"nothing": 0, "category-group": 1, "card": 2, "user": 3, "merchant": 4}

_Account = Annotated[str | None, typer.Option(help="The account's number here, or Lithic's token.")]
_Card = Annotated[str | None, typer.Option(help="The card's token.")]
_From = Annotated[datetime | None, typer.Option("--from", help="The first moment; local time.")]
_To = Annotated[datetime | None, typer.Option("--to", help="The first moment after it. Default: now.")]


def list_(  # noqa: PLR0913 (options of a command)
    *,
    account: _Account = None,
    card: _Card = None,
    user: Annotated[int, typer.Option(min=0, help="The cardholder's number.", show_default=False)] = 0,
    mcc: Annotated[str, typer.Option(help="Merchant category, four digits.")] = "",
    group: Annotated[str, typer.Option(help="Group of merchant categories, like Airlines.")] = "",
    status: Annotated[_Status | None, typer.Option(help="What the transaction is now.")] = None,
    reason: Annotated[str | None, typer.Option(help="The decision's reason, like CARD_LIMIT_EXCEEDED.")] = None,
    start: _From = None,
    end: _To = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = LISTED,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """List transactions, newest first; without --from, those of the last 31 days.

    [bold]authsvc tx list --card card_demo_open --status declined[/bold]
    """
    from authsvc.client import to_dict

    fields = _account(account) | {"card_token": card or "", "user_id": user, "mcc": mcc, "category_group": group}
    fields |= {"status": _STATUS_NUMBERS[status]} if status is not None else {}
    fields |= {"reason": _reason(reason)} if reason is not None else {}
    fields |= _times(start, end)
    with asking(target_of(address)) as ask:
        rows, is_all = ask(lambda client: _pages(client, fields, limit))
    if as_json:
        print_json([to_dict(row) for row in rows])
        return
    if not rows:
        console().print("no transactions")
        return
    console().print(_table(rows))
    if not is_all:
        console().print(f"[dim]the newest {limit}; more with --limit, or --to an earlier moment[/dim]")


def explain(
    transaction: Annotated[str, typer.Argument(metavar="ID", help="Its number here, or the id of its request.")],
    *,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Tell why a request was answered as it was: every check, with the figures of then."""
    from authsvc.client import ClientError, to_dict

    is_number = transaction.isascii() and transaction.isdigit()
    which: dict[str, Any] = {"transaction_id": int(transaction)} if is_number else {"request_id": transaction}
    with asking(target_of(address)) as ask:
        try:
            told = ask(lambda client: client.explain_transaction(**which))
        except ClientError as error:
            if error.code == "NOT_FOUND":
                fail(f"{transaction}: {error.message}")
            raise
    if as_json:
        print_json(to_dict(told))
        return
    out = console()
    if told.HasField("transaction"):
        out.print(_asked(told.transaction), soft_wrap=True)
    show_answer(told.answer, told.transaction.currency or "USD")
    by = f"by {told.decided_by} " if told.decided_by else ""
    version = f"configuration {told.answer.config_version}, " if told.HasField("transaction") else ""
    out.print(f"[dim]{escape(f'{version}recorded {by}at {local(told.recorded_at)}')}[/dim]", soft_wrap=True)


def summary(  # noqa: PLR0913 (options of a command)
    account: Annotated[str, typer.Argument(help="The account's number here, or Lithic's token.")],
    *,
    by: Annotated[
        Literal["nothing", "category-group", "card", "user", "merchant"], typer.Option(help="What to tell apart.")
    ] = "category-group",
    bucket: Annotated[Literal["day", "month"], typer.Option(help="In the account's time zone.")] = "month",
    start: Annotated[datetime | None, typer.Option("--from", help="Local time. Default: 30 days before now.")] = None,
    end: _To = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Add up what an account spent, by day or month and by one more thing."""
    from authsvc.client import ClientError, to_dict

    if start is None:
        start = datetime.fromtimestamp(SystemClock().now_us() // 1_000_000, UTC) - _SUMMARY_SPAN
    fields = _account(account) | _times(start, end) | {"bucket": _BUCKETS[bucket], "group_by": _GROUPINGS[by]}
    with asking(target_of(address)) as ask:
        try:
            told = ask(lambda client: client.spend_summary(**fields))
        except ClientError as error:
            if error.code == "NOT_FOUND":
                fail(f"there is no account {account}")
            raise
    if as_json:
        print_json(to_dict(told))
    else:
        _show_summary(told, by, bucket)


def watch(
    *,
    account: _Account = None,
    card: _Card = None,
    since: Annotated[
        int | None, typer.Option(min=0, help="After this transaction's number; 0 is from the first on. Default: now.")
    ] = None,
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document a line, for scripts.")] = False,
) -> None:
    """Print decisions as they are recorded, until Ctrl-C. Goes on where it was when the service comes back."""
    from authsvc.client import to_dict

    async def follow(client: "AuthorizationClient") -> None:
        rows: AsyncIterator[Any] = client.watch_transactions(**_account(account), card_token=card or "", cursor=since)
        out = console()
        async for row in rows:
            if as_json:
                sys.stdout.write(orjson.dumps(to_dict(row), option=orjson.OPT_APPEND_NEWLINE).decode())
                sys.stdout.flush()
            else:
                out.print(_line(row), soft_wrap=True)

    with asking(target_of(address)) as ask:
        ask(follow)


async def _pages(client: "AuthorizationClient", fields: dict[str, Any], limit: int) -> tuple[list[Any], bool]:
    """So many transactions, and are they all."""
    rows: list[Any] = []
    token = ""
    while True:
        size = min(limit - len(rows), PAGE_MAX)
        page = await client.list_transactions(**fields, page_size=size, page_token=token)
        rows += page.transactions
        token = page.next_page_token
        if not token or len(rows) >= limit:
            return rows, not token


def _table(rows: list[Any]) -> Table:
    years = sorted({local(row.transacted_at, "%Y") for row in rows})
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(f"when ({years[0]})" if len(years) == 1 else "when", no_wrap=True)
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("card", overflow="fold")
    table.add_column("merchant", overflow="fold")
    table.add_column("MCC", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    table.add_column("approved", justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    for row in rows:
        decided = bool(row.decision)
        reason = "" if row.reason in (0, Reason.APPROVED) else Reason(row.reason).name
        table.add_row(
            local(row.transacted_at, "%d %b %H:%M:%S" if len(years) == 1 else "%d %b %Y %H:%M:%S"),
            str(row.transaction_id),
            escape(row.card_token),
            escape(row.merchant.descriptor or row.merchant.acceptor_id),
            row.merchant.mcc,
            f"{format_minor(row.amount_minor, row.currency)} {row.currency}",
            format_minor(row.approved_minor, row.currency) if decided else "",
            styled(STATUSES[row.status]),
            reason if decided else "[dim]not asked[/dim]",
        )
    return table


def _line(row: Any) -> str:
    """One decision on one line."""
    decision = Decision(row.decision)
    is_partial = decision is Decision.PARTIALLY_APPROVED
    amount = format_minor(row.amount_minor, row.currency)
    said = format_minor(row.approved_minor, row.currency) if is_partial else amount
    words, style = "PARTIAL" if is_partial else decision.name, DECISION_STYLES[decision]
    merchant = f"{row.merchant.mcc} {row.merchant.descriptor or row.merchant.acceptor_id}".strip()
    why = "" if row.reason == Reason.APPROVED else Reason(row.reason).name
    parts = (
        f"[dim]{local(row.recorded_at)}[/dim]",
        f"{row.transaction_id:>7}",
        f"[{style}]{words:<8}[/{style}]",
        f"{said:>12} {row.currency}",
        escape(f"{row.card_token:<20}"),
        escape(merchant),
        why + (f" (of {amount})" if is_partial else ""),
    )
    return "  ".join(parts).rstrip()


def _asked(row: Any) -> str:
    merchant = row.merchant.descriptor or row.merchant.acceptor_id or "a merchant"
    kind = Kind(row.kind).name.lower().replace("_", " ")
    return (
        f"transaction [bold]{row.transaction_id}[/bold]: {kind} of {format_minor(row.amount_minor, row.currency)} "
        f"{row.currency} at {escape(merchant)} ({row.merchant.mcc}) with {escape(row.card_token)}, "
        f"{local(row.transacted_at)}; now {styled(STATUSES[row.status])}"
    )


def _show_summary(told: Any, by: str, bucket: str) -> None:
    out = console()
    out.print(f"account [bold]{told.account_id}[/bold], {told.currency}, {bucket}s in {told.timezone}")
    if not told.rows:
        out.print("no transactions")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    table.add_column(bucket, "total", no_wrap=True)
    if by != "nothing":
        table.add_column(by.replace("-", " "))
    for name in ("approved", "declined", "forced"):
        table.add_column(name, str(sum(getattr(row, f"{name}_count") for row in told.rows)), justify="right")
    for name in ("held", "settled", "credited", "spend"):
        total = format_minor(sum(getattr(row, f"{name}_minor") for row in told.rows), told.currency)
        table.add_column(name, total, justify="right", no_wrap=True)
    for row in told.rows:
        day = datetime.fromtimestamp(row.bucket_start.seconds, ZoneInfo(told.timezone))
        key = [] if by == "nothing" else [escape(row.merchant_name or row.key or "other")]
        counts = (row.approved_count, row.declined_count, row.forced_count)
        amounts = (row.held_minor, row.settled_minor, row.credited_minor, row.spend_minor)
        figures = [*map(str, counts), *(format_minor(minor, told.currency) for minor in amounts)]
        table.add_row(f"{day:{_BUCKET_FORMATS[bucket]}}", *key, *figures)
    out.print(table)


def _account(named: str | None) -> dict[str, Any]:
    if named is None:
        return {}
    return {"account_id": int(named)} if named.isascii() and named.isdigit() else {"account_token": named}


def _reason(name: str) -> int:
    try:
        return Reason[name.upper().replace("-", "_")].value
    except KeyError:
        known = ", ".join(reason.name for reason in Reason)
        raise typer.BadParameter(f"{name} is none of {known}", param_hint="--reason") from None


def _times(start: datetime | None, end: datetime | None) -> dict[str, Any]:
    """A time without a zone is the clock on this machine's wall."""
    given = {"start_time": start, "end_time": end}
    return {name: moment.astimezone() for name, moment in given.items() if moment is not None}
