"""Finds card numbers where none may be, however they are written: grouped, among other numbers, in other digits."""

import re
import unicodedata
from itertools import accumulate
from typing import Any, Final

_DIGITS_MIN: Final = 13
_DIGITS_MAX: Final = 19
# People group in two or three parts as they like; in more, all but the last are alike. Dates and accounts are not.
_ANY_GROUPS_MAX: Final = 3
# Blanks, hyphens and dashes, dots, underscores, and what cannot be seen.
_GAP: Final = "[\\s\\-._\u00ad\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]{0,3}"
_RUN: Final = re.compile(f"[0-9](?:{_GAP}[0-9]){{{_DIGITS_MIN - 1},}}")
_GROUP: Final = re.compile("[0-9]+")
# Of those who issue cards for payments. Figures that begin otherwise are instants and ids.
_ISSUERS: Final = "23456"
# The sum of the digits of twice a digit.
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def holds_card_number(text: str) -> bool:
    """True when 13 to 19 digits, which may be grouped, pass the check digit of ISO/IEC 7812."""
    plain = text if text.isascii() else "".join(map(_in_ascii, text))
    return any(_holds(_GROUP.findall(run.group())) for run in _RUN.finditer(plain))


def json_holds_card_number(value: Any) -> bool:
    """The same of every text, key and figure in a JSON value; of figures those that an issuer's digit begins."""
    if isinstance(value, dict):
        return any(holds_card_number(key) or json_holds_card_number(one) for key, one in value.items())
    if isinstance(value, list):
        return any(json_holds_card_number(one) for one in value)
    if isinstance(value, str):
        return holds_card_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    figure = str(value).lstrip("-") if isinstance(value, int) else f"{abs(value):.0f}"
    return figure[:1] in _ISSUERS and holds_card_number(figure)


def _holds(groups: list[str]) -> bool:
    """Whether groups that follow each other, or all of them, are one number. In time that grows with their digits."""
    sizes = [len(group) for group in groups]
    ends = list(accumulate(sizes))
    digits = [int(digit) for digit in "".join(groups)]
    if len(digits) <= _DIGITS_MAX and _passes_luhn(digits):
        return True
    sums = _sums(digits)
    alike_to = list(range(len(sizes)))
    for place in range(len(sizes) - 2, -1, -1):
        if sizes[place] == sizes[place + 1]:
            alike_to[place] = alike_to[place + 1]
    for first, size in enumerate(sizes):
        start = ends[first] - size
        for last in range(first, min(first + _DIGITS_MAX, len(sizes))):
            count = ends[last] - start
            if count > _DIGITS_MAX:
                break
            are_alike = alike_to[first] >= last - 1 and sizes[last] <= size
            if count >= _DIGITS_MIN and (last - first < _ANY_GROUPS_MAX or are_alike):
                by_end = sums[ends[last] % 2]
                if (by_end[ends[last]] - by_end[start]) % 10 == 0:
                    return True
    return False


def _sums(digits: list[int]) -> tuple[list[int], list[int]]:
    """Sums up to each place, of the figures as the check digit counts them: for an even end, and for an odd one."""
    even = [_DOUBLED[digit] if place % 2 == 0 else digit for place, digit in enumerate(digits)]
    odd = [_DOUBLED[digit] if place % 2 else digit for place, digit in enumerate(digits)]
    return [0, *accumulate(even)], [0, *accumulate(odd)]


def _in_ascii(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def _passes_luhn(digits: list[int]) -> bool:
    return (sum(digits[-1::-2]) + sum(_DOUBLED[digit] for digit in digits[-2::-2])) % 10 == 0
