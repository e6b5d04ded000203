"""The JSON of Lithic's authorization request: those of its parts that are read, with whatever they hold."""

from typing import Any, Final, TypeVar

import msgspec

from authsvc.bridge import fields

_Part = TypeVar("_Part", bound=msgspec.Struct)


class Money(msgspec.Struct, frozen=True, gc=False):
    """Of `amounts`."""

    amount: Any = None
    currency: Any = None


class Amounts(msgspec.Struct, frozen=True, gc=False):
    """What replaces the scalars."""

    cardholder: Money | None = None
    hold: Money | None = None
    merchant: Money | None = None


class Card(msgspec.Struct, frozen=True, gc=False):
    """Whose it is."""

    token: Any = None


class Merchant(msgspec.Struct, frozen=True, gc=False):
    """Where it is used."""

    acceptor_id: Any = None
    descriptor: Any = None
    mcc: Any = None
    city: Any = None
    state: Any = None
    country: Any = None


class EntryMode(msgspec.Struct, frozen=True, gc=False):
    """How the card's number came in."""

    pan: Any = None


class Terminal(msgspec.Struct, frozen=True, gc=False):
    """What the device can do."""

    partial_approval_capable: Any = None


class Pos(msgspec.Struct, frozen=True, gc=False):
    """The point of sale."""

    entry_mode: EntryMode | None = None
    terminal: Terminal | None = None


class Question(msgspec.Struct, frozen=True, gc=False):
    """A part is None when it is absent, null, or no object; its fields are as they were sent, None when absent."""

    event_type: Any = None
    token: Any = None
    event_token: Any = None
    status: Any = None
    created: Any = None
    network: Any = None
    amount: Any = None
    authorization_amount: Any = None
    cardholder_currency: Any = None
    merchant_amount: Any = None
    merchant_currency: Any = None
    amounts: Amounts | None = None
    card: Card | None = None
    merchant: Merchant | None = None
    pos: Pos | None = None


_read: Final = msgspec.json.Decoder(Question).decode
_PARTS: Final[dict[type[msgspec.Struct], dict[str, type[msgspec.Struct]]]] = {
    Question: {"amounts": Amounts, "card": Card, "merchant": Merchant, "pos": Pos},
    Amounts: {"cardholder": Money, "hold": Money, "merchant": Money},
    Pos: {"entry_mode": EntryMode, "terminal": Terminal},
}


def question_in(body: bytes) -> Question:
    """What the body says. Raises `Refused` 400 when it is no JSON object, or one that is too deep to be meant."""
    # Who knows the names reads in half the time, but skips over what it does not want without a look at the encoding
    # or the depth, and takes only objects for parts. Whatever is out of the ordinary is read by who takes it all in.
    if body.isascii() and not fields.may_be_deep(body):
        try:
            return _read(body)
        except msgspec.DecodeError:
            pass
    return _part_of(Question, fields.object_in(body))


def _part_of(kind: type[_Part], said: dict[str, Any]) -> _Part:
    parts = _PARTS.get(kind, {})
    told = {name: said[name] for name in kind.__struct_fields__ if name in said}
    for name in parts.keys() & told.keys():
        told[name] = _part_of(parts[name], told[name]) if isinstance(told[name], dict) else None
    return kind(**told)
