"""Takes resets of passwords to a program of the operator's, which tells users: one signed POST each."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import httpx
import orjson

from authsvc.bridge.signature import key_of, sign
from authsvc.clock import Clock
from authsvc.errors import StartupRefused
from authsvc.identity.ports import NotDelivered, Reset
from authsvc.identity.signing_keys import Chance
from authsvc.identity.tokens import secret
from authsvc.settings import Settings

KIND: Final = "user.password_reset_requested"
# Five tries within a minute and a half: somebody sits before a screen and waits.
PAUSES_S: Final = (1.0, 3.0, 10.0, 30.0)
_TRY_S: Final = 8.0
_CONNECTIONS_MAX: Final = 8
_SECOND_US: Final = 1_000_000
# What a receiver says that may say otherwise in a moment, beside every 5xx.
_PASSING: Final = frozenset({408, 425, 429})
_NO_ANSWER: Final = 0


class WebhookDelivery:
    """A `ResetDelivery` that posts JSON, signed in the format of Standard Webhooks. Nothing of it is ever logged."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        key: bytes,
        clock: Clock,
        chance: Chance,
        *,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        """`key` signs. There is one try more than there are pauses; `chance` gives so many random bytes."""
        self._http = http
        self._url = url
        self._key = key
        self._clock = clock
        self._chance = chance
        self._pauses_s = pauses_s

    async def deliver(self, reset: Reset) -> None:
        """See `ResetDelivery.deliver`. Every try is the same message, by its id, signed anew."""
        body = _body_of(reset, self._clock.now_us())
        message_id = f"msg_{secret(self._chance)}"
        status = await self._post(message_id, body)
        for pause_s in self._pauses_s:
            if not _is_passing(status):
                break
            await asyncio.sleep(pause_s)
            status = await self._post(message_id, body)
        if not 200 <= status < 300:  # noqa: PLR2004 - success, as HTTP counts
            raise NotDelivered(f"the webhook answers {status}" if status else "the webhook does not answer")

    async def _post(self, message_id: str, body: bytes) -> int:
        """The status, as soon as it is known; what else is said is not read."""
        signed = sign(self._key, message_id, self._clock.now_us() // _SECOND_US, body)
        headers = {"content-type": "application/json", **signed}
        try:
            async with (
                asyncio.timeout(_TRY_S),
                self._http.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                return response.status_code
        except (httpx.HTTPError, TimeoutError):
            return _NO_ANSWER


def http_client() -> httpx.AsyncClient:
    """Trusts the authorities that this system trusts. Proxies of the environment have no part in this."""
    # They would write the URL, at DEBUG the headers as well.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    limits = httpx.Limits(max_connections=_CONNECTIONS_MAX)
    return httpx.AsyncClient(verify=ssl.create_default_context(), timeout=_TRY_S, limits=limits, trust_env=False)


def signing_key_of(settings: Settings) -> bytes:
    """What signs. Raises StartupRefused, which tells nothing of it, when the file does not hold it."""
    text, path = settings.reset_webhook_secret, settings.reset_webhook_secret_file
    try:
        if text is None:
            assert path is not None
            text = path.read_text(encoding="ascii")
        return key_of(text)
    except OSError as error:
        raise StartupRefused(f"AUTHSVC_RESET_WEBHOOK_SECRET_FILE: {path}: {error.strerror}") from error
    except ValueError as error:
        raise StartupRefused("AUTHSVC_RESET_WEBHOOK_SECRET_FILE does not hold whsec_ and base64") from error


def _is_passing(status: int) -> bool:
    return status == _NO_ANSWER or status in _PASSING or status >= 500  # noqa: PLR2004 - the server's own fault


def _body_of(reset: Reset, now_us: int) -> bytes:
    data = {
        "user_id": reset.user_id,
        "email": reset.email,
        "token": reset.token,
        "expires_at": _told(reset.expires_us),
    }
    return orjson.dumps({"type": KIND, "timestamp": _told(now_us), "data": data})


def _told(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // _SECOND_US, UTC).isoformat().replace("+00:00", "Z")
