"""A chapter of the demonstration: what becomes of one purchase, and what its card may still spend."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from authsvc.client import AuthorizationClient
from rules.lifecycle import EventKind, Status
from rules.money import format_minor
from rules.reasons import Decision

HOLD_MINOR: Final = 4_000
REVERSED_MINOR: Final = 1_000
TIP_MINOR: Final = 600
_STATUSES: Final = dict(enumerate(Status, start=1))
_RESTAURANT: Final = {"mcc": "5812", "descriptor": "TRATTORIA DA LUCA", "country": "USA"}


class Step(NamedTuple):
    """What happened, what the transaction counts after it, and what its card's tightest limit has left."""

    what: str
    status: str
    held_minor: int
    settled_minor: int
    used_minor: int
    left_minor: int


async def live(client: AuthorizationClient, card_tokens: Sequence[str], run: str) -> list[Step]:
    """A dinner: authorized, a part taken back, cleared with a tip. Empty when no card has room for it."""
    for token in card_tokens:
        limit = await limit_of(client, token)
        if limit is None or limit.remaining_minor < HOLD_MINOR + TIP_MINOR:
            continue
        decided: Any = await client.authorize(
            request_id=f"{run}-dinner-{token}",
            transaction_token=f"{run}-dinner-{token}",
            card_token=token,
            amount_minor=HOLD_MINOR,
            merchant=_RESTAURANT,
        )
        if decided.decision != Decision.APPROVED:
            continue
        steps = [await step_of(client, token, "swipe, approved", decided.transaction_id)]
        for what, kind, amount in (
            ("a part is taken back", EventKind.REVERSAL, REVERSED_MINOR),
            ("cleared, with a tip", EventKind.CLEARING, HOLD_MINOR - REVERSED_MINOR + TIP_MINOR),
        ):
            await client.apply_event(
                event_id=f"{run}-{kind.name}-{token}",
                kind=int(kind),
                transaction_id=decided.transaction_id,
                amount_minor=amount,
            )
            steps.append(await step_of(client, token, what, decided.transaction_id))
        return steps
    return []


async def limit_of(client: AuthorizationClient, token: str) -> Any:
    """The limit with the least room; None when the card has none in US dollars."""
    power = await client.spending_power(token)
    limits = [limit for limit in power.limits if limit.HasField("reset_time")]
    return min(limits, key=lambda limit: limit.remaining_minor, default=None) if power.currency == "USD" else None


async def step_of(client: AuthorizationClient, token: str, what: str, transaction_id: int) -> Step:
    """What the transaction counts now; the card has a limit."""
    known, limit = await client.transaction(transaction_id), await limit_of(client, token)
    status = _STATUSES[known.status].value.lower()
    return Step(what, status, known.held_minor, known.settled_minor, limit.used_minor, limit.remaining_minor)


def print_life(out: Console, title: str, steps: Sequence[Step]) -> None:
    """A row for each step."""
    if not steps:
        return
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("step", no_wrap=True)
    table.add_column("transaction", no_wrap=True)
    for heading in ("held", "settled", "limit used", "left"):
        table.add_column(heading, no_wrap=True, justify="right")
    for what, status, *figures in steps:
        table.add_row(what, status, *(format_minor(minor, "USD") for minor in figures))
    out.print()
    out.print(table, end="")
