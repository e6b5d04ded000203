"""Workers that process what was kept: snapshots go to the engine, states to cards, what fails comes again later."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from authsvc.bridge import events, fields
from authsvc.bridge.inbox import label_of
from authsvc.bridge.metrics import WebhookMetrics
from authsvc.bridge.refusal import Refused
from authsvc.bridge.webhooks import Again, Backlog, Claimed, WebhookStore
from authsvc.client import AuthorizationClient, ClientError
from authsvc.clock import Clock
from authsvc.errors import Unavailable
from authsvc.settings import Settings

LEASE_MS: Final = 60_000
BATCH_MAX: Final = 200
_APPLY_TIMEOUT_S: Final = 10.0
_LOOK_INTERVAL_S: Final = 5.0
_FIRST_PAUSE_MS: Final = 5_000
_PAUSE_MAX_MS: Final = 4 * 3_600_000
_OUTAGE_PAUSE_MS: Final = 2_000
_WHY_MAX: Final = 200
# The engine will never take the message as it is.
_HOPELESS: Final = frozenset({"ALREADY_EXISTS", "INVALID_ARGUMENT"})
# Says nothing about the message: it waits for as long as that lasts.
_OUTAGES: Final = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNIMPLEMENTED"})
_log = logging.getLogger(__name__)


class _Problem(NamedTuple):
    """Why a webhook is not processed. `code` is a gRPC status name, or a word of the bridge's own."""

    code: str
    why: str


def pause_ms(retry_count: int, chance: float) -> int:
    """How long after a try in vain the next one comes: twice as long each time, by chance (0 to 1) a quarter off."""
    doubled_ms = min(_PAUSE_MAX_MS, _FIRST_PAUSE_MS * 2 ** min(retry_count, 32))
    return int(doubled_ms * (0.75 + chance / 2))


class Workers:
    """So many tasks over one store. Each takes a batch under a lease: if it dies, others take over when that ends."""

    def __init__(
        self,
        store: WebhookStore,
        client: AuthorizationClient,
        settings: Settings,
        clock: Clock,
        metrics: WebhookMetrics,
        chance: Callable[[], float],
    ) -> None:
        """`chance` (0 to 1) spreads out what is tried again."""
        self._store = store
        self._client = client
        self._count = settings.bridge_webhook_workers
        self._tries_max = settings.bridge_webhook_tries_max
        self._poll_s = settings.bridge_webhook_poll_ms / 1000
        self._clock = clock
        self._metrics = metrics
        self._chance = chance
        self._awake = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._backlog = Backlog(0, 0, None)

    def start(self) -> None:
        """Begin to work."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._count)]
        self._tasks.append(asyncio.create_task(self._watch()))

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    async def rest(self, timeout_s: float) -> None:
        """Returns when the batches under way are done, or when the time is up: what is left comes after its lease."""
        self._stopping = True
        self.wake()
        if workers := self._tasks[: self._count]:
            await asyncio.wait(workers, timeout=timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def work_once(self) -> int:
        """Take one batch and process it. Returns its size. Raises `Unavailable` when the database is down."""
        claimed = await self._store.claim(self._clock.now_us(), LEASE_MS, BATCH_MAX)
        if claimed:
            await self._record(claimed, await self._process(claimed))
        return len(claimed)

    async def look(self) -> None:
        """Tell the metrics how much is left to do. While the database is down, what was known grows older."""
        with suppress(Unavailable):
            self._backlog = await self._store.backlog()
        oldest_us = self._backlog.oldest_received_us
        age_s = 0.0 if oldest_us is None else (self._clock.now_us() - oldest_us) / 1_000_000
        self._metrics.waiting(self._backlog.pending, self._backlog.failed, age_s)

    async def _work(self) -> None:
        while not self._stopping:
            # Before looking for work: what comes from here on wakes this worker or another one.
            self._awake.clear()
            try:
                worked = await self.work_once()
            except Unavailable:
                worked = 0
            except Exception as error:  # noqa: BLE001 - the rows come again after their lease, and this worker must be there
                _step_failed(error)
                worked = 0
            if not worked and not self._stopping:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_s):
                        await self._awake.wait()

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_INTERVAL_S)

    async def _process(self, claimed: Sequence[Claimed]) -> dict[int, _Problem]:
        """What went wrong, by id. One webhook's trouble is never another's."""
        problems: dict[int, _Problem] = {}
        told: list[tuple[int, list[Any]]] = []
        for one in claimed:
            try:
                effect = events.effect_of(fields.object_in(one.payload))
                if isinstance(effect, events.CardState):
                    problem = await self._set_card_status(effect, one.sent_us)
                    problems |= {one.id: problem} if problem is not None else {}
                elif effect is not None:
                    told.append((one.id, [self._client.event(**message) for message in effect.messages()]))
            except Refused as refused:
                problems[one.id] = _Problem("unreadable", f"cannot be read: {refused.why}")
            except Exception as error:  # noqa: BLE001 - it must not take its batch with it
                _step_failed(error)
                problems[one.id] = _Problem("unreadable", f"cannot be read: {type(error).__name__}")
        messages = [(webhook_id, message) for webhook_id, of_one in told for message in of_one]
        return problems | await self._apply(messages)

    async def _set_card_status(self, state: events.CardState, at_us: int) -> _Problem | None:
        try:
            is_known = await self._store.set_card_status(state.card_token, state.status, at_us)
        except Unavailable as error:
            return _Problem("UNAVAILABLE", str(error))
        return None if is_known else _Problem("NOT_FOUND", "no card has this token")

    async def _apply(self, messages: Sequence[tuple[int, Any]]) -> dict[int, _Problem]:
        if not messages:
            return {}
        try:
            answers = await self._client.apply_events([message for _, message in messages], timeout_s=_APPLY_TIMEOUT_S)
        except ClientError as error:
            if error.code in _OUTAGES or len(messages) == 1:
                return {webhook_id: _problem_of(error) for webhook_id, _ in messages}
            # Some message took its batch with it: find out which.
            middle = len(messages) // 2
            return await self._apply(messages[:middle]) | await self._apply(messages[middle:])
        return {
            webhook_id: _problem_of(answer)
            for (webhook_id, _), answer in zip(messages, answers, strict=True)
            if isinstance(answer, ClientError)
        }

    async def _record(self, claimed: Sequence[Claimed], problems: dict[int, _Problem]) -> None:
        now_us = self._clock.now_us()
        done = [one for one in claimed if one.id not in problems]
        again: list[Again] = []
        failed: list[tuple[int, str]] = []
        for one in claimed:
            problem = problems.get(one.id)
            if problem is None:
                continue
            is_counted = problem.code not in _OUTAGES
            if problem.code in {*_HOPELESS, "unreadable"} or (is_counted and one.retry_count + 1 >= self._tries_max):
                failed.append((one.id, problem.why))
                self._metrics.failed(label_of(one.event_type))
                _log.error(
                    "a webhook failed",
                    extra={"event": "webhook", "id": one.id, "type": one.event_type, "why": problem.why},
                )
            else:
                after_ms = pause_ms(one.retry_count, self._chance()) if is_counted else self._outage_pause_ms()
                again.append(Again(one.id, problem.why, now_us + after_ms * 1000, is_counted))
                self._metrics.retried(problem.code)
        # What is done comes first: if the database goes away in between, the rest is tried again, which is safe.
        await self._store.processed([one.id for one in done], now_us)
        for one in done:
            self._metrics.processed(label_of(one.event_type), (now_us - one.received_us) / 1_000_000)
        await self._store.again(again)
        await self._store.failed(failed)

    def _outage_pause_ms(self) -> int:
        return int(_OUTAGE_PAUSE_MS * (0.75 + self._chance() / 2))


def _problem_of(error: ClientError) -> _Problem:
    return _Problem(error.code, str(error)[:_WHY_MAX])


def _step_failed(error: Exception) -> None:
    # Where it happened, and not its text, which may hold a part of a body.
    where = traceback.format_tb(error.__traceback__)
    _log.error("a step failed", extra={"event": "webhook", "error": type(error).__name__, "where": where})
