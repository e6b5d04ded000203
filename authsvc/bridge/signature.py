"""Signatures of the Standard Webhooks format, over the bytes as they came."""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from authsvc.bridge.refusal import Refused

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
HEADERS: Final = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
TOLERANCE_S: Final = 5 * 60
_PREFIX: Final = "whsec_"
_VERSION: Final = "v1,"
# The format asks for 24 to 64 random bytes. Fewer than this are a word that somebody made up.
_KEY_BYTES_MIN: Final = 16
_TIMESTAMP_DIGITS_MAX: Final = 12


def key_of(secret: str) -> bytes:
    """The key of a secret, given as `whsec_` and base64 (its padding may be missing). Raises ValueError."""
    text = secret.strip().removeprefix(_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be whsec_ and base64") from error
    if len(key) < _KEY_BYTES_MIN:
        raise ValueError(f"must be at least {_KEY_BYTES_MIN} bytes in base64")
    return key


def sign(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers that go with the body."""
    timestamp = str(timestamp_s)
    signature = _VERSION + _digest(key, _signed(message_id, timestamp, body)).decode()
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signature}


def verify(body: bytes, headers: Mapping[str, str], keys: Sequence[bytes], now_s: int) -> None:
    """Returns when one of the entries was made with one of the keys. Raises `Refused` 401.

    Keys are several while a secret is rotated. `headers` are looked up in lower case; `now_s` is Unix time.
    """
    message_id = headers.get(ID_HEADER, "")
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    signature = headers.get(SIGNATURE_HEADER, "")
    if not (message_id and timestamp and signature):
        raise Refused(401, "missing")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _TIMESTAMP_DIGITS_MAX):
        raise Refused(401, "malformed")
    if abs(int(timestamp) - now_s) > TOLERANCE_S:
        raise Refused(401, "stale")
    # Bytes, because what is compared as text must be ASCII, and a caller may send anything.
    given = [
        entry[len(_VERSION) :].encode("utf-8", "replace")
        for entry in signature.split(" ")
        if entry.startswith(_VERSION)
    ]
    if not given:
        raise Refused(401, "malformed")
    signed = _signed(message_id, timestamp, body)
    is_right = False
    for key in keys:
        expected = _digest(key, signed)
        for entry in given:
            # No early end: how long it takes tells neither which key it was nor how much of it was right.
            is_right |= hmac.compare_digest(expected, entry)
    if not is_right:
        raise Refused(401, "wrong")


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    # Servers hand headers on as Latin-1, so this gives back the bytes that were sent.
    return b"%b.%b.%b" % (message_id.encode("latin-1", "replace"), timestamp.encode(), body)


def _digest(key: bytes, signed: bytes) -> bytes:
    mac = _prepared(key).copy()
    mac.update(signed)
    return base64.b64encode(mac.digest())


@lru_cache(maxsize=16)
def _prepared(key: bytes) -> hmac.HMAC:
    """It takes as long as the digest of a call, and there are few keys."""
    return hmac.new(key, digestmod="sha256")
