"""Settings of accounts against the registry: which keys there are, and what each may hold."""

import difflib
from collections.abc import Iterable
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from authsvc.errors import InvalidRequest
from authsvc.management.shapes import SettingKey

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
}


def value_type_of(known: Iterable[SettingKey], key: str | None) -> str:
    """The type of a key's values. Raises `InvalidRequest` for a key that is not in the registry."""
    return _known(known, key or "").value_type


def check_setting(known: Iterable[SettingKey], key: str, value: Any) -> None:
    """Raises `InvalidRequest` when the key may not have the value. The database says the same, later."""
    one = _known(known, key)
    types = _TYPES.get(one.value_type)
    if types is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
        raise InvalidRequest("value", f"must be a {one.value_type}")
    if one.choices and value not in one.choices:
        raise InvalidRequest("value", f"must be one of {', '.join(one.choices)}")
    if one.minimum is not None and one.maximum is not None:
        is_whole = isinstance(value, int) or value.is_integer()
        if not (is_whole and one.minimum <= value <= one.maximum):
            raise InvalidRequest("value", f"must be a whole number from {one.minimum:,} to {one.maximum:,}")
    if key == "timezone" and not _is_time_zone(value):
        raise InvalidRequest("value", "must be an IANA time zone, like Europe/Berlin")


def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    # These are only what this machine's own files are called.
    return name != "localtime" and not name.startswith(("posix", "right/"))


def _known(known: Iterable[SettingKey], key: str) -> SettingKey:
    names = {one.key: one for one in known}
    if key in names:
        return names[key]
    near = difflib.get_close_matches(key, names, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names)}"
    raise InvalidRequest("key", ("is required" if not key else "is not a known setting") + hint)
