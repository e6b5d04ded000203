"""Who may do what: the one table that the API obeys. Row-level security says the same again in the database."""

from enum import Enum
from typing import Final

from authsvc.errors import PermissionDenied
from authsvc.identity.shapes import ADMIN, ANALYST, OPERATOR, OWNER, USER, Caller


class Verb(Enum):
    """What is done. Deleting and restoring are one right."""

    VIEW = "view"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    PURGE = "purge"


class Reach(Enum):
    """How far a right goes."""

    # Of every account.
    EVERYWHERE = "everywhere"
    # Of the caller's account.
    ACCOUNT = "account"
    # What is the caller's own: the user's own record, cards and addresses.
    OWN = "own"


_VIEW, _CREATE, _UPDATE, _DELETE, _PURGE = Verb.VIEW, Verb.CREATE, Verb.UPDATE, Verb.DELETE, Verb.PURGE
_EDIT: Final = (_VIEW, _CREATE, _UPDATE, _DELETE)
_A, _O = Reach.ACCOUNT, Reach.OWN

# By resource and role. What is not listed is not allowed. Operators may do everything, everywhere.
MATRIX: Final[dict[str, dict[str, dict[Verb, Reach]]]] = {
    "Account": {
        OWNER: {_VIEW: _A, _UPDATE: _A},
        ADMIN: {_VIEW: _A},
        ANALYST: {_VIEW: _A},
        USER: {_VIEW: _A},
    },
    "User": {
        OWNER: dict.fromkeys(_EDIT, _A),
        ADMIN: dict.fromkeys(_EDIT, _A),
        ANALYST: {_VIEW: _A},
        USER: {_VIEW: _O},
    },
    "SpendingProfile": {
        OWNER: dict.fromkeys(_EDIT, _A),
        ADMIN: dict.fromkeys(_EDIT, _A),
        ANALYST: {_VIEW: _A},
        USER: {_VIEW: _A},
    },
    "CategoryRule": {
        OWNER: dict.fromkeys(_EDIT, _A),
        ADMIN: dict.fromkeys(_EDIT, _A),
        ANALYST: {_VIEW: _A},
        USER: {_VIEW: _A},
    },
    "CardProduct": {
        OWNER: dict.fromkeys(_EDIT, _A),
        ADMIN: dict.fromkeys(_EDIT, _A),
        ANALYST: {_VIEW: _A},
        USER: {_VIEW: _A},
    },
    "Card": {
        OWNER: dict.fromkeys(_EDIT, _A),
        ADMIN: dict.fromkeys(_EDIT, _A),
        ANALYST: {_VIEW: _A},
        USER: {_VIEW: _O},
    },
    "Address": {
        OWNER: dict.fromkeys(_EDIT, _A),
        ADMIN: dict.fromkeys(_EDIT, _A),
        ANALYST: {_VIEW: _A},
        USER: dict.fromkeys(_EDIT, _O),
    },
    "Setting": {
        OWNER: dict.fromkeys(_EDIT, _A),
        ADMIN: {_VIEW: _A},
        ANALYST: {_VIEW: _A},
    },
    "AuditLog": {role: {_VIEW: _A} for role in (OWNER, ADMIN, ANALYST)},
    "Category": {role: {_VIEW: Reach.EVERYWHERE} for role in (OWNER, ADMIN, ANALYST, USER)},
}


def reach_of(caller: Caller, resource: str, verb: Verb) -> Reach | None:
    """How far the caller's right goes; None when there is none."""
    if caller.role == OPERATOR:
        return Reach.EVERYWHERE
    return MATRIX.get(resource, {}).get(caller.role, {}).get(verb)


def demand(caller: Caller, resource: str, verb: Verb) -> Reach:
    """As `reach_of`; raises `PermissionDenied`."""
    reach = reach_of(caller, resource, verb)
    if reach is None:
        raise PermissionDenied(f"the role {caller.role} may not {verb.value} a {resource}")
    return reach
