"""Webhooks before a real service: what transactions count and cards are once they are processed, in whatever order."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from authsvc.v1 import types_pb2 as types
from tests.events import SetClock, Webhooks, card_updated, step, transaction, webhooks_to
from tests.network import Network
from tests.programs import Card, add_card
from tests.serving import request

pytestmark = pytest.mark.asyncio(loop_scope="module")
_numbers = itertools.count(1)
_MINUTE_US = 60 * 1_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def webhooks(network: Network) -> AsyncIterator[Webhooks]:
    async with webhooks_to(network.running.address, network.running.service.settings.database_url) as one:
        yield one


def new_token() -> str:
    return f"txn-webhook-{next(_numbers)}"


async def states(network: Network, token: str) -> list[tuple[str, int, int, int]]:
    rows = await network.running.database.fetch(
        "SELECT status, held_minor, settled_minor, credited_minor FROM transactions"
        " WHERE lithic_transaction_token = $1 ORDER BY id",
        token,
    )
    return [tuple(row) for row in rows]


async def status_of(webhooks: Webhooks, card: Card) -> str:
    return str(await webhooks.database.fetchval("SELECT status FROM cards WHERE id = $1", card.id))


def life(token: str, card: str) -> list[dict[str, Any]]:
    """Held, raised, cleared in two parts: each webhook with all that had happened until then."""
    steps = [
        step("AUTHORIZATION", 1_000),
        step("AUTHORIZATION_ADVICE", 1_500),
        step("CLEARING", 600, moves=True),
        step("CLEARING", 700, moves=True),
    ]
    figures = [(1_000, 0), (1_500, 0), (900, 600), (0, 1_300)]
    return [
        transaction(
            token,
            card,
            *steps[: at + 1],
            minute=at,
            hold_minor=hold_minor,
            settled_minor=settled_minor,
            status="SETTLED" if settled_minor else "PENDING",
        )
        for at, (hold_minor, settled_minor) in enumerate(figures)
    ]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)], ids=str)
async def test_any_order_ends_in_the_same_state(
    webhooks: Webhooks, network: Network, card: Card, order: tuple[int, ...]
) -> None:
    token = new_token()
    approved = await network.swipe(card, 1_000, transaction_token=token)
    before = await network.balance_minor(card)
    bodies = life(token, card.token)
    for at in order:
        # Twice each, one by one: a repeat under another name, and a state that is older than the one before it.
        await webhooks.deliver(bodies[at])
        await webhooks.deliver(bodies[at])
        await webhooks.work()
    assert await states(network, token) == [("SETTLED", 0, 1_300, 0)]
    assert await network.balance_minor(card) == before - 1_300
    told = await network.known(approved.transaction_id)
    assert len(told.events) == len(bodies)
    assert await network.drift() == []


async def test_a_whole_life_in_one_batch_ends_in_the_same_state(
    webhooks: Webhooks, network: Network, card: Card
) -> None:
    token = new_token()
    await asyncio.gather(*(webhooks.deliver(body) for body in reversed(life(token, card.token))))
    await webhooks.work()
    assert await states(network, token) == [("SETTLED", 0, 1_300, 0)]


async def test_of_one_second_the_webhook_that_has_seen_more_wins(
    webhooks: Webhooks, network: Network, card: Card
) -> None:
    for order in ((0, 1), (1, 0)):
        token, opened = new_token(), step("AUTHORIZATION", 1_000)
        bodies = [
            transaction(token, card.token, opened, hold_minor=1_000),
            transaction(token, card.token, opened, step("AUTHORIZATION_REVERSAL", 1_000), status="VOIDED"),
        ]
        for at in order:
            await webhooks.deliver(bodies[at])
            await webhooks.work()
        assert await states(network, token) == [("VOIDED", 0, 0, 0)]


async def test_an_unknown_transaction_creates_its_record_in_the_window_of_its_own_time(
    webhooks: Webhooks, network: Network, card: Card
) -> None:
    token, before = new_token(), await network.balance_minor(card)
    cleared = step("CLEARING", 700, moves=True)
    await webhooks.deliver(transaction(token, card.token, cleared, settled_minor=700, status="SETTLED"), "msg_forced")
    await webhooks.work()
    assert await states(network, token) == [("SETTLED", 0, 700, 0)]
    assert await network.balance_minor(card) == before - 700
    query = "SELECT merchant_id, merchant_category_code, transaction_date::text AS at FROM transactions WHERE lithic_transaction_token = $1"
    row = await webhooks.database.fetchrow(query, token)
    assert tuple(row) == ("ACCEPTOR-0001", "5812", "2025-11-20 12:00:00+00")
    kept = await webhooks.row("msg_forced")
    assert (kept["status"], kept["account_id"], kept["error_message"]) == ("processed", card.account_id, None)
    assert await network.drift() == []


async def test_a_refund_credits_the_account_and_its_reversal_takes_it_back(
    webhooks: Webhooks, network: Network, card: Card
) -> None:
    token, before = new_token(), await network.balance_minor(card)
    returned = step("RETURN", 500, polarity="CREDIT", moves=True)
    await webhooks.deliver(transaction(token, card.token, returned, settled_minor=-500, status="SETTLED"))
    await webhooks.work()
    assert await states(network, token) == [("SETTLED", 0, 0, 500)]
    assert await network.balance_minor(card) == before + 500
    undone = step("RETURN_REVERSAL", 500, moves=True)
    await webhooks.deliver(transaction(token, card.token, returned, undone, minute=1, status="SETTLED"))
    await webhooks.work()
    assert await network.balance_minor(card) == before


@pytest.mark.parametrize(("status", "told"), [("DECLINED", "VOIDED"), ("VOIDED", "VOIDED"), ("EXPIRED", "EXPIRED")])
async def test_what_lithic_ended_holds_nothing_whatever_its_amounts_say(
    webhooks: Webhooks, network: Network, card: Card, status: str, told: str
) -> None:
    token = new_token()
    await network.swipe(card, 1_000, transaction_token=token)
    await webhooks.deliver(
        transaction(token, card.token, step("AUTHORIZATION", 1_000), minute=1, hold_minor=1_000, status=status)
    )
    await webhooks.work()
    assert await states(network, token) == [(told, 0, 0, 0)]
    assert await network.drift() == []


# --- cards ------------------------------------------------------------------------------------------------------------


async def news(webhooks: Webhooks, card: Card, *told: tuple[int, str, str | None]) -> None:
    """News of a card's state: so many minutes from now, the state, and the one before."""
    for minute, state, before in told:
        webhooks.clock.ahead_us = minute * _MINUTE_US
        answer = await webhooks.deliver(card_updated(card.token, state, before))
        assert answer.status_code == 200
        await webhooks.work()
    webhooks.clock.ahead_us = SetClock.ahead_us


async def test_a_paused_card_is_declined_at_the_very_next_swipe_and_an_opened_one_is_not(
    webhooks: Webhooks, network: Network, card: Card
) -> None:
    await network.swipe(card, 100)
    await news(webhooks, card, (0, "PAUSED", "OPEN"))
    declined = await network.running.authorize(request(card.token, 100))
    assert declined.reason == types.REASON_CARD_INACTIVE
    await news(webhooks, card, (1, "OPEN", "PAUSED"))
    assert (await network.running.authorize(request(card.token, 100))).approved_minor == 100


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([(0, "PAUSED", "OPEN"), (1, "OPEN", "PAUSED")],                             "active"),
        ([(1, "OPEN", "PAUSED"), (0, "PAUSED", "OPEN")],                             "active"),
        ([(0, "CLOSED", "OPEN"), (1, "OPEN", "PAUSED")],                             "closed"),
        ([(1, "OPEN", "PAUSED"), (0, "CLOSED", "OPEN")],                             "closed"),
        ([(0, "PAUSED", "OPEN"), (1, "OPEN", None)],                                 "inactive"),
        ([(0, "PAUSED", None)],                                                      "inactive"),
        ([(0, "PAUSED", "OPEN"), (1, "PENDING_ACTIVATION", "PAUSED")],               "inactive"),
        ([(0, "PENDING_ACTIVATION", "PENDING_FULFILLMENT")],                         "active"),
    ],
    ids=str,
)  # fmt: skip
async def test_newer_news_of_a_card_stands_whatever_comes_later(
    webhooks: Webhooks, card: Card, told: list[tuple[int, str, str | None]], status: str
) -> None:
    await news(webhooks, card, *told)
    assert await status_of(webhooks, card) == status


async def test_of_one_instant_the_stricter_state_stands_in_every_order(webhooks: Webhooks, card: Card) -> None:
    other = await add_card(webhooks.database, card.account_id)
    for one, order in ((card, ("inactive", "active")), (other, ("active", "inactive"))):
        for status in order:
            assert await webhooks.store.set_card_status(one.token, status, 1_763_640_000_000_000)
        assert await status_of(webhooks, one) == "inactive"


async def test_other_events_of_cards_and_holders_are_kept_and_change_nothing(webhooks: Webhooks, card: Card) -> None:
    for event_type in ("card.created", "card.shipped", "account_holder.updated", "auth_rules.backtest_report.created"):
        name = f"msg_{event_type}"
        await webhooks.deliver({"event_type": event_type, "card_token": card.token}, name)
        await webhooks.work()
        row = await webhooks.row(name)
        assert (row["status"], row["account_id"], row["retry_count"]) == ("processed", card.account_id, 0)
    assert await status_of(webhooks, card) == "active"
