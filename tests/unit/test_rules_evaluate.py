"""What the decision cases cannot see: which plan is used, and what is listed beside the answer."""

import pytest

from rules.evaluate import all_checks, deciding_check, evaluate, settle, verdict_without_counters
from rules.plan import plan_for
from rules.reasons import CheckName, CheckResult, Decision, Kind, Reason, Window
from rules.types import Account, Card, Check, Limit, Request, Usage, User

DAY_US = 86_400 * 10**6
START_US = 20_000 * DAY_US


def daily_card() -> Card:
    account = Account(1, "active", "USD", "UTC", balance_check=True, config_version=1)
    return Card(7, "token", "active", account, User(2, "active"), None, Limit(1000, Window.DAILY))


def request_at(instant_us: int, kind: Kind = Kind.AUTHORIZATION, amount_minor: int = 100) -> Request:
    return Request(kind, amount_minor, "5812", instant_us, partial_approval_capable=False)


@pytest.mark.parametrize(("offset_us", "kept"), [(0, True), (DAY_US - 1, True), (DAY_US, False), (-1, False)])
def test_a_plan_is_kept_from_the_first_to_the_last_microsecond_of_its_windows(offset_us: int, *, kept: bool) -> None:
    card = daily_card()
    _, first = evaluate(card, request_at(START_US + DAY_US // 2))
    _, second = evaluate(card, request_at(START_US + offset_us))
    assert (second is first) is kept
    assert second == plan_for(card, START_US + offset_us)


def test_a_balance_inquiry_needs_the_counters_and_an_amount_of_nothing_does_not() -> None:
    card = daily_card()
    assert evaluate(card, request_at(START_US, Kind.BALANCE_INQUIRY, 0))[1] is not None
    assert evaluate(card, request_at(START_US, Kind.AUTHORIZATION, 0)) == (Reason.APPROVED, None)


def test_a_balance_inquiry_is_told_the_balance_without_a_judgement() -> None:
    request = request_at(START_US, Kind.BALANCE_INQUIRY, 0)
    verdict = settle(plan_for(daily_card(), START_US), request, Usage(500, 900, (0,)))
    assert verdict[:3] == (Decision.APPROVED, Reason.APPROVED, 0)
    assert verdict.checks == (Check(CheckName.FUNDS, CheckResult.SKIPPED, limit_minor=500, used_minor=900),)
    assert verdict.checks[0].remaining_minor == -400


def test_a_card_status_nobody_has_heard_of_never_spends() -> None:
    card = daily_card()
    card.status = "frozen"
    assert evaluate(card, request_at(START_US)) == (Reason.CARD_INACTIVE, None)


def test_a_credit_is_approved_for_its_whole_amount_without_counters() -> None:
    request = request_at(START_US, Kind.CREDIT_AUTHORIZATION, 700)
    reason, plan = evaluate(daily_card(), request)
    assert plan is None
    assert verdict_without_counters(reason, request) == (Decision.APPROVED, Reason.APPROVED, 700, ())


def test_the_checks_of_a_verdict_keep_their_figures_in_the_whole_list() -> None:
    card, request = daily_card(), request_at(START_US, amount_minor=101)
    verdict = settle(plan_for(card, START_US), request, Usage(10_000, 0, (900,)))
    listed = all_checks(card, request, verdict.checks)[CheckName.CARD_LIMIT - 1]
    assert listed is deciding_check(verdict.reason, verdict.checks)
    assert (listed.limit_minor, listed.used_minor, listed.remaining_minor) == (1000, 900, 100)
    assert (listed.window, listed.start_us, listed.end_us) == (Window.DAILY, START_US, START_US + DAY_US)


def test_a_check_that_configuration_failed_decides_without_figures() -> None:
    assert deciding_check(Reason.CARD_CLOSED, ()) == Check(CheckName.CARD_ACTIVE, CheckResult.FAILED)
    assert deciding_check(Reason.APPROVED, ()) is None
