"""Who calls, as the use cases know it: no gRPC, no token, no password."""

from typing import Final, NamedTuple

OWNER: Final = "owner"
ADMIN: Final = "admin"
USER: Final = "user"
ANALYST: Final = "analyst"
# Whoever runs the platform: sees every account. No user of an account ever has this role.
OPERATOR: Final = "operator"
ROLES: Final = (OWNER, ADMIN, USER, ANALYST, OPERATOR)


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
