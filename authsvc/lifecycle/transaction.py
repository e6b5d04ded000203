"""A card transaction in memory: its decisions, its messages, what they add up to, and what a change of it moves."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rules.lifecycle import Event, EventKind, State, Status, spread, state_of
from rules.plan import counters_of
from rules.refunds import RefundPolicy

_CLOSED: Final = frozenset({Status.SETTLED, Status.VOIDED, Status.EXPIRED})


class Terms(NamedTuple):
    """The settings of an account that say where its contributions count."""

    timezone: str
    refund_policy: RefundPolicy


def decision_of(transaction_id: int, kind: str, approved_minor: int, happened_us: int, *, is_declined: bool) -> Event:
    """A decision of this service as an event of its transaction. `kind`: what was asked, as it is stored."""
    if is_declined:
        asked = EventKind.DECLINE
    else:
        asked = EventKind.AUTHORIZATION if kind == "BALANCE_INQUIRY" else EventKind[kind]
    return Event(asked, happened_us, f"{transaction_id:020}", approved_minor)


@dataclass(slots=True)
class Part:
    """One decision of a transaction, as it is stored (`state`), or what stands for one: then `decision` is None.

    `transacted_us` decides its windows; the decision's own time, when it happened.
    """

    id: int
    transacted_us: int
    approved_minor: int
    state: State
    decision: Event | None
    profile_id: int | None = None

    def is_declined(self) -> bool:
        """True for a decision that opened nothing."""
        return self.decision is not None and self.decision.kind is EventKind.DECLINE

    def opened_minor(self) -> int:
        """The hold that the decision placed."""
        return self.approved_minor if self.decision and self.decision.kind is EventKind.AUTHORIZATION else 0


@dataclass(slots=True)
class CardTransaction:
    """The decisions that share card and network token, and the messages. The first part stands for it."""

    account_id: int
    card_id: int
    card_token: str
    token: str
    currency: str
    parts: list[Part] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def lead(self) -> Part:
        """Whom the settled belongs to, and by whose id the transaction goes."""
        return self.parts[0]

    def arrange(self) -> None:
        """A decline opens nothing: where another request of the transaction was approved, that one stands for it."""
        self.parts.sort(key=lambda part: (part.is_declined(), part.id))

    def stored(self) -> State:
        """What the parts say together."""
        states = [part.state for part in self.parts]
        has_moved = any(state.status is Status.SETTLED for state in states)
        return State(
            sum(state.held_minor for state in states),
            sum(state.settled_minor for state in states),
            sum(state.credited_minor for state in states),
            Status.SETTLED if has_moved else self.lead.state.status,
        )

    def state(self) -> State:
        """What decisions and messages add up to."""
        return state_of([*(part.decision for part in self.parts if part.decision is not None), *self.events])

    def part_states(self, whole: State) -> list[State]:
        """The state over its parts: what is settled belongs to the first, each holds of its own what is left."""
        if len(self.parts) == 1:
            return [whole]
        held = spread(whole.held_minor, [part.opened_minor() for part in self.parts])
        states = [State(held[0], whole.settled_minor, whole.credited_minor, whole.status)]
        for part, share in zip(self.parts[1:], held[1:], strict=True):
            status = whole.status if whole.status in _CLOSED else Status.APPROVED
            states.append(State(share, 0, 0, Status.DECLINED if part.is_declined() else status))
        return states

    def moved(self, part: Part, state: State, terms: Terms, changes: dict[str, int]) -> None:
        """Add to `changes`, by the counters' names, what it means that a part comes to this state."""
        held = state.held_minor - part.state.held_minor
        settled = state.settled_minor - part.state.settled_minor
        credited = state.credited_minor - part.state.credited_minor
        changes["h"] = changes.get("h", 0) + held
        changes["b"] = changes.get("b", 0) + credited - settled
        calendar, for_ever = counters_of(self.card_id, part.profile_id, part.transacted_us, terms.timezone)
        for names, is_lifetime in ((calendar, False), (for_ever, True)):
            spent = held + settled - (credited if terms.refund_policy.restores(is_lifetime=is_lifetime) else 0)
            if spent:
                for name in names:
                    changes[name] = changes.get(name, 0) + spent
