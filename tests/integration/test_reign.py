"""Servers that went back in time: a Redis that lost writes without a restart, a database behind its counters."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from authsvc.counters.store import RedisCounters, counters_key
from authsvc.errors import Unavailable
from authsvc.ports import Ask, Missing, Reserved
from rules.reasons import CheckName, Level, Window
from rules.types import Bound, Counter, Limit, Plan
from tests.serving import request, serving

LIMIT_MINOR = 1_000
PLAN = Plan(
    0,
    1,
    (Counter("c7:l", Level.CARD, 7, None, None),),
    (Bound(CheckName.CARD_LIMIT, Limit(LIMIT_MINOR, Window.LIFETIME), 0, None, None, shared=False),),
    funds_enforced=True,
    transaction_cap_minor=None,
)


@pytest.fixture
async def counters(redis_url: str) -> AsyncIterator[RedisCounters]:
    made = RedisCounters(redis_url, timeout_ms=2_000, record_ttl_ms=60_000, counters_ttl_s=600)
    yield made
    await made.close()


def _ask(name: str) -> Ask:
    return Ask(1, 0, name, PLAN, 400, partial=False, posts=False, moves=True)


async def test_counters_of_an_earlier_reign_are_never_used_again(counters: RedisCounters, redis_url: str) -> None:
    (first,) = await counters.reserve([_ask("a")], [])
    assert isinstance(first, Missing)
    await counters.open_epoch(1, first.run, 5)
    await counters.install(1, first.run, 5, (100_000, 0), [("c7:l", 0)])
    (reserved,) = await counters.reserve([_ask("a")], [])
    assert isinstance(reserved, Reserved)

    async with Redis.from_url(redis_url) as server:
        # Nobody listens there: the server keeps its data, as a replica that has not found its master yet.
        await server.execute_command("REPLICAOF", "127.0.0.1", "1")
        await server.execute_command("REPLICAOF", "NO", "ONE")
        # What the other master did not have yet when it was copied.
        await server.hset(counters_key(1, first.run), "c7:l", "0")

    with pytest.raises(Unavailable):
        await counters.reserve([_ask("b")], [])
    (again,) = await counters.reserve([_ask("b")], [])
    assert isinstance(again, Missing)
    assert again.epoch is None
    assert again.run != first.run


async def test_a_database_behind_its_counters_overtakes_them(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url) as running:
        assert (await running.authorize(request(amount_minor=700))).approved_minor == 700
        (key,) = await running.counters()
        # As after a restore to an earlier time: the counters' epoch is one that this database has not reached.
        await running.redis.hset(key, "e", "50")
        answer = await running.authorize(request(amount_minor=500))
        assert answer.approved_minor == 500
        assert await running.database.fetchval("SELECT max(counter_epoch) FROM accounts") > 50
        assert (await running.counters())[key]["h"] == "1200"
