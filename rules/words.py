"""A decision in words: for the operator (`check_text`, `explanation`) and for the cardholder (`cardholder_message`)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rules.evaluate import deciding_check
from rules.money import format_minor
from rules.reasons import CheckName, CheckResult, Decision, Kind, Reason, Window
from rules.types import Card, Check, Request, Verdict
from rules.windows import local_datetime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PER_WINDOW = {
    Window.TRANSACTION: "in one transaction",
    Window.DAILY: "a day",
    Window.WEEKLY: "a week",
    Window.MONTHLY: "a month",
    Window.YEARLY: "a year",
    Window.LIFETIME: "in its lifetime",
}
_SKIPPED_TEXT = {
    CheckName.CARD_KNOWN: "card known: not checked",
    CheckName.ACCOUNT_ACTIVE: "account: not checked",
    CheckName.USER_ACTIVE: "cardholder: not checked",
    CheckName.CARD_ACTIVE: "card status: not checked",
    CheckName.MCC_NOT_BLOCKED: "blocked merchant categories: not checked",
    CheckName.MCC_ALLOWED: "allowed merchant categories: not checked",
    CheckName.FUNDS: "available balance: not checked",
    CheckName.PROFILE_LIMIT: "profile limit: not checked",
    CheckName.CARD_LIMIT: "card limit: not checked",
}
_CARDHOLDER_MESSAGE = {
    Reason.APPROVED: "Approved.",
    Reason.UNKNOWN_CARD: "This card is not recognised.",
    Reason.ACCOUNT_NOT_ACTIVE: "This card cannot be used at the moment; please contact your company.",
    Reason.USER_NOT_ACTIVE: "This card cannot be used at the moment; please contact your company.",
    Reason.CARD_PENDING: "This card has not been activated yet.",
    Reason.CARD_INACTIVE: "This card is paused.",
    Reason.CARD_CLOSED: "This card is closed.",
    Reason.MCC_BLOCKED: "This card cannot be used at this kind of merchant.",
    Reason.MCC_NOT_ALLOWED: "This card cannot be used at this kind of merchant.",
    Reason.INSUFFICIENT_FUNDS: "There are not enough funds for this purchase.",
    Reason.PROFILE_LIMIT_EXCEEDED: "This purchase is above what the spending rules of this card allow.",
    Reason.CARD_LIMIT_EXCEEDED: "This purchase is above the spending limit of this card.",
}
_CARD_STATUS = {Reason.CARD_PENDING: "pending", Reason.CARD_INACTIVE: "inactive", Reason.CARD_CLOSED: "closed"}
_PARTIAL_MESSAGE = "Part of this purchase was approved; please pay the rest in another way."


class Scene(NamedTuple):
    """What surrounds a check: what was asked, when, and how figures are told. An unknown status stays empty."""

    kind: Kind
    amount_minor: int
    mcc: str
    instant_us: int
    currency: str
    timezone: str
    account_status: str = ""
    user_status: str = ""
    card_status: str = ""


def scene_of(card: Card | None, request: Request) -> Scene:
    """The scene of a request. Behind an unknown card there are no figures to tell."""
    asked = (request.kind, request.amount_minor, request.mcc, request.transacted_at_us)
    if card is None:
        return Scene(*asked, currency="", timezone="")
    account = card.account
    return Scene(*asked, account.currency, account.timezone, account.status, card.user.status, card.status)


def scene_of_stored(request: Request, currency: str, timezone: str, reason: Reason) -> Scene:
    """The scene of a stored decision, whose card may have changed: of the statuses, what the reason still tells."""
    asked = (request.kind, request.amount_minor, request.mcc, request.transacted_at_us)
    return Scene(*asked, currency, timezone, card_status=_CARD_STATUS.get(reason, ""))


def check_text(check: Check, scene: Scene) -> str:
    """One check as a clause, with the figures from before the request."""
    name = check.name
    if check.limit_minor is None and check.result is CheckResult.SKIPPED:
        return _SKIPPED_TEXT[name]
    if name is CheckName.FUNDS:
        return _funds_text(check, scene.currency)
    if name in (CheckName.PROFILE_LIMIT, CheckName.CARD_LIMIT):
        return _limit_text(check, scene)
    return _state_text(name, scene, passed=check.result is CheckResult.PASSED)


def explanation(verdict: Verdict, scene: Scene) -> str:
    """The decision in one line. A partial approval also tells the check that left least, if another one decided."""
    deciding = deciding_check(verdict.reason, verdict.checks)
    if deciding is None:
        return _approved_text(scene)
    text = check_text(deciding, scene)
    if verdict.decision is Decision.DECLINED:
        return f"declined: {text}"
    part, whole = (format_minor(amount, scene.currency) for amount in (verdict.approved_minor, scene.amount_minor))
    tightest = _tightest(verdict.checks)
    if tightest.remaining_minor != deciding.remaining_minor:
        text += "; " + check_text(tightest, scene)
    return f"approved in part ({part} of {whole}): {text}"


def cardholder_message(decision: Decision, reason: Reason) -> str:
    """One sentence that is safe to show a cardholder: no limits, no figures, nothing of the company or of others."""
    return _PARTIAL_MESSAGE if decision is Decision.PARTIALLY_APPROVED else _CARDHOLDER_MESSAGE[reason]


def _approved_text(scene: Scene) -> str:
    if scene.kind is Kind.BALANCE_INQUIRY:
        return "approved: a balance inquiry moves no money"
    if scene.kind in (Kind.CREDIT_AUTHORIZATION, Kind.FINANCIAL_CREDIT_AUTHORIZATION):
        return "approved: money coming back is not held against limits"
    if scene.amount_minor == 0:
        return "approved: the card may be used here, nothing was reserved"
    return "approved: every check passed"


def _tightest(checks: Sequence[Check]) -> Check:
    failed = [check for check in checks if check.result is CheckResult.FAILED]
    return min(failed, key=lambda check: check.remaining_minor or 0)


def _state_text(name: CheckName, scene: Scene, *, passed: bool) -> str:
    """The text of a check without figures: 1 to 6."""
    if name is CheckName.CARD_KNOWN:
        return "the card is known" if passed else "no card has this token"
    if name is CheckName.MCC_NOT_BLOCKED:
        return f"merchant category {scene.mcc} is {'not ' if passed else ''}blocked by the profile"
    if name is CheckName.MCC_ALLOWED:
        return f"merchant category {scene.mcc} is {'' if passed else 'not '}allowed by the profile"
    whose, status = {
        CheckName.ACCOUNT_ACTIVE: ("the account", scene.account_status),
        CheckName.USER_ACTIVE: ("the cardholder", scene.user_status),
        CheckName.CARD_ACTIVE: ("the card", scene.card_status),
    }[name]
    if passed:
        return f"{whose} is active"
    if status == "pending":
        return f"{whose} has not been activated"
    return f"{whose} is {status}" if status not in ("", "active") else f"{whose} is not active"


def _funds_text(check: Check, currency: str) -> str:
    balance, held, left = check.limit_minor or 0, check.used_minor or 0, check.remaining_minor or 0
    available = f"{format_minor(left, currency)} is" if left > 0 else "nothing is"
    has, holds = format_minor(balance, currency), format_minor(held, currency)
    text = f"the account has {has}, {holds} is held, {available} available"
    return f"{text} (not checked)" if check.result is CheckResult.SKIPPED else text


def _limit_text(check: Check, scene: Scene) -> str:
    currency, timezone = scene.currency, scene.timezone
    limit, used, left = check.limit_minor or 0, check.used_minor or 0, check.remaining_minor or 0
    if check.name is CheckName.CARD_LIMIT:
        grant = f"the card may spend {format_minor(limit, currency)}"
    else:
        # Each transaction alone is a card's, whoever shares the profile.
        together = check.shared and check.window is not Window.TRANSACTION
        whom = "its cards together" if together else "the card"
        grant = f"the profile allows {whom} {format_minor(limit, currency)}"
    if check.window is Window.TRANSACTION:
        return f"{grant} in one transaction, {format_minor(scene.amount_minor, currency)} is asked"
    per = "in their lifetime" if check.shared and check.window is Window.LIFETIME else _PER_WINDOW[check.window]
    rest = f"{format_minor(left, currency)} is left" if left > 0 else "nothing is left"
    text = f"{grant} {per}, {format_minor(used, currency)} is used, {rest}"
    if check.end_us is None:
        return text
    with_year = _year(check.end_us, timezone) != _year(scene.instant_us, timezone)
    return f"{text} until {_moment(check.end_us, timezone, with_year=with_year)}"


def _year(instant_us: int, timezone: str) -> int:
    return local_datetime(instant_us, timezone).year


@lru_cache(maxsize=1024)
def _moment(instant_us: int, timezone: str, *, with_year: bool) -> str:
    """The form in which a reset is told: "1 Dec 00:00 America/New_York"."""
    local = local_datetime(instant_us, timezone)
    year = f" {local.year}" if with_year else ""
    return f"{local.day} {_MONTHS[local.month - 1]}{year} {local:%H:%M} {timezone}"
