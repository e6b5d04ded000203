"""Lithic's authorization request, read from its bytes. Pure: no clock, no network, nothing kept.

Unknown keys are ignored and every field but the keys may be null or absent; what is money must be an integer.
Whether a merchant category, a currency or a kind can be decided is left to the engine, which names the field.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from authsvc.bridge.refusal import Refused

EVENT_TYPE: Final = "card_authorization.approval_request"
DEPTH_MAX: Final = 32
_INT64_MAX: Final = 2**63 - 1
_TRANSACTION_TOKEN_MAX: Final = 128
_CARD_TOKEN_MAX: Final = 255
_SHORT_TEXT_MAX: Final = 64
_DESCRIPTOR_MAX: Final = 255
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_CODE_LENGTH: Final = 3
_CODE: Final = re.compile(r"[A-Z]{3}")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*", re.DOTALL)
KINDS: Final = frozenset(
    {
        "AUTHORIZATION",
        "FINANCIAL_AUTHORIZATION",
        "CREDIT_AUTHORIZATION",
        "FINANCIAL_CREDIT_AUTHORIZATION",
        "BALANCE_INQUIRY",
    }
)
ENTRY_MODES: Final = {
    "ICC": "CHIP",
    "MAGNETIC_STRIPE": "MAGNETIC_STRIPE",
    "ERROR_MAGNETIC_STRIPE": "MAGNETIC_STRIPE",
    "CONTACTLESS": "CONTACTLESS",
    "MANUAL": "MANUAL",
    "KEY_ENTERED": "MANUAL",
    "ERROR_KEYED": "MANUAL",
    "ECOMMERCE": "ECOMMERCE",
    "CREDENTIAL_ON_FILE": "CREDENTIAL_ON_FILE",
    "AUTO_ENTRY": "OTHER",
    "BAR_CODE": "OTHER",
    "OCR": "OTHER",
    "SECURE_CARDLESS": "OTHER",
}
NETWORKS: Final = frozenset({"AMEX", "INTERLINK", "MAESTRO", "MASTERCARD", "VISA"})


class AsaRequest(NamedTuple):
    """What the engine is asked. `kind`, `entry_mode` and `network` are names of the contract without their prefix.

    `event_token` is empty and `transacted_at` None when Lithic sent none; `amount_minor` and `hold_minor` are never
    negative, whatever their sign was: `kind` says which way the money goes.
    """

    token: str
    event_token: str
    card_token: str
    kind: str
    amount_minor: int
    hold_minor: int
    currency: str
    transacted_at: datetime | None
    merchant: dict[str, Any]
    partial_approval_capable: bool
    entry_mode: str
    network: str

    def fields(self, request_id: str, transacted_at: datetime) -> dict[str, Any]:
        """The fields of the engine's message. The time is given, because Lithic may have sent none."""
        return {
            "request_id": request_id,
            "transaction_token": self.token,
            "card_token": self.card_token,
            "kind": f"KIND_{self.kind}",
            "amount_minor": self.amount_minor,
            "hold_minor": self.hold_minor,
            "currency": self.currency,
            "transacted_at": transacted_at,
            "merchant": self.merchant,
            "partial_approval_capable": self.partial_approval_capable,
            "entry_mode": f"ENTRY_MODE_{self.entry_mode}",
            "network": f"NETWORK_{self.network}",
        }


def parse(body: bytes) -> AsaRequest:
    """The request in the body. Raises `Refused` 400 and nothing else, whatever the bytes are."""
    said = _object_in(body)
    if said.get("event_type") not in (None, EVENT_TYPE):
        raise Refused(400, "event_type")
    status = said.get("status")
    kind = status if isinstance(status, str) and status in KINDS else "UNSPECIFIED"
    currency, amount_minor, hold_minor = _money(said, kind)
    pos = _part(said, "pos")
    network = said.get("network")
    mode = _part(pos, "entry_mode").get("pan")
    return AsaRequest(
        _identifier(said.get("token"), _TRANSACTION_TOKEN_MAX, "token"),
        _text(said.get("event_token"), None),
        _identifier(_part(said, "card").get("token"), _CARD_TOKEN_MAX, "card_token"),
        kind,
        amount_minor,
        hold_minor,
        currency,
        _instant(said.get("created")),
        _merchant(said),
        _part(pos, "terminal").get("partial_approval_capable") is True,
        ENTRY_MODES.get(mode, "UNSPECIFIED") if isinstance(mode, str) else "UNSPECIFIED",
        network if isinstance(network, str) and network in NETWORKS else "UNSPECIFIED",
    )


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "json") from error
    if not isinstance(value, dict):
        raise Refused(400, "not_an_object")
    # It cannot be deeper than it has brackets, and a usual request has few: only a strange one is walked through.
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX and _is_deep(value):
        raise Refused(400, "deep")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _part(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = said.get(name)
    return part if isinstance(part, dict) else {}


def _money(said: Mapping[str, Any], kind: str) -> tuple[str, int, int]:
    """Currency, amount and hold: of `amounts`, else of the scalars that it replaces."""
    amounts = _part(said, "amounts")
    cardholder, hold = _part(amounts, "cardholder"), _part(amounts, "hold")
    currency = _code(cardholder.get("currency")) or _code(said.get("cardholder_currency"))
    amount = _first_minor(cardholder.get("amount"), said.get("authorization_amount"), said.get("amount"))
    if amount is None:
        if kind != "BALANCE_INQUIRY":
            raise Refused(400, "amount")
        amount = 0
    hold_minor = _first_minor(hold.get("amount"))
    if kind != "AUTHORIZATION" or hold_minor is None:
        # Of a single message the money moves at once: a hold would move more than was asked.
        return currency, amount, 0
    if _code(hold.get("currency")) not in ("", currency):
        raise Refused(400, "currency")
    return currency, amount, hold_minor


def _first_minor(*values: Any) -> int | None:
    """The first that is there, without its sign. An amount that is no integer of 64 bits is refused, never rounded."""
    for value in values:
        if value is None:
            continue
        if type(value) is not int or abs(value) > _INT64_MAX:
            raise Refused(400, "amount")
        return abs(value)
    return None


def _merchant(said: Mapping[str, Any]) -> dict[str, Any]:
    merchant, paid = _part(said, "merchant"), _part(_part(said, "amounts"), "merchant")
    fields: dict[str, Any] = {
        "acceptor_id": _text(merchant.get("acceptor_id"), _SHORT_TEXT_MAX),
        "descriptor": _text(merchant.get("descriptor"), _DESCRIPTOR_MAX),
        "mcc": _text(merchant.get("mcc"), _SHORT_TEXT_MAX),
        "city": _text(merchant.get("city"), _SHORT_TEXT_MAX),
        "state": _text(merchant.get("state"), _SHORT_TEXT_MAX),
        "country": _code(merchant.get("country")),
        "currency": _code(paid.get("currency")) or _code(said.get("merchant_currency")),
    }
    amount_minor = _first_minor(paid.get("amount"), said.get("merchant_amount"))
    if amount_minor is not None:
        fields["amount_minor"] = amount_minor
    return fields


def _text(value: Any, length_max: int | None) -> str:
    """Without control characters and padding, cut to what the engine takes; empty when it is no text."""
    if not isinstance(value, str):
        return ""
    # Printable text, which nearly all is, holds no control characters: the look costs less than the pattern.
    clean = value if value.isprintable() else _CONTROL.sub("", value)
    return clean.strip()[:length_max].rstrip()


def _code(value: Any) -> str:
    """A code of three capital letters, or nothing."""
    if not isinstance(value, str):
        return ""
    if len(value) == _CODE_LENGTH and value.isascii() and value.isalpha() and value.isupper():
        return value
    code = _text(value, None)
    return code if _CODE.fullmatch(code) else ""


def _identifier(value: Any, length_max: int, why: str) -> str:
    if isinstance(value, str) and 0 < len(value) <= length_max and value.isascii() and value.isprintable():
        return value
    raise Refused(400, why)


def _instant(value: Any) -> datetime | None:
    """The instant of an RFC 3339 text, None when there is none. Without an offset it is UTC, as Lithic says."""
    if value is None:
        return None
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise Refused(400, "created")
    try:
        at = datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise Refused(400, "created") from error
    # What the engine takes, less a day or a year at the edges that no zone can push it over.
    if not _FIRST_YEAR < at.year <= _LAST_YEAR:
        raise Refused(400, "created")
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
