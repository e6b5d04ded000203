"""Lithic's events: webhooks of its event subscription, in the shapes of its own SDK, and a bridge that takes them."""

import copy
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import httpx
import orjson
from lithic.types import CardTransactionUpdatedWebhookEvent, CardUpdatedWebhookEvent

from authsvc.bridge import process
from authsvc.bridge.app import EVENTS_PATH, app_of
from authsvc.bridge.metrics import BridgeMetrics
from authsvc.bridge.responder import Responder
from authsvc.bridge.workers import Workers
from authsvc.client import AuthorizationClient
from authsvc.clock import SystemClock
from authsvc.ledger.webhooks import PostgresWebhooks, open_webhooks
from authsvc.settings import Settings
from tests.lithic import SECRET, signed_headers

CREATED: Final = "2025-11-20T12:00:00Z"
_MODELS: Final = {
    "card_transaction.updated": CardTransactionUpdatedWebhookEvent,
    "card.updated": CardUpdatedWebhookEvent,
}
_numbers = itertools.count(1)

_STEP: Final[dict[str, Any]] = {
    "token": "",
    "amount": 0,
    "amounts": {
        "cardholder": {"amount": 0, "conversion_rate": "1.000000", "currency": "USD"},
        "merchant": {"amount": 0, "currency": "USD"},
        "settlement": None,
    },
    "created": CREATED,
    "detailed_results": ["APPROVED"],
    "effective_polarity": "DEBIT",
    "network_info": None,
    "result": "APPROVED",
    "rule_results": [],
    "type": "AUTHORIZATION",
}
_TRANSACTION: Final[dict[str, Any]] = {
    "event_type": "card_transaction.updated",
    "token": "",
    "account_token": "5e9483eb-8103-4e16-9794-2106111b2eca",
    "acquirer_fee": 0,
    "acquirer_reference_number": None,
    "amount": 0,
    "amounts": {
        "cardholder": {"amount": 0, "conversion_rate": "1.000000", "currency": "USD"},
        "hold": {"amount": 0, "currency": "USD"},
        "merchant": {"amount": 0, "currency": "USD"},
        "settlement": {"amount": 0, "currency": "USD"},
    },
    "authorization_amount": 0,
    "authorization_code": "065987",
    "avs": None,
    "card_token": "card_demo_open",
    "cardholder_authentication": None,
    "created": CREATED,
    "financial_account_token": None,
    "merchant": {
        "acceptor_id": "ACCEPTOR-0001   ",
        "acquiring_institution_id": "10001",
        "descriptor": "BISTRO NINE",
        "mcc": "5812",
        "city": "LYON",
        "state": "ARA",
        "country": "FRA",
    },
    "merchant_amount": 0,
    "merchant_authorization_amount": 0,
    "merchant_currency": "USD",
    "network": "VISA",
    "network_risk_score": None,
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
    "result": "APPROVED",
    "settled_amount": 0,
    "status": "PENDING",
    "tags": {},
    "token_info": None,
    "updated": CREATED,
    "events": [],
}


def step(
    kind: str, amount_minor: int, *, polarity: str = "DEBIT", moves: bool = False, **changes: Any
) -> dict[str, Any]:
    """One event of a transaction; it `moves` money or not."""
    body = copy.deepcopy(_STEP) | {"token": f"step-{next(_numbers)}", "type": kind, "amount": amount_minor}
    body["effective_polarity"] = polarity
    body["amounts"]["cardholder"]["amount"] = body["amounts"]["merchant"]["amount"] = amount_minor
    if moves:
        body["amounts"]["settlement"] = {"amount": amount_minor, "conversion_rate": "1.000000", "currency": "USD"}
    return body | changes


def transaction(
    token: str,
    card: str,
    *steps: dict[str, Any],
    minute: int = 0,
    hold_minor: int = 0,
    settled_minor: int = 0,
    status: str = "PENDING",
    **changes: Any,
) -> dict[str, Any]:
    """`card_transaction.updated` as Lithic sends it, updated so many minutes after it began."""
    body = copy.deepcopy(_TRANSACTION) | {"token": token, "card_token": card, "status": status, "events": [*steps]}
    body["updated"] = f"2025-11-20T{12 + minute // 60:02}:{minute % 60:02}:00.5Z"
    body["amounts"]["hold"]["amount"] = hold_minor
    body["amounts"]["settlement"]["amount"] = body["settled_amount"] = settled_minor
    body["amount"] = body["amounts"]["cardholder"]["amount"] = settled_minor or hold_minor
    return body | changes


def card_updated(card: str, state: str, before: str | None = "OPEN") -> dict[str, Any]:
    """`card.updated` as Lithic sends it; `before` None: something else than the state has changed."""
    previous = {"memo": "Old"} if before is None else {"state": before}
    return {"event_type": "card.updated", "card_token": card, "state": state, "previous_fields": previous}


def encoded(event: Mapping[str, Any]) -> bytes:
    """The body, after Lithic's own model of it has accepted it and known each of its fields."""
    model = _MODELS.get(event["event_type"])
    if model is not None:
        assert not model.model_validate(event).model_extra
    return orjson.dumps(event)


class SetClock(SystemClock):
    """The wall clock, and what a test adds to it."""

    ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us


@dataclass
class Webhooks:
    """A bridge that takes webhooks, Lithic before it, the table behind it, and workers that work when they are told to."""

    http: httpx.AsyncClient
    metrics: BridgeMetrics
    store: PostgresWebhooks
    workers: Workers
    clock: SetClock
    database: asyncpg.Connection

    async def deliver(self, event: Mapping[str, Any], message_id: str = "") -> httpx.Response:
        """A signed delivery; a message id of its own unless one is given."""
        return await self.send(encoded(event), message_id)

    async def send(self, body: bytes, message_id: str = "", **headers: str | None) -> httpx.Response:
        """A signed delivery of any body; `headers` replace others, None takes one away."""
        signed = signed_headers(body, message_id or f"msg_{next(_numbers)}", self.clock.now_us() // 1_000_000)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in (signed | named).items() if value is not None}
        return await self.http.post(EVENTS_PATH, content=body, headers=sent)

    async def work(self) -> None:
        """Process until nothing is due."""
        while await self.workers.work_once():
            pass

    async def rows(self) -> list[dict[str, Any]]:
        """Every webhook, in the order of arrival."""
        return [dict(row) for row in await self.database.fetch("SELECT * FROM webhooks ORDER BY id")]

    async def row(self, message_id: str) -> dict[str, Any]:
        """One webhook by Lithic's name of it."""
        record = await self.database.fetchrow("SELECT * FROM webhooks WHERE webhook_id = $1", message_id)
        assert record is not None, message_id
        return dict(record)

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"authsvc_{name}", labels) or 0.0


@asynccontextmanager
async def webhooks_to(
    target: str, database_url: str, *, is_given: bool = True, is_up: bool = True, **settings: Any
) -> AsyncIterator[Webhooks]:
    """In front of the service at `target`. Its workers do nothing by themselves.

    `is_given`: the bridge is told of the database; `is_up`: it is there.
    """
    secrets = "" if settings.get("bridge_allow_unsigned") else SECRET
    given = {"bridge_asa_secrets": secrets, "bridge_event_secrets": secrets, "bridge_webhook_workers": 0} | settings
    chosen = Settings(bridge_database_url=database_url if is_given else None, **given)
    metrics, clock = BridgeMetrics(), SetClock()
    database: Any = await asyncpg.connect(database_url) if is_up else None
    try:
        async with AuthorizationClient(target) as client, open_webhooks(database_url) as store:
            workers = Workers(store, client, chosen, clock, metrics.webhooks, lambda: 0.5)
            async with process.webhooks_of(chosen, client, clock, metrics) as inbox:
                app = app_of(Responder(client, chosen, clock, metrics), client, metrics, inbox)
                transport = httpx.ASGITransport(app, raise_app_exceptions=False)
                async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as http:
                    yield Webhooks(http, metrics, store, workers, clock, database)
    finally:
        if database is not None:
            await database.close()
