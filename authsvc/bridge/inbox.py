"""From a delivered webhook to a row: verify, read, keep, and only then say so."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from authsvc.bridge import events, fields, signature
from authsvc.bridge.metrics import WebhookMetrics
from authsvc.bridge.refusal import Refused
from authsvc.bridge.sent import sent_us
from authsvc.bridge.webhooks import Webhook, WebhookStore
from authsvc.clock import Clock
from authsvc.errors import Unavailable
from authsvc.settings import Settings

_BATCH_MAX: Final = 200
_ID_MAX: Final = 255


class Inbox:
    """Takes webhooks in. Those that arrive while a commit is under way share the next one."""

    def __init__(
        self, store: WebhookStore, settings: Settings, clock: Clock, metrics: WebhookMetrics, kept: Callable[[], None]
    ) -> None:
        """`kept` is called whenever there is something new to process."""
        self._store = store
        self._keys = settings.event_keys()
        self._allow_unsigned = settings.bridge_allow_unsigned
        self._clock = clock
        self._metrics = metrics
        self._kept = kept
        self._waiting: deque[tuple[Webhook, asyncio.Future[bool]]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Returns once the webhook is committed, or is none to keep. Raises `Refused`; of 503 Lithic tries again."""
        received_us = self._clock.now_us()
        if not self._allow_unsigned:
            signature.verify(body, headers, self._keys, received_us // 1_000_000)
        webhook_id = fields.identifier(headers.get(signature.ID_HEADER), _ID_MAX, "webhook_id")
        said = fields.object_in(body)
        event_type = events.type_of(said)
        if not events.is_kept(event_type):
            self._metrics.received("other", "not_kept")
            return
        # What cannot be read is refused while Lithic still has it, and shows there.
        events.effect_of(said)
        payload = events.storable(said)
        is_new = await self._keep(Webhook(webhook_id, event_type, payload, sent_us(headers, received_us), received_us))
        self._metrics.received(label_of(event_type), "new" if is_new else "repeated")

    async def _keep(self, webhook: Webhook) -> bool:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((webhook, done))
        if self._runner is None:
            self._runner = asyncio.create_task(self._commit_waiting())
        try:
            return await done
        except Unavailable as error:
            raise Refused(503, "database") from error

    async def _commit_waiting(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), _BATCH_MAX)
                await self._commit([self._waiting.popleft() for _ in range(size)])
        finally:
            self._runner = None

    async def _commit(self, batch: list[tuple[Webhook, "asyncio.Future[bool]"]]) -> None:
        try:
            new = await self._store.keep([webhook for webhook, _ in batch])
        except Exception as error:  # noqa: BLE001 - nobody may be left waiting; who waits raises it
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
            return
        if new:
            self._kept()
        for webhook, done in batch:
            if not done.done():
                done.set_result(webhook.webhook_id in new)
            new.discard(webhook.webhook_id)


def label_of(event_type: str) -> str:
    """The type as metrics name it."""
    return event_type if event_type in events.KNOWN_TYPES else "other"
