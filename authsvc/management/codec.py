"""The wire contract of the management services on one side, records on the other."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from authsvc.errors import InvalidRequest
from authsvc.management.checks import check_value
from authsvc.management.resources import Field, Resource, Shape
from authsvc.management.shapes import Listing, Order, Problem, Record, SettingKey, Told
from authsvc.v1 import management_pb2 as pb

PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 1_000
_SEAL_BYTES: Final = 8
_INSTANTS: Final = ("created_at", "updated_at")
_SNAKE: Final = re.compile(r"(?<!^)(?=[A-Z])")
_NOT_OURS: Final = "is not one that this service gave out"


def snake(name: str) -> str:
    """A message's name as its field's: CardProduct is card_product."""
    return _SNAKE.sub("_", name).lower()


# --- questions ----------------------------------------------------------------------------------------------------


def created_of(resource: Resource, request: Any) -> dict[str, Any]:
    """The values of a new record: those that were given."""
    return record_of(resource, getattr(request, snake(resource.name)))


def record_of(resource: Resource, message: Any) -> dict[str, Any]:
    """The values of a record's message."""
    return _values(message, resource.fields)


def word_of(field: Field, message: Any) -> str | None:
    """The word of one enum field, None when it is not set."""
    return _word(message.DESCRIPTOR.fields_by_name[field.name].enum_type, field, getattr(message, field.name))


def seed_of(message: pb.NewCard) -> dict[str, Any]:
    """What one of many new cards has of its own."""
    return {
        "user_id": message.user_id or None,
        "lithic_card_token": message.lithic_card_token or None,
        "last_four": message.last_four or None,
    }


def changed_of(resource: Resource, request: Any) -> tuple[int, dict[str, Any], int | None]:
    """Which record, the values that the mask names, and the version that its sender saw."""
    message = getattr(request, snake(resource.name))
    names = list(dict.fromkeys(request.update_mask.paths))
    if not names:
        raise InvalidRequest("update_mask", "is required: it names the fields that change")
    known = [resource.by_name[name] for name in names if name in resource.by_name]
    values = dict.fromkeys(names) | _values(message, known)
    return record_id_of(message), values, row_version_of(message.etag)


def record_id_of(message: Any) -> int:
    """Raises `InvalidRequest`."""
    if message.id <= 0:
        raise InvalidRequest("id", "is required")
    return int(message.id)


def row_version_of(etag: str) -> int | None:
    """None when none was given. Raises `InvalidRequest` for what never was an etag."""
    if not etag:
        return None
    if not (etag.isascii() and etag.isdigit() and len(etag) < 19):  # noqa: PLR2004 - an int64
        raise InvalidRequest("etag", _NOT_OURS)
    return int(etag)


def listing_of(resource: Resource, request: Any) -> Listing:
    """A page that is asked for, and one more record, which tells whether there is another page."""
    if not 0 <= request.page_size <= PAGE_SIZE_MAX:
        raise InvalidRequest("page_size", f"must be from 0 to {PAGE_SIZE_MAX:,}")
    fields = [resource.by_name[name] for name in resource.filters]
    given = _values(request, fields)
    wanted = {field.name: check_value(field, given[field.name]) for field in fields if given[field.name] is not None}
    account_id = getattr(request, "account_id", 0) or None
    if account_id is not None and account_id < 0:
        raise InvalidRequest("account_id", "must be an id")
    listing = Listing(wanted, account_id, _order_of(resource, request.order_by), None, 0, request.show_deleted)
    after = _read_token(request.page_token, listing) if request.page_token else None
    return listing._replace(after=after, size=(request.page_size or PAGE_SIZE) + 1)


def _order_of(resource: Resource, text: str) -> Order:
    name, _, direction = text.strip().partition(" ")
    known = ("id", *_INSTANTS, *resource.orders)
    if (name or "id") not in known or direction.strip() not in ("", "asc", "desc"):
        raise InvalidRequest("order_by", f"must be one of {', '.join(known)}, and desc behind it or nothing")
    return Order(name or "id", direction.strip() == "desc")


def _values(message: Any, fields: Iterable[Field]) -> dict[str, Any]:
    return {field.name: _value(message, field) for field in fields if field.name in message.DESCRIPTOR.fields_by_name}


def _value(message: Any, field: Field) -> Any:
    """What was given; None when nothing was."""
    descriptor = message.DESCRIPTOR.fields_by_name[field.name]
    if field.shape in (Shape.LIST, Shape.NAMES):
        return list(getattr(message, field.name)) or None
    if descriptor.has_presence and not message.HasField(field.name):
        return None
    value = getattr(message, field.name)
    if field.shape is Shape.WORD:
        return _word(descriptor.enum_type, field, value)
    if field.shape is Shape.JSON:
        return _json(field, value)
    if descriptor.has_presence or field.shape is Shape.BOOLEAN:
        return value
    return value or None


def _word(enum: Any, field: Field, number: int) -> str | None:
    if number == 0:
        return None
    known = enum.values_by_number.get(number)
    if known is None:
        raise InvalidRequest(field.name, "must be one of the known values")
    return str(known.name).removeprefix(field.prefix).lower()


def _json(field: Field, text: str) -> Any:
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidRequest(field.name, "must be JSON, a text in quotes") from None


# --- answers ------------------------------------------------------------------------------------------------------


def told_of(resource: Resource, told: Told) -> Message:
    """A record as a message."""
    message = _message(resource, told.record)
    if told.warnings:
        message.warnings.extend(problems_of(told.warnings))
    return message  # type: ignore[no-any-return]


def page_of(resource: Resource, listing: Listing, records: list[Record]) -> Message:
    """A page, and the way to the next one."""
    shown = records[: listing.size - 1]
    answer = getattr(pb, f"List{resource.plural}Response")()
    getattr(answer, snake(resource.plural)).extend(_message(resource, record) for record in shown)
    if len(records) == listing.size:
        answer.next_page_token = _write_token(shown[-1], listing)
    return answer  # type: ignore[no-any-return]


def problems_of(problems: Iterable[Problem]) -> list[pb.FieldProblem]:
    """Problems as messages."""
    return [pb.FieldProblem(field=one.field, problem=one.problem) for one in problems]


def setting_keys_of(known: Iterable[SettingKey]) -> pb.ListSettingKeysResponse:
    """The registry as a message."""
    return pb.ListSettingKeysResponse(
        setting_keys=[
            pb.SettingKey(
                key=one.key,
                value_type=one.value_type,
                default_value=orjson.dumps(one.default_value).decode(),
                minimum=one.minimum,
                maximum=one.maximum,
                choices=one.choices,
                description=one.description,
            )
            for one in known
        ]
    )


def _message(resource: Resource, record: Mapping[str, Any]) -> Any:
    message = getattr(pb, resource.name)(id=record["id"], etag=str(record["row_version"]))
    for name in (*_INSTANTS, "deleted_at"):
        if record[name] is not None:
            getattr(message, name).CopyFrom(_stamp(record[name]))
    for field in resource.fields:
        value = record[field.name]
        if value is None:
            continue
        if field.shape in (Shape.LIST, Shape.NAMES):
            getattr(message, field.name).extend(value)
        elif field.shape is Shape.WORD:
            setattr(message, field.name, _number(message, field, value))
        elif field.shape is Shape.JSON:
            setattr(message, field.name, orjson.dumps(value).decode())
        else:
            setattr(message, field.name, value)
    return message


def _number(message: Any, field: Field, word: str) -> int:
    enum = message.DESCRIPTOR.fields_by_name[field.name].enum_type
    return int(enum.values_by_name[f"{field.prefix}{word.upper()}"].number)


def _stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at.astimezone(UTC).replace(tzinfo=None))
    return stamp


# --- tokens of pages ----------------------------------------------------------------------------------------------


def _seal(listing: Listing) -> str:
    asked = repr((sorted(listing.wanted.items()), listing.account_id, listing.order, listing.show_deleted))
    return hashlib.sha256(asked.encode()).hexdigest()[: 2 * _SEAL_BYTES]


def _write_token(last: Mapping[str, Any], listing: Listing) -> str:
    raw = orjson.dumps([_seal(listing), last[listing.order.field], last["id"]])
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _read_token(text: str, listing: Listing) -> tuple[Any, int]:
    try:
        raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        seal, value, record_id = orjson.loads(raw)
        if listing.order.field in _INSTANTS:
            value = datetime.fromisoformat(value)
        if not isinstance(record_id, int) or not isinstance(value, int | str | datetime):
            raise TypeError  # noqa: TRY301 - as for every other token that is none
    except (binascii.Error, UnicodeEncodeError, ValueError, TypeError):
        raise InvalidRequest("page_token", _NOT_OURS) from None
    if seal != _seal(listing):
        raise InvalidRequest("page_token", "belongs to another list: ask as for the page before")
    return value, record_id
