"""What makes a record wrong, and that the page about rights says what the table says."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InvalidRequest
from authsvc.identity.shapes import ADMIN, ANALYST, OWNER, USER
from authsvc.management import checks, mail
from authsvc.management.permissions import MATRIX, Reach, Verb
from authsvc.management.resources import CARD, SPENDING_PROFILE

PAGE = Path(__file__).parents[2] / "docs" / "management.md"
CODES = st.integers(0, 9_999).map(lambda code: f"{code:04}")
ENTRIES = st.lists(CODES | st.tuples(CODES, CODES).map(lambda pair: "-".join(sorted(pair))), max_size=4)


def luhn(digits: str) -> str:
    """The digits with the check digit that makes them right."""
    doubled = [int(digit) * (1 if position % 2 else 2) for position, digit in enumerate(reversed(digits))]
    return digits + str(-sum(figure - 9 if figure > 9 else figure for figure in doubled) % 10)


@given(st.text("0123456789", min_size=12, max_size=18), st.sampled_from(["", " ", "-"]), st.text(max_size=5))
def test_every_number_with_a_right_check_digit_is_seen_however_it_is_grouped(
    digits: str, gap: str, around: str
) -> None:
    number = luhn(digits)
    grouped = gap.join(re.findall(".{1,4}", number))
    safe = re.sub("[0-9 -]", "x", around)
    assert checks.holds_card_number(f"{safe}{grouped}{safe}")
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not checks.holds_card_number(f"{safe}{wrong}{safe}")


@given(ENTRIES, ENTRIES)
def test_a_profile_is_warned_of_exactly_the_codes_that_are_in_both_lists(
    allowed: list[str], blocked: list[str]
) -> None:
    def codes(entries: list[str]) -> set[int]:
        spans = [(entry[:4], entry[-4:]) for entry in entries]
        return {code for low, high in spans for code in range(int(low), int(high) + 1)}

    profile = {"allowed_categories": allowed, "blocked_categories": blocked}
    told = {one.field for one in checks.profile_warnings(profile)}
    both = codes(allowed) & codes(blocked)
    assert ("allowed_categories" in told) is bool(both)
    assert ("blocked_categories" in told) is (bool(allowed) and codes(allowed) <= codes(blocked))


@given(st.text())
def test_a_text_is_kept_without_padding_or_refused_with_its_field(text: str) -> None:
    field = SPENDING_PROFILE.by_name["name"]
    try:
        kept = checks.check_value(field, text)
    except InvalidRequest as error:
        refused = error.field
    else:
        assert kept == text.strip() and 0 < len(kept) <= 255 and not re.search(r"[\x00-\x1f\x7f]", kept)
        return
    assert refused == "name"


@pytest.mark.parametrize(
    ("country", "state", "code", "field"),
    [
        ("US", "WA", "98101", None),
        ("US", "WA", "9810", "postal_code"),
        ("US", "XX", "98101", "state"),
        ("US", None, "98101", "state"),
        ("CA", "ON", "K1A 0B1", None),
        ("CA", "ON", "K1A-0B1", "postal_code"),
        ("GB", None, "SW1A 1AA", None),
        ("DE", None, "10115", None),
        ("DE", None, None, "postal_code"),
        ("AE", None, None, None),
        ("ZZ", None, "ABC 123", None),
        ("us", "WA", "98101", "country"),
        ("FR", "ÎLE", "75001", "state"),
    ],
)
def test_addresses_are_checked_as_their_country_writes_them(
    country: str, state: str | None, code: str | None, field: str | None
) -> None:
    if field is None:
        mail.check(country, state, code)
        return
    with pytest.raises(InvalidRequest) as refused:
        mail.check(country, state, code)
    assert refused.value.field == field


@pytest.mark.parametrize("text", ["", "123", "12345", "１２３４", "12a4", "4" + 15 * "1"])
def test_of_a_card_number_four_digits_are_kept_and_nothing_else(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        checks.check_record(CARD, {"last_four": text})
    assert refused.value.field == "last_four" and text[:4] not in refused.value.problem.split()


def test_the_page_about_rights_says_what_the_table_says() -> None:
    def cell(rights: dict[Verb, Reach] | None) -> str:
        if not rights:
            return "–"
        own = "own: " if set(rights.values()) == {Reach.OWN} else ""
        return own + ", ".join(verb.value for verb in Verb if verb in rights)

    page = PAGE.read_text(encoding="utf-8")
    for name, rights in MATRIX.items():
        cells = [cell(rights.get(role)) for role in (OWNER, ADMIN, ANALYST, USER)]
        assert f"| {name} | {' | '.join(cells)} |" in page
