"""Merchant category tables against naive range matching."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.evaluate import evaluate
from rules.mcc import ALLOWED, BLOCKED, CODE_COUNT, NOT_ALLOWED, compile_table, parse_entry
from rules.reasons import Kind, Reason
from rules.types import Account, Card, Profile, Request, User

codes = st.integers(0, CODE_COUNT - 1)
single = codes.map("{:04}".format)
spans = st.tuples(codes, codes).map(lambda pair: f"{min(pair):04}-{max(pair):04}")
entries = st.lists(single | spans, max_size=6)


def matches(entry: str, mcc: str) -> bool:
    first, _, last = entry.partition("-")
    return first <= mcc <= (last or first)  # four digits each: the order of texts is the order of numbers


@settings(max_examples=100, deadline=None)
@given(entries, entries, st.lists(codes, min_size=1, max_size=20))
def test_a_table_says_what_the_lists_say(allowed: list[str], blocked: list[str], asked: list[int]) -> None:
    table = compile_table(allowed, blocked)
    ends = [end for entry in allowed + blocked for end in (parse_entry(entry)[0], parse_entry(entry)[-1])]
    for code in asked + ends + [(end + 1) % CODE_COUNT for end in ends] + [(end - 1) % CODE_COUNT for end in ends]:
        mcc = f"{code:04}"
        expected = ALLOWED
        if any(matches(entry, mcc) for entry in blocked):
            expected = BLOCKED
        elif allowed and not any(matches(entry, mcc) for entry in allowed):
            expected = NOT_ALLOWED
        assert (ALLOWED if table is None else table[code]) == expected


@settings(max_examples=10, deadline=None)
@given(entries, entries)
def test_every_code_of_four_digits_gets_an_answer(allowed: list[str], blocked: list[str]) -> None:
    account = Account(1, "active", "USD", "UTC", balance_check=True, config_version=1)
    profile = Profile(3, None, shared=False, mcc_table=compile_table(allowed, blocked))
    card = Card(7, "token", "active", account, User(2, "active"), profile, None)
    reasons = {
        evaluate(card, Request(Kind.AUTHORIZATION, 1, f"{code:04}", 0, partial_approval_capable=False))[0]
        for code in range(CODE_COUNT)
    }
    assert reasons <= {Reason.APPROVED, Reason.MCC_BLOCKED, Reason.MCC_NOT_ALLOWED}


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12) | st.from_regex(r"[0-9]{3,5}(-[0-9]{3,5})?", fullmatch=True))
def test_whatever_is_written_is_a_range_of_codes_or_refused(text: str) -> None:
    if re.fullmatch(r"[0-9]{4}(-[0-9]{4})?", text) and text[:4] <= text[-4:]:
        assert (parse_entry(text)[0], parse_entry(text)[-1]) == (int(text[:4]), int(text[-4:]))
    else:
        with pytest.raises(ValueError, match=re.escape(f'"{text}"')):
            parse_entry(text)
