"""Servers that a test may break, a program with limits that a load reaches, and what must be true afterwards."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import asyncpg
import pytest
import redis.asyncio

from authsvc.embedded import Servers
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests import books
from tests.programs import Card, add_account, add_card, add_cards, add_profile
from tests.service import Service, running
from tests.traffic import AT, Callers, request
from tests.waiting import until_clear

HEALED_S: Final = 60.0
LOAD: Final = 1_000
# An abandoned reservation is looked for soon, so that a test need not wait long for it.
REAPER: Final = {"reaper_interval_ms": 200, "reaper_grace_ms": 1_000}
_PURCHASES: Final = (
    *[types.KIND_AUTHORIZATION] * 14,
    *[types.KIND_FINANCIAL_AUTHORIZATION] * 4,
    types.KIND_BALANCE_INQUIRY,
)
# A credit has the counters of its account built anew, which also mends what a fault has done to them: most accounts
# get none, so that a fault there is mended by what is there to mend it.
_WITH_CREDITS: Final = (*_PURCHASES, types.KIND_FINANCIAL_CREDIT_AUTHORIZATION)
_CREDITED_CARDS: Final = 2


@dataclass(slots=True)
class World:
    """Servers to break, a service on them, its callers, and the cards they use."""

    servers: Servers
    service: Service
    callers: Callers
    cards: list[Card]

    async def survives(self, *faults: Callable[[], Awaitable[None]]) -> None:
        """A load, the faults one after the other in the midst of it, and every promise afterwards."""
        messages = load_of(self.cards, random.Random(LOAD))
        share = len(messages) // (len(faults) + 2)
        answers = await self.callers.load(messages, {share * i: fault for i, fault in enumerate(faults, start=1)})
        async with self.looking() as (database, counters):
            assert await books.unlike_answers(database, self.account_ids(), messages, answers) == []
            assert await books.overspent(database) == []
            await until_clear(lambda: books.drift(database, counters), HEALED_S)
            # Every counter that is not in Redis now is loaded by asking for it; what there is must be true as well.
            inquiries = [request(card.token, 0, kind=types.KIND_BALANCE_INQUIRY) for card in self.cards]
            balances = await self.callers.at_once(inquiries)
            assert await books.drift(database, counters, current=self.account_ids()) == []
            assert await books.overspent(database) == []
            assert [a.decision for a in balances] == [types.DECISION_APPROVED] * len(balances)
        decisions = {answer.decision for answer in answers}
        assert decisions == {types.DECISION_APPROVED, types.DECISION_PARTIALLY_APPROVED, types.DECISION_DECLINED}
        assert self.service.new_errors() == []

    def account_ids(self) -> set[int]:
        """Whose cards they are."""
        return {card.account_id for card in self.cards}

    def looking(self) -> "_Looking":
        """Connections of the test's own to both servers."""
        return _Looking(self.servers.database_url, self.servers.redis_url)


class _Looking:
    def __init__(self, database_url: str, redis_url: str) -> None:
        self._database_url = database_url
        self._redis = redis.asyncio.Redis.from_url(redis_url)
        self._database: asyncpg.Connection | None = None

    async def __aenter__(self) -> tuple[asyncpg.Connection, "redis.asyncio.Redis"]:
        self._database = await asyncpg.connect(self._database_url)
        return self._database, self._redis

    async def __aexit__(self, *_: object) -> None:
        assert self._database is not None
        await self._database.close()
        await self._redis.aclose()


@pytest.fixture(scope="module")
def breakable() -> Iterator[Servers]:
    """Servers of this module's own. Each test leaves them running."""
    with Servers.start(None) as started:
        yield started


@pytest.fixture(scope="module")
def service(breakable: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two workers, which live through one fault after the other, except for those who are killed."""
    folder = tmp_path_factory.mktemp("fault")
    with running(breakable.database_url, breakable.redis_url, folder, **REAPER) as started:
        yield started


@pytest.fixture
async def world(breakable: Servers, service: Service) -> AsyncIterator[World]:
    """Everything, connected, with cards of this test's own."""
    database = await asyncpg.connect(breakable.database_url)
    cards = await program(database)
    await database.close()
    async with AsyncExitStack() as stack:
        yield World(breakable, service, await stack.enter_async_context(Callers(service)), cards)


async def program(database: asyncpg.Connection) -> list[Card]:
    """Cards of every kind of limit; the load asks for about twice of what most of them may spend."""
    own = await add_account(database)
    per_card = await add_profile(database, own, "120.00", "monthly")
    daily = await add_cards(database, 6, own, "50.00", "daily", per_card)
    shared = await add_account(database, timezone="America/New_York")
    budget = await add_profile(database, shared, "250.00", "weekly", "shared")
    together = await add_cards(database, 5, shared, None, None, budget)
    tight = await add_cards(database, 3, await add_account(database, "400.00"))
    free = await add_account(database, "90000.00", balance_check="off")
    return [
        *daily,
        *together,
        *tight,
        await add_card(database, free, "500.00", "lifetime"),
        await add_card(database, free),
    ]


def load_of(cards: list[Card], chance: random.Random) -> list[pb.AuthorizeRequest]:
    """Requests of every kind on two days; one in ten is sent twice, close together."""
    messages = []
    for _ in range(LOAD):
        card = chance.choice(cards)
        message = request(
            card.token,
            chance.randint(1, 1_500),
            kind=chance.choice(_WITH_CREDITS if card in cards[-_CREDITED_CARDS:] else _PURCHASES),
            at=AT + timedelta(hours=chance.choice((0, 20))),
            partial_approval_capable=chance.random() < 0.2,
        )
        messages += [message] * (2 if chance.random() < 0.1 else 1)
    return messages
