"""A chapter of the demonstration: Lithic before the bridge. One dinner step by step, then lives by the dozen."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import Any, Final, NamedTuple

from rich.console import Console

from authsvc.bridge.signature import key_of
from authsvc.client import AuthorizationClient, ClientError
from authsvc.clock import Clock
from authsvc.demo.life import Step, limit_of, print_life, step_of
from authsvc.demo.process import bridging
from authsvc.lithic_simulator.lives import Answer, tell
from authsvc.lithic_simulator.lives import Step as Event
from authsvc.lithic_simulator.run import Lithic, Plan, connected, simulate
from authsvc.lithic_simulator.shapes import Figures
from authsvc.lithic_simulator.swipes import MERCHANTS, Swipe, swipe_of
from authsvc.lithic_simulator.tally import Tally

HOLD_MINOR: Final = 52_00
TIP_MINOR: Final = 9_50
# No limit to overrun by a tip or a force post, and cards that turn everything down.
LIVES_CARDS: Final = ("card_demo_open", "card_demo_open", "card_demo_open", "card_demo_inactive", "card_demo_closed")
LIVES: Final = 60
DUPLICATES: Final = 0.2
APPLIED_WITHIN_S: Final = 20.0
_AGAIN_S: Final = 0.02
_SECRET_BYTES: Final = 32


class Told(NamedTuple):
    """What the chapter came to. `differing` names transactions that are not as Lithic told; `dinner` may be empty."""

    dinner: list[Step]
    tally: Tally
    differing: list[str]


class Called(NamedTuple):
    """Lithic before a bridge, and what it has sent and been told so far."""

    lithic: Lithic
    tally: Tally


@asynccontextmanager
async def bridged(target: str, database_url: str, log: Path, clock: Clock) -> AsyncIterator[Called]:
    """A bridge before the service, with secrets of its own, and Lithic before the bridge."""
    asa_secret, event_secret, tally = _secret(), _secret(), Tally()
    async with (
        bridging(target, database_url, asa_secret, event_secret, log) as address,
        connected(f"http://{address}", clock, tally, key_of(asa_secret), key_of(event_secret)) as lithic,
    ):
        yield Called(lithic, tally)


async def play(
    client: AuthorizationClient, called: Called, card_tokens: Sequence[str], clock: Clock, seed: int
) -> Told:
    """Everything that Lithic says, and what the service makes of it."""
    run = f"demo-{clock.now_us():x}"
    dinner = await _dine(client, called, card_tokens, clock, run)
    cards = [token for token in LIVES_CARDS if token in card_tokens]
    plan = Plan(seed, run, cards, LIVES, duplicates=DUPLICATES, shuffle=True)
    await simulate(called.lithic, plan, clock, called.tally, lambda: None)
    differing = await differing_after(client, called.tally.ends, clock, APPLIED_WITHIN_S)
    return Told(dinner, called.tally, differing)


async def differing_after(
    client: AuthorizationClient, ends: dict[str, Figures], clock: Clock, within_s: float
) -> list[str]:
    """The transactions that are still not as Lithic told when that time is over."""
    until_s = clock.monotonic_s() + within_s
    left = list(ends)
    while left := [token for token in left if not await _is_as_told(client, token, ends[token])]:
        if clock.monotonic_s() >= until_s:
            break
        await asyncio.sleep(_AGAIN_S)
    return left


async def _dine(
    client: AuthorizationClient, called: Called, card_tokens: Sequence[str], clock: Clock, run: str
) -> list[Step]:
    """A swipe and its clearing. Empty when no card has room for it."""
    for number, token in enumerate(card_tokens):
        limit = await limit_of(client, token)
        if limit is None or limit.remaining_minor < HOLD_MINOR + TIP_MINOR:
            continue
        swipe = _dinner(run, number, token, clock)
        answer = await called.lithic.ask(swipe)
        if answer != Answer("APPROVED"):
            continue
        known = await client.transaction(transaction_token=swipe.token)
        steps = [await step_of(client, token, "swipe, answered APPROVED", known.transaction_id)]
        events = [Event("AUTHORIZATION", HOLD_MINOR), Event("CLEARING", HOLD_MINOR + TIP_MINOR)]
        life = tell(run, number, swipe, events, answer)
        called.tally.lived(life)
        for webhook in life.webhooks:
            await called.lithic.tell(webhook)
        await differing_after(client, life.ends, clock, APPLIED_WITHIN_S)
        steps.append(await step_of(client, token, "webhook: cleared, with a tip", known.transaction_id))
        return steps
    return []


def _dinner(run: str, number: int, card_token: str, clock: Clock) -> Swipe:
    now = datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC)
    restaurant = next(merchant for merchant in MERCHANTS if merchant.mcc == "5812")
    return swipe_of(0, f"{run}-dinner", number, [card_token], now)._replace(
        kind="AUTHORIZATION", amount_minor=HOLD_MINOR, hold_minor=HOLD_MINOR, merchant=restaurant
    )


async def _is_as_told(client: AuthorizationClient, token: str, end: Figures) -> bool:
    try:
        known: Any = await client.transaction(transaction_token=token)
    except ClientError as error:
        if error.code == "NOT_FOUND":
            return False
        raise
    figures = (known.held_minor, known.settled_minor - known.credited_minor)
    return figures == (end.hold_minor, end.settled_minor)


def _secret() -> str:
    return "whsec_" + base64.b64encode(SystemRandom().randbytes(_SECRET_BYTES)).decode()


def print_told(out: Console, told: Told) -> bool:
    """True when everything is as Lithic told, and nothing was refused."""
    tally = told.tally
    print_life(out, "Lithic over HTTP: the life of one purchase, and its card's limit", told.dinner)
    approved = sum(count for result, count in tally.results.items() if "APPROVED" in result)
    out.print(
        f"{tally.asked} signed questions, {approved} approved; {tally.events.total()} webhooks of what became of them, "
        f"in any order, {tally.duplicates} of them twice"
    )
    count = len(tally.ends)
    if not (told.differing or tally.errors):
        out.print(f"  [green]✓[/green] all {count} transactions hold, and have settled, what Lithic told of them")
        return True
    out.print(f"  [red]✗ {len(told.differing)} of {count} transactions are not what Lithic told of them[/red]")
    for (what, status), count in sorted(tally.errors.items()):
        out.print(f"    [red]{count} × {what}: {status}[/red]")
    return False
