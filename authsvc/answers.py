"""From a verdict to an answer, to the explanation that is stored with it, and back: a replay says what was said."""

from dataclasses import dataclass, replace

import orjson

from authsvc.ports import AuthorizationRequest, Stored
from rules.reasons import CheckName, CheckResult, Decision, Reason, Window
from rules.screen import screen
from rules.types import Card, Check, Usage, Verdict


@dataclass(slots=True)
class Answer:
    """A decision as it is told.

    `balance_minor` and `available_minor` are after the decision, None when no counter took part.

    `screen` holds the results of checks 1 to 6, a digit each (rules.reasons.CheckResult); `checks` those after them.
    """

    request: AuthorizationRequest
    decision: Decision
    reason: Reason
    approved_minor: int
    balance_minor: int | None
    available_minor: int | None
    screen: str
    checks: tuple[Check, ...]
    timezone: str
    config_version: int
    transaction_id: int | None = None
    replayed: bool = False

    def every_check(self) -> list[Check]:
        """Checks 1 to 9 in order."""
        made = {check.name: check for check in self.checks}
        first = [Check(CheckName(i), CheckResult(int(digit))) for i, digit in enumerate(self.screen, start=1)]
        rest = (CheckName.FUNDS, CheckName.PROFILE_LIMIT, CheckName.CARD_LIMIT)
        return first + [made.get(name) or Check(name, CheckResult.SKIPPED) for name in rest]

    def again(self, request: AuthorizationRequest) -> "Answer":
        """The same answer for an equal request."""
        return replace(self, request=request, replayed=True)


def answer_of(
    request: AuthorizationRequest,
    card: Card | None,
    config_version: int,
    verdict: Verdict,
    usage: Usage | None,
    *,
    posts: bool,
) -> Answer:
    """`usage` is what the counters were before; `posts`: the approved amount left the balance instead of being held."""
    balance = available = None
    if usage is not None:
        available = usage.balance_minor - usage.held_minor - verdict.approved_minor
        balance = usage.balance_minor - verdict.approved_minor if posts else usage.balance_minor
    return Answer(
        request,
        verdict.decision,
        verdict.reason,
        verdict.approved_minor,
        balance,
        available,
        screen(card, request, verdict.reason),
        verdict.checks,
        card.account.timezone if card is not None else "UTC",
        config_version,
    )


def to_explanation(answer: Answer, decider: str, elapsed_us: int) -> bytes:
    """The JSON that is stored with the transaction: the answer, who decided, and how long it took to come to it."""
    return orjson.dumps(
        {
            "decision": answer.decision,
            "reason": answer.reason,
            "approved": answer.approved_minor,
            "balance": answer.balance_minor,
            "available": answer.available_minor,
            "screen": answer.screen,
            "checks": [tuple(check) for check in answer.checks],
            "timezone": answer.timezone,
            "node": decider,
            "us": elapsed_us,
        }
    )


def from_stored(request: AuthorizationRequest, stored: Stored) -> Answer:
    """The answer that was given, for a request that is equal to the one it was given to."""
    if stored.explanation is None:
        verdict = Verdict(Decision.DECLINED, Reason.UNKNOWN_CARD, 0, ())
        answer = answer_of(request, None, stored.config_version, verdict, None, posts=False)
    else:
        said = orjson.loads(stored.explanation)
        answer = Answer(
            request,
            Decision(said["decision"]),
            Reason(said["reason"]),
            said["approved"],
            said["balance"],
            said["available"],
            said["screen"],
            tuple(
                Check(CheckName(name), CheckResult(result), Window(window), *rest)
                for name, result, window, *rest in said["checks"]
            ),
            said["timezone"],
            stored.config_version,
        )
    answer.transaction_id = stored.transaction_id
    answer.replayed = True
    return answer
