"""The keys that sign access tokens: a file of JSON Web Keys, which every host has and the database has not.

`{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": …, "x": …, "d": …, "signs_from": …}, …]}` (RFC 7517, RFC 8037).
`signs_from` is in seconds of the Unix epoch: a key may be in every host's file before the first one signs with it.
"""

import base64
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from authsvc import secret_files
from authsvc.errors import NotPossible, StartupRefused

Chance = Callable[[int], bytes]
_KEY_BYTES: Final = 32
_KID_BYTES: Final = 9
_log = logging.getLogger(__name__)


class SigningKey(NamedTuple):
    """`signs_from_s` is in seconds of the Unix epoch."""

    kid: str
    private: Ed25519PrivateKey
    public: Ed25519PublicKey
    signs_from_s: int


class SigningKeys:
    """What the file holds now. A file that can no longer be read leaves what it held before."""

    def __init__(self, path: Path | None) -> None:
        """Raises StartupRefused when there is a path and no good file. Without one, nobody can sign in."""
        self._path = path
        self._read_of: tuple[int, ...] = ()
        self._keys: dict[str, SigningKey] = {}
        if path is not None:
            try:
                self._read_of = secret_files.identity_of(path)
                self._keys = {key.kid: key for key in read(path)}
            except (OSError, ValueError) as error:
                raise StartupRefused(f"the signing keys cannot be read: {_why(error)}") from error

    def signer(self, now_s: int) -> SigningKey:
        """The newest one that may sign already."""
        self._refresh()
        ripe = [key for key in self._keys.values() if key.signs_from_s <= now_s]
        if not ripe:
            raise NotPossible("users cannot sign in here: there is no signing key")
        return max(ripe, key=lambda key: key.signs_from_s)

    def verifier(self, kid: str) -> Ed25519PublicKey | None:
        """The public key of this name, if it still counts."""
        self._refresh()
        key = self._keys.get(kid)
        return None if key is None else key.public

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            found = secret_files.identity_of(self._path)
            if found == self._read_of:
                return
            self._read_of = found
            self._keys = {key.kid: key for key in read(self._path)}
        except (OSError, ValueError) as error:
            _log.error("the signing keys cannot be read; those read before stay", extra={"why": _why(error)})
        else:
            _log.info("signing keys read", extra={"kids": list(self._keys)})


def read(path: Path) -> list[SigningKey]:
    """The keys of a file, as they stand there. Raises ValueError, which tells nothing of a key."""
    try:
        document = orjson.loads(path.read_bytes())
        keys = [_key_of(entry) for entry in document["keys"]]
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError("it is not a set of JSON Web Keys for Ed25519") from error
    if not keys or len({key.kid for key in keys}) < len(keys):
        raise ValueError("it needs at least one key, and each with a kid of its own")
    if secret_files.is_open(path):
        _log.warning("others than its owner may read or write the file of signing keys")
    return keys


def rotate(path: Path, *, now_s: int, signs_in_s: int, keep: int, chance: Chance) -> list[SigningKey]:
    """Add a key that signs from `signs_in_s` on; of the older ones the newest `keep` still count. Makes the file.

    Raises ValueError, and changes nothing, when no key would be left to sign with meanwhile.
    """
    older = sorted(read(path), key=lambda key: key.signs_from_s) if path.exists() else []
    private = Ed25519PrivateKey.from_private_bytes(chance(_KEY_BYTES))
    kid = base64.urlsafe_b64encode(chance(_KID_BYTES)).decode()
    kept = older[-keep:] if keep else []
    signs_from_s = max([now_s + signs_in_s, *(key.signs_from_s + 1 for key in kept)])
    keys = [*kept, SigningKey(kid, private, private.public_key(), signs_from_s)]
    if older and not any(key.signs_from_s <= now_s for key in keys):
        raise ValueError("no key would sign until then: keep more of the older ones, or let the new one sign at once")
    _write(path, keys)
    return keys


def _write(path: Path, keys: Sequence[SigningKey]) -> None:
    document = {"keys": [_entry_of(key) for key in keys]}
    secret_files.write(path, orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _entry_of(key: SigningKey) -> dict[str, Any]:
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": key.kid,
        "x": _text_of(key.public.public_bytes_raw()),
        "d": _text_of(key.private.private_bytes_raw()),
        "signs_from": key.signs_from_s,
    }


def _key_of(entry: dict[str, Any]) -> SigningKey:
    if (entry["kty"], entry["crv"]) != ("OKP", "Ed25519"):
        raise ValueError("it holds a key that is not for Ed25519")
    kid, signs_from_s = entry["kid"], entry.get("signs_from", 0)
    if not (isinstance(kid, str) and kid and isinstance(signs_from_s, int)):
        raise ValueError("a kid must be text, and signs_from whole seconds")
    private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(entry["d"] + "=="))
    if private.public_key().public_bytes_raw() != base64.urlsafe_b64decode(entry["x"] + "=="):
        raise ValueError("the halves of a key do not belong together")
    return SigningKey(kid, private, private.public_key(), signs_from_s)


def _text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _why(error: Exception) -> str:
    """What may be said of it: a parser's words could hold a piece of a key."""
    return error.strerror or "it cannot be opened" if isinstance(error, OSError) else str(error)
