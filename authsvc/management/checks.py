"""What makes a record wrong, and what only makes one wonder. Pure: what is compared is given."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from authsvc.errors import InvalidRequest
from authsvc.management import mail
from authsvc.management.resources import Field, Resource, Shape
from authsvc.management.shapes import Problem
from rules.mcc import parse_entry

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE_BREAK: Final = re.compile(r"[\t\n\r]")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LAST_FOUR: Final = re.compile(r"[0-9]{4}")
_MCC: Final = re.compile(r"[0-9]{4}")
_GROUPED_DIGITS: Final = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
_MINOR_MAX: Final = 9_999_999_999
_INTEGER_MAX: Final = 2**31 - 1
_ENTRIES_MAX: Final = 10_000


def check_value(field: Field, value: Any) -> Any:
    """A value as it is kept: texts without padding. Raises `InvalidRequest`."""
    if value is None:
        if field.nullable:
            return None
        raise InvalidRequest(field.name, "is required")
    if field.shape is Shape.TEXT:
        return _text(field, value)
    if field.shape is Shape.MONEY and not 0 <= value <= _MINOR_MAX:
        raise InvalidRequest(field.name, "must be from 0 to 9,999,999,999 minor units")
    if field.shape is Shape.INTEGER and not 0 < value <= _INTEGER_MAX:
        raise InvalidRequest(field.name, "must be an id")
    if field.shape is Shape.LIST:
        return _entries(field, value)
    return value


def _text(field: Field, value: str) -> str | None:
    text = value.strip()
    if not text:
        if field.nullable:
            return None
        raise InvalidRequest(field.name, "is required")
    if len(text) > field.length_max:
        raise InvalidRequest(field.name, f"is longer than {field.length_max:,} characters")
    is_long = field.length_max > 1_000  # noqa: PLR2004 - a description may have lines
    if _CONTROL.search(text) or (not is_long and _LINE_BREAK.search(text)):
        raise InvalidRequest(field.name, "holds control characters")
    if holds_card_number(text):
        # The text itself is said nowhere.
        raise InvalidRequest(field.name, "looks like a card number, which may not be kept here")
    return text


def _entries(field: Field, value: Iterable[str]) -> list[str]:
    entries = list(value)
    if len(entries) > _ENTRIES_MAX:
        raise InvalidRequest(field.name, f"has more than {_ENTRIES_MAX:,} entries")
    for position, entry in enumerate(entries):
        try:
            parse_entry(entry)
        except ValueError as error:
            raise InvalidRequest(f"{field.name}[{position}]", str(error)) from None
    return entries


def holds_card_number(text: str) -> bool:
    """True when 13 to 19 digits, which may be grouped, pass the check digit of ISO/IEC 7812."""
    return any(_passes_luhn(re.sub("[ -]", "", match.group())) for match in _GROUPED_DIGITS.finditer(text))


def _passes_luhn(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        figure = int(digit) * (2 if position % 2 else 1)
        total += figure - 9 if figure > 9 else figure  # noqa: PLR2004 - the sum of its two digits
    return total % 10 == 0


def check_record(resource: Resource, record: Mapping[str, Any]) -> None:
    """What its values say together. Raises `InvalidRequest` with the field."""
    for name in ("email", "owner_email"):
        if record.get(name) is not None and not _EMAIL.fullmatch(record[name]):
            raise InvalidRequest(name, "must be an e-mail address")
    if record.get("last_four") is not None and not _LAST_FOUR.fullmatch(record["last_four"]):
        raise InvalidRequest("last_four", "must be the last four digits and nothing else")
    if resource.name == "Category" and not _MCC.fullmatch(record["mcc_code"]):
        raise InvalidRequest("mcc_code", "must be four digits")
    if resource.name == "CategoryRule":
        given = [name for name in ("spending_category_id", "category_group") if record.get(name) is not None]
        if len(given) != 1:
            raise InvalidRequest("spending_category_id", "is required, or category_group, but not both")
    if resource.name == "Address":
        mail.check(record["country"], record.get("state"), record.get("postal_code"))
    for prefix in ("", "default_"):
        limit, duration = record.get(f"{prefix}spend_limit_minor"), record.get(f"{prefix}spend_limit_duration")
        if limit is not None and duration is None:
            raise InvalidRequest(f"{prefix}spend_limit_duration", "is required with a limit, which would not hold")


def profile_warnings(profile: Mapping[str, Any]) -> Iterator[Problem]:
    """What a profile allows or forbids in vain."""
    allowed, blocked = _codes(profile.get("allowed_categories")), _codes(profile.get("blocked_categories"))
    both = allowed & blocked
    if both:
        some = ", ".join(f"{code:04}" for code in sorted(both)[:5])
        more = f" and {len(both) - 5:,} more" if len(both) > 5 else ""  # noqa: PLR2004 - enough to find them
        yield Problem("allowed_categories", f"lists what is blocked as well, and stays blocked: {some}{more}")
    if allowed and allowed <= blocked:
        yield Problem("blocked_categories", "leaves nothing of what is allowed")
    if profile.get("spend_limit_duration") is not None and profile.get("spend_limit_minor") is None:
        yield Problem("spend_limit_duration", "has no effect without a limit")
    if profile.get("spend_limit_minor") == 0:
        yield Problem("spend_limit_minor", "is 0: nothing may be spent")


def card_warnings(card: Mapping[str, Any], profile: Mapping[str, Any] | None) -> Iterator[Problem]:
    """What a card's own limit cannot do."""
    limit = card.get("spend_limit_minor")
    if limit == 0:
        yield Problem("spend_limit_minor", "is 0: nothing may be spent")
    if card.get("spend_limit_duration") is not None and limit is None:
        yield Problem("spend_limit_duration", "has no effect without a limit")
    above = profile is not None and limit is not None and profile["spend_limit_minor"] is not None
    if (
        above
        and profile is not None
        and card["spend_limit_duration"] == profile["spend_limit_duration"]
        and limit is not None
        and limit > profile["spend_limit_minor"]
    ):
        yield Problem("spend_limit_minor", "is above the profile's, which holds first")


def _codes(entries: Iterable[str] | None) -> set[int]:
    return {code for entry in entries or () for code in parse_entry(entry)}
