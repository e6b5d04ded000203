"""The HTTP side: which calls are taken, how large they may be, and what those that are not are told."""

from collections.abc import Awaitable, Mapping
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from authsvc.bridge import signature
from authsvc.bridge.inbox import Inbox
from authsvc.bridge.metrics import BridgeMetrics
from authsvc.bridge.refusal import Refused
from authsvc.bridge.responder import Responder
from authsvc.client import AuthorizationClient, ClientError

BODY_BYTES_MAX: Final = 256 * 1024
ASA_PATH: Final = "/lithic/asa"
EVENTS_PATH: Final = "/lithic/events"
# The headers of a question that count.
_READ: Final = {name.encode(): name for name in ("content-type", "content-length", *signature.HEADERS)}
_READY_WITHIN_S: Final = 1.0
_JSON: Final = "application/json"
_JSON_HEADER: Final = (b"content-type", _JSON.encode())


def app_of(
    responder: Responder, client: AuthorizationClient, metrics: BridgeMetrics, inbox: Inbox | None = None
) -> ASGIApp:
    """The ASGI app. It neither opens nor closes what it is given. Without an `inbox` it takes no webhooks."""
    questions = Questions(responder, metrics)
    whole = _framework(questions, client, metrics, inbox)

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # The framework's way to a handler costs as much as reading and verifying the question.
        if scope["type"] == "http" and scope["path"] == ASA_PATH and scope["method"] == "POST":
            return questions(scope, receive, send)
        return whole(scope, receive, send)

    return app


class Questions:
    """Lithic's questions, as an ASGI app of its own."""

    def __init__(self, responder: Responder, metrics: BridgeMetrics) -> None:
        """Who answers, and who is told of what is not answered."""
        self._responder = responder
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        headers: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = _READ.get(raw)
            # Of a header that comes twice the first one counts, as in the framework.
            if name is not None and name not in headers:
                headers[name] = value.decode("latin-1")
        status = 200
        try:
            answer = await self._responder.answer(await _body_of(headers, receive), headers)
        except Refused as refused:
            self._metrics.refused(refused.status, refused.why)
            status, answer = refused.status, orjson.dumps({"error": str(refused)})
        told = [(b"content-length", b"%d" % len(answer)), _JSON_HEADER]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": answer})


def _framework(
    questions: Questions, client: AuthorizationClient, metrics: BridgeMetrics, inbox: Inbox | None
) -> Starlette:
    """Every path and method."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        try:
            status = await client.health(timeout_s=_READY_WITHIN_S)
        except ClientError as error:
            status = error.code
        return JSONResponse({"service": status}, 200 if status == "SERVING" else 503)

    app = Starlette(
        routes=[
            Route(ASA_PATH, questions, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ]
    )
    if inbox is not None:
        app.router.routes.append(_events_route(inbox, metrics))
    # A redirect is no decision.
    app.router.redirect_slashes = False
    return app


def _events_route(inbox: Inbox, metrics: BridgeMetrics) -> Route:
    async def events(request: Request) -> Response:
        try:
            await inbox.receive(await _body_of(request.headers, request.receive), request.headers)
        except Refused as refused:
            metrics.refused(refused.status, refused.why)
            return JSONResponse({"error": str(refused)}, refused.status)
        return JSONResponse({"status": "ok"})

    return Route(EVENTS_PATH, events, methods=["POST"])


async def _body_of(headers: Mapping[str, str], receive: Receive) -> bytes:
    """The body as it came. Raises `Refused` before more than the limit of it is kept."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise Refused(415, "content_type")
    told = headers.get("content-length", "")
    if told.isdigit() and int(told) > BODY_BYTES_MAX:
        raise Refused(413, "size")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "cut_short")
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise Refused(413, "size")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
