"""The configuration in memory on a real database: warm, bounded, told of every change, and right after what it missed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from authsvc.seed import PURPOSES
from authsvc.v1 import types_pb2 as types
from loader.directory import Directory
from loader.records import Change
from rules.mcc import BLOCKED
from rules.types import Card
from tests.serving import Running, request, serving, serving_module, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLOSE = "UPDATE cards SET status = 'closed' WHERE lithic_card_token = '{}'"
CUT_LISTENER = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name = 'authsvc listener' AND datname = current_database()
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template) as one:
        yield one


@dataclass(frozen=True)
class Changed:
    """A change, a card that it concerns, what is true of that card afterwards, and one of the account that stays in memory."""

    sql: str
    card: str
    holds: Callable[[Card], bool]
    stays: str | None


CHANGES = {
    "a card's status": Changed(
        "UPDATE cards SET status = 'inactive' WHERE lithic_card_token = 'card_demo_travel'",
        "card_demo_travel",
        lambda card: card.status == "inactive",
        "card_demo_zero",
    ),
    "a card's limit": Changed(
        "UPDATE cards SET spend_limit = 7.00 WHERE lithic_card_token = 'card_demo_daily'",
        "card_demo_daily",
        lambda card: card.limit is not None and card.limit.amount_minor == 700,
        "card_demo_zero",
    ),
    "a card's profile": Changed(
        "UPDATE cards SET spending_profile_id = NULL WHERE lithic_card_token = 'card_demo_driver'",
        "card_demo_driver",
        lambda card: card.profile is None,
        "card_demo_new_york",
    ),
    "a cardholder's status": Changed(
        "UPDATE users SET status = 'suspended' WHERE email = 'anna@northwind.example'",
        "card_demo_lunch_anna",
        lambda card: card.user.status == "suspended",
        "card_demo_lunch_uma",
    ),
    "a profile's limit": Changed(
        "UPDATE spending_profiles SET spend_limit = 9.00 WHERE name = 'Office Supplies'",
        "card_demo_office",
        lambda card: card.profile.limit.amount_minor == 900,
        "card_demo_zero",
    ),
    "a profile's list of categories": Changed(
        """UPDATE spending_profiles SET blocked_categories = '["5300"]' WHERE name = 'Kitchen Purchasing'""",
        "card_demo_kitchen_1",
        lambda card: card.profile.mcc_table[5300] == BLOCKED,
        "card_demo_new_york",
    ),
    "a category rule of a profile": Changed(
        """INSERT INTO profile_categories (spending_profile_id, category_group, rule_type)
        SELECT id, 'Airlines', 'blocked' FROM spending_profiles WHERE name = 'Software'""",
        "card_demo_software",
        lambda card: card.profile.mcc_table[3000] == BLOCKED,
        "card_demo_lifetime",
    ),
    "the group of a category": Changed(
        "UPDATE spending_categories SET category_group = 'Gambling' WHERE mcc_code = '5811'",
        "card_demo_daily",
        lambda card: card.profile.mcc_table[5811] == BLOCKED,
        "card_demo_zero",
    ),
    "a setting of the account": Changed(
        """UPDATE account_settings SET value = '"Asia/Tokyo"' WHERE key = 'timezone' AND account_id =
        (SELECT account_id FROM cards WHERE lithic_card_token = 'card_demo_lifetime')""",
        "card_demo_lifetime",
        lambda card: card.account.timezone == "Asia/Tokyo",
        None,
    ),
    "the account's status": Changed(
        "UPDATE accounts SET status = 'suspended' WHERE owner_email = 'bruno@bakery.example'",
        "card_demo_small_balance",
        lambda card: card.account.status == "suspended",
        None,
    ),
}


async def known(directory: Directory, token: str) -> Card:
    """The card, in memory from now on."""
    card = directory.peek(token) or await directory.fetch(token)
    assert card is not None
    return card


async def forgotten(running: Running, token: str) -> None:
    """The card has changed, harmlessly, and is no longer in memory."""
    directory = running.service.directory
    await known(directory, token)
    raised = "UPDATE cards SET spend_limit = spend_limit + 1 WHERE lithic_card_token = $1"
    await running.database.execute(raised, token)
    await until(lambda: directory.peek(token) is None)


async def test_the_memory_is_warm_when_the_service_is_ready(
    database_url: str, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with serving(database_url, redis_url) as running:
            directory = running.service.directory
            assert len(directory) == len(PURPOSES)
            results = await running.batch(*[request(token) for token in PURPOSES])
            assert all(result.HasField("response") for result in results)
            assert directory.counts.loads == 0
    assert f"directory: warm with {len(PURPOSES)} cards" in caplog.messages


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_is_told_and_read_again_while_the_rest_stays(running: Running, changed: Changed) -> None:
    directory = running.service.directory
    before = await known(directory, changed.card)
    assert not changed.holds(before)
    if changed.stays is not None:
        await known(directory, changed.stays)
    await running.database.execute(changed.sql)
    # Nobody asks for the card meanwhile: only the notification can have dropped it.
    await until(lambda: directory.peek(changed.card) is None)
    after = await directory.fetch(changed.card)
    assert after is not None and changed.holds(after)
    assert after.account.config_version == before.account.config_version or after.account is not before.account
    if changed.stays is not None:
        loads = directory.counts.loads
        stayed = directory.peek(changed.stays)
        assert stayed is not None and stayed.account is after.account
        assert directory.counts.loads == loads


async def test_a_deleted_card_is_unknown_and_so_is_the_old_token_of_a_card(running: Running) -> None:
    directory = running.service.directory
    for token, change in (
        ("card_demo_zero", "deleted_at = now()"),
        ("card_demo_open", "lithic_card_token = 'card_demo_renamed'"),
    ):
        await known(directory, token)
        await running.database.execute(f"UPDATE cards SET {change} WHERE lithic_card_token = '{token}'")
        await until(lambda token=token: directory.peek(token) is None)
        assert (await running.authorize(request(token))).reason == types.REASON_UNKNOWN_CARD
    assert (await known(directory, "card_demo_renamed")).token == "card_demo_renamed"


async def test_many_who_miss_one_card_at_once_cost_one_query(running: Running) -> None:
    directory = running.service.directory
    await forgotten(running, "card_demo_yearly")
    loads = directory.counts.loads
    cards = await asyncio.gather(*(directory.fetch("card_demo_yearly") for _ in range(64)))
    assert len({id(card) for card in cards}) == 1
    assert directory.counts.loads == loads + 1


async def test_many_requests_on_one_card_that_is_not_in_memory_cost_one_query(running: Running) -> None:
    directory = running.service.directory
    await forgotten(running, "card_demo_yearly")
    loads = directory.counts.loads
    results = await running.stream(*[request("card_demo_yearly", amount_minor=1) for _ in range(64)])
    assert {result.response.decision for result in results} == {types.DECISION_APPROVED}
    assert directory.counts.loads == loads + 1


async def test_one_who_gives_up_waiting_does_not_take_the_card_from_the_others(running: Running) -> None:
    directory = running.service.directory
    await forgotten(running, "card_demo_yearly")
    impatient = asyncio.ensure_future(directory.fetch("card_demo_yearly"))
    patient = asyncio.ensure_future(directory.fetch("card_demo_yearly"))
    await asyncio.wait([impatient], timeout=0)
    impatient.cancel()
    assert (await patient) is not None
    assert impatient.cancelled()


async def test_an_unknown_token_is_remembered_until_a_card_has_it(running: Running) -> None:
    directory = running.service.directory
    loads = directory.counts.loads
    for _ in range(3):
        assert (await running.authorize(request("card_brand_new"))).reason == types.REASON_UNKNOWN_CARD
    assert directory.counts.loads == loads + 1
    assert directory.is_unknown("card_brand_new")
    await running.database.execute(
        """INSERT INTO cards (account_id, user_id, lithic_card_token, card_type, status)
        SELECT account_id, user_id, 'card_brand_new', 'virtual', 'active' FROM cards
        WHERE lithic_card_token = 'card_demo_new_york'"""
    )
    # At once: the refusal of an unknown card is only recorded if there still is none.
    assert (await running.authorize(request("card_brand_new"))).decision == types.DECISION_APPROVED


async def test_after_a_gap_in_the_versions_the_account_is_read_again(running: Running) -> None:
    directory = running.service.directory
    card, other = await known(directory, "card_demo_pending"), await known(directory, "card_demo_inactive")
    version = card.account.config_version
    directory.notified(Change(card.account.id, version + 2, "card", frozenset({card.id}), ()))
    assert directory.peek(card.token) is None
    assert directory.peek(other.token) is None
    again = await directory.fetch(other.token)
    assert again is not None and again.account.config_version == version


async def test_what_a_notification_told_long_ago_changes_nothing(running: Running) -> None:
    directory = running.service.directory
    card = await known(directory, "card_demo_pending")
    version = card.account.config_version
    directory.notified(Change(card.account.id, version, "account", None, ()))
    assert directory.peek(card.token) is card
    assert card.account.config_version == version


async def test_a_small_memory_drops_the_oldest_and_still_decides_right(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url) as large:
        right = {result.request_id: result.response for result in await large.batch(*_one_each())}
    async with serving(database_url, redis_url, directory_cards_max=3) as small:
        directory = small.service.directory
        assert len(directory) == 3
        for token in PURPOSES:
            answer = await small.authorize(request(token, amount_minor=1, merchant=types.Merchant(mcc="5812")))
            assert (answer.decision, answer.reason) == (right[token].decision, right[token].reason), token
            assert len(directory) <= 3
        last = list(PURPOSES)[-3:]
        assert all(directory.peek(token) for token in last)
        assert directory.peek(next(iter(PURPOSES))) is None
        results = await small.batch(*[request(token, amount_minor=1) for token in PURPOSES])
        assert [result.response.reason for result in results] == [right[token].reason for token in PURPOSES]


def _one_each() -> list[object]:
    return [request(token, amount_minor=1, request_id=token) for token in PURPOSES]


async def test_what_changed_while_the_listener_was_lost_is_read_again(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url) as running:
        directory = running.service.directory
        card, other = await known(directory, "card_demo_open"), await known(directory, "card_demo_new_york")
        async with running.database.transaction():
            assert await running.database.fetchval(CUT_LISTENER) == 1
            await running.database.execute(CLOSE.format("card_demo_open"))
        await until(lambda: directory.counts.resyncs == 1 and directory.peek(card.token) is None)
        assert directory.peek(other.token) is other
        assert (await running.authorize(request("card_demo_open"))).reason == types.REASON_CARD_CLOSED
        # And it hears again.
        await running.database.execute(CLOSE.format("card_demo_new_york"))
        await until(lambda: directory.peek(other.token) is None)


async def test_a_card_closed_while_nobody_listens_is_declined_at_once(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url) as running:
        directory = running.service.directory
        before = await known(directory, "card_demo_open")
        await running.database.execute(
            """CREATE OR REPLACE FUNCTION authsvc_notify(
            account_id INTEGER, version BIGINT, kind TEXT, ids INTEGER[], tokens TEXT[], has_tokens BOOLEAN
            ) RETURNS void LANGUAGE sql AS ''"""
        )
        await running.database.execute(CLOSE.format("card_demo_open"))
        # In memory it is still open, and no notification will come.
        assert directory.peek("card_demo_open") is before
        answer = await running.authorize(request("card_demo_open"))
        assert answer.reason == types.REASON_CARD_CLOSED
        assert answer.config_version == before.account.config_version + 1
