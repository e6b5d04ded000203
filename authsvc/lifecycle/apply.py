"""The use case: record what the network says, in batches, and move the counters along with what it changed."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from authsvc.batches import Batches
from authsvc.errors import AuthsvcError, NotFound, OutcomeUnknown, Overloaded, RowRefused, Unavailable
from authsvc.lifecycle.messages import Application, Applied, EventLedger, Message, Told
from authsvc.ports import Counters, Observer
from authsvc.repair import Repair

BATCH_MAX: Final = 1_000
_AT_ONCE: Final = 200


class Delivery(NamedTuple):
    """A message on its way, and who waits for what comes of it."""

    message: Message
    outcome: "asyncio.Future[Applied | AuthsvcError]"


class Lifecycle:
    """Applies messages exactly once, in whatever order they come."""

    def __init__(
        self, ledger: EventLedger, counters: Counters, repair: Repair, observer: Observer, *, waiting_max: int
    ) -> None:
        """`repair` is the decider's: it must not wait for a refused commit to learn that counters are outdated."""
        self._ledger = ledger
        self._counters = counters
        self._repair = repair
        self._observer = observer
        self._waiting_max = waiting_max
        self._batches: Batches[Delivery] = Batches(self._deliver, self._failed, BATCH_MAX)

    async def apply(self, messages: Sequence[Message]) -> list[Applied | AuthsvcError]:
        """What came of each. Raises `Unavailable` when the database is down; asking again is always safe."""
        if len(self._batches) + len(messages) > self._waiting_max:
            raise Overloaded
        loop = asyncio.get_running_loop()
        deliveries = [Delivery(message, loop.create_future()) for message in messages]
        for delivery in deliveries:
            self._batches.submit(delivery)
        outcomes = await asyncio.gather(*(delivery.outcome for delivery in deliveries), return_exceptions=True)
        told: list[Applied | AuthsvcError] = []
        for outcome in outcomes:
            if isinstance(outcome, Unavailable) or not isinstance(outcome, Applied | AuthsvcError):
                raise outcome
            told.append(outcome)
        return told

    async def restate(self, transaction_id: int) -> Applied:
        """Have a transaction count what its decisions and messages add up to, after a decision of it was recorded."""
        outcome = (await self._commit(lambda: self._ledger.restate([transaction_id])))[0]
        if isinstance(outcome, AuthsvcError):
            raise outcome
        return outcome

    async def catch_up(self) -> int:
        """Restate what was decided after the network had spoken of it: the last word is whose happened last.

        Returns how many. Any number of workers may do so at once.
        """
        count = 0
        while overtaken := await self._ledger.overtaken(_AT_ONCE):
            await self._commit(functools.partial(self._ledger.restate, overtaken))
            count += len(overtaken)
        return count

    async def transaction(self, transaction_id: int, transaction_token: str) -> Told:
        """A transaction by its id, or (0) by the network's token. Raises `NotFound`."""
        told = await self._ledger.transaction(transaction_id, transaction_token)
        if told is None:
            raise NotFound("no such transaction")
        return told

    async def rest(self, timeout_s: float) -> None:
        """Returns when nothing is being applied any more, or when the time is up."""
        await self._batches.rest(timeout_s)

    async def _deliver(self, batch: Sequence[Delivery]) -> None:
        try:
            outcomes = await self._commit(lambda: self._ledger.apply([delivery.message for delivery in batch]))
        except RowRefused as error:
            if len(batch) == 1:
                _tell(batch, [error])
                return
            # One message must not take its whole batch with it.
            for delivery in batch:
                await self._deliver([delivery])
            return
        _tell(batch, outcomes)

    async def _commit(self, commit: Callable[[], Awaitable[Application]]) -> list[Applied | AuthsvcError]:
        try:
            application = await commit()
        except OutcomeUnknown:
            # The same again: whatever was committed is found there.
            application = await commit()
        if application.turns:
            await self._move_on(application)
        return application.outcomes

    async def _move_on(self, application: Application) -> None:
        """Counters follow the commit. Whatever hinders them, their epoch is outdated: they are loaded from the rows."""
        try:
            moved = await self._counters.advance(application.turns)
        except Unavailable:
            moved = [False] * len(application.turns)
        for turn, is_moved in zip(application.turns, moved, strict=True):
            if not is_moved:
                self._repair.outdated(turn.account_id, turn.epoch_after)

    def _failed(self, deliveries: Sequence[Delivery], error: BaseException) -> None:
        if not isinstance(error, AuthsvcError):
            self._observer.failed(error)
        for delivery in deliveries:
            if not delivery.outcome.done():
                delivery.outcome.set_exception(error)


def _tell(batch: Sequence[Delivery], outcomes: Sequence[Applied | AuthsvcError]) -> None:
    for delivery, outcome in zip(batch, outcomes, strict=True):
        # Who waits may have given up.
        if not delivery.outcome.done():
            delivery.outcome.set_result(outcome)
