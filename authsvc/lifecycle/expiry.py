"""Holds do not last for ever: what nobody cleared in time is released, as the network would."""

import hashlib
from collections.abc import Callable
from typing import Final

from authsvc.errors import AuthsvcError
from authsvc.lifecycle.apply import Lifecycle
from authsvc.lifecycle.messages import EventLedger, Message
from rules.lifecycle import Event, EventKind

HOLD_DAYS: Final = 7
_AT_ONCE: Final = 200
_FINGERPRINT_BYTES: Final = 16


class HoldExpiry:
    """Finds overdue holds and tells their transactions that they have expired."""

    def __init__(self, ledger: EventLedger, lifecycle: Lifecycle, released: Callable[[int], None]) -> None:
        """Where the holds are, who applies messages, and who is told how many holds were released."""
        self._ledger = ledger
        self._lifecycle = lifecycle
        self._released = released

    async def sweep(self, now_us: int) -> int:
        """Releases what is overdue. Returns how many holds. Any number of workers may do so at once.

        The message's identity is the hold's end, so that whoever comes second changes nothing.
        """
        count = 0
        while overdue := await self._ledger.overdue(now_us, HOLD_DAYS, _AT_ONCE):
            messages = [_expiry(one.transaction_id, one.currency, one.due_us) for one in overdue]
            outcomes = await self._lifecycle.apply(messages)
            done = [outcome for outcome in outcomes if not isinstance(outcome, AuthsvcError) and not outcome.is_replay]
            count += len(done)
            self._released(len(done))
            if not done:
                # Somebody else is at it, or it cannot be done now: the next round will tell.
                break
        return count


def _expiry(transaction_id: int, currency: str, due_us: int) -> Message:
    identity = f"hold-expiry:{transaction_id}:{due_us}"
    fingerprint = hashlib.blake2b(identity.encode(), digest_size=_FINGERPRINT_BYTES).digest()
    return Message(Event(EventKind.EXPIRY, due_us, identity), fingerprint, transaction_id, "", currency, None)
