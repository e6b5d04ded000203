"""What PostgreSQL refuses, as errors that name the field it is about."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from authsvc.errors import AlreadyExists, InvalidRequest, NotPossible, PermissionDenied, Unavailable
from authsvc.ledger.store import GONE, NOT_COMMITTED
from authsvc.management.resources import Resource

_NAMED: Final = re.compile(r"_(?:key|check|fkey|transition|live|immutable|monotonic)$")
_TABLES_OWN: Final = "new row for relation"


@contextmanager
def unavailable() -> Iterator[None]:
    """A database that is not there, as `Unavailable`."""
    try:
        yield
    except (*NOT_COMMITTED, *GONE) as error:
        raise Unavailable("database") from error


@contextmanager
def named_fields(resource: Resource) -> Iterator[None]:
    """What a constraint refuses is said of the field it is about."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise AlreadyExists(f"{_field_of(resource, error)}: is taken") from error
    except asyncpg.RestrictViolationError as error:
        raise NotPossible(_own_words(error) or "it is in use") from error
    except asyncpg.ForeignKeyViolationError as error:
        if error.message.startswith("update or delete"):
            raise NotPossible("it is in use") from error
        raise InvalidRequest(
            _field_of(resource, error), _own_words(error) or "names nothing of this account that is there"
        ) from error
    except asyncpg.CheckViolationError as error:
        name = _field_of(resource, error)
        if error.constraint_name and error.constraint_name.endswith(("_transition", "_immutable")):
            raise NotPossible(_own_words(error) or "is not possible") from error
        raise InvalidRequest(name, _own_words(error) or "is not valid") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise PermissionDenied from error
    except asyncpg.NotNullViolationError as error:
        raise InvalidRequest(error.column_name or "record", "is required") from error
    except asyncpg.DataError as error:
        raise InvalidRequest(error.column_name or "record", "is not valid") from error


def _own_words(error: asyncpg.PostgresError) -> str:
    """What a trigger of ours says; PostgreSQL's own words name tables."""
    text = str(error.message)
    is_own = not text.startswith((_TABLES_OWN, "insert or update on table", "update or delete on table"))
    return text if is_own else ""


def _field_of(resource: Resource, error: asyncpg.PostgresError) -> str:
    """The last column that a constraint's name tells, as constraints here are named: table_column_check."""
    said = error.column_name or _NAMED.sub("", str(error.constraint_name or "")).removeprefix(f"{resource.table}_")
    by_column = {field.column: field.name for field in resource.fields}
    names = sorted((column for column in by_column if said.endswith(column) or column == f"is_{said}"), key=len)
    return by_column[names[-1]] if names else said or "record"
