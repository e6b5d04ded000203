"""Lithic as a caller: authorization requests of its shape, signed as it signs, and its own SDK as the judge of both."""

import base64
import copy
from collections.abc import Mapping
from typing import Any, Final

import orjson
from lithic.types import CardAuthorizationApprovalRequestWebhookEvent

from authsvc.bridge.signature import key_of, sign

KEY: Final = bytes(range(32))
SECRET: Final = "whsec_" + base64.b64encode(KEY).decode()
OTHER_SECRET: Final = "whsec_" + base64.b64encode(KEY[::-1]).decode()
TOKEN: Final = "3d6f0a52-51c1-4a7e-9a0b-6b1f5c2e8d90"

_REQUEST: Final[dict[str, Any]] = {
    "event_type": "card_authorization.approval_request",
    "token": TOKEN,
    "event_token": None,
    "status": "AUTHORIZATION",
    "transaction_initiator": "CARDHOLDER",
    "created": "2025-11-20T12:00:00Z",
    "amounts": {
        "cardholder": {"amount": 1_250, "conversion_rate": "1.250000", "currency": "USD"},
        "hold": {"amount": 1_250, "currency": "USD"},
        "merchant": {"amount": 1_000, "currency": "EUR"},
        "settlement": None,
    },
    "amount": 1_250,
    "authorization_amount": 1_250,
    "acquirer_fee": 0,
    "cash_amount": 0,
    "cashback": 0,
    "settled_amount": 0,
    "cardholder_currency": "USD",
    "merchant_amount": 1_000,
    "merchant_currency": "EUR",
    "conversion_rate": 1.25,
    "account_type": None,
    "network": "VISA",
    "network_risk_score": 120,
    "ttl": None,
    "card": {
        "token": "card_demo_open",
        "last_four": "0017",
        "memo": "Tests",
        "spend_limit": 0,
        "spend_limit_duration": "TRANSACTION",
        "state": "OPEN",
        "tags": {"team": "blue"},
        "type": "VIRTUAL",
    },
    "merchant": {
        "acceptor_id": "ACCEPTOR-0001   ",
        "acquiring_institution_id": "10001",
        "descriptor": "BISTRO NINE",
        "mcc": "5812",
        "city": "LYON",
        "state": "ARA",
        "country": "FRA",
        "postal_code": "69001",
        "street_address": None,
        "phone_number": None,
    },
    "avs": {"address": "500 SAMPLE ST", "zipcode": "10001", "address_on_file_match": "NOT_PRESENT"},
    "pos": {
        "entry_mode": {"pan": "ICC", "card": "PRESENT", "cardholder": "PRESENT", "pin_entered": True},
        "terminal": {
            "attended": True,
            "card_retention_capable": False,
            "on_premise": True,
            "operator": "CARD_ACCEPTOR",
            "partial_approval_capable": False,
            "pin_capability": "CAPABLE",
            "type": "POS_TERMINAL",
            "acceptor_terminal_id": "T1      ",
        },
    },
    "cardholder_authentication": None,
    "token_info": None,
    "fleet_info": None,
    "latest_challenge": None,
    "name_validation": None,
    "service_location": None,
    "network_specific_data": None,
}


def asa_request(
    card: str = "card_demo_open",
    amount_minor: int = 1_250,
    *,
    mcc: str = "5812",
    hold_minor: int | None = None,
    currency: str = "USD",
    partial: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """A request as Lithic sends it; `changes` replace whole fields."""
    body = copy.deepcopy(_REQUEST)
    body["card"]["token"] = card
    body["amount"] = body["authorization_amount"] = body["amounts"]["cardholder"]["amount"] = amount_minor
    body["amounts"]["hold"]["amount"] = amount_minor if hold_minor is None else hold_minor
    body["cardholder_currency"] = body["amounts"]["cardholder"]["currency"] = currency
    body["amounts"]["hold"]["currency"] = currency
    body["merchant"]["mcc"] = mcc
    body["pos"]["terminal"]["partial_approval_capable"] = partial
    return body | changes


def encoded(request: Mapping[str, Any]) -> bytes:
    """The body, after Lithic's own model has accepted it and known each of its fields."""
    event = CardAuthorizationApprovalRequestWebhookEvent.model_validate(request)
    assert not event.model_extra
    return orjson.dumps(request)


def signed_headers(body: bytes, message_id: str, now_s: int, secret: str = SECRET) -> dict[str, str]:
    """What Lithic sends with the body."""
    return {"content-type": "application/json", **sign(key_of(secret), message_id, now_s, body)}
