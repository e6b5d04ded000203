"""The decision. `evaluate` says what configuration alone decides; `settle` finishes once the counters are known."""

from collections.abc import Callable, Sequence

from rules.mcc import ALLOWED, BLOCKED
from rules.plan import plan_for
from rules.reasons import (
    CHECK_OF_REASON,
    REASON_OF_LIMIT_CHECK,
    CheckName,
    CheckResult,
    Decision,
    Kind,
    Reason,
    Window,
)
from rules.types import Card, Check, Plan, Request, Usage, Verdict

# Bound once: looking a member up in its enumeration costs as much as a whole check.
_APPROVED = Reason.APPROVED
_BALANCE_INQUIRY = Kind.BALANCE_INQUIRY
_CREDIT = Kind.CREDIT_AUTHORIZATION
_FINANCIAL_CREDIT = Kind.FINANCIAL_CREDIT_AUTHORIZATION
_PASSED, _FAILED, _SKIPPED = CheckResult.PASSED, CheckResult.FAILED, CheckResult.SKIPPED
_FUNDS = CheckName.FUNDS
_NO_WINDOW = Window.UNSPECIFIED
_ALL_CHECKS = tuple(CheckName)
_FULL, _PARTIAL, _DECLINED = Decision.APPROVED, Decision.PARTIALLY_APPROVED, Decision.DECLINED

_CARD_STATUS_REASON = {"pending": Reason.CARD_PENDING, "inactive": Reason.CARD_INACTIVE, "closed": Reason.CARD_CLOSED}


def evaluate(  # noqa: PLR0911 - one return for each answer, in the order of the checks
    card: Card | None, request: Request
) -> tuple[Reason, Plan | None]:
    """Checks 1 to 6, and the plan of checks 7 to 9.

    A reason other than APPROVED is final. APPROVED without a plan is final too: nothing to reserve (amount 0, a
    credit). APPROVED with a plan: `settle` decides.
    """
    if card is None:
        return Reason.UNKNOWN_CARD, None
    if card.account.status != "active":
        return Reason.ACCOUNT_NOT_ACTIVE, None
    if card.user.status != "active":
        return Reason.USER_NOT_ACTIVE, None
    if card.status != "active":
        # An unheard-of status never spends.
        return _CARD_STATUS_REASON.get(card.status, Reason.CARD_INACTIVE), None
    kind = request.kind
    if kind is _CREDIT or kind is _FINANCIAL_CREDIT:
        return _APPROVED, None
    profile = card.profile
    if profile is not None and profile.mcc_table is not None:
        standing = profile.mcc_table[int(request.mcc)]
        if standing != ALLOWED:
            return (Reason.MCC_BLOCKED if standing == BLOCKED else Reason.MCC_NOT_ALLOWED), None
    if request.amount_minor == 0 and kind is not _BALANCE_INQUIRY:
        return _APPROVED, None
    plan = card.plan
    if plan is None or not plan.from_us <= request.transacted_at_us < plan.until_us:
        plan = card.plan = plan_for(card, request.transacted_at_us)
    return _APPROVED, plan


def settle(plan: Plan, request: Request, usage: Usage) -> Verdict:
    """Checks 7 to 9 against the counters as they were before this request; partial approval.

    The counter store moves exactly `approved_minor`: it computes the same least room from the same plan.
    """
    balance, held, used_of = usage
    if request.kind is _BALANCE_INQUIRY:
        return Verdict(_FULL, _APPROVED, 0, (Check(_FUNDS, _SKIPPED, _NO_WINDOW, balance, held),))
    amount = room = request.amount_minor
    reason = _APPROVED
    result = _SKIPPED
    if plan.funds_enforced:
        result = _PASSED
        if balance - held < amount:
            result, reason, room = _FAILED, Reason.INSUFFICIENT_FUNDS, balance - held
    checks = [Check(_FUNDS, result, _NO_WINDOW, balance, held)]
    for name, limit, counter, start_us, end_us, shared in plan.bounds:
        used = 0 if counter is None else used_of[counter]
        limit_minor = limit.amount_minor
        left = limit_minor - used
        result = _PASSED
        if left < amount:
            result = _FAILED
            if reason is _APPROVED:
                reason = REASON_OF_LIMIT_CHECK[name]
            room = min(room, left)
        checks.append(Check(name, result, limit.window, limit_minor, used, start_us, end_us, shared))
    if reason is _APPROVED:
        return Verdict(_FULL, reason, amount, tuple(checks))
    if room > 0 and request.partial_approval_capable:
        return Verdict(_PARTIAL, reason, room, tuple(checks))
    return Verdict(_DECLINED, reason, 0, tuple(checks))


def verdict_without_counters(reason: Reason, request: Request) -> Verdict:
    """The decision when configuration was enough: a decline, a credit, an amount of 0."""
    if reason is _APPROVED:
        return Verdict(_FULL, reason, request.amount_minor, ())
    return Verdict(_DECLINED, reason, 0, ())


def decide(card: Card | None, request: Request, usage_of: Callable[[Plan], Usage]) -> Verdict:
    """A whole decision in one call, for readers and tests: `usage_of` tells the counters of a plan."""
    reason, plan = evaluate(card, request)
    return verdict_without_counters(reason, request) if plan is None else settle(plan, request, usage_of(plan))


def deciding_check(reason: Reason, checks: Sequence[Check]) -> Check | None:
    """The check that `reason` names; None when every check passed."""
    name = CHECK_OF_REASON.get(reason)
    if name is None:
        return None
    for check in checks:
        if check.name is name:
            return check
    return Check(name, _FAILED)


def all_checks(card: Card | None, request: Request, checks: Sequence[Check]) -> list[Check]:
    """Checks 1 to 9 in order, each made on its own; 7 to 9 are taken from `checks`, the verdict's.

    SKIPPED is a check that does not apply (no such limit, amount 0, a credit, a balance inquiry) or that nobody could
    make: all of them behind an unknown card, the allowed set behind a blocked code (the table does not tell), and those
    of the counters when configuration alone decided.
    """
    if card is None:
        return [Check(CheckName.CARD_KNOWN, _FAILED), *(Check(name, _SKIPPED) for name in _ALL_CHECKS[1:])]
    results = {
        CheckName.CARD_KNOWN: _PASSED,
        CheckName.ACCOUNT_ACTIVE: _result(passed=card.account.status == "active"),
        CheckName.USER_ACTIVE: _result(passed=card.user.status == "active"),
        CheckName.CARD_ACTIVE: _result(passed=card.status == "active"),
    }
    credit = request.kind in (_CREDIT, _FINANCIAL_CREDIT)
    if not credit and card.profile is not None and card.profile.mcc_table is not None:
        standing = card.profile.mcc_table[int(request.mcc)]
        results[CheckName.MCC_NOT_BLOCKED] = _result(passed=standing != BLOCKED)
        if standing != BLOCKED:
            results[CheckName.MCC_ALLOWED] = _result(passed=standing == ALLOWED)
    made = {check.name: check for check in checks}
    return [made.get(name) or Check(name, results.get(name, _SKIPPED)) for name in _ALL_CHECKS]


def _result(*, passed: bool) -> CheckResult:
    return _PASSED if passed else _FAILED
