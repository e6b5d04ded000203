"""Merchant category codes (ISO 18245): four digits, leading zeros kept. Lists of codes and ranges become one table.

Blocked beats allowed: of a blocked code the table does not tell whether it was in the allowed set as well.
"""

from collections.abc import Iterable

ALLOWED = 0
BLOCKED = 1
NOT_ALLOWED = 2

CODE_COUNT = 10_000
_CODE_DIGITS = 4


def parse_entry(text: str) -> range:
    """The codes of "5812" or of "3000-3299" (both ends included). ValueError names the entry it refuses."""
    first, dash, last = text.partition("-")
    if not _is_code(first) or (dash and not _is_code(last)):
        raise ValueError(f'merchant category "{text}" is neither a code of four digits nor a range like "3000-3299"')
    low, high = int(first), int(last or first)
    if low > high:
        raise ValueError(f'merchant category range "{text}" ends before it begins')
    return range(low, high + 1)


def compile_table(allowed: Iterable[str], blocked: Iterable[str]) -> bytes | None:
    """One byte for each code: ALLOWED, BLOCKED or NOT_ALLOWED. An empty allowed set allows every code.

    None when there is nothing to check. ValueError when an entry is malformed.
    """
    allowed_ranges = [parse_entry(entry) for entry in allowed]
    blocked_ranges = [parse_entry(entry) for entry in blocked]
    if not allowed_ranges and not blocked_ranges:
        return None
    table = bytearray([NOT_ALLOWED if allowed_ranges else ALLOWED]) * CODE_COUNT
    for codes in allowed_ranges:
        table[codes.start : codes.stop] = bytes(len(codes))
    for codes in blocked_ranges:
        table[codes.start : codes.stop] = bytes([BLOCKED]) * len(codes)
    return bytes(table)


def _is_code(text: str) -> bool:
    return len(text) == _CODE_DIGITS and text.isascii() and text.isdigit()
