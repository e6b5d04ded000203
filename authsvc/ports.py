"""What the use case needs from the outside, and the shapes that cross. Adapters: ledger/, counters/, loader."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rules.types import Card, Counter, Plan, Request, Usage


@dataclass(slots=True)
class AuthorizationRequest(Request):
    """One valid request. Inherits what the decision looks at; the rest is recorded, or shapes the answer.

    `happened_us`: when, if that is not `transacted_at_us`: an increment counts in the windows of its transaction.
    """

    request_id: str
    fingerprint: bytes
    card_token: str
    currency: str
    asked_minor: int
    transaction_token: str
    merchant_id: str
    merchant_name: str
    merchant_city: str
    merchant_state: str
    merchant_country: str
    merchant_amount_minor: int | None
    merchant_currency: str
    entry_mode: str
    network: str
    explain: bool
    happened_us: int | None = None


class Ask(NamedTuple):
    """A reservation to make: move `amount_minor` on every counter of the plan, or, if `partial`, what room there is.

    `name` tells the request's body and the configuration version it was evaluated under: two senders of one request
    that see different configurations must not share a reservation. `posts` takes the money from the balance at once
    instead of holding it. `moves` False only reads. Counters older than `epoch_min` are known to be refused at commit:
    rebuild them.
    """

    account_id: int
    epoch_min: int
    name: str
    plan: Plan
    amount_minor: int
    partial: bool
    posts: bool
    moves: bool


class Reserved(NamedTuple):
    """The counters as they were before the move, and what was moved (0: nothing, no trace is left)."""

    run: str
    epoch: int
    usage: Usage
    moved_minor: int


class Missing(NamedTuple):
    """Nothing was moved. No epoch: rebuild the account's counters; else load these positions of its plan, and funds."""

    run: str
    epoch: int | None
    funds: bool
    counters: tuple[int, ...]


class Claim(NamedTuple):
    """A reservation already made, as its owner names it again to release or to confirm it."""

    account_id: int
    run: str
    epoch: int
    name: str
    plan: Plan
    posts: bool


class Orphan(NamedTuple):
    """A reservation still pending after the grace time."""

    account_id: int
    run: str
    epoch: int
    name: str


class Turn(NamedTuple):
    """A commit that changed what was recorded before, and raised the epoch by that.

    `changes` by the names of the fields: "b" the balance, "h" open holds, and counters that may be there.
    """

    account_id: int
    epoch_before: int
    epoch_after: int
    changes: dict[str, int]


class Counters(Protocol):
    """Redis: derived, may be lost at any instant. Errors are `Unavailable`: it is not known then what was moved."""

    async def reserve(self, asks: Sequence[Ask], confirmed: Sequence[Claim]) -> list[Reserved | Missing]:
        """All in one round trip; `confirmed` are earlier reservations whose rows are committed."""
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give reservations back, each once, under the names they were made with; not in a newer epoch or run."""
        ...

    async def open_epoch(self, account_id: int, run: str, epoch: int) -> None:
        """Start empty counters at `epoch`, unless a newer one is there or the server is no longer `run`."""
        ...

    async def install(
        self, account_id: int, run: str, epoch: int, funds: tuple[int, int] | None, used: Sequence[tuple[str, int]]
    ) -> None:
        """Set counters that are still missing, if the epoch is still the one given. `funds`: balance and open holds."""
        ...

    async def advance(self, turns: Sequence[Turn]) -> list[bool]:
        """Move counters on with commits, one turn an account. False where they are of another epoch than before it."""
        ...

    async def pending(self, grace_ms: int) -> list[Orphan]:
        """Reservations older than the grace time that nobody has confirmed."""
        ...

    async def confirm(self, orphans: Sequence[Orphan]) -> None:
        """Their rows exist after all."""
        ...


class Row(NamedTuple):
    """A decision to record, evaluated at `config_version` and, when counters took part, `counter_epoch`.

    `posted_minor` leaves the account's balance in the same commit; below zero it is credited, and as a credit is not
    reserved, the commit raises the counter epoch.
    """

    request: AuthorizationRequest
    card: Card
    config_version: int
    counter_epoch: int | None
    approved_minor: int
    held_minor: int
    settled_minor: int
    posted_minor: int
    reason: str
    explanation: bytes


class Stored(NamedTuple):
    """A recorded decision and the versions it was made under. `transaction_id` None: the refusal of an unknown card."""

    fingerprint: bytes
    transaction_id: int | None
    config_version: int
    counter_epoch: int | None
    explanation: bytes | None


class Inserted(NamedTuple):
    """The row is committed."""

    transaction_id: int | None
    counter_epoch: int


class Fenced(NamedTuple):
    """Not recorded: the configuration or the counters have moved on. The versions that are current now."""

    config_version: int
    counter_epoch: int


class Loaded(NamedTuple):
    """The truth about an account: balance, open holds, and for each counter what is used and what of it is held.

    All of it as of `counter_epoch`.
    """

    counter_epoch: int
    balance_minor: int
    held_minor: int
    used_minor: list[int]
    used_held_minor: list[int]


class Ledger(Protocol):
    """PostgreSQL: the truth. Errors are `Unavailable` (nothing was committed) or `OutcomeUnknown`."""

    async def record(self, rows: Sequence[Row]) -> list[Inserted | Stored | Fenced]:
        """Commit all rows whose versions are current and whose request is new, in one transaction."""
        ...

    async def record_unknown(self, requests: Sequence[AuthorizationRequest]) -> list[Inserted | Stored | Fenced]:
        """Commit the refusals of cards that still do not exist."""
        ...

    async def bump_epoch(self, account_id: int, seen: int) -> int:
        """Lock the account, raise its counter epoch, commit: older reservations are refused from now on.

        The new epoch is above `seen`, one that the counters know of: a restored database may be behind them.
        """
        ...

    async def counter_epoch(self, account_id: int) -> int:
        """The epoch that counters of the account must be of."""
        ...

    async def load(self, account_id: int, counters: Sequence[Counter]) -> Loaded:
        """What the account's funds and counters are, by what is committed."""
        ...

    async def recorded(self, orphans: Sequence[Orphan]) -> list[bool]:
        """For each: does a committed row remember that reservation (its name and its epoch)?"""
        ...


class Directory(Protocol):
    """The configuration in memory. A card that is returned is current as of its account's `config_version`."""

    def peek(self, token: str) -> Card | None:
        """The card, if it is in memory and current."""
        ...

    def is_unknown(self, token: str) -> bool:
        """Was the token looked up a moment ago, and found to name no card?"""
        ...

    async def fetch(self, token: str) -> Card | None:
        """From the database, once however many ask."""
        ...

    async def advance(self, account_id: int, config_version: int) -> None:
        """The database is at this version: bring the account's parts up to it or forget them."""
        ...

    def forget_unknown(self, token: str) -> None:
        """The token exists after all."""
        ...


class Observer(Protocol):
    """Who counts what happens. Never fails, never waits."""

    def batch(self, size: int, reserve_s: float, record_s: float) -> None:
        """One batch went through: reservations and commit took this long."""
        ...

    def fenced(self, count: int) -> None:
        """So many decisions were refused at commit and are evaluated again."""
        ...

    def rebuilt(self) -> None:
        """An account's counters were started afresh."""
        ...

    def loaded(self, count: int) -> None:
        """So many counters were loaded from the database."""
        ...

    def reaped(self, count: int) -> None:
        """So many abandoned reservations were found."""
        ...

    def failed(self, error: BaseException) -> None:
        """A step failed in a way that nobody planned for."""
        ...
