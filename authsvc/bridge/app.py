"""The HTTP side: which calls are taken, how large they may be, and what those that are not are told."""

from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authsvc.bridge.metrics import BridgeMetrics
from authsvc.bridge.refusal import Refused
from authsvc.bridge.responder import Responder
from authsvc.client import AuthorizationClient, ClientError

BODY_BYTES_MAX: Final = 256 * 1024
ASA_PATH: Final = "/lithic/asa"
_READY_WITHIN_S: Final = 1.0
_JSON: Final = "application/json"


def app_of(responder: Responder, client: AuthorizationClient, metrics: BridgeMetrics) -> Starlette:
    """The ASGI app. It neither opens nor closes what it is given."""

    async def asa(request: Request) -> Response:
        try:
            body = await _body_of(request)
            answer = await responder.answer(body, request.headers)
        except Refused as refused:
            metrics.refused(refused.status, refused.why)
            return JSONResponse({"error": str(refused)}, refused.status)
        return Response(answer, media_type=_JSON)

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
            Route(ASA_PATH, asa, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ]
    )
    # A redirect is no decision.
    app.router.redirect_slashes = False
    return app


async def _body_of(request: Request) -> bytes:
    """The body as it came. Raises `Refused` before more than the limit of it is kept."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise Refused(415, "content_type")
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > BODY_BYTES_MAX:
        raise Refused(413, "size")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise Refused(413, "size")
    except ClientDisconnect as gone:
        raise Refused(400, "cut_short") from gone
    return bytes(body)
