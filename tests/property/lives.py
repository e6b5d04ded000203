"""What random lives are drawn from, and an obvious model of an account whose transactions live them."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import strategies as st

from rules.lifecycle import Event, EventKind, State
from rules.reasons import Kind, Reason, Window
from tests.property.test_lifecycle import DECISIONS, Transaction
from tests.simulation.model import window_key
from tests.simulation.postgres import AccountRow, CardRow, ProfileRow

NOON_US = 1_773_576_000_000_000  # 2026-03-15 12:00 UTC, a Sunday
MINUTE_US = 60_000_000
LIVES = 6
_LAST_MONTH_US = NOON_US - 40 * 24 * 60 * MINUTE_US
NUMBERS = itertools.count(500_000)


# --- what happens -----------------------------------------------------------------------------------------------------


class Swipe(NamedTuple):
    """A request for a decision."""

    life: int
    kind: Kind
    amount_minor: int


class More(NamedTuple):
    """An increment, so many minutes after the life began."""

    life: int
    amount_minor: int
    minute: int


class Word(NamedTuple):
    """A message of the network."""

    life: int
    kind: EventKind
    amount_minor: int
    settled_minor: int
    is_final: bool
    minute: int


class Crash(NamedTuple):
    """What becomes of a step of a worker: its answer is lost, or the worker dies before or after it."""

    step: str
    when: str


class Together(NamedTuple):
    """What arrives at the same time, each at one of two workers, if `twice` at both; one of them is `cut` short."""

    items: list[Swipe | More | Word]
    twice: bool
    cut: Crash | None


class Repeat(NamedTuple):
    """Everything that was ever sent, once more, in another order."""


class Wipe(NamedTuple):
    """Redis loses everything."""


class Quiet(NamedTuple):
    """Nothing is under way: everything is compared."""


_lives = st.integers(0, LIVES - 1)
_amounts = st.sampled_from([0, 1, 10, 20, 20, 30, 50])
_minutes = st.integers(0, 6)
_kinds = st.sampled_from([Kind.AUTHORIZATION] * 8 + [kind for kind in Kind if kind is not Kind.BALANCE_INQUIRY])
_words = st.builds(
    Word,
    _lives,
    st.sampled_from([kind for kind in EventKind if kind < EventKind.AUTHORIZATION]),
    _amounts,
    st.sampled_from([-20, 0, 10, 20, 30]),
    st.booleans(),
    _minutes,
)
_swipes = st.builds(Swipe, _lives, _kinds, _amounts)
_items = st.one_of(_swipes, st.builds(More, _lives, _amounts, _minutes), _words, _words)
_CRASHES = [
    *(
        Crash(step, when)
        for step in ("apply", "advance", "record", "restate") * 3
        for when in ("before", "after", "lost")
    ),
    *(Crash("reserve", when) for when in ("before", "after", "lost")),
    *(Crash(step, when) for step in ("release", "load", "install", "bump_epoch") for when in ("before", "after")),
    *(Crash(step, when) for step in ("open_epoch", "opened") for when in ("before", "after")),
]
_crashes = st.sampled_from([None] * 8 + _CRASHES)
_crowds = st.builds(Together, st.lists(_items, min_size=3, max_size=9), st.booleans(), _crashes)
steps = st.lists(
    st.one_of(
        _crowds,
        _crowds,
        _crowds,
        st.builds(Together, st.lists(_swipes, min_size=1, max_size=1), st.booleans(), _crashes),
        st.sampled_from([Repeat(), Wipe(), Quiet()]),
    ),
    min_size=6,
    max_size=12,
)
policies = st.sampled_from(["restore_lifetime", "never", "restore_window"])
_limits = st.sampled_from([None, 40, 60, 100])
_windows = st.sampled_from([Window.DAILY, Window.MONTHLY, Window.LIFETIME, Window.TRANSACTION])


# --- the account ------------------------------------------------------------------------------------------------------


@dataclass
class Life:
    """One transaction: which card's, when it began, its decisions and messages by what each was sent as."""

    card: int
    at_us: int
    token: str
    events: dict[str, Event] = field(default_factory=dict)

    def state(self) -> State:
        return state_after(self.events.values())


class Spending(NamedTuple):
    """A limit that holds for a card: how much, in which window, and what it has used."""

    reason: Reason
    limit_minor: int
    window: Window
    used_minor: int


class Account:
    """Two cards of one profile, their limits, and what their transactions add up to."""

    def __init__(
        self, number: int, balance_minor: int, policy: str, profile: ProfileRow, cards: Sequence[CardRow]
    ) -> None:
        self.row = AccountRow(number, "active", "UTC", True, balance_minor)
        self.policy = policy
        self.profile = profile
        self.cards = cards
        times = (NOON_US, NOON_US, _LAST_MONTH_US)
        self.lives = [Life(at % 2, times[at % 3], f"life-{number}-{at}") for at in range(LIVES)]

    def funds(self) -> tuple[int, int]:
        """Balance and open holds."""
        states = [life.state() for life in self.lives]
        balance = self.row.balance_minor + sum(state.credited_minor - state.settled_minor for state in states)
        return balance, sum(state.held_minor for state in states)

    def spendings(self, card: int, at_us: int) -> list[Spending]:
        """The limits of a card with what the windows of this instant have used: the profile's first, then its own."""
        whose = [0, 1] if self.profile.shared else [card]
        found = []
        for reason, row, cards in (
            (Reason.PROFILE_LIMIT_EXCEEDED, self.profile, whose),
            (Reason.CARD_LIMIT_EXCEEDED, self.cards[card], [card]),
        ):
            if row.limit_minor is not None and row.window is not None:
                found.append(Spending(reason, row.limit_minor, row.window, self._used(cards, row.window, at_us)))
        return found

    def _used(self, cards: Sequence[int], window: Window, at_us: int) -> int:
        """All rows of a life count in one window: an increment in that of its transaction."""
        if window is Window.TRANSACTION:
            return 0
        used, here = 0, window_key(window, at_us, "UTC")
        gives_back = self.policy == "restore_window" or (
            self.policy == "restore_lifetime" and window is Window.LIFETIME
        )
        for life in self.lives:
            if life.card in cards and window_key(window, life.at_us, "UTC") == here:
                state = life.state()
                used += state.held_minor + state.settled_minor - (state.credited_minor if gives_back else 0)
        return used

    def judge(self, card: int, kind: Kind, amount_minor: int, at_us: int) -> Reason:
        """What must be decided."""
        if amount_minor == 0 or kind in (Kind.CREDIT_AUTHORIZATION, Kind.FINANCIAL_CREDIT_AUTHORIZATION):
            return Reason.APPROVED
        balance, held = self.funds()
        if balance - held < amount_minor:
            return Reason.INSUFFICIENT_FUNDS
        for spending in self.spendings(card, at_us):
            if spending.used_minor + amount_minor > spending.limit_minor:
                return spending.reason
        return Reason.APPROVED


def state_after(events: Iterable[Event]) -> State:
    """The first decision opens; then in the order in which things happened: decisions, messages, snapshots."""
    ordered = sorted(events, key=lambda event: (event.occurred_us, _rank(event), event.identity))
    opening = next((event for event in ordered if event.kind in DECISIONS), None)
    transaction = Transaction()
    for event in ([opening] if opening else []) + [event for event in ordered if event is not opening]:
        transaction.take(event)
    return transaction.state()


def _rank(event: Event) -> int:
    return 0 if event.kind in DECISIONS else 2 if event.kind is EventKind.SNAPSHOT else 1


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """Limits that a few requests use up, on a balance that does not always last."""
    number = next(NUMBERS)
    profile = ProfileRow(number, number, draw(_limits), draw(_windows), draw(st.booleans()))
    cards = [
        CardRow(
            number * 10 + at, number, number, number, f"card-{number}-{at}", "active", draw(_limits), draw(_windows)
        )
        for at in range(2)
    ]
    return Account(number, draw(st.sampled_from([60, 1_000, 1_000])), draw(policies), profile, cards)
