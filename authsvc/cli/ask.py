"""`authsvc authorize`: one question to a running service, and its answer in words."""

import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc.cli.options import Address, Json, asking, target_of
from authsvc.cli.output import console, fail, print_json
from rules.money import EXPONENT, format_minor
from rules.reasons import CheckName, CheckResult, Decision, Kind, Level, Reason, Window

DECLINED: Final = 3
TIMEOUT_S: Final = 5.0
_RESULT_MARKS: Final = {
    CheckResult.PASSED: "[green]passed[/green]",
    CheckResult.FAILED: "[red]failed[/red]",
    CheckResult.SKIPPED: "[dim]skipped[/dim]",
}
DECISION_STYLES: Final = {
    Decision.APPROVED: "green",
    Decision.PARTIALLY_APPROVED: "yellow",
    Decision.DECLINED: "red",
}

_Kind = Literal[
    "authorization",
    "financial-authorization",
    "credit-authorization",
    "financial-credit-authorization",
    "balance-inquiry",
]


def authorize(  # noqa: PLR0913 (options of a command)
    card_token: Annotated[
        str | None, typer.Argument(metavar="CARD", help="The card's token.", show_default=False)
    ] = None,
    amount: Annotated[
        str | None, typer.Argument(help="In units of the currency: 12.50. 0 verifies the account.", show_default=False)
    ] = None,
    *,
    mcc: Annotated[str, typer.Option(help="Merchant category, four digits.")] = "5812",
    merchant: Annotated[str, typer.Option(help="The merchant's name.")] = "",
    country: Annotated[str, typer.Option(help="The merchant's country, ISO 3166-1 alpha-3.")] = "",
    currency: Annotated[str, typer.Option(help="ISO 4217; must be the account's.")] = "USD",
    kind: Annotated[_Kind, typer.Option(help="What is asked.")] = "authorization",
    hold: Annotated[str | None, typer.Option(help="What must be covered when it is more than the amount.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="The terminal can accept less than it asks for.")] = False,
    at: Annotated[datetime | None, typer.Option(help="When; local time. Default: now.", show_default=False)] = None,
    request_id: Annotated[
        str | None, typer.Option("--id", help="The idempotency key. Default: a new one.", show_default=False)
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(allow_dash=True, help="The whole request as JSON (fields as in the contract); - is stdin."),
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Evaluate only: reserve and record nothing.")] = False,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Ask for one authorization and print the decision with every check.

    Exit code 0: approved, also in part. 3: declined. 1: no decision. 2: wrong usage.

    [bold]authsvc authorize card_demo_travel 12.50 --mcc 5812[/bold]

    [bold]echo '{"card_token": "card_demo_open", "amount_minor": 1250, "merchant": {"mcc": "5812"}}' |
    authsvc authorize --json-file -[/bold]
    """
    text: str | None = None
    fields: dict[str, Any] = {}
    if json_file is not None:
        if card_token is not None or amount is not None:
            raise typer.BadParameter("it is the whole request: leave CARD and AMOUNT out", param_hint="--json-file")
        text = _read(json_file)
    else:
        if card_token is None or amount is None:
            raise typer.BadParameter("CARD and AMOUNT are required (or --json-file)", param_hint="CARD AMOUNT")
        fields = {
            "card_token": card_token,
            "amount_minor": minor_of(amount, currency, "AMOUNT"),
            "hold_minor": 0 if hold is None else minor_of(hold, currency, "--hold"),
            "currency": currency,
            "kind": Kind[kind.upper().replace("-", "_")].value,
            "merchant": {"mcc": mcc, "descriptor": merchant, "country": country},
            "partial_approval_capable": partial,
        }
        # A time without a zone is the clock on this machine's wall.
        fields |= {"transacted_at": at.astimezone()} if at is not None else {}
        fields |= {"request_id": request_id} if request_id is not None else {}
    _ask(target_of(address), text, fields, simulate=simulate, as_json=as_json)


def _ask(target: str, text: str | None, fields: dict[str, Any], *, simulate: bool, as_json: bool) -> None:
    from authsvc.client import AuthorizationClient, to_dict  # noqa: PLC0415 (see authsvc/cli/__init__.py)

    async def question(client: AuthorizationClient) -> tuple[Any, str]:
        request = client.request(**fields) if text is None else client.request_from_json(text)
        request.explain = True
        call = client.simulate if simulate else client.authorize
        return await call(request, timeout_s=TIMEOUT_S), request.currency

    with asking(target) as ask:
        response, currency = ask(question)
    if as_json:
        print_json(to_dict(response))
    else:
        show_answer(response, currency, simulated=simulate)
    sys.exit(DECLINED if response.decision == Decision.DECLINED else 0)


def show_answer(response: Any, currency: str, *, simulated: bool = False) -> None:
    """An answer that lists its checks, in words."""
    out = console()
    decision, reason = Decision(response.decision), Reason(response.reason)
    style = DECISION_STYLES[decision]
    words = decision.name.replace("_", " ")
    level = f" at the level of the {Level(response.level).name.lower()}" if response.level else ""
    why = "" if reason is Reason.APPROVED else f"  {reason.name}{level}"
    out.print(f"[bold {style}]{words}[/bold {style}]{why}" + ("  (simulated)" if simulated else ""))
    if response.HasField("deciding_check"):
        out.print(escape(response.deciding_check.text), soft_wrap=True)
    out.print(f"[dim]cardholder:[/dim] {escape(response.message)}", soft_wrap=True)
    table = Table("", "check", "", "in words", box=box.SIMPLE_HEAD)
    for number, check in enumerate(response.checks, start=1):
        name = CheckName(check.name).name.lower().replace("_", " ")
        window = f" ({Window(check.window).name.lower()})" if check.window else ""
        table.add_row(str(number), name + window, _RESULT_MARKS[CheckResult(check.result)], escape(check.text))
    out.print(table)
    facts = [f"approved {format_minor(response.approved_minor, currency)} {currency}"]
    if response.HasField("available_balance_minor"):
        facts.append(f"available balance {format_minor(response.available_balance_minor, currency)}")
    if response.transaction_id:
        facts.append(f"transaction {response.transaction_id}")
    facts.append(f"request {response.request_id}")
    facts += [f"{response.elapsed_us / 1000:.1f} ms in the server"] if response.elapsed_us else []
    out.print(escape(" · ".join(facts + ["replayed"] * response.replayed)), soft_wrap=True)


def minor_of(amount: str, currency: str, hint: str) -> int:
    """Units of a currency, as people write them, in minor units."""
    if currency not in EXPONENT:
        raise typer.BadParameter(f"{currency} is no ISO 4217 currency", param_hint="--currency")
    try:
        minor = Decimal(amount.replace(",", "")).scaleb(EXPONENT[currency])
        whole = int(minor)
    except (ArithmeticError, ValueError):
        raise typer.BadParameter(f"{amount} is not an amount, like 12.50", param_hint=hint) from None
    if minor != whole:
        raise typer.BadParameter(f"{currency} has {EXPONENT[currency]} decimals", param_hint=hint)
    return whole


def _read(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{path}: {error.strerror}", code=2)
