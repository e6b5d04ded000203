"""Keys that somebody makes up: how often they cost the database a look, and that nobody else pays for it."""

import asyncio
import os

import pytest

from authsvc.errors import Overloaded, PermissionDenied, Unauthenticated
from authsvc.identity.authenticate import AUTHORIZE, EVENTS, UNKNOWN_PER_MINUTE, Authenticator
from authsvc.identity.ports import KeyStanding
from authsvc.identity.signing_keys import SigningKeys
from authsvc.identity.tokens import AccessTokens, hash_of
from authsvc.metrics import Metrics
from tests.identity import MovedClock

HERE, THERE = "ipv4:192.0.2.1:4711", "ipv4:192.0.2.2:4711"


class Keys:
    """Keeps keys by their text, and counts the looks."""

    def __init__(self) -> None:
        self.held: dict[bytes, KeyStanding] = {}
        self.looks = 0

    def add(self, text: str, expires_us: int = 2**62) -> str:
        self.held[hash_of(text)] = KeyStanding(text, None, frozenset({AUTHORIZE}), expires_us)
        return text

    async def key(self, key_hash: bytes, _now_us: int) -> KeyStanding | None:
        self.looks += 1
        return self.held.get(key_hash)


class Door:
    def __init__(self, remembered_ms: int = 0) -> None:
        self.keys, self.clock, self.metrics = Keys(), MovedClock(), Metrics()
        tokens = AccessTokens(SigningKeys(None), os.urandom)
        self.authenticator = Authenticator(
            self.keys,  # type: ignore[arg-type]
            tokens,
            self.clock,
            self.metrics,
            remembered_ms=remembered_ms,
        )

    async def knock(self, *credentials: str, peer: str = HERE) -> str:
        """Who it is, or why not."""
        metadata = [("authorization", f"Bearer {one}") for one in credentials]
        try:
            return (await self.authenticator.authenticate(metadata, peer)).actor
        except (Unauthenticated, Overloaded) as error:
            return type(error).__name__

    def turned_away(self) -> dict[str, float]:
        """How many by why, those that there were."""
        [family] = [one for one in self.metrics.registry.collect() if one.name == "authsvc_calls_turned_away"]
        return {s.labels["why"]: s.value for s in family.samples if s.name.endswith("_total") and s.value}


async def test_a_key_that_nobody_knows_is_looked_up_once_in_ten_seconds_however_often_it_comes() -> None:
    door = Door()
    assert await asyncio.gather(*(door.knock("authsvc_made_up") for _ in range(200))) == 200 * ["Unauthenticated"]
    assert door.keys.looks == 1
    door.clock.pass_s(9)
    assert await door.knock("authsvc_made_up", peer=THERE) == "Unauthenticated" and door.keys.looks == 1
    door.clock.pass_s(1)
    assert await door.knock("authsvc_made_up") == "Unauthenticated" and door.keys.looks == 2


async def test_whoever_makes_keys_up_is_held_back_and_nobody_from_elsewhere_is() -> None:
    door = Door()
    told = await asyncio.gather(*(door.knock(f"authsvc_{number}") for number in range(200)))
    assert told == UNKNOWN_PER_MINUTE * ["Unauthenticated"] + (200 - UNKNOWN_PER_MINUTE) * ["Overloaded"]
    assert door.keys.looks == UNKNOWN_PER_MINUTE
    assert await door.knock("authsvc_more", peer=THERE) == "Unauthenticated"
    assert door.turned_away() == {"unknown_key": UNKNOWN_PER_MINUTE + 1, "rate": 200 - UNKNOWN_PER_MINUTE}


async def test_a_key_that_was_good_before_stays_good_behind_an_address_that_makes_keys_up() -> None:
    door = Door()
    good, new = door.keys.add("authsvc_good"), door.keys.add("authsvc_new")
    assert await door.knock(good) == f"key:{good}"
    for number in range(200):
        await door.knock(f"authsvc_{number}")
    assert [await door.knock(good) for _ in range(3)] == 3 * [f"key:{good}"]
    # One that was never seen cannot be told from a guess for as long as a try takes to come back.
    assert await door.knock(new) == "Overloaded"
    door.clock.pass_s(1)
    assert await door.knock(new) == f"key:{new}"


async def test_good_keys_cost_no_tries_however_many_there_are() -> None:
    door = Door()
    keys = [door.keys.add(f"authsvc_{number}") for number in range(3 * UNKNOWN_PER_MINUTE)]
    assert [await door.knock(key) for key in keys] == [f"key:{key}" for key in keys]


async def test_a_key_that_is_revoked_stops_when_it_is_looked_up_again_and_counts_as_made_up_from_then_on() -> None:
    door = Door(remembered_ms=5_000)
    good = door.keys.add("authsvc_good")
    assert await door.knock(good) == f"key:{good}"
    del door.keys.held[hash_of(good)]
    door.clock.pass_s(4)
    assert await door.knock(good) == f"key:{good}"
    door.clock.pass_s(1)
    assert [await door.knock(good) for _ in range(50)] == 50 * ["Unauthenticated"]
    assert door.keys.looks == 2


async def test_why_a_call_is_not_let_in_is_counted() -> None:
    door = Door(remembered_ms=60_000)
    now_us = door.clock.now_us()
    short = door.keys.add("authsvc_short", expires_us=now_us + 1_000_000)
    await door.knock()
    await door.knock("no.such.token")
    await door.knock("authsvc_one", "authsvc_two")
    await door.knock("authsvc_made_up")
    await door.knock(short)
    door.clock.pass_s(1)
    await door.knock(short)
    with pytest.raises(PermissionDenied):
        door.authenticator.required(await door.authenticator.authenticate(
            [("authorization", f"Bearer {door.keys.add('authsvc_scoped')}")]
        ), EVENTS)  # fmt: skip
    assert door.turned_away() == {
        "no_credentials": 1, "bad_credentials": 2, "unknown_key": 1, "expired_key": 1, "scope": 1,
    }  # fmt: skip
