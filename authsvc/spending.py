"""What a card may still spend, by what is committed."""

from dataclasses import dataclass

from authsvc.ports import Ledger
from rules.evaluate import evaluate
from rules.plan import plan_for
from rules.reasons import LEVEL_OF_CHECK, Kind, Level, Reason
from rules.types import Bound, Card, Request


@dataclass(slots=True, frozen=True)
class SpendingLimit:
    """One limit: minor units; instants None where the window is not a calendar's."""

    level: Level
    bound: Bound
    used_minor: int
    held_minor: int
    remaining_minor: int


@dataclass(slots=True, frozen=True)
class SpendingPower:
    """Every limit of a card and the account's funds. `spendable_minor`: None, nothing limits it; 0, of no use."""

    card: Card
    limits: tuple[SpendingLimit, ...]
    balance_minor: int
    held_minor: int
    available_minor: int
    spendable_minor: int | None
    card_state: Reason


async def spending_power(card: Card, at_us: int, ledger: Ledger) -> SpendingPower:
    """Reads the ledger, not the counters: nothing that is still being decided is in the figures."""
    plan = plan_for(card, at_us)
    loaded = await ledger.load(card.account.id, plan.counters)
    limits = []
    for bound in plan.bounds:
        used, held = (
            (0, 0)
            if bound.counter is None
            else (loaded.used_minor[bound.counter], loaded.used_held_minor[bound.counter])
        )
        remaining = max(0, bound.limit.amount_minor - used)
        limits.append(SpendingLimit(LEVEL_OF_CHECK[bound.check], bound, used, held, remaining))
    available = max(0, loaded.balance_minor - loaded.held_minor)
    rooms = [limit.remaining_minor for limit in limits] + ([available] if plan.funds_enforced else [])
    # A credit passes every category and limit: what is left are the states of account, cardholder and card.
    state, _ = evaluate(card, Request(Kind.CREDIT_AUTHORIZATION, 0, "0000", at_us, partial_approval_capable=False))
    spendable = min(rooms, default=None) if state is Reason.APPROVED else 0
    return SpendingPower(card, tuple(limits), loaded.balance_minor, loaded.held_minor, available, spendable, state)
