"""Many callers, two workers, one last dollar. Whoever is first gets it; nobody gets what is not there."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from authsvc.embedded import Servers
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests import books
from tests.programs import add_account, add_card, add_cards, add_profile
from tests.service import Service, running
from tests.traffic import Callers, request, told

DATABASE = "test_races"
CALLERS = 64


@pytest.fixture(scope="module")
def races_url(servers: Servers, template: str) -> Iterator[str]:
    servers.postgres.execute(f"CREATE DATABASE {DATABASE} TEMPLATE {template}")
    # Accounts of other databases had the same ids.
    servers.valkey.flush()
    yield servers.postgres.url(DATABASE)
    servers.postgres.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture(scope="module")
def service(servers: Servers, races_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(races_url, servers.redis_url, tmp_path_factory.mktemp("races")) as started:
        yield started


@pytest.fixture
async def database(races_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(races_url)
    yield opened
    await opened.close()


@pytest.fixture
async def counters(servers: Servers) -> AsyncIterator["redis.asyncio.Redis"]:
    async with redis.asyncio.Redis.from_url(servers.redis_url) as opened:
        yield opened


@pytest.fixture
async def callers(service: Service) -> AsyncIterator[Callers]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(Callers(service))


def outcomes(answers: list[pb.AuthorizeResponse]) -> Counter[tuple[str, str, int]]:
    return Counter(
        (types.Decision.Name(a.decision)[9:], types.Reason.Name(a.reason)[7:], a.approved_minor) for a in answers
    )


async def test_callers_who_race_for_the_last_dollar_of_a_card_get_all_of_it_and_no_more(database, callers):
    card = await add_card(database, await add_account(database), "40.00", "daily")

    answers = await callers.at_once([request(card.token, 100) for _ in range(2 * CALLERS)])

    assert outcomes(answers) == {("APPROVED", "APPROVED", 100): 40, ("DECLINED", "CARD_LIMIT_EXCEEDED", 0): 88}
    assert await books.overspent(database) == []


async def test_cards_that_race_for_the_last_dollar_of_a_shared_profile_get_all_of_it_and_no_more(database, callers):
    account = await add_account(database)
    cards = await add_cards(
        database, 16, account, None, None, await add_profile(database, account, "40.00", "monthly", "shared")
    )

    answers = await callers.at_once([request(cards[i % 16].token, 100) for i in range(2 * CALLERS)])

    assert outcomes(answers) == {("APPROVED", "APPROVED", 100): 40, ("DECLINED", "PROFILE_LIMIT_EXCEEDED", 0): 88}
    assert await books.overspent(database) == []


@pytest.mark.parametrize("kind", [types.KIND_AUTHORIZATION, types.KIND_FINANCIAL_AUTHORIZATION])
async def test_cards_that_race_for_the_last_dollar_of_an_account_get_all_of_it_and_no_more(database, callers, kind):
    account = await add_account(database, "40.00")
    cards = await add_cards(database, 8, account)

    answers = await callers.at_once([request(cards[i % 8].token, 100, kind=kind) for i in range(2 * CALLERS)])

    assert outcomes(answers) == {("APPROVED", "APPROVED", 100): 40, ("DECLINED", "INSUFFICIENT_FUNDS", 0): 88}
    available = (
        "SELECT balance * 100 - (SELECT sum(held_minor) FROM transactions WHERE account_id = a.id) FROM accounts a"
    )
    assert await database.fetchval(f"{available} WHERE id = $1", account) == 0


async def test_terminals_that_accept_less_use_up_the_limit_to_the_last_cent(database, callers):
    card = await add_card(database, await add_account(database), "40.00", "lifetime")

    answers = await callers.at_once([request(card.token, 700, partial_approval_capable=True) for _ in range(CALLERS)])

    assert outcomes(answers) == {
        ("APPROVED", "APPROVED", 700): 5,
        ("PARTIALLY_APPROVED", "CARD_LIMIT_EXCEEDED", 500): 1,
        ("DECLINED", "CARD_LIMIT_EXCEEDED", 0): 58,
    }


async def test_nobody_is_declined_who_could_still_be_paid_at_the_end(database, callers):
    account = await add_account(database, "300.00")
    profile = await add_profile(database, account, "100.00", "daily", "shared")
    cards = await add_cards(database, 6, account, "30.00", "weekly", profile)
    chance = random.Random(7)
    messages = [request(chance.choice(cards).token, chance.randint(50, 900)) for _ in range(2 * CALLERS)]

    answers = await callers.at_once(messages)

    spent: Counter[str] = Counter()
    for message, answer in zip(messages, answers, strict=True):
        spent[message.card_token] += answer.approved_minor
    left = {token: min(3_000 - minor, 10_000 - spent.total()) for token, minor in spent.items()}
    assert min(left.values()) >= 0
    declined = [m for m, a in zip(messages, answers, strict=True) if a.decision == types.DECISION_DECLINED]
    assert declined and all(message.amount_minor > left[message.card_token] for message in declined)


async def test_the_same_request_fifty_times_at_once_counts_once_and_is_answered_alike(database, callers, counters):
    account = await add_account(database, "500.00")
    profile = await add_profile(database, account, "100.00", "monthly", "shared")
    card = await add_card(database, account, "50.00", "daily", profile)
    message = request(card.token, 3_000)

    # Two of them would not fit: a second count would be a decline.
    answers = await callers.at_once([message] * 50)

    assert {told(answer) for answer in answers} == {told(answers[0])}
    assert answers[0].decision == types.DECISION_APPROVED and answers[0].approved_minor == 3_000
    rows = await database.fetch("SELECT id, held_minor FROM transactions WHERE request_id = $1", message.request_id)
    assert [tuple(row) for row in rows] == [(answers[0].transaction_id, 3_000)]
    fields: dict[str, Any] = await books.counters_of(counters, account)
    windows = {name.rsplit(":", 1)[0]: value for name, value in fields.items() if name not in {"e", "g", "b", "h"}}
    assert windows == {f"c{card.id}:d": 3_000, f"p{profile}:m": 3_000}
    assert (fields["b"], fields["h"]) == (50_000, 3_000)
    power = await callers.stubs[0].GetSpendingPower(
        pb.GetSpendingPowerRequest(card_token=card.token, at=message.transacted_at)
    )
    assert [(limit.used_minor, limit.remaining_minor) for limit in power.limits] == [(3_000, 7_000), (3_000, 2_000)]
    assert power.available_balance_minor == 47_000


async def test_a_spent_request_sent_again_to_every_connection_stays_the_first_answer(database, callers):
    card = await add_card(database, await add_account(database), "10.00", "daily")
    message = request(card.token, 1_000)
    first = await callers.ask(message)

    again = [await stub.Authorize(message) for stub in callers.stubs]

    assert {told(answer) for answer in again} == {told(first)}
    assert all(answer.replayed for answer in again) and not first.replayed
