"""The life of a card transaction after its decision: what its messages, in any order, add up to."""

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple


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


_DECISIONS: Final = frozenset(kind for kind in EventKind if kind >= EventKind.AUTHORIZATION)
_RANK: Final = {**dict.fromkeys(_DECISIONS, 0), EventKind.SNAPSHOT: 2}
_NOTHING: Final = State(0, 0, 0, Status.PENDING)
_CREDITS: Final = frozenset({EventKind.CREDIT_AUTHORIZATION, EventKind.CREDIT_AUTHORIZATION_ADVICE})


def state_of(events: Iterable[Event]) -> State:
    """The state after all messages, whatever the order they came in: they are taken in the order they happened.

    A snapshot says everything about its instant and before; what happened later goes on top of it. Whatever the clocks
    say, nothing was said about a transaction before its first decision.
    """
    ordered = sorted(events, key=_order)
    if ordered and ordered[0].kind not in _DECISIONS:
        first = next((event for event in ordered if event.kind in _DECISIONS), None)
        ordered.sort(key=lambda event: event is not first)
    state = _NOTHING
    is_credit = False
    for event in ordered:
        step = _STEPS[event.kind]
        if is_credit:
            step = _STEPS_OF_CREDITS.get(event.kind, step)
        elif event.kind in _CREDITS:
            is_credit = True
        after = step(state, event)
        if after.settled_minor or after.credited_minor or state.status is Status.SETTLED:
            # Money that moved has moved, even when it came back.
            after = State(after.held_minor, after.settled_minor, after.credited_minor, Status.SETTLED)
        state = after
    return state


def _order(event: Event) -> tuple[int, int, str]:
    """Of one instant, decisions come first, and what a snapshot says last."""
    return event.occurred_us, _RANK.get(event.kind, 1), event.identity


def _authorized(state: State, event: Event) -> State:
    return State(state.held_minor + _of(event, state), state.settled_minor, state.credited_minor, Status.APPROVED)


def _credit_authorized(state: State, _: Event) -> State:
    return state._replace(status=Status.APPROVED)


def _declined(state: State, _: Event) -> State:
    return state._replace(status=Status.DECLINED) if state == _NOTHING else state


def _paid(state: State, event: Event) -> State:
    return _debited(state, event)._replace(status=Status.SETTLED)


def _paid_back(state: State, event: Event) -> State:
    return _credited(state, event)._replace(status=Status.SETTLED)


def _debited(state: State, event: Event) -> State:
    return State(state.held_minor, state.settled_minor + _of(event, state), state.credited_minor, state.status)


def _credited(state: State, event: Event) -> State:
    return State(state.held_minor, state.settled_minor, state.credited_minor + _of(event, state), state.status)


def _credit_taken_back(state: State, event: Event) -> State:
    return State(state.held_minor, state.settled_minor, state.credited_minor - _of(event, state), state.status)


def _credit_advised(state: State, _: Event) -> State:
    # Nothing is held and nothing has moved: what we declined is declined until it clears.
    return state if state.status is Status.DECLINED else state._replace(status=_open(state.status))


def _unchanged(state: State, _: Event) -> State:
    return state


def _advised(state: State, event: Event) -> State:
    held = _of(event, state)
    return State(held, state.settled_minor, state.credited_minor, _open(state.status) if held else _ended(state))


def _reversed(state: State, event: Event) -> State:
    held = max(0, state.held_minor - _of(event, state))
    status = state.status if held else _closed(state.status, Status.VOIDED)
    return State(held, state.settled_minor, state.credited_minor, status)


def _expired(state: State, _: Event) -> State:
    return State(0, state.settled_minor, state.credited_minor, _closed(state.status, Status.EXPIRED))


def _cleared(state: State, event: Event) -> State:
    amount = _of(event, state)
    held = 0 if event.is_final else max(0, state.held_minor - amount)
    return State(held, state.settled_minor + amount, state.credited_minor, state.status)


def _stated(state: State, event: Event) -> State:
    held, settled = _of(event, state), event.settled_minor
    return State(held, max(0, settled), max(0, -settled), _open(state.status) if held else _ended(state))


def _of(event: Event, state: State) -> int:
    """The message's amount; without one it is about all that is held."""
    return state.held_minor if event.amount_minor is None else event.amount_minor


_STEPS: Final[dict[EventKind, Callable[[State, Event], State]]] = {
    EventKind.AUTHORIZATION: _authorized,
    EventKind.FINANCIAL_AUTHORIZATION: _paid,
    EventKind.CREDIT_AUTHORIZATION: _credit_authorized,
    EventKind.FINANCIAL_CREDIT_AUTHORIZATION: _paid_back,
    EventKind.DECLINE: _declined,
    EventKind.ADVICE: _advised,
    EventKind.REVERSAL: _reversed,
    EventKind.EXPIRY: _expired,
    EventKind.CLEARING: _cleared,
    EventKind.REFUND: _credited,
    EventKind.REFUND_REVERSAL: _credit_taken_back,
    EventKind.CORRECTION_DEBIT: _debited,
    EventKind.CORRECTION_CREDIT: _credited,
    EventKind.SNAPSHOT: _stated,
    EventKind.FINANCIAL_AUTHORIZATION_ADVICE: _debited,
    EventKind.CREDIT_AUTHORIZATION_ADVICE: _credit_advised,
    EventKind.FINANCIAL_CREDIT_AUTHORIZATION_ADVICE: _credited,
}
# A credit authorization holds nothing: advice about it changes nothing, and its clearing credits.
_STEPS_OF_CREDITS: Final[dict[EventKind, Callable[[State, Event], State]]] = {
    EventKind.ADVICE: _unchanged,
    EventKind.CLEARING: _credited,
}


def _open(status: Status) -> Status:
    """A hold again: still approved when we approved it, else the network's own."""
    return status if status is Status.APPROVED else Status.PENDING


def _closed(status: Status, end: Status) -> Status:
    """What the network ended; a decline had nothing to end."""
    return status if status is Status.DECLINED else end


def _ended(state: State) -> Status:
    """No hold, says an absolute figure: it ended now, unless there was none before."""
    return Status.VOIDED if state.held_minor or state.status is Status.PENDING else state.status


def spread(held_minor: int, approved_minor: Sequence[int]) -> list[int]:
    """A hold over the decisions that made it up, the first first; the first takes what nobody approved, too."""
    left, shares = held_minor, []
    for approved in approved_minor:
        shares.append(min(left, approved))
        left -= shares[-1]
    shares[0] += left
    return shares
