"""The decision cases of tests/cases, against the pure rules and an obvious model of what was spent before."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from rules.evaluate import all_checks, decide, deciding_check
from rules.mcc import compile_table
from rules.reasons import LEVEL_OF_REASON, CheckName, CheckResult, Decision, Kind, Level, Reason, Window
from rules.types import Account, Card, Check, Limit, Plan, Profile, Request, Usage, User
from rules.words import cardholder_message, explanation, scene_of
from tests.case_files import Case, CheckCase, HistoryRow, load_cases, unix_us

CASES = load_cases()
LETTER = {CheckResult.PASSED: "P", CheckResult.FAILED: "F", CheckResult.SKIPPED: "S"}


def limit_of(amount_minor: int | None, duration: str | None) -> Limit | None:
    return None if amount_minor is None or duration is None else Limit(amount_minor, Window[duration.upper()])


def card_of(case: Case) -> Card | None:
    if not case.card.known:
        return None
    raw = case.profile
    profile = None
    if raw is not None:
        table = compile_table(raw.allowed, raw.blocked)
        profile = Profile(5, limit_of(raw.limit_minor, raw.duration), raw.scope == "shared", table)
    account = Account(
        1, case.account.status, case.account.currency, case.account.timezone, case.account.balance_check, 1
    )
    limit = limit_of(case.card.limit_minor, case.card.duration)
    return Card(7, "token", case.card.status, account, User(3, case.user_status), profile, limit)


def request_of(case: Case) -> Request:
    raw = case.request
    covered_minor = max(raw.amount_minor, raw.hold_minor)
    return Request(Kind[raw.kind], covered_minor, raw.mcc, unix_us(raw.transacted_at), raw.partial)


def period(window: Window, instant: datetime, timezone: str) -> tuple[int, ...]:
    """What the calendar on the wall calls the window: equal for two instants exactly when they share it."""
    day = instant.astimezone(ZoneInfo(timezone)).date()
    match window:
        case Window.DAILY:
            return day.year, day.month, day.day
        case Window.WEEKLY:
            return tuple(day.isocalendar()[:2])
        case Window.MONTHLY:
            return day.year, day.month
        case Window.YEARLY:
            return (day.year,)
        case _:
            return ()


def usage_of(case: Case, plan: Plan) -> Usage:
    def counts(row: HistoryRow, level: Level, window: Window) -> bool:
        zone = case.account.timezone
        mine = row.card == "same" or level is Level.PROFILE
        return mine and period(window, row.transacted_at, zone) == period(window, case.request.transacted_at, zone)

    used = []
    for position, counter in enumerate(plan.counters):
        window = next(bound.limit.window for bound in plan.bounds if bound.counter == position)
        rows = [row for row in case.history if counts(row, counter.level, window)]
        used.append(sum(row.held_minor + row.settled_minor for row in rows))
    return Usage(case.account.balance_minor, sum(row.held_minor for row in case.history), tuple(used))


def figures(check: Check | None, timezone: str) -> CheckCase | None:
    if check is None or check.limit_minor is None or check.used_minor is None or check.remaining_minor is None:
        return None

    def local(instant_us: int | None) -> datetime | None:
        if instant_us is None:
            return None
        # With a plain offset: by Python's rules an ambiguous time of a zone equals no time of another.
        return datetime.fromisoformat(datetime.fromtimestamp(instant_us // 10**6, ZoneInfo(timezone)).isoformat())

    start, reset = local(check.start_us), local(check.end_us)
    return CheckCase(check.limit_minor, check.used_minor, check.remaining_minor, start, reset)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_rules_give_the_expected_answer(case: Case) -> None:
    card, request, expect = card_of(case), request_of(case), case.expect
    verdict = decide(card, request, lambda plan: usage_of(case, plan))
    assert (verdict.decision, verdict.reason) == (Decision[expect.decision], Reason[expect.reason])
    assert LEVEL_OF_REASON[verdict.reason] is Level[expect.level]
    assert verdict.approved_minor == expect.approved_minor
    assert figures(deciding_check(verdict.reason, verdict.checks), case.account.timezone) == expect.check
    assert explanation(verdict, scene_of(card, request)) == expect.explanation


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_check_is_listed_with_its_own_result(case: Case) -> None:
    card, request = card_of(case), request_of(case)
    verdict = decide(card, request, lambda plan: usage_of(case, plan))
    checks = all_checks(card, request, verdict.checks)
    assert [check.name for check in checks] == list(CheckName)
    assert "".join(LETTER[check.result] for check in checks) == case.expect.checks


def test_there_are_at_least_150_cases_with_different_names() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 150


@pytest.mark.parametrize("reason", Reason)
def test_the_cases_cover_every_reason(reason: Reason) -> None:
    assert reason.name in {case.expect.reason for case in CASES}


@pytest.mark.parametrize("window", list(Window)[1:])
def test_the_cases_cover_every_window_of_a_card(window: Window) -> None:
    assert window.name.lower() in {case.card.duration for case in CASES}


def test_a_decline_is_explained_and_says_nothing_of_it_to_the_cardholder() -> None:
    for case in CASES:
        message = cardholder_message(Decision[case.expect.decision], Reason[case.expect.reason])
        assert message.endswith(".")
        assert not any(character.isdigit() for character in message)
