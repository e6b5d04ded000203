"""Reading JSON that somebody else writes: what is missing is missing, what is money must be an integer. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson

from authsvc.bridge.refusal import Refused

DEPTH_MAX: Final = 32
_INT64_MAX: Final = 2**63 - 1
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_CODE_LENGTH: Final = 3
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*", re.DOTALL)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 1970, 9998


def object_in(body: bytes) -> dict[str, Any]:
    """The JSON object in the body. Raises `Refused` 400 when there is none, or one that is too deep to be meant."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "json") from error
    if not isinstance(value, dict):
        raise Refused(400, "not_an_object")
    if may_be_deep(body) and _is_deep(value):
        raise Refused(400, "deep")
    return value


def may_be_deep(body: bytes) -> bool:
    """False when it cannot be deeper than the limit, because it has no more brackets than that."""
    return body.count(b"{") + body.count(b"[") > DEPTH_MAX


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def part(said: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The object at the end of the path, empty when there is none."""
    found: Any = said
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def amount_minor(*values: Any) -> int | None:
    """The first that is there, with its sign. Raises `Refused` for a number that is no integer of 64 bits."""
    for value in values:
        if value is None:
            continue
        if type(value) is not int or abs(value) > _INT64_MAX:
            raise Refused(400, "amount")
        return value
    return None


def text(value: Any, length_max: int | None = None) -> str:
    """Without control characters and padding, cut; empty when it is no text."""
    if not isinstance(value, str):
        return ""
    # Printable text, which nearly all is, holds no control characters: the look costs less than the pattern.
    clean = value if value.isprintable() else _CONTROL.sub("", value)
    return clean.strip()[:length_max].rstrip()


def code(*values: Any) -> str:
    """The first that is a code of three capital letters, or nothing."""
    for value in values:
        found = text(value)
        if len(found) == _CODE_LENGTH and found.isascii() and found.isalpha() and found.isupper():
            return found
    return ""


def identifier(value: Any, length_max: int, why: str) -> str:
    """A name in printable ASCII. Raises `Refused` 400 with `why`."""
    if isinstance(value, str) and 0 < len(value) <= length_max and value.isascii() and value.isprintable():
        return value
    raise Refused(400, why)


def instant_us(value: Any, why: str) -> int:
    """Microseconds since the Unix epoch of an RFC 3339 text; without an offset it is UTC. Raises `Refused` 400."""
    read_us = _instant_us(value) if isinstance(value, str) else None
    if read_us is None:
        raise Refused(400, why)
    return read_us


@lru_cache(maxsize=256)
def _instant_us(text: str) -> int | None:
    # Lithic's times are whole seconds: of those who come at once, most bring the same.
    if not _INSTANT.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    if not _FIRST_YEAR < at.year <= _LAST_YEAR:
        return None
    return ((at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
