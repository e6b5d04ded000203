"""An increment: more is asked for under a transaction that is open. It is decided, like what it adds to."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from authsvc.answers import Answer
from authsvc.errors import EventIdReused, InvalidRequest, NotFound, RequestIdReused
from authsvc.lifecycle.apply import Lifecycle
from authsvc.lifecycle.messages import Applied, EventLedger, Opened
from authsvc.ports import AuthorizationRequest
from rules.reasons import Kind

Decide = Callable[[AuthorizationRequest, float], Awaitable[Answer]]
_PREFIX: Final = "increment:"
_REQUEST_ID_MAX: Final = 128


class Increment(NamedTuple):
    """What the network asks. `fingerprint` is of the whole message."""

    event_id: str
    fingerprint: bytes
    transaction_id: int
    transaction_token: str
    amount_minor: int
    currency: str
    occurred_us: int


class Increments:
    """Decides increments and adds them to their transactions."""

    def __init__(self, ledger: EventLedger, lifecycle: Lifecycle, decide: Decide) -> None:
        """`decide` takes a request and a deadline in monotonic seconds."""
        self._ledger = ledger
        self._lifecycle = lifecycle
        self._decide = decide

    async def apply(self, increment: Increment, deadline_s: float) -> tuple[Applied, Answer]:
        """What the transaction counts now, and the decision. A declined increment leaves it as it was.

        Raises `NotFound` for a transaction that nobody knows.
        """
        opened = await self._ledger.opened(increment.transaction_id, increment.transaction_token)
        if opened is None:
            raise NotFound("no such transaction")
        if opened.currency != increment.currency:
            raise InvalidRequest("currency", "is not the transaction's")
        try:
            answer = await self._decide(_request(increment, opened), deadline_s)
        except RequestIdReused as error:
            raise EventIdReused from error
        # Messages that happened after it may be here already, and have the last word.
        applied = await self._lifecycle.restate(opened.transaction_id)
        return applied._replace(is_replay=answer.replayed), answer


def _request(increment: Increment, opened: Opened) -> AuthorizationRequest:
    origin = opened.origin
    return AuthorizationRequest(
        kind=Kind.AUTHORIZATION,
        amount_minor=increment.amount_minor,
        mcc=origin.mcc,
        transacted_at_us=origin.transacted_at_us,
        partial_approval_capable=False,
        request_id=_request_id(increment.event_id),
        fingerprint=increment.fingerprint,
        card_token=origin.card_token,
        currency=increment.currency,
        asked_minor=increment.amount_minor,
        transaction_token=opened.transaction_token,
        merchant_id=origin.merchant_id,
        merchant_name=origin.merchant_name,
        merchant_city=origin.merchant_city,
        merchant_state=origin.merchant_state,
        merchant_country=origin.merchant_country,
        merchant_amount_minor=None,
        merchant_currency="",
        entry_mode="",
        network="",
        explain=False,
        happened_us=increment.occurred_us,
    )


def _request_id(event_id: str) -> str:
    if len(_PREFIX) + len(event_id) <= _REQUEST_ID_MAX:
        return _PREFIX + event_id
    return _PREFIX + hashlib.sha256(event_id.encode()).hexdigest()
