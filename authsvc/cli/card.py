"""`authsvc card limits`: whose card it is, and what it may still spend."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from authsvc.cli.options import Address, Json, asking, known_database_url, sealer, target_of
from authsvc.cli.output import console, fail, print_json
from authsvc.errors import NotPossible, Unavailable
from rules.money import format_minor
from rules.reasons import Level, Reason, Window

if TYPE_CHECKING:
    from authsvc.ledger.cards import Holding

BAR_CELLS: Final = 24
_NEARLY_USED: Final = 0.8


def limits(
    card_token: Annotated[str, typer.Argument(metavar="CARD", help="The card's token.")],
    *,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Show whose card it is, its profile, and each limit with what is used, left, and when it starts afresh.

    Figures come from the running service; names from its database, when AUTHSVC_DATABASE_URL says where that is or
    `authsvc serve` runs embedded servers in AUTHSVC_DATA_DIR.
    """
    from authsvc.client import ClientError, to_dict

    with asking(target_of(address)) as ask:
        try:
            power = ask(lambda client: client.spending_power(card_token))
        except ClientError as error:
            if error.code == "NOT_FOUND":
                fail(f"no card has the token {card_token}")
            raise
    owner = asyncio.run(_holding(card_token))
    if as_json:
        print_json({"spending_power": to_dict(power), "holding": owner._asdict() if owner is not None else None})
        return
    out = console()
    parts = [_limits(power), Text.from_markup(_funds(power))]
    if owner is not None:
        parts.insert(0, _owner(owner))
    state = Reason(power.card_state)
    title = f"[bold]{escape(card_token)}[/bold] · " + (
        "[green]can be used[/green]" if state is Reason.APPROVED else f"[red]cannot be used: {state.name}[/red]"
    )
    out.print(Panel(Group(*parts), title=title, title_align="left", box=box.ROUNDED, padding=(1, 2)))


async def _holding(card_token: str) -> "Holding | None":
    """None when the database is not known or not there, or its keys are not: the figures are worth showing alone."""
    from authsvc.ledger.cards import holding
    from authsvc.ledger.session import session

    url = known_database_url()
    if url is None:
        return None
    try:
        async with session(url) as connection:
            return await holding(connection, card_token, sealer())
    except (Unavailable, NotPossible):
        return None


def _owner(owner: "Holding") -> Table:
    table = Table.grid(padding=(0, 2))
    ending = f" ending in {owner.last_four}" if owner.last_four else ""
    table.add_row("[dim]card[/dim]", f"{owner.card_type}{ending}, {owner.card_status}")
    table.add_row(
        "[dim]cardholder[/dim]", escape(f"{owner.cardholder} <{owner.email}>, {owner.role}, {owner.user_status}")
    )
    table.add_row("[dim]account[/dim]", f"{escape(owner.account_name)}, {owner.account_status}")
    if owner.profile_name is not None:
        said = f": {owner.profile_description}" if owner.profile_description else ""
        table.add_row("[dim]profile[/dim]", escape(owner.profile_name + said))
        table.add_row("", "allowed: " + (escape(", ".join(owner.allowed)) or "everything"))
        table.add_row("", "blocked: " + (escape(", ".join(owner.blocked)) or "nothing"))
    else:
        table.add_row("[dim]profile[/dim]", "none: any merchant")
    return table


def _limits(power: Any) -> Table | Text:
    if not power.limits:
        return Text("\nno limits")
    table = Table("limit", "used", "", "left", "starts afresh", box=box.SIMPLE_HEAD, pad_edge=False)
    for limit in power.limits:
        window = Window(limit.window)
        whose = Level(limit.level).name.lower() + (" (shared)" if limit.shared else "")
        amount = format_minor(limit.limit_minor, power.currency)
        each = window is Window.TRANSACTION
        table.add_row(
            f"{whose}, {window.name.lower()}: {amount}",
            "each" if each else format_minor(limit.used_minor, power.currency),
            "" if each else _bar(limit.used_minor, limit.limit_minor),
            format_minor(limit.remaining_minor, power.currency),
            _reset(limit, power.timezone),
        )
    return table


def _bar(used: int, limit: int) -> str:
    share = 1.0 if limit <= 0 else min(used / limit, 1.0)
    filled = round(share * BAR_CELLS)
    colour = "green" if share < _NEARLY_USED else "yellow" if share < 1 else "red"
    return f"[{colour}]{'█' * filled}[/{colour}][dim]{'░' * (BAR_CELLS - filled)}[/dim] {share:>4.0%}"


def _reset(limit: Any, timezone: str) -> str:
    if not limit.HasField("reset_time"):
        return "never" if limit.window == Window.LIFETIME else ""
    local = datetime.fromtimestamp(limit.reset_time.seconds, ZoneInfo(timezone))
    return f"{local.day} {local:%b %Y %H:%M} {timezone}"


def _funds(power: Any) -> str:
    balance, held, available = (
        format_minor(amount, power.currency)
        for amount in (power.balance_minor, power.held_minor, power.available_balance_minor)
    )
    funds = f"account balance {balance} {power.currency}, {held} held, {available} available"
    if not power.HasField("spendable_minor"):
        return f"{funds}\n[bold]nothing limits one purchase[/bold]"
    return f"{funds}\n[bold]at most {format_minor(power.spendable_minor, power.currency)} in one purchase now[/bold]"
