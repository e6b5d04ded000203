"""The configuration a decision looks at, the request, and the decision.

Money is int minor units; instants are unix microseconds, UTC.
"""

from dataclasses import dataclass
from typing import NamedTuple

from rules.reasons import CheckName, CheckResult, Decision, Kind, Level, Reason, Window


@dataclass(slots=True, frozen=True)
class Limit:
    """The most that may be spent in one window."""

    amount_minor: int
    window: Window


@dataclass(slots=True)
class Account:
    """The business. At `config_version` every part of it that is in memory is known to be current."""

    id: int
    status: str
    currency: str
    timezone: str
    balance_check: bool
    config_version: int


@dataclass(slots=True)
class User:
    """The cardholder."""

    id: int
    status: str


@dataclass(slots=True)
class Profile:
    """A spending profile, compiled. `mcc_table` has a byte for each code (see rules.mcc); None allows every code."""

    id: int
    limit: Limit | None
    shared: bool
    mcc_table: bytes | None


@dataclass(slots=True)
class Card:
    """A card with everything above it. `plan` keeps the plan of the windows last asked for."""

    id: int
    token: str
    status: str
    account: Account
    user: User
    profile: Profile | None
    limit: Limit | None
    plan: "Plan | None" = None


@dataclass(slots=True)
class Request:
    """What a decision looks at. `amount_minor` is what must be covered: the larger of amount and hold."""

    kind: Kind
    amount_minor: int
    mcc: str
    transacted_at_us: int
    partial_approval_capable: bool


class Counter(NamedTuple):
    """What one limit has used: the contributions of a card (or of a shared profile) in one window.

    `name` is unique within the account and carries the window's start. None as a bound means for ever.
    """

    name: str
    level: Level
    entity_id: int
    start_us: int | None
    end_us: int | None


class Bound(NamedTuple):
    """One limit to hold. `counter` is its counter's position in the plan, None for a limit on each transaction."""

    check: CheckName
    limit: Limit
    counter: int | None
    start_us: int | None
    end_us: int | None
    shared: bool


@dataclass(slots=True)
class Plan:
    """Which counters a card's spending moves and which limits hold, for any instant in [from_us, until_us).

    `bounds` are in order of precedence. `funds_enforced` is False where the account's balance is not checked.
    `transaction_cap_minor` is the least limit on each transaction alone.
    `encoded` is room for the counter store to keep its own form of the plan beside it.
    """

    from_us: int
    until_us: int
    counters: tuple[Counter, ...]
    bounds: tuple[Bound, ...]
    funds_enforced: bool
    transaction_cap_minor: int | None
    encoded: object = None


class Usage(NamedTuple):
    """The counters before a request: the account's balance and open holds; `used_minor` in the order of the plan."""

    balance_minor: int
    held_minor: int
    used_minor: tuple[int, ...]


class Check(NamedTuple):
    """One check of a decision, as it is explained. For funds, `limit_minor` is the balance, `used_minor` the holds."""

    name: CheckName
    result: CheckResult
    window: Window = Window.UNSPECIFIED
    limit_minor: int | None = None
    used_minor: int | None = None
    start_us: int | None = None
    end_us: int | None = None
    shared: bool = False

    @property
    def remaining_minor(self) -> int | None:
        """What was left before the request; below zero when the network forced spending above the limit."""
        if self.limit_minor is None or self.used_minor is None:
            return None
        return self.limit_minor - self.used_minor


class Verdict(NamedTuple):
    """A finished decision. `checks` holds checks 7 to 9, as far as they were made; the others follow from `reason`."""

    decision: Decision
    reason: Reason
    approved_minor: int
    checks: tuple[Check, ...]
