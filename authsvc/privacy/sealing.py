"""AES-256-GCM of one value at a time, each bound to its row and column; and blind indexes of what must be found.

A sealed value is text: `sealed:VERSION:` and, in URL-safe base64, the nonce, the ciphertext and its tag. It opens only
as the column of the row that it was sealed for.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authsvc.errors import NotPossible

Chance = Callable[[int], bytes]
PREFIX: Final = "sealed:"
KEY_BYTES: Final = 32
# What NIST SP 800-38D recommends; random ones are good for 2^32 values a key.
_NONCE_BYTES: Final = 12


class Place(NamedTuple):
    """Where a value is kept: nowhere else does it open."""

    table: str
    column: str
    row_id: int


class Keys(NamedTuple):
    """Those of one file. `current` seals; every one of `by_version` opens; `index_key` makes blind indexes."""

    current: int
    by_version: Mapping[int, bytes]
    index_key: bytes


class Sealer:
    """Seals and opens with one set of keys; without any it opens only what was never sealed."""

    def __init__(self, keys: Keys | None, chance: Chance) -> None:
        """`chance` gives as many random bytes as it is asked for."""
        self._keys = keys
        self._ciphers = {} if keys is None else {n: AESGCM(key) for n, key in keys.by_version.items()}
        self._chance = chance

    @property
    def has_keys(self) -> bool:
        """Whether it can seal."""
        return self._keys is not None

    @property
    def version(self) -> int:
        """The key that seals. Raises NotPossible without keys."""
        return self._needed().current

    def seal(self, place: Place, value: str) -> str:
        """Raises NotPossible without keys."""
        version = self._needed().current
        nonce = self._chance(_NONCE_BYTES)
        kept = nonce + self._ciphers[version].encrypt(nonce, value.encode(), _bound_to(place))
        return f"{PREFIX}{version}:{base64.urlsafe_b64encode(kept).decode()}"

    def open(self, place: Place, kept: str) -> str:
        """What was never sealed is its own. Raises NotPossible without its key, or when it was changed or moved."""
        if not kept.startswith(PREFIX):
            return kept
        version, _, text = kept.removeprefix(PREFIX).partition(":")
        cipher = self._ciphers.get(int(version)) if version.isascii() and version.isdigit() else None
        if cipher is None:
            raise NotPossible(f"{_name(place)} cannot be opened: privacy key {version} is not here")
        try:
            raw = base64.urlsafe_b64decode(text)
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(place)).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise NotPossible(f"{_name(place)} cannot be opened: it was sealed elsewhere, or changed") from None

    def index(self, table: str, column: str, value: str) -> bytes:
        """Equal for equal values, as people write them. Without keys it is empty, and finds nothing."""
        if self._keys is None:
            return b""
        message = f"{table}.{column}\0{value.strip().lower()}"
        return hmac.digest(self._keys.index_key, message.encode(), hashlib.sha256)

    def _needed(self) -> Keys:
        if self._keys is None:
            raise NotPossible(
                "what is known of people is kept under keys only, and there are none: make them with"
                " `authsvc privacy new-key` and set AUTHSVC_PRIVACY_KEYS_FILE"
            )
        return self._keys


WITHOUT_KEYS: Final = Sealer(None, bytes)


def _bound_to(place: Place) -> bytes:
    return f"authsvc {place.table}.{place.column} {place.row_id}".encode()


def _name(place: Place) -> str:
    return f"{place.column} of {place.table} {place.row_id}"
