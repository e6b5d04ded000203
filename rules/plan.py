"""Which counters a card's spending moves and which limits hold, at one instant."""

from datetime import date
from functools import lru_cache

from rules.reasons import CheckName, Level, Window
from rules.types import Bound, Card, Counter, Limit, Plan
from rules.windows import bounds_of_day, day_of, window_bounds

ALWAYS_FROM_US = -(2**62)
ALWAYS_UNTIL_US = 2**62

_LETTER = {Window.DAILY: "d", Window.WEEKLY: "w", Window.MONTHLY: "m", Window.YEARLY: "y", Window.LIFETIME: "l"}
_FOR_EVER = _LETTER[Window.LIFETIME]


def plan_for(card: Card, instant_us: int) -> Plan:
    """The plan of the windows that hold `instant_us`. The profile's limit comes before the card's.

    A profile is a template: its limit holds for each card alone and shares the card's counter of that window. Only the
    limit of a `shared` profile has a counter of its own.
    """
    plan = Plan(ALWAYS_FROM_US, ALWAYS_UNTIL_US, (), (), card.account.balance_check, None)
    profile = card.profile
    if profile is not None and profile.limit is not None:
        _add(plan, card, CheckName.PROFILE_LIMIT, profile.limit, instant_us, shared=profile.shared)
    if card.limit is not None:
        _add(plan, card, CheckName.CARD_LIMIT, card.limit, instant_us, shared=False)
    return plan


def _add(plan: Plan, card: Card, check: CheckName, limit: Limit, instant_us: int, *, shared: bool) -> None:
    if limit.window is Window.TRANSACTION:
        cap = plan.transaction_cap_minor
        plan.transaction_cap_minor = limit.amount_minor if cap is None else min(cap, limit.amount_minor)
        plan.bounds += (Bound(check, limit, None, None, None, shared),)
        return
    counter = _counter(card, limit.window, instant_us, shared=shared)
    if counter not in plan.counters:
        plan.counters += (counter,)
    position = plan.counters.index(counter)
    plan.bounds += (Bound(check, limit, position, counter.start_us, counter.end_us, shared),)
    if counter.start_us is not None and counter.end_us is not None:
        plan.from_us = max(plan.from_us, counter.start_us)
        plan.until_us = min(plan.until_us, counter.end_us)


def _counter(card: Card, window: Window, instant_us: int, *, shared: bool) -> Counter:
    start_us, end_us = window_bounds(window, instant_us, card.account.timezone)
    if shared and card.profile is not None:
        owner, level, entity_id = "p", Level.PROFILE, card.profile.id
    else:
        owner, level, entity_id = "c", Level.CARD, card.id
    return Counter(f"{owner}{entity_id}:{_suffix(window, start_us)}", level, entity_id, start_us, end_us)


def _suffix(window: Window, start_us: int | None) -> str:
    return _LETTER[window] if start_us is None else f"{_LETTER[window]}:{start_us // 1_000_000}"


def counters_of(
    card_id: int, profile_id: int | None, instant_us: int, timezone_name: str
) -> tuple[list[str], list[str]]:
    """Every counter that spending of a card at an instant may be in, whatever its limits: of the calendar, for ever.

    `profile_id`: the profile it was spent under.
    """
    suffixes = _suffixes(day_of(instant_us, timezone_name), timezone_name)
    owners = (f"c{card_id}:",) if profile_id is None else (f"c{card_id}:", f"p{profile_id}:")
    return [owner + suffix for owner in owners for suffix in suffixes], [owner + _FOR_EVER for owner in owners]


@lru_cache(maxsize=1024)
def _suffixes(day: date, timezone_name: str) -> tuple[str, ...]:
    return tuple(
        _suffix(window, bounds_of_day(window, day, timezone_name)[0])
        for window in _LETTER
        if window is not Window.LIFETIME
    )
