"""Lithic as a load: authorization requests of its shape and size, signed, as whole HTTP requests; and their answers."""

import base64
import json
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from authsvc.bridge.app import ASA_PATH
from authsvc.bridge.signature import sign
from bench.lanes import Tally
from bench.traffic import DIGITS, Swipe

KEY: Final = bytes(range(100, 132))
SECRET: Final = "whsec_" + base64.b64encode(KEY).decode()
APPROVED, DECLINED = 1, 3
_HOLE: Final = "~{}~"
# Everything that Lithic sends; about 2 kB, as the requests of its documentation.
_REQUEST: Final[dict[str, Any]] = {
    "event_type": "card_authorization.approval_request",
    "token": _HOLE.format("token"),
    "event_token": _HOLE.format("event_token"),
    "status": "AUTHORIZATION",
    "transaction_initiator": "CARDHOLDER",
    "created": _HOLE.format("created"),
    "amounts": {
        "cardholder": {"amount": _HOLE.format("amount"), "conversion_rate": "1.000000", "currency": "USD"},
        "hold": {"amount": _HOLE.format("amount"), "currency": "USD"},
        "merchant": {"amount": _HOLE.format("amount"), "currency": "USD"},
        "settlement": None,
    },
    "amount": _HOLE.format("amount"),
    "authorization_amount": _HOLE.format("amount"),
    "acquirer_fee": 0,
    "cash_amount": 0,
    "cashback": 0,
    "settled_amount": 0,
    "cardholder_currency": "USD",
    "merchant_amount": _HOLE.format("amount"),
    "merchant_currency": "USD",
    "conversion_rate": 1.0,
    "account_type": None,
    "network": "VISA",
    "network_risk_score": 87,
    "ttl": None,
    "card": {
        "token": _HOLE.format("card"),
        "last_four": "0421",
        "memo": "Travel and subsistence",
        "spend_limit": 500_000,
        "spend_limit_duration": "MONTHLY",
        "state": "OPEN",
        "tags": {"team": "north"},
        "type": "VIRTUAL",
    },
    "merchant": {
        "acceptor_id": "174030075991   ",
        "acquiring_institution_id": "333301802529120",
        "descriptor": _HOLE.format("descriptor"),
        "mcc": _HOLE.format("mcc"),
        "city": "SEATTLE",
        "state": "WA",
        "country": "USA",
        "postal_code": "98101",
        "street_address": "12 HARBOUR STREET",
        "phone_number": None,
    },
    "avs": {"address": "12 HARBOUR STREET", "zipcode": "98101", "address_on_file_match": "MATCH"},
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
            "acceptor_terminal_id": "00000042",
        },
    },
    "cardholder_authentication": {
        "authentication_method": "NONE",
        "authentication_result": "NONE",
        "decision_made_by": "UNKNOWN",
        "liability_shift": "NONE",
        "three_ds_authentication_token": None,
    },
    "token_info": None,
    "fleet_info": None,
    "latest_challenge": None,
    "name_validation": None,
    "service_location": None,
    "network_specific_data": {
        "mastercard": None,
        "visa": {"business_application_identifier": None},
    },
}


def _template() -> str:
    """The request as text for `%`; numbers lose the quotes of their holes."""
    text = json.dumps(_REQUEST).replace("%", "%%").replace('"~amount~"', "%(amount)d")
    for name in ("token", "event_token", "created", "card", "descriptor", "mcc"):
        text = text.replace(_HOLE.format(name), f"%({name})s")
    return text


_TEMPLATE: Final = _template()


def body(swipe: Swipe, event_token: str, created: str) -> bytes:
    """The body of an authorization request."""
    fields = {
        "token": f"txn-{event_token}",
        "event_token": event_token,
        "created": created,
        "amount": swipe.amount_minor,
        "card": swipe.card_token,
        "descriptor": swipe.descriptor,
        "mcc": swipe.mcc,
    }
    return (_TEMPLATE % fields).encode()


def calls(traffic: Iterator[Swipe], count: int, run: str, transacted_at_us: int, now_s: int) -> deque[bytes]:
    """At most `count` requests, signed at `now_s`; the event tokens are `run` and the place in the list."""
    created = datetime.fromtimestamp(transacted_at_us / 1e6, UTC).isoformat()
    signed: deque[bytes] = deque()
    for at, swipe in zip(range(count), traffic, strict=False):
        name = f"{run}-{at:0{DIGITS}}"
        content = body(swipe, name, created)
        headers = {
            "host": "bridge.example",
            "user-agent": "authsvc-bench",
            "accept": "*/*",
            "content-type": "application/json",
            "content-length": str(len(content)),
            **sign(KEY, f"msg_{name}", now_s, content),
        }
        lines = "".join(f"{field}: {value}\r\n" for field, value in headers.items())
        signed.append(f"POST {ASA_PATH} HTTP/1.1\r\n{lines}\r\n".encode() + content)
    return signed


def read_result(content: bytes, tally: Tally) -> None:
    """Counts a decision. Every result but an approval is a decline, also one without a decision of the engine."""
    tally.decisions[APPROVED if b'"result":"APPROVED"' in content else DECLINED] += 1
