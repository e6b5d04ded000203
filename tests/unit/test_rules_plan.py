"""Plans: which counters a card moves and which limits hold."""

from rules.plan import plan_for
from rules.reasons import CheckName, Level, Window
from rules.types import Account, Card, Limit, Profile, User

DECEMBER_US, JANUARY_US = 1_764_547_200_000_000, 1_767_225_600_000_000
YEAR_1_US, YEAR_10000_US = -62_135_596_800_000_000, 253_402_300_800_000_000
INSTANT_US = DECEMBER_US + 5 * 86_400 * 10**6


def card_with(
    card_limit: Limit | None, profile_limit: Limit | None = None, *, shared: bool = False, funds: bool = True
) -> Card:
    account = Account(1, "active", "USD", "UTC", funds, 1)
    return Card(7, "token", "active", account, User(2, "active"), Profile(3, profile_limit, shared, None), card_limit)


def test_no_limits_make_a_plan_that_always_holds() -> None:
    plan = plan_for(card_with(None), INSTANT_US)
    assert (plan.counters, plan.bounds, plan.transaction_cap_minor) == ((), (), None)
    assert plan.from_us < YEAR_1_US
    assert plan.until_us > YEAR_10000_US


def test_a_card_without_a_profile_has_a_plan() -> None:
    card = card_with(Limit(100, Window.DAILY))
    card.profile = None
    assert [bound.check for bound in plan_for(card, INSTANT_US).bounds] == [CheckName.CARD_LIMIT]


def test_a_counter_is_named_by_its_card_and_the_start_of_its_window() -> None:
    (counter,) = plan_for(card_with(Limit(100, Window.MONTHLY)), INSTANT_US).counters
    assert counter == ("c7:m:1764547200", Level.CARD, 7, DECEMBER_US, JANUARY_US)


def test_a_lifetime_counter_has_no_start() -> None:
    (counter,) = plan_for(card_with(Limit(100, Window.LIFETIME)), INSTANT_US).counters
    assert counter == ("c7:l", Level.CARD, 7, None, None)


def test_every_window_has_a_counter_of_its_own() -> None:
    windows = (Window.DAILY, Window.WEEKLY, Window.MONTHLY, Window.YEARLY, Window.LIFETIME)
    names = {plan_for(card_with(Limit(100, window)), JANUARY_US).counters[0].name for window in windows}
    assert len(names) == len(windows)


def test_a_profile_limit_shares_the_counter_of_the_card() -> None:
    plan = plan_for(card_with(Limit(100, Window.MONTHLY), Limit(200, Window.MONTHLY)), INSTANT_US)
    assert [counter.name for counter in plan.counters] == ["c7:m:1764547200"]
    assert [(bound.check, bound.counter) for bound in plan.bounds] == [
        (CheckName.PROFILE_LIMIT, 0),
        (CheckName.CARD_LIMIT, 0),
    ]


def test_a_shared_profile_limit_has_a_counter_of_its_own() -> None:
    plan = plan_for(card_with(Limit(100, Window.MONTHLY), Limit(200, Window.MONTHLY), shared=True), INSTANT_US)
    assert [(counter.name, counter.level) for counter in plan.counters] == [
        ("p3:m:1764547200", Level.PROFILE),
        ("c7:m:1764547200", Level.CARD),
    ]
    assert [bound.shared for bound in plan.bounds] == [True, False]


def test_a_plan_holds_while_all_its_windows_do() -> None:
    plan = plan_for(card_with(Limit(100, Window.DAILY), Limit(200, Window.MONTHLY)), INSTANT_US)
    assert (plan.from_us, plan.until_us) == (INSTANT_US, INSTANT_US + 86_400 * 10**6)


def test_a_limit_on_each_transaction_has_no_counter_and_the_least_of_two_caps() -> None:
    plan = plan_for(card_with(Limit(100, Window.TRANSACTION), Limit(200, Window.TRANSACTION)), INSTANT_US)
    assert plan.counters == ()
    assert [bound.counter for bound in plan.bounds] == [None, None]
    assert plan.transaction_cap_minor == 100


def test_a_cap_of_nothing_is_a_cap() -> None:
    plan = plan_for(card_with(Limit(0, Window.TRANSACTION), Limit(200, Window.TRANSACTION)), INSTANT_US)
    assert plan.transaction_cap_minor == 0


def test_the_account_says_whether_its_balance_is_checked() -> None:
    assert plan_for(card_with(None), INSTANT_US).funds_enforced
    assert not plan_for(card_with(None, funds=False), INSTANT_US).funds_enforced
