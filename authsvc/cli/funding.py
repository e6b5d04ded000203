"""`authsvc fund` and `authsvc withdraw`: money in and out of an account, by somebody's word."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

from typing import Annotated, Any, Final

import typer

from authsvc.cli.ask import minor_of
from authsvc.cli.options import Address, Json, asking, target_of
from authsvc.cli.output import console, fail, print_json
from rules.money import format_minor

# As in the contract: the generated code would cost its import for every `--help`.
_FUNDING: Final = 1
_WITHDRAWAL: Final = 2

_Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its number here, or the processor's token.")]
_Amount = Annotated[str, typer.Argument(help="In units of the currency: 250.00.")]
_Reason = Annotated[str, typer.Option(help="Why; it is kept with the books.", show_default=False)]
_Currency = Annotated[str, typer.Option(help="ISO 4217; must be the account's.")]
_Identity = Annotated[
    str | None, typer.Option("--id", help="The adjustment's identity: the same one counts once. Default: a new one.")
]


def fund(  # noqa: PLR0913 (options of a command)
    account: _Account,
    amount: _Amount,
    *,
    reason: _Reason,
    currency: _Currency = "USD",
    adjustment_id: _Identity = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Add money to an account's balance, and print what it has now.

    [bold]authsvc fund account_demo_bakery 250 --reason "transfer of 3 March"[/bold]
    """
    fields = _fields(_FUNDING, account, amount, currency, adjustment_id)
    _adjust(fields | {"reason": reason}, currency, address, as_json=as_json)


def withdraw(  # noqa: PLR0913 (options of a command)
    account: _Account,
    amount: _Amount,
    *,
    reason: _Reason,
    currency: _Currency = "USD",
    adjustment_id: _Identity = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Take money out of an account's balance: no more than is available, open holds left alone."""
    fields = _fields(_WITHDRAWAL, account, amount, currency, adjustment_id)
    _adjust(fields | {"reason": reason}, currency, address, as_json=as_json)


def _fields(kind: int, account: str, amount: str, currency: str, adjustment_id: str | None) -> dict[str, Any]:
    is_number = account.isascii() and account.isdigit()
    fields: dict[str, Any] = {"kind": kind, "currency": currency, "amount_minor": minor_of(amount, currency, "AMOUNT")}
    fields |= {"account_id": int(account)} if is_number else {"account_token": account}
    return fields | ({"adjustment_id": adjustment_id} if adjustment_id is not None else {})


def _adjust(fields: dict[str, Any], currency: str, address: str | None, *, as_json: bool) -> None:
    from authsvc.client import ClientError, to_dict

    with asking(target_of(address)) as ask:
        try:
            answer = ask(lambda client: client.adjust_balance(**fields))
        except ClientError as error:
            if error.code in ("NOT_FOUND", "FAILED_PRECONDITION", "ALREADY_EXISTS"):
                fail(error.message)
            raise
    if as_json:
        print_json(to_dict(answer))
        return
    again = "  (was done before)" if answer.replayed else ""
    console().print(
        f"account [bold]{answer.account_id}[/bold]  "
        f"[dim]balance[/dim] {format_minor(answer.balance_minor, currency)}  "
        f"[dim]available[/dim] {format_minor(answer.available_balance_minor, currency)} {currency}{again}"
    )
