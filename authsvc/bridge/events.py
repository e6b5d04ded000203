"""What Lithic's events mean: read from JSON to what is done about them. Pure: no clock, no network, nothing kept.

Unknown keys are ignored and every field but the keys may be null or absent; what is money must be an integer.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from authsvc.bridge import fields
from authsvc.bridge.refusal import Refused
from rules.lifecycle import EventKind

TRANSACTION_UPDATED: Final = "card_transaction.updated"
# Of cards, their holders, their accounts and their rules: kept, whether or not anything is done about them.
KEPT_PREFIXES: Final = ("account_holder.", "account_holder_document.", "auth_rules.", "card.", "financial_account.")
# For metrics, which need few names: everything else there is "other".
KNOWN_TYPES: Final = frozenset(
    {
        TRANSACTION_UPDATED,
        "account_holder.created",
        "account_holder.updated",
        "account_holder.verification",
        "account_holder_document.updated",
        "auth_rules.backtest_report.created",
        "card.converted",
        "card.created",
        "card.pin_updated",
        "card.reissued",
        "card.renewed",
        "card.shipped",
        "card.updated",
        "financial_account.created",
        "financial_account.updated",
    }
)
STATUS_OF_STATE: Final = {
    "OPEN": "active",
    "PAUSED": "inactive",
    "CLOSED": "closed",
    "PENDING_ACTIVATION": "pending",
    "PENDING_FULFILLMENT": "pending",
}
# Never stored: what a card could be used with, and what proves who somebody is. Lower case, without underscores.
SECRET_MEMBERS: Final = frozenset(
    {
        "pan",
        "cardnumber",
        "primaryaccountnumber",
        "cvv",
        "cvv2",
        "cvc",
        "cvc2",
        "cid",
        "pin",
        "pinblock",
        "encryptedpan",
    }
    | {"encryptedpinblock", "track1", "track2", "trackdata", "dob", "governmentid", "ssn", "ssnlastfour"}
)
_WITHOUT_HOLD: Final = ("DECLINED", "EXPIRED", "VOIDED")
_CREDITS: Final = frozenset(
    {"CREDIT_AUTHORIZATION", "CREDIT_AUTHORIZATION_ADVICE", "FINANCIAL_CREDIT_AUTHORIZATION", "RETURN"}
    | {"RETURN_REVERSAL", "CORRECTION_CREDIT"}
)
_DEBITS: Final = frozenset({"AUTHORIZATION", "AUTHORIZATION_ADVICE", "FINANCIAL_AUTHORIZATION", "CORRECTION_DEBIT"})
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_TYPE_MAX: Final = 100
_TOKEN_MAX: Final = 128
_PLAIN_TOKEN_MAX: Final = 64
_CARD_TOKEN_MAX: Final = 255
_SHORT_TEXT_MAX: Final = 64
_DESCRIPTOR_MAX: Final = 255
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Snapshot(NamedTuple):
    """All that a transaction holds and has settled at an instant. `settled_minor` is below 0 when money came back.

    `merchant` is empty when it would not do to create a transaction. `steps` counts what had happened until then.
    """

    token: str
    card_token: str
    hold_minor: int
    settled_minor: int
    currency: str
    occurred_us: int
    transacted_us: int | None
    merchant: dict[str, str]
    is_expired: bool
    steps: int

    def messages(self) -> list[dict[str, Any]]:
        """The fields of the engine's messages. That a hold ran out is said beside the figures, which cannot tell it."""
        shared: dict[str, Any] = {
            "transaction_token": self.token,
            "currency": self.currency,
            "occurred_at": _datetime(self.occurred_us),
        }
        if self.merchant:
            shared |= {"card_token": self.card_token, "merchant": self.merchant}
        if self.merchant and self.transacted_us is not None:
            shared["transacted_at"] = _datetime(self.transacted_us)
        figures = {"amount_minor": self.hold_minor, "settled_minor": self.settled_minor}
        name = self._event_id()
        expiry = [shared | {"event_id": f"{name}:expiry", "kind": int(EventKind.EXPIRY)}] if self.is_expired else []
        return [*expiry, shared | figures | {"event_id": name, "kind": int(EventKind.SNAPSHOT)}]

    def _event_id(self) -> str:
        """Equal for equal states, whichever webhook brings them. Of one instant, the greater has seen more steps."""
        token = self.token if len(self.token) <= _PLAIN_TOKEN_MAX else _digest(self.token.encode())
        return f"lithic:{token}:{self.occurred_us:016}:{self.steps:04}:{_digest(orjson.dumps([*self]))}"


class CardState(NamedTuple):
    """A card's status, in this service's words."""

    card_token: str
    status: str


def type_of(said: Mapping[str, Any]) -> str:
    """The event's type. Raises `Refused` when it names none."""
    event_type = said.get("event_type")
    if isinstance(event_type, str) and len(event_type) <= _TYPE_MAX and _TYPE.fullmatch(event_type):
        return event_type
    raise Refused(400, "event_type")


def is_kept(event_type: str) -> bool:
    """Whether events of this type are stored; others are acknowledged and forgotten."""
    return event_type == TRANSACTION_UPDATED or event_type.startswith(KEPT_PREFIXES)


def effect_of(said: Mapping[str, Any]) -> Snapshot | CardState | None:
    """What is to be done about an event, None for nothing. Raises `Refused` when it should say more than it does."""
    event_type = type_of(said)
    if event_type == TRANSACTION_UPDATED:
        return _snapshot(said)
    if event_type.startswith("card."):
        return _card_state(said)
    return None


def storable(said: Mapping[str, Any]) -> str:
    """The event as JSON without the members that may not be stored, and without what PostgreSQL cannot store."""
    return orjson.dumps(_stripped(said)).decode()


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(name): _stripped(inner) for name, inner in value.items() if not _is_secret(name, inner)}
    if isinstance(value, list):
        return [_stripped(inner) for inner in value]
    return _plain(value) if isinstance(value, str) else value


def _is_secret(name: str, value: Any) -> bool:
    if name == "pan" and isinstance(value, str) and not any(map(str.isdigit, value)):
        # `pos.entry_mode.pan` says how the number was read.
        return False
    return name.lower().replace("_", "").replace("-", "") in SECRET_MEMBERS


def _plain(text: str) -> str:
    return text.replace("\x00", "")


def _snapshot(said: Mapping[str, Any]) -> Snapshot:
    status, amounts = said.get("status"), fields.part(said, "amounts")
    told, created = said.get("events"), said.get("created")
    steps = [step for step in told if isinstance(step, dict)] if isinstance(told, list) else []
    return Snapshot(
        fields.identifier(said.get("token"), _TOKEN_MAX, "token"),
        fields.identifier(said.get("card_token"), _CARD_TOKEN_MAX, "card_token"),
        0 if status in _WITHOUT_HOLD else _hold_minor(said, steps),
        _settled_minor(said, steps),
        _currency(amounts),
        fields.instant_us(said.get("updated"), "updated"),
        None if created is None else fields.instant_us(created, "created"),
        _merchant(said),
        status == "EXPIRED",
        len(steps),
    )


def _currency(amounts: Mapping[str, Any]) -> str:
    """One currency for everything, the cardholder's."""
    named = [fields.code(fields.part(amounts, name).get("currency")) for name in ("cardholder", "hold", "settlement")]
    currencies = {currency for currency in named if currency}
    if len(currencies) != 1:
        raise Refused(400, "currency")
    return currencies.pop()


def _hold_minor(said: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> int:
    amounts = fields.part(said, "amounts")
    hold_minor = fields.amount_minor(fields.part(amounts, "hold").get("amount"))
    if hold_minor is None and said.get("status") == "PENDING":
        cardholder = fields.part(amounts, "cardholder")
        hold_minor = fields.amount_minor(cardholder.get("amount"), said.get("authorization_amount"), said.get("amount"))
    kinds = {str(step.get("type")) for step in steps}
    # Credits hold nothing. Lithic shows them below zero; with its steps known, what they are counts, not the sign.
    is_credit = bool(kinds & _CREDITS) and not kinds & _DEBITS if kinds else (hold_minor or 0) < 0
    return 0 if is_credit else abs(hold_minor or 0)


def _settled_minor(said: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> int:
    """What is settled, below 0 when more came back than went. The steps know which way, if all of them are there."""
    settlement = fields.part(said, "amounts", "settlement")
    total_minor = fields.amount_minor(settlement.get("amount"), said.get("settled_amount")) or 0
    moved: list[int] = []
    for step in steps:
        step_minor = fields.amount_minor(fields.part(step, "amounts", "settlement").get("amount"))
        if step_minor and step.get("result") in (None, "APPROVED"):
            moved.append(-abs(step_minor) if step.get("effective_polarity") == "CREDIT" else abs(step_minor))
    if abs(sum(moved)) == abs(total_minor):
        return sum(moved)
    return -abs(total_minor) if moved and max(moved) < 0 else total_minor


def _merchant(said: Mapping[str, Any]) -> dict[str, str]:
    merchant = fields.part(said, "merchant")
    mcc = fields.text(merchant.get("mcc"))
    if not (len(mcc) == len("5812") and mcc.isascii() and mcc.isdigit()):
        return {}
    return {
        "acceptor_id": fields.text(merchant.get("acceptor_id"), _SHORT_TEXT_MAX),
        "descriptor": fields.text(merchant.get("descriptor"), _DESCRIPTOR_MAX),
        "mcc": mcc,
        "city": fields.text(merchant.get("city"), _SHORT_TEXT_MAX),
        "state": fields.text(merchant.get("state"), _SHORT_TEXT_MAX),
        "country": fields.code(merchant.get("country")),
    }


def _card_state(said: Mapping[str, Any]) -> CardState | None:
    """Of the events about cards, only those that name a state. Most of them say that something else has changed.

    Such news may close or pause the card, in case the change itself got lost. It never opens one: whoever paused the
    card here, and not at Lithic, would be overruled by a change of its memo.
    """
    state = said.get("state")
    status = STATUS_OF_STATE.get(state) if isinstance(state, str) else None
    if status is None:
        return None
    previous = said.get("previous_fields")
    if isinstance(previous, dict) and "state" not in previous and status in {"active", "pending"}:
        return None
    return CardState(fields.identifier(said.get("card_token"), _CARD_TOKEN_MAX, "card_token"), status)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _datetime(instant_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=instant_us)
