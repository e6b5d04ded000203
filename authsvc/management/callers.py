"""Who calls, found out from what a call brings with it."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, Final

from authsvc.errors import Unauthenticated
from authsvc.identity.authenticate import ip_address_of, origin_of
from authsvc.identity.rates import RateLimit
from authsvc.identity.shapes import OPERATOR, Caller

Authenticate = Callable[[Sequence[tuple[str, str]], str], Any]
_NAME_MAX: Final = 64


class OpenCallers:
    """Where no credentials are required whoever reaches the server runs the platform; those that are brought count.

    Who has credentials may call so often; programs on loopback without any are not held back.
    """

    def __init__(self, authenticate: Authenticate | None, rate: RateLimit | None = None, *, is_open: bool) -> None:
        """`authenticate` reads credentials; without it there are none. Not `is_open`: who brings none is refused."""
        self._authenticate = authenticate
        self._rate = rate
        self._is_open = is_open

    async def caller_of(self, context: Any) -> Caller:
        """See `Callers.caller_of`."""
        metadata = [(str(key), str(value)) for key, value in context.invocation_metadata() or ()]
        is_asked = "authorization" in dict(metadata) or not self._is_open
        if is_asked and self._authenticate is not None:
            caller: Caller = await self._authenticate(metadata, context.peer())
            if self._rate is not None:
                self._rate.take(caller.actor)
        elif self._is_open:
            caller = Caller(_nameless(context), OPERATOR)
        else:
            raise Unauthenticated("credentials are required: authorization: Bearer …")
        return caller._replace(**origin_of(metadata, context.peer())._asdict())


def _nameless(context: Any) -> str:
    """What a caller without credentials goes by: the name in its certificate, else where it is."""
    names = context.auth_context().get("x509_common_name") or [b""]
    name = "".join(character for character in names[0].decode(errors="replace") if character.isprintable())
    if name:
        return f"certificate:{name[:_NAME_MAX]}"
    address = ip_address_of(context.peer())
    return "loopback" if not address or ipaddress.ip_address(address).is_loopback else "anonymous"
