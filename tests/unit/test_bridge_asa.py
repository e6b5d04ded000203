"""Reading Lithic's request: what is taken from where, what is forgiven, what is refused; and whatever bytes may come."""

import copy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc import codec
from authsvc.bridge import question
from authsvc.bridge.asa import ENTRY_MODES, KINDS, NETWORKS, AsaRequest, parse
from authsvc.bridge.fields import DEPTH_MAX
from authsvc.bridge.refusal import Refused
from authsvc.client import AuthorizationClient
from authsvc.errors import InvalidRequest
from authsvc.v1 import types_pb2 as types
from tests.case_files import unix_us
from tests.lithic import TOKEN, asa_request, encoded

NOON_US = unix_us(datetime(2025, 11, 20, 12, tzinfo=UTC))
CLIENT = AuthorizationClient("nowhere:1")
KEY_FIELDS = {("token",), ("card",), ("card", "token")}
# What the engine is left to refuse.
ENGINES = {"kind", "currency", "merchant.mcc", "amount_minor", "hold_minor", "transacted_at"}


def paths(value: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    for name, inner in value.items():
        yield (*above, name)
        if isinstance(inner, dict):
            yield from paths(inner, *above, name)


def changed(path: tuple[str, ...], value: Any, *, drop: bool = False) -> bytes:
    body = asa_request()
    part = body
    for name in path[:-1]:
        part = part[name]
    if drop:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return orjson.dumps(body)


def read(**changes: Any) -> AsaRequest:
    return parse(encoded(asa_request(**changes)))


def why(body: bytes) -> str:
    with pytest.raises(Refused) as caught:
        parse(body)
    assert caught.value.status == 400
    return caught.value.why


def test_a_full_request_is_read() -> None:
    assert read(event_token="event-1") == AsaRequest(
        token=TOKEN,
        event_token="event-1",
        card_token="card_demo_open",
        kind="AUTHORIZATION",
        amount_minor=1_250,
        hold_minor=1_250,
        currency="USD",
        transacted_us=NOON_US,
        merchant={
            "acceptor_id": "ACCEPTOR-0001",
            "descriptor": "BISTRO NINE",
            "mcc": "5812",
            "city": "LYON",
            "state": "ARA",
            "country": "FRA",
            "currency": "EUR",
            "amount_minor": 1_000,
        },
        partial_approval_capable=False,
        entry_mode="CHIP",
        network="VISA",
    )


def test_the_engine_takes_what_was_read() -> None:
    message = CLIENT.request(**read(partial=True).fields("event:1", NOON_US))
    request = codec.request_of(message, NOON_US)
    assert (request.request_id, request.transaction_token, request.card_token) == ("event:1", TOKEN, "card_demo_open")
    assert (request.currency, request.mcc, request.entry_mode, request.network) == ("USD", "5812", "CHIP", "VISA")
    assert request.partial_approval_capable


@pytest.mark.parametrize("path", sorted(set(paths(asa_request())) - KEY_FIELDS), ids=".".join)
def test_every_field_but_the_keys_may_be_absent_or_null(path: tuple[str, ...]) -> None:
    for body in (changed(path, None), changed(path, None, drop=True)):
        request = parse(body)
        assert (request.token, request.card_token) == (TOKEN, "card_demo_open")
        assert request.amount_minor == 1_250


@pytest.mark.parametrize("path", sorted(KEY_FIELDS), ids=".".join)
def test_without_a_key_there_is_no_question(path: tuple[str, ...]) -> None:
    expected = "token" if path == ("token",) else "card_token"
    for body in (changed(path, None), changed(path, None, drop=True), changed(path, 7), changed(path, "")):
        assert why(body) == expected


@pytest.mark.parametrize("token", ["ü", "a\n", "x" * 256, ["t"], True])
def test_a_key_that_the_engine_would_not_take_is_refused(token: object) -> None:
    assert (why(changed(("token",), token)), why(changed(("card", "token"), token))) == ("token", "card_token")


def test_unknown_keys_are_ignored() -> None:
    old = asa_request(events=[], funding=[{"amount": 1.5}], expiry=None)
    old["card"]["hostname"] = ""
    assert parse(orjson.dumps(old)) == read()


def test_the_deprecated_scalars_stand_in_for_the_amounts() -> None:
    body = asa_request(amounts=None, authorization_amount=700, amount=600, cardholder_currency="CAD")
    request = parse(orjson.dumps(body))
    assert (request.amount_minor, request.hold_minor, request.currency) == (700, 0, "CAD")
    assert (request.merchant["amount_minor"], request.merchant["currency"]) == (1_000, "EUR")
    del body["authorization_amount"]
    assert parse(orjson.dumps(body)).amount_minor == 600


def test_the_amounts_beat_the_scalars() -> None:
    assert read(amount_minor=900, authorization_amount=1, amount=2).amount_minor == 900


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_status_says_which_way_the_money_goes_and_the_sign_does_not(kind: str) -> None:
    negative, positive = read(amount_minor=-500, status=kind), read(amount_minor=500, status=kind)
    assert negative == positive
    assert (negative.kind, negative.amount_minor) == (kind, 500)
    assert negative.hold_minor == (500 if kind == "AUTHORIZATION" else 0)


def test_the_five_statuses_are_the_kinds_of_the_contract() -> None:
    assert {f"KIND_{kind}" for kind in KINDS} == set(types.Kind.keys()) - {"KIND_UNSPECIFIED"}


@pytest.mark.parametrize("status", [None, "QUASI_CASH", 5, ["AUTHORIZATION"]])
def test_a_status_that_is_not_known_is_left_to_the_engine_to_refuse(status: object) -> None:
    message = CLIENT.request(**parse(changed(("status",), status)).fields("event:1", NOON_US))
    with pytest.raises(InvalidRequest, match="kind"):
        codec.request_of(message, NOON_US)


AMOUNTS = [("amounts", "cardholder", "amount"), ("amounts", "hold", "amount"), ("amounts", "merchant", "amount")]


@pytest.mark.parametrize("path", AMOUNTS, ids=".".join)
@pytest.mark.parametrize(
    "text", ["4618.0", "0.5", "1e3", '"4618"', "true", "[1]", "{}", str(2**63), str(-(2**63)), "9" * 400]
)
def test_an_amount_that_is_no_integer_of_64_bits_is_refused(path: tuple[str, ...], text: str) -> None:
    body = changed(path, "@").replace(b'"@"', text.encode())
    assert why(body) in ("amount", "json")


def test_the_largest_integers_are_read() -> None:
    assert parse(changed(AMOUNTS[0], 2**63 - 1)).amount_minor == parse(changed(AMOUNTS[0], 1 - 2**63)).amount_minor


def test_without_any_amount_only_a_balance_inquiry_is_a_question() -> None:
    body = {"token": "t", "card": {"token": "c"}, "status": "AUTHORIZATION"}
    assert why(orjson.dumps(body)) == "amount"
    assert parse(orjson.dumps(body | {"status": "BALANCE_INQUIRY"})).amount_minor == 0


def test_a_hold_in_another_currency_is_refused() -> None:
    assert why(changed(("amounts", "hold", "currency"), "EUR")) == "currency"


def test_another_event_is_refused() -> None:
    assert why(changed(("event_type",), "card_transaction.updated")) == "event_type"


def test_texts_are_trimmed_cleaned_and_cut_to_what_the_engine_takes() -> None:
    merchant = {"acceptor_id": " 00\x0012  ", "descriptor": "A\r\nB" + "c" * 400, "city": "x" * 65, "state": 5}
    read_ = parse(changed(("merchant",), merchant | {"mcc": " 5812 ", "country": "fr"})).merchant
    assert (read_["acceptor_id"], read_["descriptor"]) == ("0012", "AB" + "c" * 253)
    assert (read_["city"], read_["state"], read_["mcc"], read_["country"]) == ("x" * 64, "", "5812", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-11-20T12:00:00Z", NOON_US),
        ("2025-11-20t12:00:00z", NOON_US),
        ("2025-11-20T12:00:00", NOON_US),
        ("2025-11-20T13:00:00+01:00", NOON_US),
        ("2025-11-20T12:00:00.250000Z", NOON_US + 250_000),
        (None, None),
    ],
)
def test_the_time_is_read_and_is_utc_when_it_does_not_say(text: str | None, expected: int | None) -> None:
    assert parse(changed(("created",), text)).transacted_us == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "2025-11-20",
        "2025-13-01T00:00:00Z",
        "1969-12-31T00:00:00Z",
        "9999-12-31T23:59:59Z",
        1763640000,
        "2025-11-20T12:00:00+24:00",
    ],
)
def test_a_time_that_is_none_is_refused(value: object) -> None:
    assert why(changed(("created",), value)) == "created"


def test_every_entry_mode_and_network_is_one_of_the_contract() -> None:
    assert {f"ENTRY_MODE_{mode}" for mode in ENTRY_MODES.values()} < set(types.EntryMode.keys())
    assert {f"NETWORK_{network}" for network in NETWORKS} < set(types.Network.keys())


@pytest.mark.parametrize("value", ["UNKNOWN", "UNSPECIFIED", "TELEPATHY", None, 3, ["VISA"]])
def test_an_unknown_entry_mode_or_network_is_unspecified(value: object) -> None:
    assert parse(changed(("pos", "entry_mode", "pan"), value)).entry_mode == "UNSPECIFIED"
    assert parse(changed(("network",), value)).network == "UNSPECIFIED"


@pytest.mark.parametrize("value", [None, 1, "true", False])
def test_only_true_makes_a_terminal_capable_of_a_part(value: object) -> None:
    assert not parse(changed(("pos", "terminal", "partial_approval_capable"), value)).partial_approval_capable


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nothing",
        b"\xff",
        b'{"token": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\\ud800"}',
        b"[" * 2_000 + b"]" * 2_000,
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert why(body) == "json"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"5", b"true"])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    assert why(body) == "not_an_object"


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


def test_nesting_is_limited_and_brackets_in_texts_are_not_nesting() -> None:
    assert why(orjson.dumps(asa_request(extra=nested(DEPTH_MAX)))) == "deep"
    for harmless in (nested(DEPTH_MAX - 1), "[" * 5_000, [{}] * 500):
        assert parse(orjson.dumps(asa_request(extra=harmless))) == read()


# --- whatever may come ------------------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    # No larger ones: with a digit more they could be too large for JSON, which is not told where they are skipped.
    | st.floats(-1e100, 1e100)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["token", "card", "amount", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
PATHS = sorted(paths(asa_request()))


def read_or_refused(body: bytes) -> AsaRequest | None:
    """None for what the bridge refuses; nothing else may be raised."""
    try:
        return parse(body)
    except Refused:
        return None


def engine_takes_or_names_its_field(body: bytes) -> bool:
    """What the bridge lets through, the engine takes, but for the fields whose fault is the engine's to name."""
    request = read_or_refused(body)
    if request is None:
        return True
    message = CLIENT.request(**request.fields("event:1", request.transacted_us or NOON_US))
    try:
        codec.request_of(message, NOON_US)
    except InvalidRequest as error:
        return error.field in ENGINES
    return True


def encoded_with(changes: list[tuple[tuple[str, ...], Any]]) -> bytes:
    body = copy.deepcopy(asa_request())
    for path, value in changes:
        part: Any = body
        for name in path[:-1]:
            part = part.get(name) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part[path[-1]] = value
    return orjson.dumps(body)


def read_by(reader: Callable[[bytes], object], body: bytes) -> object:
    try:
        return reader(body)
    except Refused as refused:
        return refused.why


@given(st.lists(st.tuples(st.sampled_from(PATHS), JSON), max_size=4), st.data())
def test_both_readers_read_the_same(changes: list[tuple[tuple[str, ...], Any]], data: st.DataObject) -> None:
    """The one that knows the names, and the one behind it, which is forced by a key that is not ASCII."""
    text = encoded_with(changes)
    cut = data.draw(st.integers(0, len(text) - 1))
    torn = text[:cut] + text[cut + data.draw(st.integers(1, 3)) :]
    for body in (text, torn):
        other = body.replace(b"{", '{"ü": null, '.encode(), 1)
        assert read_by(question.question_in, body) == read_by(question.question_in, other)


@given(st.binary(max_size=200) | JSON.map(orjson.dumps))
def test_random_bytes_and_json_are_refused_or_read_and_nothing_else(body: bytes) -> None:
    assert engine_takes_or_names_its_field(body)


@given(st.lists(st.tuples(st.sampled_from(PATHS), JSON), min_size=1, max_size=6))
def test_a_request_with_anything_anywhere_is_refused_or_read_and_nothing_else(
    changes: list[tuple[tuple[str, ...], Any]],
) -> None:
    assert engine_takes_or_names_its_field(encoded_with(changes))
