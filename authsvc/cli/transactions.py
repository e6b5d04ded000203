"""`authsvc tx` and `authsvc event`: what became of a transaction, and what the network says about it."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc.cli.ask import minor_of
from authsvc.cli.options import Address, Json, asking, target_of
from authsvc.cli.output import console, fail, print_json
from rules.lifecycle import EventKind, Status
from rules.money import format_minor

_STYLES: Final = {
    Status.APPROVED: "green",
    Status.SETTLED: "green",
    Status.PENDING: "yellow",
    Status.DECLINED: "red",
    Status.VOIDED: "dim",
    Status.EXPIRED: "dim",
}
# As in the contract: enumerations of the generated code would cost its import for every `--help`.
STATUSES: Final = dict(enumerate(Status, start=1))
_Kind = Literal[
    "advice",
    "reversal",
    "expiry",
    "clearing",
    "refund",
    "refund-reversal",
    "correction-debit",
    "correction-credit",
    "snapshot",
    "increment",
    "financial-authorization-advice",
    "credit-authorization-advice",
    "financial-credit-authorization-advice",
]
# An increment is decided; among what the network tells, it has no kind.
_INCREMENT: Final = 10
_Transaction = Annotated[str, typer.Argument(metavar="TRANSACTION", help="Its number here, or the network's token.")]


def show(transaction: _Transaction, *, address: Address = None, as_json: Json = False) -> None:
    """Show what a transaction counts now, and every message that made it so."""
    from authsvc.client import ClientError, to_dict

    with asking(target_of(address)) as ask:
        try:
            known = ask(lambda client: client.transaction(**_named(transaction)))
        except ClientError as error:
            if error.code == "NOT_FOUND":
                fail(f"there is no transaction {transaction}")
            raise
    if as_json:
        print_json(to_dict(known))
        return
    out = console()
    out.print(f"transaction [bold]{known.transaction_id}[/bold] {escape(known.transaction_token)}  {_status(known)}")
    out.print(f"[dim]card[/dim] {escape(known.card_token)}  [dim]at[/dim] {local(known.transacted_at)}")
    out.print(
        f"[dim]approved[/dim] {format_minor(known.approved_minor, known.currency)}  {_figures(known, known.currency)}"
    )
    if not known.events:
        return
    table = Table("when", "message", "amount", "settled", "id", box=box.SIMPLE_HEAD, pad_edge=False)
    for event in known.events:
        kind = EventKind(event.kind)
        amount = format_minor(event.amount_minor, known.currency) if event.HasField("amount_minor") else ""
        settled = format_minor(event.settled_minor, known.currency) if kind is EventKind.SNAPSHOT else ""
        name = kind.name.lower().replace("_", " ") + (" (final)" if event.is_final else "")
        table.add_row(local(event.occurred_at), name, amount, settled, escape(event.event_id))
    out.print(table)


def event(  # noqa: PLR0913 (options of a command)
    kind: Annotated[_Kind, typer.Argument(help="What the network says.", show_default=False)],
    transaction: _Transaction,
    amount: Annotated[
        str | None, typer.Argument(help="In units of the currency: 12.50. Without it a reversal takes back all.")
    ] = None,
    *,
    settled: Annotated[str | None, typer.Option(help="For a snapshot: what is settled.")] = None,
    final: Annotated[bool, typer.Option("--final", help="For a clearing: no other will follow.")] = False,
    currency: Annotated[str, typer.Option(help="ISO 4217; must be the transaction's.")] = "USD",
    card: Annotated[str | None, typer.Option(help="The card's token: creates a transaction nobody knows yet.")] = None,
    mcc: Annotated[str, typer.Option(help="With --card: the merchant's category.")] = "5812",
    at: Annotated[datetime | None, typer.Option(help="When; local time. Default: now.", show_default=False)] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", help="The message's identity. Default: a new one.", show_default=False)
    ] = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Tell what the network said about a transaction, and print what it counts now. An increment is decided.

    [bold]authsvc event clearing 42 12.50[/bold]

    [bold]authsvc event increment 42 5[/bold]

    [bold]authsvc event refund refund-7 5 --card card_demo_open[/bold]
    """
    from authsvc.client import to_dict

    number = _INCREMENT if kind == "increment" else EventKind[kind.upper().replace("-", "_")].value
    fields: dict[str, Any] = {"kind": number, "currency": currency}
    fields |= _named(transaction) | {"is_final": final}
    fields |= {"amount_minor": minor_of(amount, currency, "AMOUNT")} if amount is not None else {}
    fields |= {"settled_minor": minor_of(settled, currency, "--settled")} if settled is not None else {}
    fields |= {"card_token": card, "merchant": {"mcc": mcc}} if card is not None else {}
    fields |= {"occurred_at": at.astimezone()} if at is not None else {}
    fields |= {"event_id": event_id} if event_id is not None else {}
    with asking(target_of(address)) as ask:
        answer = ask(lambda client: client.apply_event(**fields))
    if as_json:
        print_json(to_dict(answer))
        return
    if answer.HasField("decision"):
        decision = answer.decision
        if decision.approved_minor:
            console().print(f"[bold green]approved[/bold green] {format_minor(decision.approved_minor, currency)} more")
        else:
            console().print(f"[bold red]declined[/bold red] {escape(decision.deciding_check.text or decision.message)}")
    again = "  (was applied before)" if answer.replayed else ""
    console().print(
        f"transaction [bold]{answer.transaction_id}[/bold]  {_status(answer)}  {_figures(answer, currency)}{again}"
    )


def _named(transaction: str) -> dict[str, Any]:
    if transaction.isascii() and transaction.isdigit():
        return {"transaction_id": int(transaction)}
    return {"transaction_token": transaction}


def _status(message: Any) -> str:
    return styled(STATUSES[message.status])


def _figures(message: Any, currency: str) -> str:
    parts = (("held", message.held_minor), ("settled", message.settled_minor), ("credited", message.credited_minor))
    return "  ".join(f"[dim]{name}[/dim] {format_minor(minor, currency)}" for name, minor in parts) + f" {currency}"


def styled(status: Status) -> str:
    """The status as it is shown."""
    return f"[bold {_STYLES[status]}]{status.value}[/bold {_STYLES[status]}]"


def local(stamp: Any, form: str = "%d %b %Y %H:%M:%S") -> str:
    """A timestamp of a message by the clock on this machine's wall."""
    return f"{stamp.ToDatetime(UTC).astimezone():{form}}"
