"""Merchant category lists."""

import pytest

from rules.mcc import ALLOWED, BLOCKED, CODE_COUNT, NOT_ALLOWED, compile_table, parse_entry


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("5812", 5812, 5812),
        ("0742", 742, 742),
        ("0000", 0, 0),
        ("9999", 9999, 9999),
        ("3000-3299", 3000, 3299),
        ("0000-9999", 0, 9999),
        ("5812-5812", 5812, 5812),
    ],
)
def test_an_entry_is_a_code_or_an_inclusive_range(text: str, first: int, last: int) -> None:
    assert parse_entry(text) == range(first, last + 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "742",
        "58120",
        "5812-",
        "-5812",
        "5812-58",
        "58x2",
        "5812 ",
        " 5812",
        "5812–5814",
        "１２３４",
        "+581",
        "1-2-3",
        "5812-5813-5814",
        "3299-3000",
    ],
)
def test_a_malformed_entry_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=f'"{text}"'.replace("+", r"\+")):
        parse_entry(text)


def test_no_lists_make_no_table() -> None:
    assert compile_table([], []) is None


def test_a_table_has_a_byte_for_every_code() -> None:
    table = compile_table(["0742", "3000-3001"], ["3001", "7995"])
    assert table is not None
    assert len(table) == CODE_COUNT
    assert [table[code] for code in (742, 3000, 3001, 7995, 7996)] == [ALLOWED, ALLOWED, BLOCKED, BLOCKED, NOT_ALLOWED]


def test_an_empty_allowed_set_allows_what_is_not_blocked() -> None:
    table = compile_table([], ["7995"])
    assert table is not None
    assert table.count(ALLOWED) == CODE_COUNT - 1


@pytest.mark.parametrize(("allowed", "blocked"), [(["5812", "oops"], []), ([], ["oops"])])
def test_one_malformed_entry_refuses_the_whole_table(allowed: list[str], blocked: list[str]) -> None:
    with pytest.raises(ValueError, match='"oops"'):
        compile_table(allowed, blocked)
