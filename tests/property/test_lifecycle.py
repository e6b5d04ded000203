"""Random lives of transactions against a slow, obvious model, written from docs/lifecycle.md."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from rules.lifecycle import Event, EventKind, State, Status, spread, state_of

MESSAGES = [kind for kind in EventKind if kind < EventKind.AUTHORIZATION]
DECISIONS = [kind for kind in EventKind if kind >= EventKind.AUTHORIZATION]

# Few instants, so that messages share them; small amounts, so that holds are used up exactly and overrun.
instants = st.integers(1_000_000, 1_000_004)
amounts = st.integers(0, 12)
decisions = st.builds(Event, st.sampled_from(DECISIONS), instants, st.integers(0, 99).map("{:020}".format), amounts)
# A network may choose any printable identity, also one that sorts before a row's number.
identities = st.text("#0az", min_size=1, max_size=4)
plain = st.sampled_from(
    [kind for kind in MESSAGES if kind not in (EventKind.REVERSAL, EventKind.EXPIRY, EventKind.SNAPSHOT)]
)
messages = (
    st.builds(Event, plain, instants, identities, amounts)
    | st.builds(Event, st.just(EventKind.CLEARING), instants, identities, amounts, st.booleans())
    | st.builds(Event, st.just(EventKind.REVERSAL), instants, identities, st.none() | amounts)
    | st.builds(Event, st.just(EventKind.EXPIRY), instants, identities)
    | st.builds(
        Event, st.just(EventKind.SNAPSHOT), instants, identities, amounts, st.just(value=False), st.integers(-9, 9)
    )
)
lives = st.lists(decisions | messages, max_size=9, unique_by=lambda event: event.identity)


class Transaction:
    """What one transaction counts, message by message, in the order in which they happened."""

    def __init__(self) -> None:
        self.held = 0
        self.settled = 0
        self.credited = 0
        self.word = "PENDING"
        self.has_moved = False
        self.is_credit = False

    def take(self, event: Event) -> None:  # noqa: C901 - one case for each kind
        kind, amount = event.kind.name, event.amount_minor or 0
        if kind in ("AUTHORIZATION", "CREDIT_AUTHORIZATION"):
            self.is_credit = self.is_credit or kind == "CREDIT_AUTHORIZATION"
            self.held += 0 if kind == "CREDIT_AUTHORIZATION" else amount
            self.word = "APPROVED"
        elif kind == "CREDIT_AUTHORIZATION_ADVICE":
            self.is_credit = True
            if self.word not in ("APPROVED", "DECLINED"):
                self.word = "PENDING"
        elif kind == "DECLINE":
            self.decline()
        elif kind == "REVERSAL":
            self.held = 0 if event.amount_minor is None or amount > self.held else self.held - amount
            if self.held == 0:
                self.end("VOIDED")
        elif kind == "EXPIRY":
            self.held = 0
            self.end("EXPIRED")
        elif kind == "ADVICE":
            if not self.is_credit:
                self.hold(amount)
        elif kind == "SNAPSHOT":
            self.hold(amount)
            self.settled = self.credited = 0
            self.move(event.settled_minor)
        else:
            self.move_money(kind, amount)
            if kind == "CLEARING" and not self.is_credit:
                self.held = 0 if event.is_final or amount > self.held else self.held - amount

    def move_money(self, kind: str, amount: int) -> None:
        if kind in ("FINANCIAL_AUTHORIZATION", "FINANCIAL_CREDIT_AUTHORIZATION"):
            self.has_moved = True
        comes_back = ("REFUND", "CORRECTION_CREDIT", "FINANCIAL_CREDIT_AUTHORIZATION")
        comes_back += ("FINANCIAL_CREDIT_AUTHORIZATION_ADVICE",)
        if kind in comes_back or (kind == "CLEARING" and self.is_credit):
            self.move(-amount)
        elif kind == "REFUND_REVERSAL":
            self.credited -= amount
            self.has_moved = self.has_moved or amount > 0
        else:
            self.move(amount)

    def move(self, minor: int) -> None:
        """Money that leaves, or below 0 comes back."""
        self.has_moved = self.has_moved or minor != 0
        if minor > 0:
            self.settled += minor
        else:
            self.credited -= minor

    def decline(self) -> None:
        if self.word == "PENDING" and self.held == 0:
            self.word = "DECLINED"

    def hold(self, amount: int) -> None:
        """The network says what is held."""
        had_hold, self.held = self.held > 0, amount
        if amount > 0:
            self.word = "APPROVED" if self.word == "APPROVED" else "PENDING"
        elif had_hold or self.word == "PENDING":
            self.word = "VOIDED"

    def end(self, word: str) -> None:
        if self.word != "DECLINED":
            self.word = word

    def state(self) -> State:
        return State(self.held, self.settled, self.credited, Status["SETTLED" if self.has_moved else self.word])


def model(events: Sequence[Event]) -> State:
    """The first decision opens; then instant by instant our decisions, the messages, the snapshots, each by identity."""
    transaction, waiting = Transaction(), list(events)
    decided = [event for event in waiting if event.kind in DECISIONS]
    if decided:
        opening = min(decided, key=lambda event: (event.occurred_us, event.identity))
        waiting.remove(opening)
        transaction.take(opening)
    for instant in range(1_000_000, 1_000_005):
        now = sorted((event for event in waiting if event.occurred_us == instant), key=lambda event: event.identity)
        for group in (DECISIONS, [kind for kind in MESSAGES if kind.name != "SNAPSHOT"], [EventKind.SNAPSHOT]):
            for event in now:
                if event.kind in group:
                    transaction.take(event)
    return transaction.state()


@given(lives)
def test_a_life_ends_as_in_the_obvious_model(events: list[Event]) -> None:
    assert state_of(events) == model(events)


@given(lives.flatmap(lambda events: st.tuples(st.just(events), st.permutations(events))))
def test_the_order_of_arrival_does_not_matter(arrivals: tuple[list[Event], list[Event]]) -> None:
    first, second = arrivals
    assert state_of(first) == state_of(second)


@given(lives)
def test_neither_hold_nor_settlement_is_ever_below_zero(events: list[Event]) -> None:
    for end in range(len(events) + 1):
        state = state_of(events[:end])
        assert state.held_minor >= 0 and state.settled_minor >= 0


@given(lives, amounts, st.integers(-9, 9))
def test_a_snapshot_newer_than_everything_decides_the_amounts_alone(
    events: list[Event], held_minor: int, settled_minor: int
) -> None:
    snapshot = Event(EventKind.SNAPSHOT, 2_000_000, "newest", held_minor, settled_minor=settled_minor)
    state = state_of([snapshot, *events])
    assert state[:3] == state_of([snapshot])[:3]
    assert state.held_minor == held_minor
    assert state.settled_minor - state.credited_minor == settled_minor
    assert min(state.settled_minor, state.credited_minor) == 0


@given(lives)
def test_what_has_settled_never_becomes_anything_else(events: list[Event]) -> None:
    happened = sorted(events, key=lambda event: event.occurred_us)
    told = [
        state_of([event for event in happened if event.occurred_us <= instant]).status
        for instant in range(10**6, 10**6 + 5)
    ]
    settled = [status is Status.SETTLED for status in told]
    assert settled == sorted(settled)


@given(lives)
def test_a_decline_without_hold_or_money_stays_one(events: list[Event]) -> None:
    decline = Event(EventKind.DECLINE, 1, f"{0:020}", 0)
    harmless = [
        event._replace(amount_minor=0 if event.amount_minor else event.amount_minor, settled_minor=0)
        for event in events
        if event.kind in MESSAGES
    ]
    assert state_of([decline, *harmless]) == State(0, 0, 0, Status.DECLINED)


@given(st.integers(0, 60), st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_a_hold_is_spread_unit_by_unit_over_its_decisions_and_the_first_takes_the_rest(
    held_minor: int, approved_minor: list[int]
) -> None:
    given_out = [0] * len(approved_minor)
    for _ in range(held_minor):
        room = [place for place, most in enumerate(approved_minor) if given_out[place] < most]
        given_out[room[0] if room else 0] += 1
    shares = spread(held_minor, approved_minor)
    assert shares == given_out
    assert sum(shares) == held_minor
    assert all(share <= most for share, most in list(zip(shares, approved_minor, strict=True))[1:])
