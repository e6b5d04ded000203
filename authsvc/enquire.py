"""What is asked without deciding: a card, what its counters say, how a request would end."""

from authsvc.answers import Answer, answer_of
from authsvc.errors import InvalidRequest, Unavailable
from authsvc.ports import Ask, AuthorizationRequest, Counters, Directory, Reserved
from authsvc.repair import Repair
from loader.records import SourceUnavailable
from rules.evaluate import evaluate, settle, verdict_without_counters
from rules.plan import plan_for
from rules.reasons import Kind, Reason
from rules.types import Card, Plan, Usage


async def fetch(directory: Directory, token: str) -> Card | None:
    """The card from the database; None when no card has this token."""
    try:
        return await directory.fetch(token)
    except SourceUnavailable as error:
        raise Unavailable("database") from error


def check_currency(card: Card | None, request: AuthorizationRequest) -> None:
    """Amounts are told in the account's currency; there is no conversion here."""
    if card is not None and card.account.currency != request.currency:
        raise InvalidRequest("currency", f"must be the account's, {card.account.currency}")


class Enquiry:
    """Reads; reserves and records nothing."""

    def __init__(self, directory: Directory, counters: Counters, repair: Repair, *, attempts_max: int) -> None:
        """`attempts_max` bounds how often counters that keep getting lost are brought back for one question."""
        self._directory = directory
        self._counters = counters
        self._repair = repair
        self._attempts_max = attempts_max

    async def card(self, token: str) -> Card | None:
        """The card as it is in memory, fetched if need be."""
        return self._directory.peek(token) or await fetch(self._directory, token)

    async def usage(self, card: Card, plan: Plan) -> Usage:
        """What the counters of a plan say now."""
        account_id = card.account.id
        # Nothing is committed here, so no fence tells that the counters are outdated.
        await self._repair.look(account_id)
        for _ in range(self._attempts_max):
            epoch_min = self._repair.epoch_min(account_id)
            ask = Ask(account_id, epoch_min, "", plan, 0, partial=False, posts=False, moves=False)
            (result,) = await self._counters.reserve([ask], [])
            if isinstance(result, Reserved):
                return result.usage
            await self._repair.mend(account_id, plan, result)
        raise Unavailable("counters")

    async def simulate(self, request: AuthorizationRequest) -> Answer:
        """The full evaluation, by the counters as they are now."""
        card = await self.card(request.card_token)
        check_currency(card, request)
        config_version = card.account.config_version if card is not None else 0
        reason, plan = evaluate(card, request)
        verdict, usage = verdict_without_counters(reason, request), None
        if card is not None and (plan is not None or (reason is not Reason.APPROVED and request.amount_minor)):
            plan = plan or plan_for(card, request.transacted_at_us)
            usage = await self.usage(card, plan)
            settled = settle(plan, request, usage)
            verdict = settled if reason is Reason.APPROVED else verdict._replace(checks=settled.checks)
        posts = request.kind is Kind.FINANCIAL_AUTHORIZATION
        return answer_of(request, card, config_version, verdict, usage, posts=posts)
