"""Access tokens (JWT, signed with Ed25519) and the opaque secrets beside them, of which only a hash is kept."""

import base64
import hashlib
from typing import Any, Final, NamedTuple
from uuid import UUID

import jwt

from authsvc.errors import Unauthenticated
from authsvc.identity.shapes import ROLES
from authsvc.identity.signing_keys import Chance, SigningKeys

ISSUER: Final = "authsvc"
ACCESS_TTL_S: Final = 600
API_KEY_SCHEME: Final = "authsvc_"
_ALGORITHM: Final = "EdDSA"
_TYPE: Final = "at+jwt"
_TOKEN_MAX: Final = 2_048
_SECRET_BYTES: Final = 32
_PREFIX_BYTES: Final = 5
_SECOND_US: Final = 1_000_000
# A host whose clock is a little behind may see a token before it was made.
_SKEW_S: Final = 60
_BAD: Final = "the credentials are not valid"


class Expired(Unauthenticated):
    """The access token has expired."""


class Claims(NamedTuple):
    """What an access token says. `session_id` names the family of refresh tokens that it belongs to."""

    user_id: int
    account_id: int
    role: str
    session_id: UUID


class AccessTokens:
    """Makes and reads them."""

    def __init__(self, keys: SigningKeys, chance: Chance) -> None:
        """`chance` gives so many random bytes."""
        self._keys = keys
        self._chance = chance

    def issue(self, claims: Claims, now_us: int) -> tuple[str, int]:
        """A token, and when it ends, in seconds of the Unix epoch. Raises NotPossible without a key."""
        now_s = now_us // _SECOND_US
        key = self._keys.signer(now_s)
        payload = {
            "iss": ISSUER,
            "sub": str(claims.user_id),
            "account": claims.account_id,
            "role": claims.role,
            "sid": str(claims.session_id),
            "iat": now_s,
            "exp": now_s + ACCESS_TTL_S,
            "jti": secret(self._chance),
        }
        return jwt.encode(payload, key.private, _ALGORITHM, {"kid": key.kid, "typ": _TYPE}), now_s + ACCESS_TTL_S

    def read(self, token: str, now_us: int) -> Claims:
        """What it says, if a key of ours signed exactly this and its time is not over. Raises Unauthenticated."""
        now_s = now_us // _SECOND_US
        try:
            payload = self._payload(token)
            if payload["iat"] - _SKEW_S > now_s or now_s >= payload["exp"]:
                raise Expired("the access token has expired")
            claims = Claims(int(payload["sub"]), int(payload["account"]), payload["role"], UUID(payload["sid"]))
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            raise Unauthenticated(_BAD) from error
        if claims.role not in ROLES:
            raise Unauthenticated(_BAD)
        return claims

    def _payload(self, token: str) -> dict[str, Any]:
        if len(token) > _TOKEN_MAX:
            raise Unauthenticated(_BAD)
        header = jwt.get_unverified_header(token)
        public = self._keys.verifier(str(header.get("kid", "")))
        if public is None or header.get("typ") != _TYPE:
            raise Unauthenticated(_BAD)
        # Times are compared with the clock of the service, not with the library's.
        return jwt.decode(
            token,
            public,
            algorithms=[_ALGORITHM],
            issuer=ISSUER,
            options={
                "require": ["iss", "sub", "iat", "exp", "jti"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )


def secret(chance: Chance) -> str:
    """43 characters that nobody guesses."""
    return base64.urlsafe_b64encode(chance(_SECRET_BYTES)).decode().rstrip("=")


def api_key(chance: Chance) -> tuple[str, str]:
    """A new key, and the prefix that people may see."""
    prefix = API_KEY_SCHEME + base64.b32encode(chance(_PREFIX_BYTES)).decode().lower()
    return f"{prefix}_{secret(chance)}", prefix


def hash_of(opaque: str) -> bytes:
    """What is kept of a secret. It is long and random: a slow hash would only cost time."""
    return hashlib.sha256(opaque.encode()).digest()
