"""A bridge inside a test's own event loop, and Lithic before it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from authsvc.bridge.app import ASA_PATH, app_of
from authsvc.bridge.metrics import BridgeMetrics
from authsvc.bridge.responder import Responder
from authsvc.client import AuthorizationClient
from authsvc.clock import SystemClock
from authsvc.settings import Settings
from tests.lithic import SECRET, encoded, signed_headers
from tests.serving import Running

NOWHERE: Final = "127.0.0.1:9"


@dataclass
class Bridge:
    """A bridge, and Lithic before it."""

    http: httpx.AsyncClient
    metrics: BridgeMetrics
    responder: Responder
    message_number: int = 0

    async def ask(self, request: Mapping[str, Any], message_id: str = "") -> httpx.Response:
        """A signed call; a message id of its own unless one is given."""
        return await self.send(encoded(request), message_id)

    async def send(self, body: bytes, message_id: str = "", **headers: str | None) -> httpx.Response:
        """A signed call with any body; `headers` replace others, None takes one away."""
        self.message_number += 1
        now_s = SystemClock().now_us() // 1_000_000
        signed = signed_headers(body, message_id or f"msg_{id(self)}_{self.message_number}", now_s)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in (signed | named).items() if value is not None}
        return await self.http.post(ASA_PATH, content=body, headers=sent)

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"authsvc_bridge_{name}_total", labels) or 0.0


@asynccontextmanager
async def bridge_to(target: str, **settings: Any) -> AsyncIterator[Bridge]:
    """Of these settings; it has a secret unless it takes unsigned calls, and time enough."""
    secrets = "" if settings.get("bridge_allow_unsigned") else SECRET
    given = {"bridge_deadline_ms": 5_000, "bridge_asa_secrets": secrets} | settings
    chosen, metrics = Settings(**given), BridgeMetrics()
    async with AuthorizationClient(target) as client:
        responder = Responder(client, chosen, SystemClock(), metrics)
        app = app_of(responder, client, metrics)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as http:
            yield Bridge(http, metrics, responder)


async def everything(running: Running) -> tuple[object, ...]:
    """Whatever a decision may leave behind, in PostgreSQL and in Valkey."""
    return (*await running.recorded(), await running.counters(), await running.reservations())


async def spent(running: Running) -> tuple[object, ...]:
    """What declines must not move: holds, settlements, balances."""
    sums = "coalesce(sum(held_minor), 0), coalesce(sum(settled_minor), 0)"
    holds = await running.database.fetchrow(f"SELECT {sums} FROM transactions")
    return tuple(holds), (await running.recorded())[2]


async def row_of(running: Running, request_id: str) -> dict[str, Any]:
    """The transaction that a request made."""
    query = "SELECT t.* FROM request_keys k JOIN transactions t ON t.id = k.transaction_id WHERE k.request_id = $1"
    row = await running.database.fetchrow(query, request_id)
    assert row is not None
    return dict(row)
