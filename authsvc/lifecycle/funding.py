"""Money that reaches or leaves an account by somebody's word, and the port behind which it is kept."""

from enum import IntEnum
from typing import NamedTuple, Protocol


class AdjustmentKind(IntEnum):
    """Which way the money goes. The numbers are those of the wire contract."""

    FUNDING = 1
    WITHDRAWAL = 2


class Adjustment(NamedTuple):
    """One adjustment. It names its account by id, or (0) by the processor's token. `amount_minor` is above 0."""

    adjustment_id: str
    fingerprint: bytes
    account_id: int
    account_token: str
    kind: AdjustmentKind
    amount_minor: int
    currency: str
    reason: str


class Adjusted(NamedTuple):
    """The account's funds after the adjustment. A replay tells what they were then."""

    account_id: int
    balance_minor: int
    held_minor: int
    is_replay: bool


class FundingLedger(Protocol):
    """Truth. Errors are `Unavailable` when nothing was committed, `OutcomeUnknown` when that cannot be told."""

    async def adjust(self, adjustment: Adjustment) -> Adjusted:
        """One commit; each identity once, ever.

        Raises `NotFound`, `InvalidRequest` (another currency, or more than a balance can hold), `NotCovered` for a
        withdrawal, `RequestIdReused` for another adjustment of the same identity.
        """
        ...
