"""What is read of the past, and the port behind which it is kept."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from authsvc.ports import Stored
from rules.lifecycle import Status

Grouping = Literal["nothing", "category_group", "card", "user", "merchant"]


class Whose(NamedTuple):
    """Whose transactions; what is None or empty is any. Of an account at most one of id and token is given."""

    account_id: int | None
    account_token: str
    card_token: str


class Scope(NamedTuple):
    """The same by the database's own numbers: several have had the token, or (empty) nobody. None is any."""

    account_ids: Sequence[int] | None
    card_ids: Sequence[int] | None

    def is_empty(self) -> bool:
        """True when nothing can be in it."""
        return [] in (self.account_ids, self.card_ids)


class Filter(NamedTuple):
    """Which transactions to list; None or empty is any. `reason` "APPROVED": those that no check failed."""

    whose: Whose
    user_id: int | None
    mcc: str
    category_group: str
    status: Status | None
    reason: str
    start_us: int
    end_us: int


class Place(NamedTuple):
    """Where a row stands in a list: newest first, by these two."""

    transacted_at_us: int
    transaction_id: int


class Recorded(NamedTuple):
    """A row of transactions. `reason` is empty when no check failed; `is_decided` False: the network forced it."""

    transaction_id: int
    request_id: str
    transaction_token: str
    account_id: int
    card_token: str
    user_id: int
    kind: str
    status: Status
    is_decided: bool
    reason: str
    currency: str
    amount_minor: int
    approved_minor: int
    held_minor: int
    settled_minor: int
    credited_minor: int
    merchant_id: str
    merchant_name: str
    mcc: str
    merchant_city: str
    merchant_state: str
    merchant_country: str
    merchant_amount_minor: int | None
    merchant_currency: str
    transacted_at_us: int
    recorded_at_us: int

    def place(self) -> Place:
        """Where it stands in a list."""
        return Place(self.transacted_at_us, self.transaction_id)


class Remembered(NamedTuple):
    """A decision as it was recorded. `recorded` None: of an unknown card, of which nothing else is kept.

    `us` is how long it took to decide; 0 and an empty `node` in rows that do not tell.
    """

    recorded: Recorded | None
    stored: Stored
    request_id: str
    recorded_at_us: int
    node: str
    us: int


class Holder(NamedTuple):
    """The account of a summary."""

    account_id: int
    currency: str
    timezone: str


class Span(NamedTuple):
    """An account's transactions with start_us <= transacted_at < end_us."""

    account_id: int
    start_us: int
    end_us: int


class Sums(NamedTuple):
    """What one key adds up to in one bucket. `bucket` counts the starts that were given, from 0."""

    bucket: int
    key: str
    merchant_name: str
    approved_count: int
    declined_count: int
    forced_count: int
    held_minor: int
    settled_minor: int
    credited_minor: int


class Page(NamedTuple):
    """Decisions in the order of their ids; every other one up to `reached` was not asked for."""

    rows: list[Recorded]
    reached: int


class Turnstile(NamedTuple):
    """`number` is above the number of every transaction that had one before; `oldest` the least still at work."""

    number: int
    oldest: int


class History(Protocol):
    """Reads what is committed. Errors are `Unavailable`, or `DeadlineExceeded` for what takes too long."""

    async def page(self, wanted: Filter, after: Place | None, count: int) -> list[Recorded]:
        """At most `count` transactions, newest first, only those that come after a place."""
        ...

    async def remembered(self, transaction_id: int, request_id: str) -> Remembered | None:
        """A decision by its row's id, or (0) by its request's. Raises `NotFound` for a row that nobody decided."""
        ...

    async def holder(self, account_id: int | None, account_token: str) -> Holder | None:
        """An account by its id, or (None) by its token."""
        ...

    async def sums(self, span: Span, starts_us: Sequence[int], by: Grouping, rows_max: int) -> list[Sums]:
        """A bucket begins at each start, the first at or before the span. By bucket, the greatest spend first."""
        ...

    async def scope(self, whose: Whose) -> Scope:
        """The numbers of whom it names."""
        ...

    async def decisions(self, scope: Scope, after: int, until: int) -> Page:
        """The next ones with after < id <= until, where every id up to `until` is committed or never will be."""
        ...

    async def last_id(self) -> int:
        """The last id that any transaction has drawn, committed or not; 0 when there is none."""
        ...

    async def turnstile(self) -> Turnstile:
        """Takes the next transaction number."""
        ...

    async def oldest(self) -> int:
        """The least number of the transactions that are still at work, else the next one."""
        ...
