"""The bridge dies, or hears of a decision too late: no hold is left behind that Lithic declined, and no webhook is lost."""

import asyncio
import itertools
import os
import random
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest
import pytest_asyncio

from authsvc.bridge.app import ASA_PATH, EVENTS_PATH
from authsvc.clock import SystemClock
from authsvc.embedded import Servers
from tests import events, lithic
from tests.events import step, transaction
from tests.fault.ways import Way
from tests.lithic import SECRET, asa_request, signed_headers
from tests.network import Network
from tests.programs import Card, add_account, add_cards, add_profile
from tests.serving import Running, serving_module, until_held_back
from tests.waiting import pause, until_clear

pytestmark = pytest.mark.asyncio(loop_scope="module")
HEALED_S: Final = 60.0
READY_WORDS: Final = "ready on "
PATIENT_MS: Final = 5_000
BRIEF_MS: Final = 300
KINDS: Final = ("AUTHORIZATION", "FINANCIAL_AUTHORIZATION", "FINANCIAL_CREDIT_AUTHORIZATION")
_numbers = itertools.count(1)


@dataclass
class Bridge:
    """`authsvc bridge` as a process, and Lithic before it."""

    process: asyncio.subprocess.Process
    http: httpx.AsyncClient
    port: int

    async def ask(self, request: Mapping[str, Any]) -> str:
        """What Lithic is told; nothing, when the connection ends before."""
        body = lithic.encoded(request)
        try:
            answer = await self.http.post(ASA_PATH, content=body, headers=headers(body))
        except httpx.TransportError:
            return ""
        assert answer.status_code == 200
        return str(answer.json()["result"])

    async def deliver(self, event: Mapping[str, Any]) -> bool:
        """Whether Lithic need not send the webhook again."""
        body = events.encoded(event)
        try:
            answer = await self.http.post(EVENTS_PATH, content=body, headers=headers(body, event["token"]))
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    async def kill(self) -> None:
        """SIGKILL: whatever it had not told or stored is gone."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


def headers(body: bytes, name: str = "") -> dict[str, str]:
    return signed_headers(body, f"msg_{name or 'asa'}_{next(_numbers)}", SystemClock().now_us() // 1_000_000)


@asynccontextmanager
async def bridging(
    running: Running, target_port: int, folder: Path, *, deadline_ms: int, port: int = 0
) -> AsyncIterator[Bridge]:
    """A bridge before the service at that port; killed at the end."""
    given = {
        "target": f"127.0.0.1:{target_port}",
        "database_url": running.service.settings.database_url,
        "port": port,
        "metrics_port": 0,
        "asa_secrets": SECRET,
        "event_secrets": SECRET,
        "deadline_ms": deadline_ms,
        "webhook_poll_ms": 50,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")}
    environment |= {f"AUTHSVC_BRIDGE_{name.upper()}": str(value) for name, value in given.items()}
    with (folder / f"bridge-{next(_numbers)}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "authsvc", "bridge"), env=environment, stdout=asyncio.subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    async with asyncio.timeout(HEALED_S):
        said = (await process.stdout.readline()).decode()
    assert said.startswith(READY_WORDS), said
    address = said.removeprefix(READY_WORDS).strip()
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=PATIENT_MS / 1000) as http:
        bridge = Bridge(process, http, int(address.rpartition(":")[2]))
        try:
            yield bridge
        finally:
            await bridge.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template, reaper_interval_ms=200, reaper_grace_ms=1_000) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def cards(running: Running) -> list[Card]:
    """Of one account, with a limit that counts what they spend."""
    account_id = await add_account(running.database, "5000.00")
    profile_id = await add_profile(running.database, account_id, "4000.00", "monthly", "shared")
    return await add_cards(running.database, 3, account_id, None, None, profile_id)


def asked(card: Card, kind: str = "AUTHORIZATION", amount_minor: int = 1_000) -> dict[str, Any]:
    """A request of a transaction of its own."""
    token = f"txn-bridge-{next(_numbers)}"
    return asa_request(card.token, amount_minor, token=token, event_token=f"swipe-{token}", status=kind)


def declined(request: Mapping[str, Any]) -> dict[str, Any]:
    """What Lithic sends of a request that it declined, because nobody answered in time."""
    return transaction(request["token"], request["card"]["token"], minute=1, status="DECLINED", result="DECLINED")


async def test_what_was_approved_when_the_bridge_died_before_its_answer_is_released_by_lithics_webhook(
    running: Running, cards: list[Card], tmp_path: Path
) -> None:
    network, requests = Network(running), [asked(card, kind) for card in cards for kind in KINDS]
    async with Way(lambda: asyncio.open_connection("127.0.0.1", running.service.port)) as way:
        async with bridging(running, way.port, tmp_path, deadline_ms=PATIENT_MS) as bridge:
            await bridge.ask(asked(cards[0], amount_minor=0))
            way.is_mute = True
            asking = [asyncio.create_task(bridge.ask(request)) for request in requests]
            await until_clear(lambda: undecided(running, requests), HEALED_S)
            await bridge.kill()
            assert {await ask for ask in asking} == {""}
        held = "SELECT sum(held_minor) FROM transactions WHERE lithic_transaction_token = ANY($1)"
        assert await running.database.fetchval(held, [request["token"] for request in requests]) == 3_000
        way.is_mute = False
        async with bridging(running, way.port, tmp_path, deadline_ms=PATIENT_MS) as bridge:
            assert all([await bridge.deliver(declined(request)) for request in requests])
            await until_clear(lambda: unlike(running, nothing(requests)), HEALED_S)
    assert await network.balance_minor(cards[0]) == 500_000
    assert await network.drift() == []


@asynccontextmanager
async def delayed(running: Running, card: Card) -> AsyncIterator[asyncpg.Connection]:
    """While it lasts nothing about the card's account can be decided or applied; webhooks can be kept."""
    blocker = await asyncpg.connect(running.service.settings.database_url)
    try:
        async with blocker.transaction():
            await blocker.execute("SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE", card.account_id)
            yield blocker
    finally:
        await blocker.close()


def nothing(requests: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """What declined transactions count."""
    return {request["token"]: (0, 0) for request in requests}


async def undecided(running: Running, requests: list[dict[str, Any]]) -> int:
    """How many have no row yet."""
    query = "SELECT count(*) FROM transactions WHERE is_decided AND lithic_transaction_token = ANY($1)"
    return len(requests) - int(await running.database.fetchval(query, [request["token"] for request in requests]))


@pytest.mark.parametrize("is_webhook_first", [True, False])
async def test_a_delayed_engine_leaves_nothing_behind_that_lithic_declined(
    running: Running, cards: list[Card], tmp_path: Path, *, is_webhook_first: bool
) -> None:
    network, requests = Network(running), [asked(card, kind) for card in cards for kind in KINDS * 3]
    async with bridging(running, running.service.port, tmp_path, deadline_ms=BRIEF_MS) as bridge:
        await bridge.ask(asked(cards[0], amount_minor=0))
        async with delayed(running, cards[0]) as blocker:
            asking = [asyncio.create_task(bridge.ask(request)) for request in requests]
            await until_held_back(running, blocker)
            assert {await ask for ask in asking} == {"CARD_PAUSED"}
            if is_webhook_first:
                assert all([await bridge.deliver(declined(request)) for request in requests])
        await until_clear(lambda: undecided(running, requests), HEALED_S)
        await until_clear(lambda: unlike(running, nothing(requests)), HEALED_S)
        if not is_webhook_first:
            assert all([await bridge.deliver(declined(request)) for request in requests])
            await until_clear(lambda: unlike(running, nothing(requests)), HEALED_S)
    assert await network.balance_minor(cards[0]) == 500_000
    assert await network.drift() == []


class Lithic:
    """Swipes, what Lithic believes of them, and its webhooks, which it sends until they are taken."""

    def __init__(self, bridge: Bridge, chance: random.Random) -> None:
        self.bridge = bridge
        self.chance = chance
        self.done = 0
        # By token: the request, and what it must count in the end.
        self.ends: dict[str, tuple[int, int]] = {}

    async def live(self, card: Card) -> None:
        """One transaction: whoever is not told that it is approved has declined it."""
        amount_minor, will_clear = self.chance.randint(100, 1_500), self.chance.random() < 0.5
        request = asked(card, amount_minor=amount_minor)
        token = request["token"]
        is_approved = await self.bridge.ask(request) == "APPROVED"
        swipe = step("AUTHORIZATION", amount_minor)
        if not is_approved:
            told = [declined(request)]
        else:
            told = [transaction(token, card.token, swipe, minute=1, hold_minor=amount_minor)]
        if is_approved and will_clear:
            steps = [swipe, step("CLEARING", amount_minor, moves=True)]
            told.append(transaction(token, card.token, *steps, minute=2, settled_minor=amount_minor, status="SETTLED"))
        self.ends[token] = (0, amount_minor) if is_approved and will_clear else (amount_minor * is_approved, 0)
        self.chance.shuffle(told)
        for event in told * 2:
            while not await self.bridge.deliver(event):
                await pause(0.05)
        self.done += 1


async def test_a_bridge_killed_in_a_storm_of_swipes_and_webhooks_ends_in_what_lithic_believes(
    running: Running, cards: list[Card], tmp_path: Path
) -> None:
    network, chance, total = Network(running), random.Random(5), 160
    waiting = iter([chance.choice(cards) for _ in range(total)])
    async with AsyncExitStack() as stack:
        bridge = await stack.enter_async_context(
            bridging(running, running.service.port, tmp_path, deadline_ms=PATIENT_MS)
        )
        lithic_ = Lithic(bridge, chance)

        async def caller() -> None:
            for card in waiting:
                await lithic_.live(card)

        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(caller())
            for done in (total // 4, total // 2):
                while lithic_.done < done:
                    await pause(0.01)
                await lithic_.bridge.kill()
                again = bridging(running, running.service.port, tmp_path, deadline_ms=PATIENT_MS, port=bridge.port)
                lithic_.bridge = await stack.enter_async_context(again)
        # What a bridge was working on when it died comes again when its lease is over: here, now.
        await running.database.execute("UPDATE webhooks SET next_attempt_at = now() WHERE status = 'pending'")
        await until_clear(lambda: unlike(running, lithic_.ends), HEALED_S)
    assert {held > 0 for held, _ in lithic_.ends.values()} == {True, False}
    assert await network.balance_minor(cards[0]) == 500_000 - sum(settled for _, settled in lithic_.ends.values())
    assert await network.drift() == []


async def unlike(running: Running, ends: Mapping[str, tuple[int, int]]) -> list[object]:
    """Transactions that count something else than Lithic believes, and webhooks that are not processed."""
    query = "SELECT lithic_transaction_token AS token, sum(held_minor)::bigint AS held, sum(settled_minor - credited_minor)::bigint AS settled FROM transactions WHERE lithic_transaction_token = ANY($1) GROUP BY 1"
    found = {row["token"]: (row["held"], row["settled"]) for row in await running.database.fetch(query, list(ends))}
    differing: list[object] = [(token, found.get(token), end) for token, end in ends.items() if found.get(token) != end]
    waiting = await running.database.fetchval("SELECT count(*) FROM webhooks WHERE status <> 'processed'")
    return differing + [f"{waiting} webhooks"] * bool(waiting)
