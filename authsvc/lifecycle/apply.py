"""The use case: record what the network says, and let go of the counters that it makes outdated."""

from collections.abc import Sequence

from authsvc.errors import AuthsvcError, NotFound, OutcomeUnknown, RowRefused
from authsvc.lifecycle.messages import Applied, EventLedger, Message, Told
from authsvc.repair import Repair


class Lifecycle:
    """Applies messages exactly once, in whatever order they come."""

    def __init__(self, ledger: EventLedger, repair: Repair) -> None:
        """`repair` is the decider's: it must not wait for a refused commit to learn of a new counter epoch."""
        self._ledger = ledger
        self._repair = repair

    async def apply(self, messages: Sequence[Message]) -> list[Applied | AuthsvcError]:
        """What came of each. Raises `Unavailable` when the database is down; asking again is always safe."""
        try:
            application = await self._ledger.apply(messages)
        except OutcomeUnknown:
            # The same messages again: whatever was committed is found there.
            application = await self._ledger.apply(messages)
        except RowRefused as error:
            if len(messages) == 1:
                return [error]
            # One message must not take its whole batch with it.
            return [(await self.apply([message]))[0] for message in messages]
        for account_id, epoch in application.counter_epochs.items():
            self._repair.outdated(account_id, epoch)
        return application.outcomes

    async def transaction(self, transaction_id: int, transaction_token: str) -> Told:
        """A transaction by its id, or (0) by the network's token. Raises `NotFound`."""
        told = await self._ledger.transaction(transaction_id, transaction_token)
        if told is None:
            raise NotFound("no such transaction")
        return told
