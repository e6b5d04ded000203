"""Checks 1 to 6, each made on its own: stored beside the reason, so that an old decision still lists every check."""

from rules.mcc import ALLOWED, BLOCKED, NOT_ALLOWED
from rules.reasons import CheckResult, Kind, Reason
from rules.types import Card, Request

_PASSED, _FAILED, _SKIPPED = (str(result.value) for result in CheckResult)
_CREDITS = (Kind.CREDIT_AUTHORIZATION, Kind.FINANCIAL_CREDIT_AUTHORIZATION)
_ALL_PASSED = _PASSED * 6
_NO_CATEGORIES = _PASSED * 4 + _SKIPPED * 2
_UNKNOWN_CARD = _FAILED + _SKIPPED * 5


def screen(card: Card | None, request: Request, reason: Reason) -> str:
    """One digit a check (CheckResult), CARD_KNOWN first. `reason`, from `evaluate`, spares the common case the work."""
    if card is None:
        return _UNKNOWN_CARD
    table = card.profile.mcc_table if card.profile is not None and request.kind not in _CREDITS else None
    if reason is Reason.APPROVED or reason >= Reason.INSUFFICIENT_FUNDS:
        return _ALL_PASSED if table is not None else _NO_CATEGORIES
    states = (card.account.status, card.user.status, card.status)
    digits = _PASSED + "".join(_PASSED if status == "active" else _FAILED for status in states)
    if table is None:
        return digits + _SKIPPED * 2
    verdict = table[int(request.mcc)]
    # Blocked beats allowed in the table: of a blocked code it is not known whether it was allowed as well.
    allowed = {ALLOWED: _PASSED, NOT_ALLOWED: _FAILED, BLOCKED: _SKIPPED}[verdict]
    return digits + (_FAILED if verdict == BLOCKED else _PASSED) + allowed
