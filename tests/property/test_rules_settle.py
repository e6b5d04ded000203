"""Decisions on money against a slow model: try every amount from the top until nothing stands against it."""

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.evaluate import all_checks, decide
from rules.reasons import CheckName, CheckResult, Decision, Kind, Reason, Window
from rules.types import Account, Card, Limit, Plan, Profile, Request, Usage, User, Verdict
from rules.words import explanation, scene_of

INSTANT_US = 1_763_658_000_000_000
PURCHASES = (Kind.AUTHORIZATION, Kind.FINANCIAL_AUTHORIZATION)

# Small amounts, so that limits are met exactly, overrun and exhausted often.
limits = st.none() | st.builds(Limit, st.integers(0, 60), st.sampled_from(list(Window)[1:]))
profiles = st.none() | st.builds(Profile, st.just(3), limits, st.booleans(), st.none())
accounts = st.builds(
    Account, st.just(1), st.just("active"), st.just("USD"), st.just("America/New_York"), st.booleans(), st.just(1)
)
cards = st.builds(
    Card, st.just(7), st.just("token"), st.just("active"), accounts, st.just(User(2, "active")), profiles, limits
)
requests = st.builds(
    Request, st.sampled_from(PURCHASES), st.integers(1, 50), st.just("5812"), st.just(INSTANT_US), st.booleans()
)
# Balance, open holds, what the card and what all cards of the profile have spent in the window.
spendings = st.tuples(st.integers(-20, 80), st.integers(0, 40), st.integers(0, 70), st.integers(0, 30))

Spending = tuple[int, int, int, int]


def usage_of(plan: Plan, spending: Spending) -> Usage:
    balance, held, card_used, others_used = spending
    used = (card_used + (others_used if counter.name.startswith("p") else 0) for counter in plan.counters)
    return Usage(balance, held, tuple(used))


def rooms(card: Card, spending: Spending) -> Iterator[tuple[Reason, int]]:
    """What each check leaves, in order of precedence, straight from the configuration."""
    balance, held, card_used, others_used = spending
    if card.account.balance_check:
        yield Reason.INSUFFICIENT_FUNDS, balance - held
    profile = card.profile
    if profile is not None and profile.limit is not None:
        used = card_used + (others_used if profile.shared else 0)
        alone = profile.limit.window is Window.TRANSACTION
        yield Reason.PROFILE_LIMIT_EXCEEDED, profile.limit.amount_minor - (0 if alone else used)
    if card.limit is not None:
        alone = card.limit.window is Window.TRANSACTION
        yield Reason.CARD_LIMIT_EXCEEDED, card.limit.amount_minor - (0 if alone else card_used)


def model(card: Card, request: Request, spending: Spending) -> tuple[Decision, Reason, int]:
    against = [reason for reason, room in rooms(card, spending) if request.amount_minor > room]
    if not against:
        return Decision.APPROVED, Reason.APPROVED, request.amount_minor
    for amount in range(request.amount_minor, 0, -1):
        if request.partial_approval_capable and all(amount <= room for _, room in rooms(card, spending)):
            return Decision.PARTIALLY_APPROVED, against[0], amount
    return Decision.DECLINED, against[0], 0


def decided(card: Card, request: Request, spending: Spending) -> Verdict:
    return decide(card, request, lambda plan: usage_of(plan, spending))


@settings(max_examples=250, deadline=None)
@given(cards, requests, spendings)
def test_a_decision_is_the_one_of_the_model(card: Card, request: Request, spending: Spending) -> None:
    assert decided(card, request, spending)[:3] == model(card, request, spending)


@settings(max_examples=100, deadline=None)
@given(cards, requests, spendings)
def test_an_approval_never_exceeds_what_any_enforced_check_leaves(
    card: Card, request: Request, spending: Spending
) -> None:
    verdict = decided(card, request, spending)
    for check in verdict.checks:
        if check.result is not CheckResult.SKIPPED and verdict.decision is not Decision.DECLINED:
            assert check.remaining_minor is not None
            assert verdict.approved_minor <= check.remaining_minor


@settings(max_examples=100, deadline=None)
@given(cards, requests, spendings)
def test_a_part_is_the_greatest_that_would_be_approved_in_full(
    card: Card, request: Request, spending: Spending
) -> None:
    verdict = decided(card, request, spending)
    if verdict.decision is Decision.PARTIALLY_APPROVED:
        part, more = (replace(request, amount_minor=verdict.approved_minor + extra) for extra in (0, 1))
        assert decided(card, part, spending).decision is Decision.APPROVED
        assert decided(card, more, spending).decision is not Decision.APPROVED


@settings(max_examples=100, deadline=None)
@given(cards, requests, spendings, limits)
def test_another_limit_never_approves_more(
    card: Card, request: Request, spending: Spending, limit: Limit | None
) -> None:
    free = replace(card, limit=None, plan=None)
    bound = replace(card, limit=limit, plan=None)
    assert decided(bound, request, spending).approved_minor <= decided(free, request, spending).approved_minor


@settings(max_examples=100, deadline=None)
@given(cards, requests, spendings)
def test_every_check_is_listed_once_and_the_first_failure_is_the_reason(
    card: Card, request: Request, spending: Spending
) -> None:
    verdict = decided(card, request, spending)
    checks = all_checks(card, request, verdict.checks)
    failed = [check.name for check in checks if check.result is CheckResult.FAILED]
    reasons = {
        CheckName.FUNDS: Reason.INSUFFICIENT_FUNDS,
        CheckName.PROFILE_LIMIT: Reason.PROFILE_LIMIT_EXCEEDED,
        CheckName.CARD_LIMIT: Reason.CARD_LIMIT_EXCEEDED,
    }
    assert [check.name for check in checks] == list(CheckName)
    assert verdict.reason is (reasons[failed[0]] if failed else Reason.APPROVED)


@settings(max_examples=100, deadline=None)
@given(cards, requests, spendings)
def test_the_explanation_begins_with_the_decision(card: Card, request: Request, spending: Spending) -> None:
    verdict = decided(card, request, spending)
    begins = {
        Decision.APPROVED: "approved: ",
        Decision.PARTIALLY_APPROVED: f"approved in part (0.{verdict.approved_minor:02} of 0.{request.amount_minor:02}): ",
        Decision.DECLINED: "declined: ",
    }
    assert explanation(verdict, scene_of(card, request)).startswith(begins[verdict.decision])


@settings(max_examples=80, deadline=None)
@given(cards, st.lists(requests, max_size=25), st.integers(0, 200))
def test_no_history_of_decisions_overspends(card: Card, history: list[Request], balance_minor: int) -> None:
    held_minor = 0
    used: dict[str, int] = {}
    for request in history:

        def usage(plan: Plan, held_minor: int = held_minor) -> Usage:
            return Usage(balance_minor, held_minor, tuple(used.get(counter.name, 0) for counter in plan.counters))

        approved = decide(card, request, usage).approved_minor
        held_minor += approved
        for counter in card.plan.counters if card.plan is not None else ():
            used[counter.name] = used.get(counter.name, 0) + approved
    assert held_minor <= balance_minor or not card.account.balance_check
    for bound in card.plan.bounds if card.plan is not None else ():
        if card.plan is not None and bound.counter is not None:
            assert used[card.plan.counters[bound.counter].name] <= bound.limit.amount_minor
