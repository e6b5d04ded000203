"""Tokens of pages: where the next one begins, sealed with what was asked for, so that it fits no other question."""

import base64
import binascii
import struct
from typing import Final, NamedTuple

from authsvc.errors import InvalidRequest
from authsvc.history.shapes import Place

_FORM: Final = struct.Struct(">BQQQ8s")
_VERSION: Final = 1
_ID_MAX: Final = 2**63 - 1
# In the last days of the year 9998: as far as the contract's timestamps go, and five minutes.
_INSTANT_MAX_US: Final = 253_370_678_999_999_999
SEAL_BYTES: Final = 8


class PageToken(NamedTuple):
    """The span's first instant, which may have been the server's choice, and the last row of the page before."""

    start_us: int
    place: Place


def write_token(token: PageToken, seal: bytes) -> str:
    """URL-safe text. `seal` stands for everything else that was asked."""
    raw = _FORM.pack(_VERSION, token.start_us, token.place.transacted_at_us, token.place.transaction_id, seal)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read_token(text: str, seal: bytes) -> PageToken:
    """Raises `InvalidRequest` for what is no token, or one of another list."""
    try:
        raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, start_us, at_us, transaction_id, sealed = _FORM.unpack(raw)
    except (binascii.Error, struct.error, UnicodeEncodeError):
        raise InvalidRequest("page_token", "is not one that this service gave out") from None
    if version != _VERSION or sealed != seal:
        raise InvalidRequest("page_token", "belongs to another list: ask as for the page before")
    if max(start_us, at_us) > _INSTANT_MAX_US or transaction_id > _ID_MAX:
        raise InvalidRequest("page_token", "is not one that this service gave out")
    return PageToken(start_us, Place(at_us, transaction_id))
