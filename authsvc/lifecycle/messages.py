"""The network's messages as they are applied, what comes of them, and the port behind which they are kept."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from authsvc.errors import AuthsvcError
from authsvc.ports import Turn
from rules.lifecycle import Event, State


class Origin(NamedTuple):
    """What a message says about a transaction that nobody has heard of yet."""

    card_token: str
    transacted_at_us: int
    mcc: str
    merchant_id: str
    merchant_name: str
    merchant_city: str
    merchant_state: str
    merchant_country: str


class Message(NamedTuple):
    """One message. It names its transaction by id, or (0) by the network's token; `event.identity` is its own id.

    `origin` None: the transaction must be known.
    """

    event: Event
    fingerprint: bytes
    transaction_id: int
    transaction_token: str
    currency: str
    origin: Origin | None


class Applied(NamedTuple):
    """What the transaction counts after the message. A replay tells what it counted then."""

    transaction_id: int
    state: State
    is_replay: bool


class Application(NamedTuple):
    """What came of each message, and the turns that counters must take to be up to date again."""

    outcomes: list[Applied | AuthsvcError]
    turns: list[Turn]


class Opened(NamedTuple):
    """A transaction as an increment finds it. The token is the network's, else one of ours."""

    transaction_id: int
    transaction_token: str
    currency: str
    origin: Origin


class Told(NamedTuple):
    """A transaction with everything that was said about it. `approved_minor` includes increments."""

    transaction_id: int
    transaction_token: str
    card_token: str
    currency: str
    approved_minor: int
    transacted_at_us: int
    state: State
    events: list[Event]


class Overdue(NamedTuple):
    """A hold whose time ran out at `due_us`."""

    transaction_id: int
    currency: str
    due_us: int


class EventLedger(Protocol):
    """Truth. Errors are `Unavailable` when nothing was committed, `OutcomeUnknown` when that cannot be told."""

    async def apply(self, messages: Sequence[Message]) -> Application:
        """One commit for all; each identity once, ever."""
        ...

    async def restate(self, transaction_ids: Sequence[int]) -> Application:
        """Write what the decisions and messages of these transactions add up to by now, in one commit."""
        ...

    async def opened(self, transaction_id: int, transaction_token: str) -> Opened | None:
        """What an increment needs to know: as in `transaction`. Gives a name to a transaction that has none."""
        ...

    async def transaction(self, transaction_id: int, transaction_token: str) -> Told | None:
        """A transaction by its id, or (0) by the network's token."""
        ...

    async def overtaken(self, count_max: int) -> list[int]:
        """Ids of decisions that were recorded after messages about their transaction and are not restated yet."""
        ...

    async def overdue(self, now_us: int, days: int, count_max: int) -> list[Overdue]:
        """Holds that are older than their account's `hold_days` (without such a setting: `days`), oldest first."""
        ...
