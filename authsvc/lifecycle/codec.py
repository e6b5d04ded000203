"""The wire contract of the lifecycle on one side, its shapes on the other."""

from typing import Any, Final

from authsvc import codec
from authsvc.answers import Answer
from authsvc.errors import InvalidRequest
from authsvc.lifecycle.funding import Adjusted, Adjustment, AdjustmentKind
from authsvc.lifecycle.increments import Increment
from authsvc.lifecycle.messages import Applied, Message, Origin, Told
from authsvc.v1 import transactions_pb2 as pb
from rules.lifecycle import Event, EventKind, State, Status
from rules.money import EXPONENT

_KINDS: Final = {
    int(number): EventKind(number) for number in pb.EventKind.values() if number not in (0, pb.EVENT_KIND_INCREMENT)
}
_ADJUSTMENTS: Final = {kind.value: kind for kind in AdjustmentKind}
_REASON_MAX: Final = 255
_ACCOUNT_TOKEN_MAX: Final = 255
_ID_MAX: Final = 2**31 - 1
_STATUSES: Final = {status: pb.TransactionStatus.Value(f"TRANSACTION_STATUS_{status.value}") for status in Status}
_WITHOUT_AMOUNT: Final = frozenset({EventKind.REVERSAL, EventKind.EXPIRY})


def message_of(message: pb.ApplyEventRequest, now_us: int) -> Message:
    """A valid message. Raises `InvalidRequest` with the first field that is wrong."""
    kind = _KINDS.get(message.kind)
    if kind is None:
        raise InvalidRequest("kind", "must be one of the known kinds" if message.kind else "is required")
    if message.currency not in EXPONENT:
        raise InvalidRequest("currency", "must be the ISO 4217 code of an active currency, like USD")
    event = Event(
        kind,
        codec.past_us("occurred_at", message.occurred_at if message.HasField("occurred_at") else None, now_us),
        codec.identifier("event_id", message.event_id),
        _amount(message, kind),
        message.is_final,
        message.settled_minor,
    )
    if event.settled_minor and kind is not EventKind.SNAPSHOT:
        raise InvalidRequest("settled_minor", "is only for a snapshot")
    if event.is_final and kind is not EventKind.CLEARING:
        raise InvalidRequest("is_final", "is only for a clearing")
    transaction_id, token = target_of(message)
    origin = _origin(message, event, now_us)
    return Message(event, codec.fingerprint_of(message), transaction_id, token, message.currency, origin)


def is_increment(message: pb.ApplyEventRequest) -> bool:
    """Is it to be decided, rather than applied?"""
    return message.kind == pb.EVENT_KIND_INCREMENT


def increment_of(message: pb.ApplyEventRequest, now_us: int) -> Increment:
    """A valid increment. Raises `InvalidRequest` with the first field that is wrong."""
    if message.currency not in EXPONENT:
        raise InvalidRequest("currency", "must be the ISO 4217 code of an active currency, like USD")
    occurred_us = codec.past_us("occurred_at", message.occurred_at if message.HasField("occurred_at") else None, now_us)
    for field in ("card_token", "settled_minor", "is_final"):
        if getattr(message, field):
            raise InvalidRequest(field, "must be absent: an increment adds to a transaction that is known")
    transaction_id, token = target_of(message)
    if not message.HasField("amount_minor"):
        raise InvalidRequest("amount_minor", "is required")
    amount_minor = codec.amount("amount_minor", message.amount_minor, message.currency)
    event_id = codec.identifier("event_id", message.event_id)
    fingerprint = codec.fingerprint_of(message)
    return Increment(event_id, fingerprint, transaction_id, token, amount_minor, message.currency, occurred_us)


def adjustment_of(message: pb.AdjustBalanceRequest) -> Adjustment:
    """A valid adjustment. Raises `InvalidRequest` with the first field that is wrong."""
    kind = _ADJUSTMENTS.get(message.kind)
    if kind is None:
        raise InvalidRequest("kind", "must be one of the known kinds" if message.kind else "is required")
    if message.currency not in EXPONENT:
        raise InvalidRequest("currency", "must be the ISO 4217 code of an active currency, like USD")
    if not message.amount_minor:
        raise InvalidRequest("amount_minor", "must be more than 0")
    reason = codec.text("reason", message.reason, _REASON_MAX)
    if not reason.strip():
        raise InvalidRequest("reason", "is required")
    if not 0 <= message.account_id <= _ID_MAX:
        raise InvalidRequest("account_id", "is not the number of an account")
    if message.account_id and message.account_token:
        raise InvalidRequest("account_token", "must be empty when account_id is given")
    account_token = message.account_token
    if not message.account_id:
        account_token = codec.identifier("account_token", account_token, _ACCOUNT_TOKEN_MAX)
    return Adjustment(
        codec.identifier("adjustment_id", message.adjustment_id),
        codec.fingerprint_of(message),
        message.account_id,
        account_token,
        kind,
        codec.amount("amount_minor", message.amount_minor, message.currency),
        message.currency,
        reason,
    )


def target_of(message: pb.ApplyEventRequest | pb.GetTransactionRequest) -> tuple[int, str]:
    """The transaction's id, or 0 and its token."""
    if message.transaction_id < 0:
        raise InvalidRequest("transaction_id", "must not be negative")
    if message.transaction_id and message.transaction_token:
        raise InvalidRequest("transaction_token", "must be empty when transaction_id is given")
    if message.transaction_id:
        return message.transaction_id, ""
    return 0, codec.identifier("transaction_token", message.transaction_token)


def _amount(message: pb.ApplyEventRequest, kind: EventKind) -> int | None:
    if not message.HasField("amount_minor"):
        if kind in _WITHOUT_AMOUNT:
            return None
        raise InvalidRequest("amount_minor", "is required")
    if kind is EventKind.EXPIRY:
        raise InvalidRequest("amount_minor", "must be absent: an expiry ends the whole hold")
    codec.amount("settled_minor", abs(message.settled_minor), message.currency)
    return codec.amount("amount_minor", message.amount_minor, message.currency)


def _origin(message: pb.ApplyEventRequest, event: Event, now_us: int) -> Origin | None:
    if not message.card_token:
        return None
    merchant = message.merchant
    if not codec.is_mcc(merchant.mcc):
        raise InvalidRequest("merchant.mcc", "must be four digits")
    at_us = event.occurred_us
    if message.HasField("transacted_at"):
        at_us = codec.past_us("transacted_at", message.transacted_at, now_us)
    codec.check_merchant(merchant)
    return Origin(
        codec.card_token(message.card_token),
        at_us,
        merchant.mcc,
        merchant.acceptor_id,
        merchant.descriptor,
        merchant.city,
        merchant.state,
        merchant.country,
    )


def write_applied(response: pb.ApplyEventResponse, event_id: str, applied: Applied) -> None:
    """Write what came of a message into an empty answer."""
    response.event_id = event_id
    response.transaction_id = applied.transaction_id
    _write_state(response, applied.state)
    response.replayed = applied.is_replay


def write_decided(response: pb.ApplyEventResponse, event_id: str, applied: Applied, answer: Answer) -> None:
    """Write what came of an increment into an empty answer."""
    write_applied(response, event_id, applied)
    codec.write_response(response.decision, answer, 0, list_checks=False)
    response.decision.request_id = event_id


def adjusted_of(adjustment_id: str, adjusted: Adjusted) -> pb.AdjustBalanceResponse:
    """The account's funds on the wire."""
    return pb.AdjustBalanceResponse(
        adjustment_id=adjustment_id,
        account_id=adjusted.account_id,
        balance_minor=adjusted.balance_minor,
        available_balance_minor=adjusted.balance_minor - adjusted.held_minor,
        replayed=adjusted.is_replay,
    )


def transaction_of(told: Told) -> pb.Transaction:
    """A transaction on the wire."""
    message = pb.Transaction(
        transaction_id=told.transaction_id,
        transaction_token=told.transaction_token,
        card_token=told.card_token,
        currency=told.currency,
        approved_minor=told.approved_minor,
    )
    codec.set_timestamp(message.transacted_at, told.transacted_at_us)
    _write_state(message, told.state)
    for event in told.events:
        kind: Any = int(event.kind)
        line = message.events.add(
            event_id=event.identity, kind=kind, settled_minor=event.settled_minor, is_final=event.is_final
        )
        if event.amount_minor is not None:
            line.amount_minor = event.amount_minor
        codec.set_timestamp(line.occurred_at, event.occurred_us)
    return message


def _write_state(message: pb.ApplyEventResponse | pb.Transaction, state: State) -> None:
    status: Any = _STATUSES[state.status]
    message.status = status
    message.held_minor = state.held_minor
    message.settled_minor = state.settled_minor
    message.credited_minor = state.credited_minor
