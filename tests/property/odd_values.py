"""Values of records as strangers send them: in the bounds, at them, beyond them, and written strangely."""

from typing import Any, Final

from hypothesis import strategies as st

from authsvc.management.resources import Field, Resource, Shape
from authsvc.v1 import management_pb2 as pb
from rules.money import EXPONENT

# What other systems stumble over: NUL, halves of characters, right to left, what cannot be seen, what combines.
ODD: Final = (
    "\x00\x01\t\n\r\x1f\x7f\x85\x9f\u00a0\u00ad\u0300\u0651\u200b\u200d\u200f\u2028\u202e\u2066\ufeff\ufffe\U0001f468"
)
INTEGERS: Final = st.sampled_from([-(2**63), -1, 0, 1, 2**31 - 1, 2**31, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)
MINOR: Final = (
    st.sampled_from([-1, 0, 1, 5, 10, 99_999_999, 10**10 - 1, 10**10])
    | st.integers(0, 10**10)
    | st.integers(-(2**63), 2**63 - 1)
)
CURRENCIES: Final = st.sampled_from(sorted(EXPONENT))
_CHARACTERS: Final = st.characters(codec="utf-8") | st.sampled_from(ODD)
_HALVES: Final = st.characters(categories=["Cs"])
_WORDS: Final = st.sampled_from(
    [
        "Ada",
        "Çelik",
        "Ναυτικός",
        "مخبز",
        "מאפייה",
        "ひらがな",
        "e\u0301",
        "👩‍👩‍👧",
        "O'Brien",
        '"; --',
        "\\",
        "%s",
        "{}",
        "𝔘𝔫𝔦",
    ]
)


def luhn(digits: str) -> str:
    """The digits with the check digit that makes them right."""
    doubled = [int(digit) * (1 if position % 2 else 2) for position, digit in enumerate(reversed(digits))]
    return digits + str(-sum(figure - 9 if figure > 9 else figure for figure in doubled) % 10)


CARD_NUMBERS: Final = st.text("0123456789", min_size=12, max_size=18).map(luhn)


@st.composite
def grouped(draw: st.DrawFn, numbers: st.SearchStrategy[str] = CARD_NUMBERS) -> str:
    """A card number as people and programs write it."""
    digits = draw(numbers)
    gap = draw(st.sampled_from(["", " ", "-", " - ", ".", "_", "\u00a0", "\u2009", "\u2013", "\u200b", "\n"]))
    size = draw(st.integers(1, len(digits)))
    parts = [digits[start : start + size] for start in range(0, len(digits), size)]
    if draw(st.booleans()):
        parts = [digits[:4], digits[4:10], digits[10:]]
    zero = draw(st.sampled_from(["0", "\uff10", "\u0660", "\u06f0", "\u0966"]))
    return gap.join(parts).translate({ord("0") + figure: chr(ord(zero) + figure) for figure in range(10)})


def texts(*, halves: bool = True) -> st.SearchStrategy[str]:
    """Short, long and odd ones; protobuf has no halves of characters."""
    characters = _CHARACTERS | _HALVES if halves else _CHARACTERS
    long = st.tuples(characters, st.sampled_from([254, 255, 256, 9_999, 10_001])).map(lambda pair: pair[0] * pair[1])
    padded = st.tuples(st.sampled_from(["", " ", "\t", "\u00a0"]), _WORDS).map("".join)
    return st.text(characters, max_size=12) | _WORDS | padded | long


def entries() -> st.SearchStrategy[list[str]]:
    """Merchant categories: codes, ranges, and what is neither."""
    codes = st.integers(0, 9_999).map("{:04}".format)
    ranges = st.tuples(codes, codes).map("-".join)
    # Halves of them are good, so that whole lists are.
    good = st.lists(codes | st.tuples(codes, codes).map(lambda pair: "-".join(sorted(pair))), min_size=1, max_size=4)
    return good | st.lists(codes | ranges | st.text(max_size=10) | st.just("٥٨١٢"), max_size=4)


def json_values() -> st.SearchStrategy[Any]:
    """What JSON can say, and a little more."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | texts(halves=False)
        | st.sampled_from(["UTC", "Europe/Berlin", "on", "off", "never", 1, 7, 30, 31, 7.0, 7.5, 100_000, 100_001])
    )
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(halves=False), inner, max_size=3), max_leaves=6)  # fmt: skip


def values_of(shape: Shape, field: Field | None = None, resource: Resource | None = None) -> st.SearchStrategy[Any]:
    """What the wire can carry for a field of this shape, nothing among it."""
    match shape:
        case Shape.TEXT:
            values: st.SearchStrategy[Any] = texts()
        case Shape.INTEGER:
            values = INTEGERS
        case Shape.MONEY:
            values = MINOR
        case Shape.BOOLEAN:
            values = st.booleans()
        case Shape.WORD:
            values = st.sampled_from(words_of(field, resource) if field and resource else ["active"])
        case Shape.LIST | Shape.NAMES:
            values = entries()
        case Shape.JSON:
            values = json_values()
    return st.none() | values


def words_of(field: Field, resource: Resource) -> list[str]:
    """The words that a field may have, by the contract."""
    enum = getattr(pb, resource.name).DESCRIPTOR.fields_by_name[field.name].enum_type
    return [value.name.removeprefix(field.prefix).lower() for value in enum.values if value.number]
