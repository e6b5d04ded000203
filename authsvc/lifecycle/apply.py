"""The use case: record what the network says, in batches, and move the counters along with what it changed."""

import asyncio
import functools
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, NamedTuple

from authsvc.batches import Batches
from authsvc.errors import AuthsvcError, NotFound, OutcomeUnknown, Overloaded, RowRefused, Unavailable
from authsvc.lifecycle.messages import Application, Applied, EventLedger, Message, Told
from authsvc.ports import Counters, Observer
from authsvc.repair import Repair

TOGETHER_MAX: Final = 500
_DELIVERIES_MAX: Final = 1_000
# A commit of so many messages shares its fixed cost well enough: the next may be prepared beside it.
_LARGE: Final = 250
_COMMITS_MAX: Final = 2
_AT_ONCE: Final = 200


class Delivery(NamedTuple):
    """Messages of one caller on their way, and the future in which it waits for what comes of them."""

    messages: Sequence[Message]
    outcomes: "asyncio.Future[list[Applied | AuthsvcError]]"


class Lifecycle:
    """Applies messages exactly once, in whatever order they come."""

    def __init__(
        self, ledger: EventLedger, counters: Counters, repair: Repair, observer: Observer, *, waiting_max: int
    ) -> None:
        """`repair` is the decider's: it must not wait for a refused commit to learn that counters are outdated.

        `waiting_max` bounds the messages that wait.
        """
        self._ledger = ledger
        self._counters = counters
        self._repair = repair
        self._observer = observer
        self._waiting_max = waiting_max
        self._waiting = 0
        self._commits = asyncio.Semaphore(_COMMITS_MAX)
        self._batches: Batches[Delivery] = Batches(self._deliver, self._failed, _DELIVERIES_MAX)

    async def apply(self, messages: Sequence[Message]) -> list[Applied | AuthsvcError]:
        """What came of each. Raises `Unavailable` when the database is down; asking again is always safe."""
        if self._waiting + len(messages) > self._waiting_max:
            raise Overloaded
        self._waiting += len(messages)
        try:
            delivery = Delivery(messages, asyncio.get_running_loop().create_future())
            self._batches.submit(delivery)
            return await delivery.outcomes
        finally:
            self._waiting -= len(messages)

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
        """One commit for what arrived together, or a few where that is very much."""
        for together in _packed(batch):
            await self._commits.acquire()
            ended = asyncio.get_running_loop().create_future()
            self._batches.spawn(self._deliver_together(together, ended), together)
            if sum(len(delivery.messages) for delivery in together) < _LARGE:
                # What arrives meanwhile is the next batch.
                await ended

    async def _deliver_together(self, deliveries: Sequence[Delivery], ended: asyncio.Future[None]) -> None:
        try:
            await self._tell_each(deliveries)
        finally:
            self._commits.release()
            ended.set_result(None)

    async def _tell_each(self, deliveries: Sequence[Delivery]) -> None:
        messages = [message for delivery in deliveries for message in delivery.messages]
        try:
            outcomes = iter(await self._apply_each(messages))
        except Unavailable as error:
            self._failed(deliveries, error)
            return
        for delivery in deliveries:
            mine = list(itertools.islice(outcomes, len(delivery.messages)))
            # Who waits may have given up.
            if not delivery.outcomes.done():
                delivery.outcomes.set_result(mine)

    async def _apply_each(self, messages: Sequence[Message]) -> list[Applied | AuthsvcError]:
        try:
            return await self._commit(lambda: self._ledger.apply(messages))
        except RowRefused as error:
            if len(messages) == 1:
                return [error]
            # One message must not take its whole batch with it.
            return [(await self._apply_each([message]))[0] for message in messages]

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
            if not delivery.outcomes.done():
                delivery.outcomes.set_exception(error)


def _packed(batch: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Parts of a batch that are not too much for one commit."""
    together: list[Delivery] = []
    count = 0
    for delivery in batch:
        if together and count + len(delivery.messages) > TOGETHER_MAX:
            yield together
            together, count = [], 0
        together.append(delivery)
        count += len(delivery.messages)
    yield together
