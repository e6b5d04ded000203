"""Amounts: minor units in and out."""

import pytest

from rules.money import EXPONENT, divisor, fits_decimal_10_2, format_minor


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (100_000, "USD", "1,000.00"),
        (5, "USD", "0.05"),
        (0, "USD", "0.00"),
        (-4_000, "USD", "-40.00"),
        (-5, "EUR", "-0.05"),
        (9_999_999_999, "USD", "99,999,999.99"),
        (1_000, "JPY", "1,000"),
        (-1_000, "JPY", "-1,000"),
        (1_234_567, "KWD", "1,234.567"),
        (12_345, "CLF", "1.2345"),
    ],
)
def test_an_amount_is_told_in_major_units(amount_minor: int, currency: str, text: str) -> None:
    assert format_minor(amount_minor, currency) == text


@pytest.mark.parametrize(
    ("amount_minor", "currency", "fits"),
    [
        (9_999_999_999, "USD", True),
        (10_000_000_000, "USD", False),
        (-9_999_999_999, "USD", True),
        (-10_000_000_000, "USD", False),
        (99_999_999, "JPY", True),
        (100_000_000, "JPY", False),
        (1_230, "BHD", True),
        (1_234, "BHD", False),
        (99_999_999_990, "BHD", True),
        (100_000_000_000, "BHD", False),
        (12_300, "CLF", True),
        (12_310, "CLF", False),
        (0, "CLF", True),
    ],
)
def test_an_amount_fits_when_the_column_holds_it_exactly(amount_minor: int, currency: str, *, fits: bool) -> None:
    assert fits_decimal_10_2(amount_minor, currency) is fits


def test_a_currency_has_as_many_minor_units_as_its_decimals_say() -> None:
    assert [divisor(currency) for currency in ("JPY", "USD", "TND", "UYW")] == [1, 100, 1_000, 10_000]


@pytest.mark.parametrize("currency", ["usd", "XXX", "XAU", "DEM", ""])
def test_what_is_not_active_money_is_unknown(currency: str) -> None:
    assert currency not in EXPONENT
    with pytest.raises(KeyError):
        divisor(currency)


def test_every_code_is_three_capital_letters() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isalpha() and code.isupper() for code in EXPONENT)
