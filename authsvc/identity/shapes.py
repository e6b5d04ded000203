"""Who calls, as the use cases know it: no gRPC, no token, no password."""

from enum import StrEnum
from typing import Final, NamedTuple

OWNER: Final = "owner"
ADMIN: Final = "admin"
USER: Final = "user"
ANALYST: Final = "analyst"
# Whoever runs the platform: sees every account. No user of an account ever has this role.
OPERATOR: Final = "operator"
ROLES: Final = (OWNER, ADMIN, USER, ANALYST, OPERATOR)


class SignInEvent(StrEnum):
    """What happens where users sign in, as it is counted. Who they are is told to nobody."""

    SIGNED_IN = "signed_in"
    # Or there is no such user.
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 (a word)
    # Or suspended, or of a suspended account.
    LOCKED = "locked"
    LIMITED = "limited"
    REFRESHED = "refreshed"
    REFRESH_REFUSED = "refresh_refused"
    REFRESH_REUSED = "refresh_reused"
    SIGNED_OUT = "signed_out"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 (a word)
    RESET_ASKED = "reset_asked"
    RESET_DELIVERED = "reset_delivered"
    RESET_NOT_DELIVERED = "reset_not_delivered"
    RESET_USED = "reset_used"
    RESET_REFUSED = "reset_refused"


class Refusal(StrEnum):
    """Why a call is not let in, as it is counted."""

    NO_CREDENTIALS = "no_credentials"
    # Of another kind than `Bearer`, or a token that is none of ours.
    BAD_CREDENTIALS = "bad_credentials"
    UNKNOWN_KEY = "unknown_key"
    EXPIRED_KEY = "expired_key"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 (a word)
    ENDED_SESSION = "ended_session"
    SCOPE = "scope"
    RATE = "rate"


class Caller(NamedTuple):
    """Who asks for something, and where from.

    `account_id` and `user_id` are None for callers that belong to no account or are no person. `actor` is what audit
    logs tell: `user:12`, `key:bridge`, `loopback`. `scopes` are those of an API key; users' and operators' are empty.
    """

    actor: str
    role: str
    account_id: int | None = None
    user_id: int | None = None
    scopes: frozenset[str] = frozenset()
    request_id: str = ""
    ip_address: str = ""
    user_agent: str = ""
