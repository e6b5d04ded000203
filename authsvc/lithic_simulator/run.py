"""Sends swipes to a bridge and, once they are answered, the webhooks about what became of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import httpx
import orjson

from authsvc.bridge.signature import sign
from authsvc.clock import Clock
from authsvc.lithic_simulator.lives import Answer, Webhook, life_of
from authsvc.lithic_simulator.shapes import asa_request
from authsvc.lithic_simulator.swipes import Swipe, chance, swipe_of
from authsvc.lithic_simulator.tally import NO_ANSWER, Tally

ASA_PATH: Final = "/lithic/asa"
EVENTS_PATH: Final = "/lithic/events"
# Lithic gives up after as long, and asks once more at once when a connection failed or the status was a 5xx.
TIMEOUT_S: Final = 6.0
ATTEMPTS: Final = 2
_OK: Final = 200
_SERVER_ERROR: Final = 500


class Plan(NamedTuple):
    """What to send. `run` keeps its tokens apart from those of other runs; `rate` is swipes per second, 0: no limit.

    `duplicates` is the share of webhooks that are sent twice. `shuffle` mixes the webhooks of each swipe.
    """

    seed: int
    run: str
    card_tokens: Sequence[str]
    swipes: int = 200
    concurrency: int = 8
    rate: float = 0.0
    duplicates: float = 0.0
    shuffle: bool = False
    webhooks: bool = True


class Lithic:
    """Lithic before a bridge. Without a key what it sends goes unsigned."""

    def __init__(
        self, http: httpx.AsyncClient, clock: Clock, tally: Tally, asa_key: bytes | None, event_key: bytes | None
    ) -> None:
        """`http` has the bridge's address as its base."""
        self._http = http
        self._clock = clock
        self._tally = tally
        self._asa_key = asa_key
        self._event_key = event_key

    async def ask(self, swipe: Swipe) -> Answer:
        """The answer to the authorization request; an empty one when there is none, as for Lithic."""
        self._tally.asked += 1
        body = orjson.dumps(asa_request(swipe))
        started_s = self._clock.monotonic_s()
        said = await self._post("asa", ASA_PATH, f"msg_asa_{swipe.token}", body, self._asa_key)
        self._tally.latencies_ms.append((self._clock.monotonic_s() - started_s) * 1_000)
        answer = _answer_in(said)
        if said is not None and not answer.result:
            self._tally.errors["asa", "unreadable"] += 1
        result = "PARTIALLY APPROVED" if answer.approved_minor is not None else answer.result or NO_ANSWER
        self._tally.results[result] += 1
        return answer

    async def tell(self, webhook: Webhook) -> None:
        """One webhook. Its id is its transaction's and its number's: sent again, it is the same."""
        message_id = f"msg_{webhook.body['token']}_{webhook.number}"
        await self._post("event", EVENTS_PATH, message_id, orjson.dumps(webhook.body), self._event_key)

    async def _post(self, what: str, path: str, message_id: str, body: bytes, key: bytes | None) -> bytes | None:
        for _ in range(ATTEMPTS):
            headers = {"content-type": "application/json"}
            if key is not None:
                headers |= sign(key, message_id, self._clock.now_us() // 1_000_000, body)
            try:
                response = await self._http.post(path, content=body, headers=headers)
            except httpx.TransportError as error:
                timed_out = isinstance(error, httpx.TimeoutException)
                self._tally.errors[what, "timeout" if timed_out else "no connection"] += 1
                if timed_out:
                    break
                continue
            if response.status_code == _OK:
                return response.content
            self._tally.errors[what, str(response.status_code)] += 1
            if response.status_code < _SERVER_ERROR:
                break
        return None


@asynccontextmanager
async def connected(
    url: str, clock: Clock, tally: Tally, asa_key: bytes | None, event_key: bytes | None, connections: int = 8
) -> AsyncIterator[Lithic]:
    """Lithic before the bridge at `url`, over connections that stay open."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    # A proxy of the environment has no part in this.
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits, trust_env=False) as http:
        yield Lithic(http, clock, tally, asa_key, event_key)


async def answers(url: str) -> bool:
    """Whether a bridge lives at `url`."""
    try:
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as http:
            return (await http.get("/healthz")).status_code == _OK
    except httpx.TransportError:
        return False


async def simulate(lithic: Lithic, plan: Plan, clock: Clock, tally: Tally, progress: Callable[[], None]) -> None:
    """Live every swipe of the plan, `concurrency` at a time; `progress` is called after each."""
    started_s = clock.monotonic_s()
    numbers = iter(range(plan.swipes))

    async def cardholder(waiting: Iterator[int]) -> None:
        for number in waiting:
            if plan.rate:
                await asyncio.sleep(max(0.0, started_s + number / plan.rate - clock.monotonic_s()))
            await _live(lithic, plan, number, clock, tally)
            progress()

    async with asyncio.TaskGroup() as cardholders:
        for _ in range(plan.concurrency):
            cardholders.create_task(cardholder(numbers))
    tally.elapsed_s = clock.monotonic_s() - started_s


async def _live(lithic: Lithic, plan: Plan, number: int, clock: Clock, tally: Tally) -> None:
    now = datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC)
    swipe = swipe_of(plan.seed, plan.run, number, plan.card_tokens, now)
    if not (swipe.is_asked or plan.webhooks):
        return
    answer = await lithic.ask(swipe) if swipe.is_asked else None
    if not plan.webhooks:
        return
    life = life_of(plan.seed, plan.run, number, swipe, answer)
    tally.lived(life)
    dice = chance(plan.seed, number, "delivery")
    again = [webhook for webhook in life.webhooks if dice.random() < plan.duplicates]
    tally.duplicates += len(again)
    delivered = sorted([*life.webhooks, *again], key=lambda webhook: webhook.number)
    if plan.shuffle:
        dice.shuffle(delivered)
    for webhook in delivered:
        await lithic.tell(webhook)


def _answer_in(body: bytes | None) -> Answer:
    """What Lithic would take from our bytes."""
    try:
        said = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return Answer("")
    if not isinstance(said, Mapping) or not isinstance(said.get("result"), str):
        return Answer("")
    approved: Any = said.get("approved_amount")
    return Answer(said["result"], approved if isinstance(approved, int) else None)
