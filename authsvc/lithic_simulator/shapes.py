"""The bodies that Lithic sends, in the shapes of its SDK's models. Pure."""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, NamedTuple

from authsvc.lithic_simulator.swipes import CREDITS, Swipe

ASA_EVENT: Final = "card_authorization.approval_request"
TRANSACTION_EVENT: Final = "card_transaction.updated"
CURRENCY: Final = "USD"
_SAMPLE_ACCOUNT: Final = "2c7f6a1e-0b64-4a3e-9f0d-5d1a9c3b7e42"
# What became of a decline by our answer, in the two vocabularies of a transaction. VELOCITY_EXCEEDED is not documented.
_OF_DECLINE: Final = {
    "CARD_PAUSED": ("CARD_PAUSED", "CARD_PAUSED"),
    "INSUFFICIENT_FUNDS": ("INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS"),
    "UNAUTHORIZED_MERCHANT": ("UNAUTHORIZED_MERCHANT", "UNAUTHORIZED_MERCHANT"),
    "VELOCITY_EXCEEDED": ("USER_TRANSACTION_LIMIT", "CARD_SPEND_LIMIT_EXCEEDED"),
    "SUSPECTED_FRAUD": ("SUSPECTED_FRAUD", "SUSPECTED_FRAUD"),
    "": ("UNKNOWN_HOST_TIMEOUT", "CUSTOMER_ASA_TIMEOUT"),
}
_OTHER_DECLINE: Final = ("DECLINED", "CUSTOM_ASA_RESULT")


class Event(NamedTuple):
    """One entry of a transaction's `events`. `amount_minor` is never negative; `is_credit` says which way."""

    token: str
    type: str
    amount_minor: int
    is_credit: bool
    moves_money: bool
    created: datetime


class Figures(NamedTuple):
    """A transaction after an event. `settled_minor` is below 0 when money came back."""

    status: str
    hold_minor: int
    settled_minor: int


def asa_request(swipe: Swipe) -> dict[str, Any]:
    """The authorization request about a swipe: CardAuthorizationApprovalRequestWebhookEvent."""
    amount, merchant_amount = swipe.amount_minor, _local_minor(swipe, swipe.amount_minor)
    foreign = swipe.merchant.currency != CURRENCY
    at_atm = swipe.merchant.terminal == "ATM"
    return {
        "event_type": ASA_EVENT,
        "token": swipe.token,
        "event_token": swipe.event_token,
        "status": swipe.kind,
        "transaction_initiator": "MERCHANT" if swipe.pan_entry == "CREDENTIAL_ON_FILE" else "CARDHOLDER",
        "created": _instant(swipe.created),
        "amounts": {
            "cardholder": {"amount": amount, "conversion_rate": swipe.merchant.rate, "currency": CURRENCY},
            "hold": {"amount": swipe.hold_minor, "currency": CURRENCY},
            "merchant": {"amount": merchant_amount, "currency": swipe.merchant.currency},
            "settlement": None,
        },
        "amount": amount,
        "authorization_amount": amount,
        "acquirer_fee": 0,
        "cash_amount": amount if at_atm else 0,
        "cashback": amount if at_atm else 0,
        "settled_amount": 0,
        "cardholder_currency": CURRENCY,
        "merchant_amount": merchant_amount,
        "merchant_currency": swipe.merchant.currency,
        "conversion_rate": float(swipe.merchant.rate) if foreign else None,
        "account_type": "CHECKING" if at_atm else None,
        "network": swipe.network,
        "network_risk_score": 120,
        "ttl": None,
        "card": _card(swipe),
        "merchant": _merchant(swipe),
        "avs": {"address": "500 SAMPLE ST", "zipcode": "10001", "address_on_file_match": "NOT_PRESENT"},
        "pos": _pos(swipe),
        "cardholder_authentication": None,
        "token_info": None,
        "fleet_info": None,
        "latest_challenge": None,
        "name_validation": None,
        "service_location": None,
        "network_specific_data": None,
    }


def transaction(swipe: Swipe, events: list[Event], figures: Figures, answer: str) -> dict[str, Any]:
    """The whole transaction after its last event: CardTransactionUpdatedWebhookEvent.

    `answer` is the `result` that we gave when we were asked, empty without one; it says why a declined one was.
    """
    result, detail = ("APPROVED", "APPROVED")
    if figures.status == "DECLINED":
        result, detail = _OF_DECLINE.get(answer, _OTHER_DECLINE)
    first = events[0]
    estimated_minor = _estimated_minor(first, figures)
    settled, currency = figures.settled_minor, swipe.merchant.currency
    return {
        "event_type": TRANSACTION_EVENT,
        "token": swipe.token,
        "account_token": _SAMPLE_ACCOUNT,
        "card_token": swipe.card_token,
        "status": figures.status,
        "result": result,
        "amounts": {
            "cardholder": {"amount": estimated_minor, "conversion_rate": swipe.merchant.rate, "currency": CURRENCY},
            "hold": {"amount": figures.hold_minor, "currency": CURRENCY},
            "merchant": {"amount": _local_minor(swipe, estimated_minor), "currency": currency},
            "settlement": {"amount": settled, "currency": CURRENCY},
        },
        "amount": estimated_minor,
        "authorization_amount": _signed(first) if swipe.is_asked else None,
        "settled_amount": settled,
        "merchant_amount": _local_minor(swipe, estimated_minor),
        "merchant_authorization_amount": _local_minor(swipe, _signed(first)) if swipe.is_asked else None,
        "merchant_currency": currency,
        "acquirer_fee": 0,
        "acquirer_reference_number": None,
        "authorization_code": first.token[:6].upper() if result == "APPROVED" and swipe.is_asked else None,
        "created": _instant(swipe.created),
        "updated": _instant(events[-1].created),
        "merchant": _merchant(swipe),
        "pos": _pos(swipe),
        "avs": {"address": "500 SAMPLE ST", "zipcode": "10001"},
        "network": swipe.network,
        "network_risk_score": 120,
        "cardholder_authentication": None,
        "financial_account_token": None,
        "service_location": None,
        "token_info": None,
        "tags": {},
        "events": [_event(swipe, event, result, detail) for event in events],
    }


def _event(swipe: Swipe, event: Event, result: str, detail: str) -> dict[str, Any]:
    amount, rate = _signed(event), swipe.merchant.rate
    merchant = {"amount": _local_minor(swipe, amount), "currency": swipe.merchant.currency}
    moved = {"amount": amount, "conversion_rate": rate, "currency": CURRENCY} if event.moves_money else None
    reference = {"acquirer_reference_number": None, "retrieval_reference_number": event.token[:8].upper()}
    declined = result != "APPROVED"
    return {
        "token": event.token,
        "type": event.type,
        "created": _instant(event.created),
        "amount": amount,
        "amounts": {
            "cardholder": {"amount": amount, "conversion_rate": rate, "currency": CURRENCY},
            "merchant": merchant,
            "settlement": moved,
        },
        "effective_polarity": "CREDIT" if event.is_credit else "DEBIT",
        "result": result,
        "detailed_results": [detail],
        "rule_results": [{"auth_rule_token": None, "explanation": None, "name": None, "result": detail}] * declined,
        "network_info": {"acquirer": reference, "amex": None, "mastercard": None, "visa": None},
        "network_specific_data": None,
        "account_type": None,
    }


def _estimated_minor(first: Event, figures: Figures) -> int:
    """What is or will be settled, as far as it is known."""
    if figures.status == "DECLINED":
        return _signed(first)
    if figures.status == "PENDING":
        return figures.hold_minor or _signed(first)
    return figures.settled_minor


def _signed(event: Event) -> int:
    """Below 0 where money comes back; a hold that shrinks is told by its polarity alone."""
    gives_back = event.is_credit and (event.moves_money or event.type in CREDITS)
    return -event.amount_minor if gives_back else event.amount_minor


def _card(swipe: Swipe) -> dict[str, Any]:
    return {
        "token": swipe.card_token,
        "last_four": f"{sum(swipe.card_token.encode()) % 10_000:04}",
        "memo": "Simulated",
        "spend_limit": 0,
        "spend_limit_duration": "TRANSACTION",
        "state": "OPEN",
        "tags": {},
        "type": "VIRTUAL",
    }


def _merchant(swipe: Swipe) -> dict[str, Any]:
    merchant = swipe.merchant
    return {
        # As on the wire: of 15 places, filled up.
        "acceptor_id": f"{merchant.mcc}{sum(merchant.descriptor.encode()) % 100_000:05}".ljust(15),
        "acquiring_institution_id": "10001",
        "descriptor": merchant.descriptor,
        "mcc": merchant.mcc,
        "city": merchant.city.upper(),
        "state": merchant.state,
        "country": merchant.country,
        "phone_number": None,
        "postal_code": None,
        "street_address": None,
    }


def _pos(swipe: Swipe) -> dict[str, Any]:
    here = swipe.merchant.terminal != "ECOMMERCE"
    by_cardholder = swipe.merchant.terminal != "POS_TERMINAL"
    return {
        "entry_mode": {
            "pan": swipe.pan_entry,
            "card": "PRESENT" if here else "NOT_PRESENT",
            "cardholder": "PRESENT" if here else "ELECTRONIC_ORDER",
            "pin_entered": swipe.merchant.terminal == "ATM",
        },
        "terminal": {
            "attended": not by_cardholder,
            "card_retention_capable": swipe.merchant.terminal == "ATM",
            "on_premise": here,
            "operator": "CARDHOLDER" if by_cardholder else "CARD_ACCEPTOR",
            "partial_approval_capable": swipe.partial_approval_capable,
            "pin_capability": "CAPABLE" if here else "UNSPECIFIED",
            "type": swipe.merchant.terminal,
            "acceptor_terminal_id": "T1".ljust(8),
        },
    }


def _local_minor(swipe: Swipe, amount_minor: int) -> int:
    """US cents in the merchant's currency, which has two decimals as well."""
    return int((amount_minor / Decimal(swipe.merchant.rate)).quantize(Decimal(1), ROUND_HALF_EVEN))


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
