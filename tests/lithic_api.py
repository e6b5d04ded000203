"""Lithic's API on loopback, over real HTTP, for whoever asks through Lithic's SDK, whose models judge the answers."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
import uvicorn
from lithic import BaseModel
from lithic.types import NonPCICard, ResponderEndpointStatus
from lithic.types.auth_rules import AuthRule
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.serving import until

API_KEY: Final = "key-of-a-test-that-nobody-may-see"
PAGE_SIZE: Final = 3


def token_of(name: object) -> str:
    """A UUID, always the same for one name."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(name)))


def card(token: str, state: str = "OPEN", account_token: str = "") -> NonPCICard:
    """As the SDK accepts it, in any state."""
    one = NonPCICard.model_validate(
        {
            "token": token,
            "account_token": account_token or token_of("account"),
            "card_program_token": token_of("program"),
            "created": "2025-11-20T12:00:00Z",
            "last_four": "0005",
            "pin_status": "OK",
            "spend_limit": 0,
            "spend_limit_duration": "FOREVER",
            "state": "OPEN",
            "tags": {},
            "type": "VIRTUAL",
        }
    )
    # Which may be a word that the SDK does not know yet.
    one.state = state  # type: ignore[assignment]
    return one


def rule(token: str, *, include: Sequence[tuple[str, str]] = (), **changes: Any) -> AuthRule:
    """A lock to a merchant; `include` are kinds of entities (CARD, ACCOUNT) with their tokens."""
    parameters = {"merchants": [{"merchant_id": "000000000000005"}]}
    told = {
        "token": token,
        "account_tokens": [],
        "business_account_tokens": [],
        "card_tokens": [],
        "current_version": {"parameters": parameters, "version": 1},
        "entities": {"exclude": [], "include": [{"type": kind, "token": one} for kind, one in include]},
        "event_stream": "AUTHORIZATION",
        "lithic_managed": False,
        "program_level": False,
        "state": "ACTIVE",
        "type": "MERCHANT_LOCK",
    }
    return AuthRule.model_validate(told | changes)


class LithicApi:
    """A program, and what goes wrong: `faults` are answered instead, one each; a fault of None never comes. `broken`: paths."""

    def __init__(self) -> None:
        self.url = ""
        self._over = asyncio.Event()
        self.begin()

    def begin(self) -> None:
        """As new."""
        self.cards: dict[str, NonPCICard] = {}
        self.rules: dict[str, AuthRule] = {}
        self.endpoint = ResponderEndpointStatus(enrolled=True, url="https://hooks.example.com/lithic/asa?secret=s")
        self.faults: deque[Response | None] = deque()
        self.broken: set[str] = set()
        self.meanwhile: Callable[[str], Awaitable[None]] | None = None
        self.asked: list[str] = []

    def has(self, *cards: NonPCICard) -> None:
        self.cards |= {one.token: one for one in cards}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        routes = [
            Route("/v1/cards", self._cards),
            Route("/v1/cards/{token}", self._card),
            Route("/v2/auth_rules", self._rules),
            Route("/v1/responder_endpoints", self._endpoint),
        ]
        config = uvicorn.Config(Starlette(routes=routes), port=0, log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            self._over.set()
            server.should_exit = True
            await task

    async def _cards(self, request: Request) -> Response:
        return await self._answer(request) or _page(request, self.cards)

    async def _rules(self, request: Request) -> Response:
        return await self._answer(request) or _page(request, self.rules)

    async def _card(self, request: Request) -> Response:
        found = self.cards.get(request.path_params["token"])
        return await self._answer(request) or (_told(found) if found else said(404))

    async def _endpoint(self, request: Request) -> Response:
        assert request.query_params["type"] == "AUTH_STREAM_ACCESS"
        return await self._answer(request) or _told(self.endpoint)

    async def _answer(self, request: Request) -> Response | None:
        """A fault, if it is its turn; else whether the key is the right one."""
        self.asked.append(request.url.path)
        if self.meanwhile is not None:
            await self.meanwhile(request.url.path)
        if self.faults:
            fault = self.faults.popleft()
            if fault is None:
                await self._over.wait()
            return fault
        if request.url.path in self.broken:
            return said(500)
        return said(401) if request.headers["authorization"] != API_KEY else None


def said(status: int) -> Response:
    """An error that repeats what nobody should; whoever may try again may do so at once."""
    body = orjson.dumps({"message": f"{API_KEY} was refused", "debugging_request_id": token_of("request")})
    return Response(body, status, {"retry-after-ms": "1"}, "application/json")


def _page(request: Request, things: dict[str, Any]) -> Response:
    assert 1 <= int(request.query_params["page_size"]) <= 100
    tokens = list(things)
    begin = tokens.index(request.query_params["starting_after"]) + 1 if "starting_after" in request.query_params else 0
    data = [things[token].model_dump(mode="json") for token in tokens[begin : begin + PAGE_SIZE]]
    body = {"data": data, "has_more": begin + PAGE_SIZE < len(tokens)}
    return Response(orjson.dumps(body), media_type="application/json")


def _told(one: BaseModel) -> Response:
    return Response(orjson.dumps(one.model_dump(mode="json")), media_type="application/json")
