"""The life of a card transaction after its decision: what its messages, in any order, add up to."""

from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple


class EventKind(IntEnum):
    """A message of the network about a transaction. The numbers are those of the wire contract."""

    ADVICE = 1
    REVERSAL = 2
    EXPIRY = 3
    CLEARING = 4
    REFUND = 5
    REFUND_REVERSAL = 6
    CORRECTION_DEBIT = 7
    CORRECTION_CREDIT = 8
    SNAPSHOT = 9
    # 10 is an increment: it is decided, and then an AUTHORIZATION.
    FINANCIAL_AUTHORIZATION_ADVICE = 11
    CREDIT_AUTHORIZATION_ADVICE = 12
    FINANCIAL_CREDIT_AUTHORIZATION_ADVICE = 13
    # Decisions of this service: they are rows of transactions, not of transaction_events.
    AUTHORIZATION = 101
    FINANCIAL_AUTHORIZATION = 102
    CREDIT_AUTHORIZATION = 103
    FINANCIAL_CREDIT_AUTHORIZATION = 104
    DECLINE = 105


class Status(StrEnum):
    """What a transaction is now."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    SETTLED = "SETTLED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"


class Event(NamedTuple):
    """One message. `identity` orders messages of one instant, so that every order of arrival ends alike.

    `amount_minor` is 0 or more; None reverses all. `is_final` closes the hold with this clearing.
    A SNAPSHOT has the hold as its amount and in `settled_minor` what was settled (below 0: credited).
    """

    kind: EventKind
    occurred_us: int
    identity: str
    amount_minor: int | None = None
    is_final: bool = False
    settled_minor: int = 0


class State(NamedTuple):
    """What a transaction counts. Spend is held + settled; the balance has lost settled and gained credited."""

    held_minor: int
    settled_minor: int
    credited_minor: int
    status: Status


_DECISIONS = frozenset(kind for kind in EventKind if kind >= EventKind.AUTHORIZATION)
_CREDITS = frozenset({EventKind.CREDIT_AUTHORIZATION, EventKind.CREDIT_AUTHORIZATION_ADVICE})


def state_of(events: Iterable[Event]) -> State:
    """The state after all messages, whatever the order they came in: they are taken in the order they happened.

    A snapshot says everything about its instant and before; what happened later goes on top of it. Whatever the clocks
    say, nothing was said about a transaction before its first decision.
    """
    ordered = sorted(events, key=lambda event: (event.occurred_us, _rank(event.kind), event.identity))
    first = next((event for event in ordered if event.kind in _DECISIONS), None)
    ordered.sort(key=lambda event: event is not first)
    state = State(0, 0, 0, Status.PENDING)
    is_credit = False
    for event in ordered:
        is_credit = is_credit or event.kind in _CREDITS
        state = _after(state, event, is_credit=is_credit)
    return state


def _after(  # noqa: C901, PLR0912 - one case for each kind of message
    state: State, event: Event, *, is_credit: bool
) -> State:
    held, settled, credited, status = state
    amount = held if event.amount_minor is None else event.amount_minor
    match event.kind:
        case EventKind.AUTHORIZATION:
            held, status = held + amount, Status.APPROVED
        case EventKind.CREDIT_AUTHORIZATION:
            status = Status.APPROVED
        case EventKind.DECLINE:
            status = Status.DECLINED if state == State(0, 0, 0, Status.PENDING) else status
        case EventKind.FINANCIAL_AUTHORIZATION:
            settled, status = settled + amount, Status.SETTLED
        case EventKind.FINANCIAL_CREDIT_AUTHORIZATION:
            credited, status = credited + amount, Status.SETTLED
        case EventKind.CORRECTION_DEBIT | EventKind.FINANCIAL_AUTHORIZATION_ADVICE:
            settled += amount
        case EventKind.REFUND | EventKind.CORRECTION_CREDIT | EventKind.FINANCIAL_CREDIT_AUTHORIZATION_ADVICE:
            credited += amount
        case EventKind.CREDIT_AUTHORIZATION_ADVICE:
            status = _open(status)
        case EventKind.REFUND_REVERSAL:
            credited -= amount
        case EventKind.ADVICE if is_credit:
            pass
        case EventKind.ADVICE:
            held, status = amount, _open(status) if amount else _ended(state)
        case EventKind.REVERSAL:
            held = max(0, held - amount)
            status = status if held else _closed(status, Status.VOIDED)
        case EventKind.EXPIRY:
            held, status = 0, _closed(status, Status.EXPIRED)
        case EventKind.CLEARING if is_credit:
            credited += amount
        case EventKind.CLEARING:
            held, settled = (0 if event.is_final else max(0, held - amount)), settled + amount
        case EventKind.SNAPSHOT:
            held, settled, credited = amount, max(0, event.settled_minor), max(0, -event.settled_minor)
            status = _open(status) if held else _ended(state)
    if settled or credited or state.status is Status.SETTLED:
        # Money that moved has moved, even when it came back.
        status = Status.SETTLED
    return State(held, settled, credited, status)


def _open(status: Status) -> Status:
    """A hold again: still approved when we approved it, else the network's own."""
    return status if status is Status.APPROVED else Status.PENDING


def _closed(status: Status, end: Status) -> Status:
    """What the network ended; a decline had nothing to end."""
    return status if status is Status.DECLINED else end


def _ended(state: State) -> Status:
    """No hold, says an absolute figure: it ended now, unless there was none before."""
    return Status.VOIDED if state.held_minor or state.status is Status.PENDING else state.status


def _rank(kind: EventKind) -> int:
    """Of one instant, decisions come first, and what a snapshot says last."""
    return 0 if kind in _DECISIONS else 2 if kind is EventKind.SNAPSHOT else 1


def spread(held_minor: int, approved_minor: Sequence[int]) -> list[int]:
    """A hold over the decisions that made it up, the first first; the first takes what nobody approved, too."""
    left, shares = held_minor, []
    for approved in approved_minor:
        shares.append(min(left, approved))
        left -= shares[-1]
    shares[0] += left
    return shares
