"""How long the pure rules take: evaluate with every static check, and settle with two limits and the balance."""

import timeit
from dataclasses import dataclass
from statistics import median
from typing import Final

from rules.evaluate import evaluate, settle
from rules.mcc import compile_table
from rules.reasons import Kind, Reason, Window
from rules.types import Account, Card, Limit, Profile, Request, Usage, User

REPEATS: Final = 9
CALLS: Final = 20_000
# Some instant; the plan of its windows is made by the first call and found again by all others, as in the service.
INSTANT_US: Final = 1_760_000_000_000_000


@dataclass(frozen=True)
class Speed:
    """Microseconds a call; medians."""

    evaluate_us: float
    settle_us: float


def sample_card() -> Card:
    """A card that passes every static check: active all the way up, allowed and blocked sets, two limits."""
    table = compile_table(["3000-3299", "4000-4799", "5000-5999"], ["5933", "7995"])
    account = Account(1, "active", "USD", "America/New_York", balance_check=True, config_version=1)
    profile = Profile(1, Limit(500_000, Window.DAILY), shared=False, mcc_table=table)
    return Card(1, "card", "active", account, User(1, "active"), profile, Limit(2_000_000, Window.MONTHLY))


def measure(repeats: int = REPEATS, calls: int = CALLS) -> Speed:
    """The medians of `repeats` runs of `calls` calls each, the loop included."""
    card = sample_card()
    request = Request(Kind.AUTHORIZATION, 4_200, "5812", INSTANT_US, partial_approval_capable=True)
    reason, plan = evaluate(card, request)
    assert reason is Reason.APPROVED
    assert plan is not None
    usage = Usage(10_000_000, 0, tuple(1_000 for _ in plan.counters))
    return Speed(
        evaluate_us=_median_us("evaluate(card, request)", {"evaluate": evaluate} | locals(), repeats, calls),
        settle_us=_median_us("settle(plan, request, usage)", {"settle": settle} | locals(), repeats, calls),
    )


def _median_us(statement: str, names: dict[str, object], repeats: int, calls: int) -> float:
    return median(timeit.repeat(statement, globals=names, repeat=repeats, number=calls)) / calls * 1e6


if __name__ == "__main__":
    print(measure())
