"""Decisions that came too late: Lithic was told no, so what they hold is given back."""

import asyncio
import logging
from datetime import UTC
from math import inf
from typing import Any, Final

from cachetools import TTLCache

from authsvc.bridge.metrics import BridgeMetrics
from authsvc.client import AuthorizationClient, ClientError
from authsvc.clock import Clock
from rules.lifecycle import EventKind
from rules.reasons import Kind

# Longer than any service takes to come back, and than Lithic takes to repeat a call.
_PATIENCE_S: Final = 60.0
_REMEMBERED_S: Final = 60.0
_REMEMBERED_MAX: Final = 65_536
_AT_ONCE_MAX: Final = 1_000
_UNDO: Final = {
    Kind.AUTHORIZATION: EventKind.REVERSAL,
    Kind.FINANCIAL_AUTHORIZATION: EventKind.CORRECTION_CREDIT,
    Kind.FINANCIAL_CREDIT_AUTHORIZATION: EventKind.CORRECTION_DEBIT,
}
_log = logging.getLogger(__name__)


class LateDecisions:
    """Finds out what was decided after Lithic had its answer, and undoes what was approved.

    The same request is asked again: the service decides a request once, so that its answer is then certain.
    """

    def __init__(self, client: AuthorizationClient, clock: Clock, metrics: BridgeMetrics) -> None:
        """On the bridge's own client."""
        self._client = client
        self._metrics = metrics
        self._given_up: TTLCache[str, None] = TTLCache(_REMEMBERED_MAX, _REMEMBERED_S, timer=clock.monotonic_s)
        self._clock = clock
        self._last_s = -inf
        self._tasks: set[asyncio.Task[None]] = set()

    def is_given_up(self, key: str, now_s: float) -> bool:
        """True when Lithic was told no already: a repeat of the call must hear the same, whatever was decided since.

        `now_s` is monotonic. Most of the time nothing was given up of late, and nothing has to be looked up.
        """
        return now_s - self._last_s <= _REMEMBERED_S and key in self._given_up

    def give_up(self, key: str, message: Any) -> None:
        """Lithic has been told no. `message` may have been decided all the same, or may still be."""
        self._given_up[key] = None
        self._last_s = self._clock.monotonic_s()
        if len(self._tasks) >= _AT_ONCE_MAX:
            self._unsettled(key, "too many at once")
            return
        task = asyncio.get_running_loop().create_task(self._settle(key, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def rest(self, timeout_s: float) -> None:
        """Returns when everything is settled, or when the time is up: what is left is logged."""
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=timeout_s)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _settle(self, key: str, message: Any) -> None:
        try:
            decided = await self._client.authorize(message, timeout_s=_PATIENCE_S)
            undo = _UNDO.get(Kind(message.kind))
            if undo is None or not decided.approved_minor:
                return
            await self._client.apply_event(
                timeout_s=_PATIENCE_S,
                event_id=f"late:{key}",
                kind=int(undo),
                transaction_id=decided.transaction_id,
                amount_minor=decided.approved_minor,
                currency=message.currency,
                # As if undone at once: what Lithic says of the transaction later is said knowing of neither.
                occurred_at=message.transacted_at.ToDatetime(UTC),
            )
        except ClientError as error:
            self._unsettled(key, error.code)
        except asyncio.CancelledError:
            self._unsettled(key, "the bridge stops")
            raise
        else:
            self._metrics.undone()
            _log.info("a late approval was undone", extra={"event": "late", "request_id": key})

    def _unsettled(self, key: str, why: str) -> None:
        """The hold, if there is one, stays until the network says something or its days are over."""
        self._metrics.unsettled()
        _log.error("a late decision could not be settled", extra={"event": "late", "request_id": key, "why": why})
