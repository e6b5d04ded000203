"""What makes a record wrong, and what only makes one wonder. Pure: what is compared is given."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final

import orjson

from authsvc.errors import InvalidRequest
from authsvc.management import mail
from authsvc.management.card_numbers import holds_card_number, json_holds_card_number
from authsvc.management.resources import Field, Resource, Shape
from authsvc.management.shapes import Problem
from rules.mcc import parse_entry
from rules.money import EXPONENT, fits_decimal_10_2

# Halves of characters, which no database keeps, are among them.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_LINE_BREAK: Final = re.compile(r"[\t\n\r\x85\u2028\u2029]")
# E.164 allows one digit more, which no country uses, and cards do.
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,13}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_TAX_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z ./-]{2,22}[0-9A-Za-z]")
# How the text of a field looks, wherever the field is.
_FORMS: Final = {
    "email": (_EMAIL, "must be an e-mail address"),
    "owner_email": (_EMAIL, "must be an e-mail address"),
    "mcc_code": (re.compile(r"[0-9]{4}"), "must be four digits"),
    "last_four": (re.compile(r"[0-9]{4}"), "must be the last four digits and nothing else"),
    "phone": (_PHONE, "must be a plus, the country's code and the number: +14155550123"),
    "tax_id": (_TAX_ID, "must be 4 to 24 letters and digits; blanks, dots, slashes and hyphens between them"),
}
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OLDEST: Final = date(1900, 1, 1)
_CARD_NUMBER: Final = "looks like a card number, which may not be kept here"
_MINOR_MAX: Final = 9_999_999_999
_INTEGER_MAX: Final = 2**31 - 1
_ENTRIES_MAX: Final = 10_000
_ENTRY_MAX: Final = len("3000-3299")
_JSON_MAX: Final = 16_384
_JSON_DEPTH_MAX: Final = 32


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
    if field.shape is Shape.JSON:
        _check_json(field, value)
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
    is_phone = field.name == "phone" and _PHONE.fullmatch(text)
    if holds_card_number(text) and not is_phone:
        # The text itself is said nowhere.
        raise InvalidRequest(field.name, _CARD_NUMBER)
    return text


def _entries(field: Field, value: Iterable[str]) -> list[str]:
    entries = list(value)
    if len(entries) > _ENTRIES_MAX:
        raise InvalidRequest(field.name, f"has more than {_ENTRIES_MAX:,} entries")
    for position, entry in enumerate(entries):
        name = f"{field.name}[{position}]"
        if len(entry) > _ENTRY_MAX:
            # It may be anything, and is said nowhere.
            raise InvalidRequest(name, 'is neither a code of four digits nor a range like "3000-3299"')
        try:
            parse_entry(entry)
        except ValueError as error:
            raise InvalidRequest(name, str(error)) from None
    return entries


def _check_json(field: Field, value: Any) -> None:
    """What JSONB keeps and gives back as it was."""
    if not _is_kept(value, _JSON_DEPTH_MAX):
        text = f"must have no NUL, no figure beyond all bounds, and be no deeper than {_JSON_DEPTH_MAX} levels"
        raise InvalidRequest(field.name, text)
    if len(orjson.dumps(value)) > _JSON_MAX:
        raise InvalidRequest(field.name, f"is longer than {_JSON_MAX:,} bytes")
    if json_holds_card_number(value):
        raise InvalidRequest(field.name, _CARD_NUMBER)


def _is_kept(value: Any, depth_left: int) -> bool:
    if isinstance(value, dict):
        return depth_left > 0 and all(_is_kept(key, 0) and _is_kept(one, depth_left - 1) for key, one in value.items())
    if isinstance(value, list):
        return depth_left > 0 and all(_is_kept(one, depth_left - 1) for one in value)
    if isinstance(value, str):
        return "\x00" not in value
    return not isinstance(value, float) or math.isfinite(value)


def check_record(resource: Resource, record: Mapping[str, Any]) -> None:
    """What its values say together. Raises `InvalidRequest` with the field."""
    for name, (form, problem) in _FORMS.items():
        if record.get(name) is not None and not form.fullmatch(record[name]):
            raise InvalidRequest(name, problem)
    if record.get("date_of_birth") is not None and not _is_date(record["date_of_birth"]):
        raise InvalidRequest("date_of_birth", "must be a date such as 1984-05-06")
    if resource.name == "Account" and record["currency"] not in EXPONENT:
        raise InvalidRequest("currency", "must be the ISO 4217 code of a currency, three capital letters like USD")
    if resource.name == "CategoryRule":
        given = [name for name in ("spending_category_id", "category_group") if record.get(name) is not None]
        if len(given) != 1:
            raise InvalidRequest("spending_category_id", "is required, or category_group, but not both")
    if resource.name == "Address":
        _check_address(record)
    for prefix in ("", "default_"):
        limit, duration = record.get(f"{prefix}spend_limit_minor"), record.get(f"{prefix}spend_limit_duration")
        if limit is not None and duration is None:
            raise InvalidRequest(f"{prefix}spend_limit_duration", "is required with a limit, which would not hold")


def _check_address(address: Mapping[str, Any]) -> None:
    mail.check(address["country"], address.get("state"), address.get("postal_code"))
    if address["addressable_type"] == "account" and address["addressable_id"] != address["account_id"]:
        raise InvalidRequest("addressable_id", "must be the account's own, as account_id")


def check_money(resource: Resource, values: Mapping[str, Any], currency: str) -> None:
    """Raises `InvalidRequest` for an amount that its column would round or could not hold in the currency."""
    for name, value in values.items():
        field = resource.by_name.get(name)
        is_money = field is not None and field.shape is Shape.MONEY and value is not None
        if is_money and not fits_decimal_10_2(value, currency):
            raise InvalidRequest(name, f"is no amount of {currency} below 100 million, in hundredths at the finest")


def _is_date(text: str) -> bool:
    try:
        return _DATE.fullmatch(text) is not None and date.fromisoformat(text) >= _OLDEST
    except ValueError:
        return False


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
