"""The wire contract and the engine's shapes, both ways."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from authsvc import codec
from authsvc.answers import Answer, answer_of, from_stored, to_explanation
from authsvc.errors import InvalidRequest
from authsvc.ports import Stored
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from rules.evaluate import evaluate, settle
from rules.reasons import Decision, Kind, Reason, Window
from rules.types import Account, Card, Limit, Profile, Usage, User, Verdict
from rules.windows import window_bounds

NOW_US = 1_763_640_000_000_000
NOON = datetime(2025, 11, 20, 12, tzinfo=UTC)
SECOND_US = 1_000_000


def message(**changes: Any) -> pb.AuthorizeRequest:
    fields: dict[str, Any] = {
        "request_id": "request-1",
        "transaction_token": "transaction-1",
        "card_token": "card-1",
        "kind": types.KIND_AUTHORIZATION,
        "amount_minor": 1_000,
        "hold_minor": 1_500,
        "currency": "USD",
        "transacted_at": NOON,
        "merchant": types.Merchant(
            acceptor_id="acceptor",
            descriptor="A shop",
            mcc="0742",
            city="Springfield",
            state="OR",
            country="USA",
            amount_minor=900,
            currency="EUR",
        ),
        "partial_approval_capable": True,
        "entry_mode": types.ENTRY_MODE_CHIP,
        "network": types.NETWORK_VISA,
    }
    return pb.AuthorizeRequest(**(fields | changes))


def refused_field(sent: pb.AuthorizeRequest, now_us: int = NOW_US) -> str:
    with pytest.raises(InvalidRequest) as caught:
        codec.request_of(sent, now_us)
    return caught.value.field


def test_every_field_of_a_request_arrives() -> None:
    request = codec.request_of(message(explain=True), NOW_US)
    assert (request.request_id, request.transaction_token, request.card_token) == (
        "request-1",
        "transaction-1",
        "card-1",
    )
    assert (request.kind, request.asked_minor, request.currency) == (Kind.AUTHORIZATION, 1_000, "USD")
    assert request.transacted_at_us == int(NOON.timestamp()) * SECOND_US
    assert (request.merchant_id, request.merchant_name, request.mcc) == ("acceptor", "A shop", "0742")
    assert (request.merchant_city, request.merchant_state, request.merchant_country) == ("Springfield", "OR", "USA")
    assert (request.merchant_amount_minor, request.merchant_currency) == (900, "EUR")
    assert (request.entry_mode, request.network) == ("CHIP", "VISA")
    assert request.partial_approval_capable and request.explain


@pytest.mark.parametrize(
    ("amount", "hold", "covered"), [(1_000, 1_500, 1_500), (1_000, 0, 1_000), (0, 1, 1), (7, 7, 7)]
)
def test_what_must_be_covered_is_the_larger_of_amount_and_hold(amount: int, hold: int, covered: int) -> None:
    assert codec.request_of(message(amount_minor=amount, hold_minor=hold), NOW_US).amount_minor == covered


def test_what_was_not_told_is_empty_and_not_the_name_of_an_enumeration_value() -> None:
    bare = message(transaction_token="", entry_mode=0, network=0, merchant=types.Merchant(mcc="5812"))
    request = codec.request_of(bare, NOW_US)
    assert (request.entry_mode, request.network, request.transaction_token) == ("", "", "")
    assert (request.merchant_amount_minor, request.merchant_currency) == (None, "")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_understood(kind: Kind) -> None:
    assert codec.request_of(message(kind=kind), NOW_US).kind is kind


@pytest.mark.parametrize(
    ("currency", "amount_minor", "fits"),
    [
        ("USD", 9_999_999_999, True),
        ("USD", 10_000_000_000, False),
        ("JPY", 99_999_999, True),
        ("JPY", 100_000_000, False),
        ("KWD", 99_999_999_990, True),
        ("KWD", 1_005, False),
        ("KWD", 1_010, True),
        ("CLF", 100, True),
        ("CLF", 199, False),
    ],
)
def test_an_amount_must_fit_the_column_exactly(currency: str, amount_minor: int, fits: bool) -> None:
    sent = message(currency=currency, amount_minor=amount_minor, hold_minor=0)
    if fits:
        assert codec.request_of(sent, NOW_US).asked_minor == amount_minor
    else:
        assert refused_field(sent) == "amount_minor"


@pytest.mark.parametrize("currency", ["XXX", "XTS", "XAU", "DEM", "US", "USDX", "840"])
def test_only_active_currencies_of_money_are_known(currency: str) -> None:
    assert refused_field(message(currency=currency)) == "currency"


def test_five_minutes_ahead_is_the_last_instant_that_is_accepted() -> None:
    at_us = int(NOON.timestamp()) * SECOND_US
    assert codec.request_of(message(), at_us - 5 * 60 * SECOND_US).transacted_at_us == at_us
    assert refused_field(message(), at_us - 5 * 60 * SECOND_US - 1) == "transacted_at"


def test_nanoseconds_beyond_the_microsecond_are_dropped() -> None:
    stamp = Timestamp(seconds=1_700_000_000, nanos=123_456_789)
    assert codec.instant_us_of("at", stamp) == 1_700_000_000_123_456


@pytest.mark.parametrize("instant_us", [0, 1, -1, -1_000_001, NOW_US])
def test_an_instant_written_into_a_message_is_the_same_instant(instant_us: int) -> None:
    stamp = Timestamp()
    codec.set_timestamp(stamp, instant_us)
    assert stamp.seconds * SECOND_US + stamp.nanos // 1_000 == instant_us
    assert 0 <= stamp.nanos < 1_000_000_000


@pytest.mark.parametrize("timezone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu", "America/New_York"])
@pytest.mark.parametrize("window", list(Window)[1:])
def test_every_window_can_be_told_of_the_first_and_the_last_instant_accepted(window: Window, timezone: str) -> None:
    for stamp in (Timestamp(), Timestamp(seconds=253_370_678_399, nanos=999_999_999)):
        instant_us = codec.instant_us_of("at", stamp)
        start_us, end_us = window_bounds(window, instant_us, timezone)
        assert start_us is None or end_us is None or start_us <= instant_us < end_us


def test_the_last_instant_accepted_is_the_last_one() -> None:
    with pytest.raises(InvalidRequest, match="at: must be a valid timestamp"):
        codec.instant_us_of("at", Timestamp(seconds=253_370_678_400))


# --- identity -------------------------------------------------------------------------------------------------------

OTHER_BODIES: dict[str, Any] = {
    "transaction_token": "transaction-2",
    "card_token": "card-2",
    "kind": types.KIND_FINANCIAL_AUTHORIZATION,
    "amount_minor": 1_001,
    "hold_minor": 1_501,
    "currency": "EUR",
    "transacted_at": Timestamp(seconds=1_700_000_000, nanos=1),
    "merchant": types.Merchant(mcc="5812"),
    "partial_approval_capable": False,
    "entry_mode": types.ENTRY_MODE_MANUAL,
    "network": types.NETWORK_OTHER,
}


@pytest.mark.parametrize("field", OTHER_BODIES)
def test_another_value_of_any_field_is_another_body(field: str) -> None:
    changed = codec.request_of(message(**{field: OTHER_BODIES[field]}), NOW_US)
    assert changed.fingerprint != codec.request_of(message(), NOW_US).fingerprint


def test_every_field_of_the_contract_but_explain_is_part_of_the_body() -> None:
    assert {*OTHER_BODIES, "request_id", "explain"} == set(pb.AuthorizeRequest.DESCRIPTOR.fields_by_name)


def test_asking_for_an_explanation_is_no_part_of_the_body() -> None:
    asked = codec.request_of(message(explain=True), NOW_US)
    assert asked.fingerprint == codec.request_of(message(), NOW_US).fingerprint


def test_the_same_body_in_other_bytes_is_the_same_body() -> None:
    # Fields in another order, as another library may write them.
    fields = message().ListFields()
    backwards = b"".join(pb.AuthorizeRequest(**{f.name: value}).SerializeToString() for f, value in reversed(fields))
    assert backwards != message().SerializeToString()
    read = pb.AuthorizeRequest.FromString(backwards)
    assert codec.request_of(read, NOW_US).fingerprint == codec.request_of(message(), NOW_US).fingerprint


# --- anything at all ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    read = codec.reader(pb.AuthorizeRequest)(data)
    if isinstance(read, codec.Malformed):
        with pytest.raises(InvalidRequest, match="message: is not a readable AuthorizeRequest"):
            read.refuse()
    else:
        assert isinstance(read, pb.AuthorizeRequest)


texts = st.text(max_size=8) | st.sampled_from(["USD", "5812", "request-1", "\x1e", "x" * 300])
numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 3)
small = st.integers(-(2**31), 2**31 - 1) | st.integers(0, 8)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "request_id": texts,
            "transaction_token": texts,
            "card_token": texts,
            "kind": small,
            "amount_minor": numbers,
            "hold_minor": numbers,
            "currency": texts,
            "transacted_at": st.builds(Timestamp, seconds=numbers, nanos=small),
            "merchant": st.builds(types.Merchant, mcc=texts, city=texts, amount_minor=numbers, currency=texts),
            "entry_mode": small,
            "network": small,
        },
    )
)
def test_any_message_becomes_a_valid_request_or_is_refused_by_a_field(changes: dict[str, Any]) -> None:
    refused: InvalidRequest | None = None
    try:
        request = codec.request_of(message(**changes), NOW_US)
    except InvalidRequest as error:
        refused = error
    if refused is not None:
        assert refused.field.split(".")[0] in pb.AuthorizeRequest.DESCRIPTOR.fields_by_name
        assert str(refused).startswith(f"{refused.field}: ")
    else:
        # What the recorder writes line by line must hold none of its separators.
        assert not {"\x1e", "\x1f", "\0"} & set("".join(str(getattr(request, name)) for name in request.__slots__))
        assert 0 <= request.asked_minor <= request.amount_minor
        assert 1 <= len(request.request_id) <= 128


# --- answers --------------------------------------------------------------------------------------------------------


def card() -> Card:
    account = Account(1, "active", "USD", "America/New_York", balance_check=True, config_version=9)
    profile = Profile(5, Limit(200_000, Window.WEEKLY), shared=True, mcc_table=None)
    return Card(7, "card-1", "active", account, User(3, "active"), profile, Limit(2_000, Window.DAILY))


def answer(*used_minor: int, **changes: Any) -> Answer:
    """`used_minor`: of the profile's limit, of the card's."""
    request = codec.request_of(message(hold_minor=0, **changes), NOW_US)
    reason, plan = evaluate(card(), request)
    assert reason is Reason.APPROVED and plan is not None
    usage = Usage(100_000, 3_000, used_minor)
    return answer_of(request, card(), 9, settle(plan, request, usage), usage, posts=False)


def test_an_approval_says_what_is_left_of_the_balance() -> None:
    response = codec.response_of(answer(0, 0), 42, list_checks=False)
    assert (response.decision, response.reason, response.level) == (1, 1, types.LEVEL_UNSPECIFIED)
    assert (response.approved_minor, response.balance_minor, response.available_balance_minor) == (
        1_000,
        100_000,
        96_000,
    )
    assert (response.elapsed_us, response.config_version, response.request_id) == (42, 9, "request-1")
    assert not response.HasField("deciding_check") and not response.checks


def test_a_decline_carries_the_figures_of_the_check_that_decided() -> None:
    check = codec.response_of(answer(0, 1_500, partial_approval_capable=False), 0, list_checks=False).deciding_check
    assert (check.name, check.level, check.window) == (
        types.CHECK_NAME_CARD_LIMIT,
        types.LEVEL_CARD,
        types.WINDOW_DAILY,
    )
    assert (check.limit_minor, check.used_minor, check.remaining_minor) == (2_000, 1_500, 500)
    assert check.window_start.ToDatetime(UTC) == datetime(2025, 11, 20, 5, tzinfo=UTC)
    assert check.reset_time.ToDatetime(UTC) == datetime(2025, 11, 21, 5, tzinfo=UTC)
    assert not check.shared


def test_a_listed_profile_limit_says_that_it_is_shared() -> None:
    response = codec.response_of(answer(0, 0), 0, list_checks=True)
    assert [check.shared for check in response.checks] == [False] * 7 + [True, False]


def test_an_unknown_card_has_no_figures_at_all() -> None:
    request = codec.request_of(message(), NOW_US)
    verdict = Verdict(Decision.DECLINED, Reason.UNKNOWN_CARD, 0, ())
    response = codec.response_of(answer_of(request, None, 0, verdict, None, posts=False), 0, list_checks=True)
    assert not response.HasField("balance_minor") and not response.HasField("available_balance_minor")
    assert not any(check.HasField("limit_minor") for check in response.checks)
    assert (response.transaction_id, response.config_version) == (0, 0)


@pytest.mark.parametrize("used_minor", [(0, 0), (0, 1_500), (0, 2_000), (199_500, 0), (300_000, 5_000)])
def test_an_answer_read_back_from_its_explanation_reads_the_same_on_the_wire(used_minor: tuple[int, int]) -> None:
    given_answer = answer(*used_minor)
    stored = Stored(given_answer.request.fingerprint, 11, 9, 4, to_explanation(given_answer, "worker", 7))
    again = from_stored(given_answer.request, stored)
    given_answer.transaction_id, given_answer.replayed = 11, True
    assert codec.response_of(again, 0, list_checks=True) == codec.response_of(given_answer, 0, list_checks=True)
