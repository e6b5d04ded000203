"""What Lithic is told. Nothing here depends on the time or on what was said before: a repeat gets the same bytes."""

from typing import Any, Final, NamedTuple

import orjson

from authsvc.bridge.asa import AsaRequest
from rules.reasons import Decision, Reason

APPROVED: Final = "APPROVED"
# Every value that Lithic documents. There is no plain DECLINED, and any other word is recorded as a mistake of ours.
DOCUMENTED: Final = frozenset(
    {
        APPROVED,
        "AVS_INVALID",
        "CARD_PAUSED",
        "CHALLENGE",
        "DRIVER_NUMBER_INVALID",
        "INSUFFICIENT_FUNDS",
        "SUSPECTED_FRAUD",
        "UNAUTHORIZED_MERCHANT",
        "VEHICLE_NUMBER_INVALID",
        "VELOCITY_EXCEEDED",
    }
)

RESULT_OF_REASON: Final[dict[Reason, str]] = {
    Reason.APPROVED: APPROVED,
    Reason.UNKNOWN_CARD: "CARD_PAUSED",
    Reason.ACCOUNT_NOT_ACTIVE: "CARD_PAUSED",
    Reason.USER_NOT_ACTIVE: "CARD_PAUSED",
    Reason.CARD_PENDING: "CARD_PAUSED",
    Reason.CARD_INACTIVE: "CARD_PAUSED",
    Reason.CARD_CLOSED: "CARD_PAUSED",
    Reason.MCC_BLOCKED: "UNAUTHORIZED_MERCHANT",
    Reason.MCC_NOT_ALLOWED: "UNAUTHORIZED_MERCHANT",
    Reason.INSUFFICIENT_FUNDS: "INSUFFICIENT_FUNDS",
    Reason.PROFILE_LIMIT_EXCEEDED: "VELOCITY_EXCEEDED",
    Reason.CARD_LIMIT_EXCEEDED: "VELOCITY_EXCEEDED",
}


class Outcome(NamedTuple):
    """The engine's decision, as far as Lithic is told of it. Balances are None when no counter took part."""

    decision: Decision
    reason: Reason
    approved_minor: int
    balance_minor: int | None
    available_minor: int | None


def result_of(request: AsaRequest, outcome: Outcome) -> str:
    """Lithic's word for the decision."""
    if outcome.decision is Decision.APPROVED:
        return APPROVED
    if outcome.decision is Decision.PARTIALLY_APPROVED and request.partial_approval_capable:
        return APPROVED
    return RESULT_OF_REASON[outcome.reason]


def body_of(request: AsaRequest, outcome: Outcome) -> bytes:
    """The answer to a request that was decided."""
    result = result_of(request, outcome)
    answer: dict[str, Any] = {"result": result, "token": request.token}
    if result == APPROVED and outcome.decision is Decision.PARTIALLY_APPROVED:
        # The engine covers the hold, which may be more than the amount. Lithic is told no more than it asked for,
        # unless it asked for a hold alone.
        answer["approved_amount"] = min(outcome.approved_minor, request.amount_minor or outcome.approved_minor)
    balance_minor, available_minor = outcome.balance_minor, outcome.available_minor
    inquiry = result == APPROVED and request.kind == "BALANCE_INQUIRY"
    if inquiry and balance_minor is not None and available_minor is not None:
        answer["balance"] = {"amount": balance_minor, "available": max(0, available_minor)}
    return orjson.dumps(answer)


def fallback_body(token: str, result: str) -> bytes:
    """The answer when there is no decision."""
    return orjson.dumps({"result": result, "token": token} if token else {"result": result})
