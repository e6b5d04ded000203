"""Lithic's authorization request, read from its bytes. Pure: no clock, no network, nothing kept.

Unknown keys are ignored and every field but the keys may be null or absent; what is money must be an integer.
Whether a merchant category, a currency or a kind can be decided is left to the engine, which names the field.
"""

from typing import Any, Final, NamedTuple

from authsvc.bridge import fields
from authsvc.bridge.question import Amounts, Card, EntryMode, Merchant, Money, Pos, Question, Terminal, question_in
from authsvc.bridge.refusal import Refused

EVENT_TYPE: Final = "card_authorization.approval_request"
_TRANSACTION_TOKEN_MAX: Final = 128
_CARD_TOKEN_MAX: Final = 255
_SHORT_TEXT_MAX: Final = 64
_DESCRIPTOR_MAX: Final = 255
_SECOND_US: Final = 1_000_000
# What stands for a part that is not there.
_AMOUNTS, _MONEY, _CARD, _MERCHANT = Amounts(), Money(), Card(), Merchant()
_POS, _ENTRY_MODE, _TERMINAL = Pos(), EntryMode(), Terminal()
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

    `event_token` is empty and `transacted_us` None when Lithic sent none; `amount_minor` and `hold_minor` are never
    negative, whatever their sign was: `kind` says which way the money goes.
    """

    token: str
    event_token: str
    card_token: str
    kind: str
    amount_minor: int
    hold_minor: int
    currency: str
    transacted_us: int | None
    merchant: dict[str, Any]
    partial_approval_capable: bool
    entry_mode: str
    network: str

    def fields(self, request_id: str, transacted_us: int) -> dict[str, Any]:
        """The fields of the engine's message. The time is given, because Lithic may have sent none."""
        seconds, rest_us = divmod(transacted_us, _SECOND_US)
        return {
            "request_id": request_id,
            "transaction_token": self.token,
            "card_token": self.card_token,
            "kind": f"KIND_{self.kind}",
            "amount_minor": self.amount_minor,
            "hold_minor": self.hold_minor,
            "currency": self.currency,
            "transacted_at": {"seconds": seconds, "nanos": rest_us * 1_000},
            "merchant": self.merchant,
            "partial_approval_capable": self.partial_approval_capable,
            "entry_mode": f"ENTRY_MODE_{self.entry_mode}",
            "network": f"NETWORK_{self.network}",
        }


def parse(body: bytes) -> AsaRequest:
    """The request in the body. Raises `Refused` 400 and nothing else, whatever the bytes are."""
    said = question_in(body)
    if said.event_type not in (None, EVENT_TYPE):
        raise Refused(400, "event_type")
    status, network = said.status, said.network
    kind = status if isinstance(status, str) and status in KINDS else "UNSPECIFIED"
    currency, amount_minor, hold_minor = _money(said, kind)
    pos = said.pos or _POS
    mode = (pos.entry_mode or _ENTRY_MODE).pan
    return AsaRequest(
        fields.identifier(said.token, _TRANSACTION_TOKEN_MAX, "token"),
        fields.text(said.event_token),
        fields.identifier((said.card or _CARD).token, _CARD_TOKEN_MAX, "card_token"),
        kind,
        amount_minor,
        hold_minor,
        currency,
        None if said.created is None else fields.instant_us(said.created, "created"),
        _merchant(said),
        (pos.terminal or _TERMINAL).partial_approval_capable is True,
        ENTRY_MODES.get(mode, "UNSPECIFIED") if isinstance(mode, str) else "UNSPECIFIED",
        network if isinstance(network, str) and network in NETWORKS else "UNSPECIFIED",
    )


def _money(said: Question, kind: str) -> tuple[str, int, int]:
    """Currency, amount and hold: of `amounts`, else of the scalars that it replaces. Their sign is left out."""
    amounts = said.amounts or _AMOUNTS
    cardholder, hold = amounts.cardholder or _MONEY, amounts.hold or _MONEY
    currency = fields.code(cardholder.currency, said.cardholder_currency)
    amount = fields.amount_minor(cardholder.amount, said.authorization_amount, said.amount)
    if amount is None:
        if kind != "BALANCE_INQUIRY":
            raise Refused(400, "amount")
        amount = 0
    hold_minor = fields.amount_minor(hold.amount)
    if kind != "AUTHORIZATION" or hold_minor is None:
        # Of a single message the money moves at once: a hold would move more than was asked.
        return currency, abs(amount), 0
    if fields.code(hold.currency) not in ("", currency):
        raise Refused(400, "currency")
    return currency, abs(amount), abs(hold_minor)


def _merchant(said: Question) -> dict[str, Any]:
    merchant, paid = said.merchant or _MERCHANT, (said.amounts or _AMOUNTS).merchant or _MONEY
    told: dict[str, Any] = {
        "acceptor_id": fields.text(merchant.acceptor_id, _SHORT_TEXT_MAX),
        "descriptor": fields.text(merchant.descriptor, _DESCRIPTOR_MAX),
        "mcc": fields.text(merchant.mcc, _SHORT_TEXT_MAX),
        "city": fields.text(merchant.city, _SHORT_TEXT_MAX),
        "state": fields.text(merchant.state, _SHORT_TEXT_MAX),
        "country": fields.code(merchant.country),
        "currency": fields.code(paid.currency, said.merchant_currency),
    }
    amount_minor = fields.amount_minor(paid.amount, said.merchant_amount)
    if amount_minor is not None:
        told["amount_minor"] = abs(amount_minor)
    return told
