"""Validation of records, for all values: kept as they were given, or refused by name; nothing else, nothing echoed."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.errors import InvalidRequest
from authsvc.management import checks, mail
from authsvc.management.card_numbers import holds_card_number, json_holds_card_number
from authsvc.management.manage import _complete
from authsvc.management.resources import RESOURCES, Field, Resource, Shape
from authsvc.management.settings import check_setting, value_type_of
from authsvc.management.shapes import SettingKey
from rules.money import EXPONENT
from tests.property.odd_values import CARD_NUMBERS, MINOR, entries, grouped, json_values, texts, values_of

FIELDS = [(resource, field) for resource in RESOURCES for field in resource.fields]
TEXTS = [field for _, field in FIELDS if field.shape is Shape.TEXT]
LISTS = [field for _, field in FIELDS if field.shape is Shape.LIST]
[VALUE] = [field for _, field in FIELDS if field.shape is Shape.JSON]
AROUND = st.sampled_from(["", " ", "no. ", "PAN:", "12 ", "2027-", "0", "x", "é", "\n", "1234 1234 ", "99, "])
many = settings(max_examples=100, deadline=None)
few = settings(max_examples=15, deadline=None)


def named(resource: Resource, field: str) -> bool:
    """Whether a record of this kind has it, at a place in it or as a whole."""
    return re.sub(r"\[[0-9]+\]$", "", field) in resource.by_name


def refusal_of(check: Callable[..., object], *arguments: Any) -> InvalidRequest | None:
    """What it refuses with; whatever else it raises is a failure of the test."""
    try:
        check(*arguments)
    except InvalidRequest as error:
        return error
    return None


def problem_of(field: Field, value: Any) -> InvalidRequest | None:
    return refusal_of(checks.check_value, field, value)


def is_storable(field: Field, kept: Any) -> bool:
    """Whether its column takes it, by the column's type alone."""
    match field.shape:
        case Shape.TEXT:
            return "\x00" not in kept and bool(kept.encode()) and len(kept) <= field.length_max
        case Shape.INTEGER:
            return 0 < kept < 2**31
        case Shape.MONEY:
            return 0 <= kept < 10**10
    return True


def by_name(one: Any) -> str:
    return str(one.name)


# --- any value of any field -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", Shape)
@many
@given(data=st.data())
def test_a_value_is_kept_as_it_was_given_or_refused_by_the_name_of_its_field(shape: Shape, data: Any) -> None:
    value = data.draw(values_of(shape))
    for resource, field in FIELDS:
        if field.shape is not shape:
            continue
        if error := problem_of(field, value):
            assert named(resource, error.field) and error.field.startswith(field.name)
            continue
        kept = checks.check_value(field, value)
        assert kept == (value.strip() or None if isinstance(value, str) and shape is Shape.TEXT else value)
        assert kept is not None or field.nullable
        assert checks.check_value(field, kept) == kept
        assert kept is None or is_storable(field, kept)


@pytest.mark.parametrize("resource", RESOURCES, ids=by_name)
@few
@given(data=st.data())
def test_a_whole_record_is_right_or_refused_by_the_name_of_a_field_that_it_has(resource: Resource, data: Any) -> None:
    written = {field.name: field for field in resource.fields if not field.read_only}
    given_values = {
        name: data.draw(values_of(field.shape, field, resource), label=name) for name, field in written.items()
    }
    if error := refusal_of(_complete, resource, given_values):
        assert named(resource, error.field) and error.problem
        return
    record = _complete(resource, given_values)
    if error := refusal_of(checks.check_record, resource, record):
        assert named(resource, error.field) and error.problem
    assert record.keys() == written.keys()
    assert all(record[name] is not None for name, field in written.items() if field.required)


# --- card numbers -----------------------------------------------------------------------------------------------------


def assert_refused_untold(error: InvalidRequest | None, field: Field, number: str) -> None:
    assert error is not None and error.field.startswith(field.name)
    told = re.sub(r"\D", "", str(error))
    assert not any(number[start : start + 6] in told for start in range(len(number) - 5))


@many
@given(CARD_NUMBERS, AROUND, AROUND, st.data())
def test_no_text_keeps_a_card_number_or_tells_it_again(number: str, before: str, after: str, data: Any) -> None:
    text = f"{re.sub('[0-9]+$', '', before)}{data.draw(grouped(st.just(number)))}{re.sub('^[0-9]+', '', after)}"
    for field in TEXTS:
        assert_refused_untold(problem_of(field, text), field, number)


@many
@given(CARD_NUMBERS, st.data())
def test_no_list_and_no_json_keeps_a_card_number_or_tells_it_again(number: str, data: Any) -> None:
    text = data.draw(grouped(st.just(number)))
    for field in LISTS:
        assert_refused_untold(problem_of(field, ["5812", text]), field, number)
    figure = int("4" + number[1:]) if holds_card_number("4" + number[1:]) else text
    held = data.draw(st.sampled_from([text, {text: 1}, [text], {"a": [{"b": text}]}, figure, [{"a": figure}]]))
    assert_refused_untold(problem_of(VALUE, held), VALUE, number)


@pytest.mark.parametrize(
    "form",
    [
        "{0} 12",
        "12 {0}",
        "{0} 2027",
        "no.{0}x",
        "{0:.4} {0:.0}" + "1111 1111 1111 12/27",
        "4.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1",
    ],
)
def test_a_card_number_is_seen_beside_other_numbers(form: str) -> None:
    assert holds_card_number(form.format("4" + 15 * "1"))


@pytest.mark.parametrize("value", ["1 " * 5_000, "12 " * 3_300, "9" * 10_000, [["1 " * 8_000]]])
def test_texts_that_are_all_groups_of_digits_are_searched_to_their_end(value: Any) -> None:
    assert not json_holds_card_number(value)


@many
@given(st.lists(st.integers(0, 9_999).map("{:04}".format), min_size=1, max_size=3), st.sampled_from([" ", "-", "."]))
def test_up_to_twelve_digits_are_no_card_number(parts: list[str], gap: str) -> None:
    assert not holds_card_number(gap.join(parts))


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("country", sorted(mail._FORMS))
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_every_postal_code_of_a_countrys_form_is_good_there_and_none_of_another_form(country: str, data: Any) -> None:
    form = mail._FORMS[country]
    state = data.draw(st.sampled_from(sorted(form.states))) if form.states else None
    code = data.draw(st.from_regex(form.code, fullmatch=True))
    mail.check(country, state, code)
    other = data.draw(st.text("0123456789ABCXYZ -abc\u0661\uff11", max_size=11))
    if not form.code.fullmatch(other):
        with pytest.raises(InvalidRequest, match=r"^postal_code: must look like "):
            mail.check(country, state, other)


@many
@given(
    st.sampled_from(["US", "CA", "DE", "AE", "ZZ"]) | texts(),
    st.none() | st.sampled_from(["WA", "ON"]) | texts(),
    st.none() | st.sampled_from(["98101", "K1A 0B1", "٩٨١٠١", "98101\n"]) | texts(),
)
def test_an_address_that_is_taken_has_a_country_a_state_and_a_code_of_plain_capitals_and_digits(
    country: str, state: str | None, code: str | None
) -> None:
    if error := refusal_of(mail.check, country, state, code):
        assert error.field in ("country", "state", "postal_code")
        return
    assert re.fullmatch("[A-Z]{2}", country)
    assert re.fullmatch("[A-Z0-9]{1,3}", state or "A")
    assert re.fullmatch("[A-Z0-9 -]{2,10}", code or "00")


# --- merchant categories and money ------------------------------------------------------------------------------------


@many
@given(entries())
def test_a_list_of_categories_is_taken_exactly_when_each_is_a_code_or_a_range_that_does_not_end_before_it_begins(
    given_entries: list[str],
) -> None:
    def is_good(entry: str) -> bool:
        ends = re.fullmatch("([0-9]{4})(?:-([0-9]{4}))?", entry)
        return ends is not None and (ends[2] is None or ends[1] <= ends[2])

    error = problem_of(LISTS[0], given_entries)
    bad = [position for position, entry in enumerate(given_entries) if not is_good(entry)]
    assert (error.field if error else None) == (f"{LISTS[0].name}[{bad[0]}]" if bad else None)


@many
@given(MINOR, st.sampled_from(sorted(EXPONENT)))
def test_an_amount_is_taken_exactly_when_two_decimals_and_eight_digits_before_them_hold_it(
    minor: int, currency: str
) -> None:
    units = Decimal(minor).scaleb(-EXPONENT[currency])
    fits = units == units.quantize(Decimal("0.01")) and abs(units) < 10**8 if abs(units) < 10**20 else False
    for resource in RESOURCES:
        for field in resource.fields:
            if field.shape is not Shape.MONEY:
                continue
            error = refusal_of(checks.check_money, resource, {field.name: minor, "name": "x"}, currency)
            assert (error.field if error else None) == (None if fits else field.name)


# --- settings ---------------------------------------------------------------------------------------------------------


@st.composite
def keys(draw: st.DrawFn) -> SettingKey:
    """A key as the registry may have it."""
    kind = draw(st.sampled_from(["string", "number", "boolean", "json"]))
    low = draw(st.integers(0, 40)) if kind == "number" else None
    high = None if low is None else low + draw(st.integers(0, 40))
    choices = ["on", "off", "never"] if kind == "string" and draw(st.booleans()) else []
    return SettingKey("one", kind, None, low, high, choices, "")


def is_of(key: SettingKey, value: Any) -> bool:
    match key.value_type:
        case "string":
            return isinstance(value, str) and (not key.choices or value in key.choices)
        case "number":
            is_figure = isinstance(value, int | float) and not isinstance(value, bool)
            return is_figure and value in range(key.minimum or 0, (key.maximum or 0) + 1)
        case "boolean":
            return value is True or value is False
    return True


@many
@given(keys(), json_values() | st.integers(-1, 90) | st.sampled_from(["on", "off", True, 3.0, 3.5]))
def test_a_setting_takes_exactly_the_values_of_its_type_and_range(key: SettingKey, value: Any) -> None:
    error = refusal_of(check_setting, [key], "one", value)
    assert (error.field if error else None) == (None if is_of(key, value) else "value")


@many
@given(keys(), texts())
def test_a_setting_that_nobody_knows_is_refused_by_its_key(key: SettingKey, name: str) -> None:
    for error in (refusal_of(value_type_of, [key], name), refusal_of(check_setting, [key], name, 1)):
        assert error is not None and error.field == "key"


@many
@given(texts())
def test_a_time_zone_is_one_or_is_refused_whatever_it_is_called(name: str) -> None:
    registry = [SettingKey("timezone", "string", "UTC", None, None, (), "")]
    error = refusal_of(check_setting, registry, "timezone", name)
    assert error is None or error.field == "value"
