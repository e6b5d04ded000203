"""Lithic's events read from JSON: what a transaction holds and has settled, what a card became, what is stored."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.bridge import events, fields
from authsvc.bridge.events import CardState, Snapshot, effect_of, is_kept, storable, type_of
from authsvc.bridge.refusal import Refused
from authsvc.bridge.sent import sent_us
from authsvc.bridge.workers import pause_ms
from rules.lifecycle import EventKind
from tests.events import card_updated, encoded, step, transaction

AUTH = step("AUTHORIZATION", 1_000)
SECOND_US = 1_000_000


def snapshot(**changes: Any) -> Snapshot:
    steps = changes.pop("steps", [AUTH])
    read = effect_of(orjson.loads(encoded(transaction("txn", "card", *steps, **changes))))
    assert isinstance(read, Snapshot)
    return read


def moved(kind: str, amount_minor: int, polarity: str = "DEBIT") -> dict[str, Any]:
    return step(kind, amount_minor, polarity=polarity, moves=True)


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "hold_minor", "settled_minor", "steps", "read"),
    [
        ("PENDING",  1_000,      0, [AUTH],                                                            (1_000, 0)),
        ("PENDING",  1_500,      0, [AUTH, step("AUTHORIZATION_ADVICE", 1_500)],                       (1_500, 0)),
        ("PENDING",    800,      0, [AUTH, step("AUTHORIZATION_REVERSAL", 200, polarity="CREDIT")],    (800, 0)),
        ("PENDING", -1_000,      0, [AUTH],                                                            (1_000, 0)),
        ("SETTLED",      0,  1_200, [AUTH, moved("CLEARING", 1_200)],                                  (0, 1_200)),
        ("SETTLED",    400,    600, [AUTH, moved("CLEARING", 600)],                                    (400, 600)),
        ("SETTLED",      0,    900, [AUTH, moved("CLEARING", 400), moved("CLEARING", 500)],            (0, 900)),
        ("SETTLED",      0,    500, [moved("FINANCIAL_AUTHORIZATION", 500)],                           (0, 500)),
        # Whichever sign Lithic gives to what comes back: the way it went is what counts.
        ("SETTLED",      0,   -500, [moved("RETURN", -500, "CREDIT")],                                 (0, -500)),
        ("SETTLED",      0,    500, [moved("RETURN", 500, "CREDIT")],                                  (0, -500)),
        ("SETTLED",      0,   -500, [moved("FINANCIAL_CREDIT_AUTHORIZATION", 500, "CREDIT")],          (0, -500)),
        ("SETTLED",      0,      0, [moved("RETURN", 500, "CREDIT"), moved("RETURN_REVERSAL", 500)],   (0, 0)),
        ("SETTLED",      0,    700, [moved("CLEARING", 1_000), moved("CORRECTION_CREDIT", 300, "CREDIT")], (0, 700)),
        ("SETTLED",      0,    300, [moved("CLEARING", 100), moved("CORRECTION_CREDIT", 400, "CREDIT")],   (0, -300)),
        # A fee that no step tells of: the total stands, and the steps tell its sign.
        ("SETTLED",      0,    510, [moved("RETURN", 500, "CREDIT")],                                  (0, -510)),
        ("SETTLED",      0,    510, [moved("CLEARING", 500)],                                          (0, 510)),
        ("PENDING",   -500,      0, [step("CREDIT_AUTHORIZATION", -500, polarity="CREDIT")],           (0, 0)),
        ("PENDING",    500,      0, [step("CREDIT_AUTHORIZATION", 500, polarity="CREDIT")],            (0, 0)),
        ("DECLINED", 1_000,      0, [step("AUTHORIZATION", 1_000, result="DECLINED")],                 (0, 0)),
        ("VOIDED",   1_000,      0, [AUTH],                                                            (0, 0)),
        ("EXPIRED",  1_000,      0, [AUTH],                                                            (0, 0)),
    ],
)  # fmt: skip
def test_hold_and_settlement_are_read_with_the_sign_of_where_the_money_went(
    status: str, hold_minor: int, settled_minor: int, steps: list[dict[str, Any]], read: tuple[int, int]
) -> None:
    said = snapshot(status=status, hold_minor=hold_minor, settled_minor=settled_minor, steps=steps)
    assert (said.hold_minor, said.settled_minor) == read


def test_without_its_steps_a_transaction_is_read_by_its_signs() -> None:
    body = transaction("txn", "card", hold_minor=-400, settled_minor=-300, status="SETTLED")
    for events_said in ([], None, "none", {}):
        read = effect_of(body | {"events": events_said})
        assert isinstance(read, Snapshot)
        assert (read.hold_minor, read.settled_minor, read.steps) == (0, -300, 0)


def test_a_pending_transaction_without_a_hold_holds_its_amount() -> None:
    body = transaction("txn", "card", AUTH, hold_minor=1_000)
    body["amounts"] |= {"hold": None, "settlement": None}
    read = effect_of(body)
    assert isinstance(read, Snapshot)
    assert (read.hold_minor, read.settled_minor) == (1_000, 0)


def test_one_message_says_everything_the_engine_needs() -> None:
    [message] = snapshot(minute=7, hold_minor=1_000).messages()
    assert message.pop("event_id").startswith("lithic:txn:")
    assert message == {
        "kind": int(EventKind.SNAPSHOT),
        "transaction_token": "txn",
        "card_token": "card",
        "amount_minor": 1_000,
        "settled_minor": 0,
        "currency": "USD",
        "occurred_at": datetime(2025, 11, 20, 12, 7, 0, 500_000, UTC),
        "transacted_at": datetime(2025, 11, 20, 12, tzinfo=UTC),
        "merchant": {
            "acceptor_id": "ACCEPTOR-0001",
            "descriptor": "BISTRO NINE",
            "mcc": "5812",
            "city": "LYON",
            "state": "ARA",
            "country": "FRA",
        },
    }


def test_that_a_hold_ran_out_is_said_beside_the_figures() -> None:
    expiry, figures = snapshot(status="EXPIRED").messages()
    assert (expiry["kind"], figures["kind"]) == (int(EventKind.EXPIRY), int(EventKind.SNAPSHOT))
    assert "amount_minor" not in expiry
    assert expiry["event_id"] == f"{figures['event_id']}:expiry"


def test_a_merchant_without_a_category_creates_nothing_and_is_left_out() -> None:
    for merchant in (None, {}, {"mcc": None}, {"mcc": "food"}, {"mcc": "58120"}, "BISTRO"):
        [message] = snapshot_of(merchant=merchant).messages()
        assert {"card_token", "merchant", "transacted_at"} & set(message) == set()


def snapshot_of(**changes: Any) -> Snapshot:
    """Of a body that Lithic's model would not accept."""
    read = effect_of(transaction("txn", "card", AUTH, **changes))
    assert isinstance(read, Snapshot)
    return read


# --- identities -------------------------------------------------------------------------------------------------------


def event_id(said: Snapshot) -> str:
    return str(said.messages()[-1]["event_id"])


def test_equal_states_have_one_identity_and_other_states_another() -> None:
    one = snapshot(hold_minor=1_000)
    assert event_id(one) == event_id(snapshot(hold_minor=1_000))
    others = [
        snapshot(hold_minor=999),
        snapshot(hold_minor=1_000, minute=1),
        snapshot(hold_minor=1_000, steps=[AUTH, AUTH]),
    ]
    assert len({event_id(one), *map(event_id, others)}) == 4


def test_of_one_instant_the_state_that_has_seen_more_steps_comes_last() -> None:
    states = [snapshot(hold_minor=hold, steps=[AUTH] * count) for count, hold in ((1, 9), (2, 5), (10, 7), (11, 1))]
    assert sorted(map(event_id, states)) == list(map(event_id, states))


@given(token=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=128))
def test_an_identity_fits_the_engine_whatever_the_token(token: str) -> None:
    read = effect_of(transaction(token, "card", AUTH, status="EXPIRED"))
    assert isinstance(read, Snapshot)
    for message in read.messages():
        assert len(message["event_id"]) <= 128
        assert message["event_id"].isascii() and message["event_id"].isprintable()


# --- what is refused --------------------------------------------------------------------------------------------------


def changed(path: str, value: Any) -> dict[str, Any]:
    body = transaction("txn", "card", step("CLEARING", 5, moves=True), hold_minor=1, settled_minor=5)
    at = body
    *parents, last = path.split(".")
    for name in parents:
        at = at[int(name)] if isinstance(at, list) else at[name]
    at[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("token", None, "token"),
        ("token", "", "token"),
        ("token", "x" * 129, "token"),
        ("card_token", 7, "card_token"),
        ("updated", None, "updated"),
        ("updated", "yesterday", "updated"),
        ("updated", "2025-13-01T00:00:00Z", "updated"),
        ("created", "0001-01-01T00:00:00Z", "created"),
        ("amounts", None, "currency"),
        ("amounts.hold.currency", "EUR", "currency"),
        ("amounts.settlement.currency", "EUR", "currency"),
        ("amounts.hold.amount", 1.5, "amount"),
        ("amounts.hold.amount", "15", "amount"),
        ("amounts.hold.amount", True, "amount"),
        ("amounts.settlement.amount", 2**63, "amount"),
        ("amounts.settlement.amount", 1e30, "amount"),
        ("events.0.amounts.settlement.amount", 0.5, "amount"),
    ],
)
def test_a_transaction_that_cannot_be_read_is_refused(path: str, value: Any, why: str) -> None:
    with pytest.raises(Refused) as caught:
        effect_of(changed(path, value))
    assert (caught.value.status, caught.value.why) == (400, why)


@pytest.mark.parametrize("named", [None, 7, "", "Card.Updated", "card..updated", "card.updated\n", "c" * 101, ["card"]])
def test_an_event_must_name_its_type(named: object) -> None:
    with pytest.raises(Refused) as caught:
        type_of({"event_type": named})
    assert caught.value.why == "event_type"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(path=st.sampled_from(["token", "status", "amounts", "amounts.hold", "events", "events.0", "merchant", "merchant.mcc", "created", "updated"]), value=json_values)  # fmt: skip
def test_whatever_a_field_holds_the_event_is_read_or_refused(path: str, value: Any) -> None:
    body = transaction("txn", "card", AUTH)
    at: Any = body
    *parents, last = path.split(".")
    for name in parents:
        at = at[name]
    at[0 if isinstance(at, list) else last] = value
    try:
        read = effect_of(body)
    except Refused:
        return
    assert isinstance(read, Snapshot) and read.hold_minor >= 0


# --- cards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "before", "status"),
    [
        ("OPEN",                "PAUSED", "active"),
        ("PAUSED",              "OPEN",   "inactive"),
        ("CLOSED",              "OPEN",   "closed"),
        ("PENDING_ACTIVATION",  "OPEN",   "pending"),
        ("PENDING_FULFILLMENT", "OPEN",   "pending"),
        # Something else has changed: that may close or pause a card, and never opens one.
        ("PAUSED",              None,     "inactive"),
        ("CLOSED",              None,     "closed"),
        ("OPEN",                None,     None),
        ("PENDING_ACTIVATION",  None,     None),
        ("MELTED",              "OPEN",   None),
    ],
)  # fmt: skip
def test_a_cards_state_is_read_in_this_services_words(state: str, before: str | None, status: str | None) -> None:
    read = effect_of(orjson.loads(encoded(card_updated("card", state, before))))
    assert read == (None if status is None else CardState("card", status))


@pytest.mark.parametrize("event_type", sorted(events.KNOWN_TYPES - {events.TRANSACTION_UPDATED}))
def test_events_that_name_no_state_change_nothing_and_are_kept(event_type: str) -> None:
    assert effect_of({"event_type": event_type, "card_token": "card"}) is None
    assert is_kept(event_type)


@pytest.mark.parametrize(
    "event_type",
    ["card_authorization.approval_request", "card_transaction.enhanced_data.created", "balance.updated", "dispute.updated", "cards.updated"],
)  # fmt: skip
def test_events_of_other_things_are_not_kept(event_type: str) -> None:
    assert not is_kept(event_type)


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_what_a_card_could_be_used_with_is_not_stored() -> None:
    said = {
        "event_type": "card.created",
        "card_token": "card",
        "pan": "0000 1111",
        "CVV": "123",
        "previous_fields": {"pin_block": "x", "deep": [{"card_number": "4", "kept": "yes"}]},
        "individual": {"government_id": "1", "dob": "2000-01-01", "first_name": "Ada"},
    }
    assert orjson.loads(storable(said)) == {
        "event_type": "card.created",
        "card_token": "card",
        "previous_fields": {"deep": [{"kept": "yes"}]},
        "individual": {"first_name": "Ada"},
    }


def test_how_a_number_was_read_is_stored_and_a_number_is_not() -> None:
    assert orjson.loads(storable({"entry_mode": {"pan": "CREDENTIAL_ON_FILE"}})) == {
        "entry_mode": {"pan": "CREDENTIAL_ON_FILE"}
    }
    for value in ("0000 1111", 11, None, ["1"], {"a": 1}):
        assert orjson.loads(storable({"pan": value})) == {}


def test_what_postgresql_cannot_store_is_left_out() -> None:
    assert orjson.loads(storable({"a\x00b": ["x\x00y", 1, None]})) == {"ab": ["xy", 1, None]}


# --- times ------------------------------------------------------------------------------------------------------------

# The example of the format's own documentation, and when it says it was made.
KSUID, KSUID_S = "1srOrx2ZWZBpBUvZwXKQmoEYga2", 1_621_627_443


def test_a_sortable_id_tells_when_a_webhook_was_made() -> None:
    headers = {"webhook-id": f"msg_{KSUID}", "webhook-timestamp": str(KSUID_S + 7_200)}
    told_us = sent_us(headers, (KSUID_S + 7_200) * SECOND_US)
    assert told_us // SECOND_US == KSUID_S


@pytest.mark.parametrize(
    ("webhook_id", "received_s"),
    [
        ("msg_short", KSUID_S),
        (f"evt_{KSUID}", KSUID_S),
        (f"msg_{KSUID}", KSUID_S - 3_600),
        (f"msg_{KSUID}", KSUID_S + 10**8),
    ],
)
def test_any_other_id_leaves_it_to_the_header(webhook_id: str, received_s: int) -> None:
    headers = {"webhook-id": webhook_id, "webhook-timestamp": str(received_s - 9)}
    assert sent_us(headers, received_s * SECOND_US) == (received_s - 9) * SECOND_US


@pytest.mark.parametrize("timestamp", [None, "", "soon", "9", "²", "9" * 30])
def test_without_a_time_it_is_when_it_came(timestamp: str | None) -> None:
    headers = {} if timestamp is None else {"webhook-timestamp": timestamp}
    assert sent_us(headers, KSUID_S * SECOND_US) == KSUID_S * SECOND_US


def test_pauses_double_up_to_four_hours_and_chance_moves_each_by_a_quarter() -> None:
    assert [pause_ms(count, 0.5) for count in range(4)] == [5_000, 10_000, 20_000, 40_000]
    assert pause_ms(15, 0.5) == pause_ms(10**6, 0.5) == 4 * 3_600_000
    assert (pause_ms(2, 0.0), pause_ms(2, 1.0)) == (15_000, 25_000)


def test_a_body_as_deep_as_the_limit_is_read_and_a_deeper_one_is_not() -> None:
    def deep(levels: int) -> bytes:
        return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)

    assert fields.object_in(deep(fields.DEPTH_MAX)) != {}
    with pytest.raises(Refused) as caught:
        fields.object_in(deep(fields.DEPTH_MAX + 1))
    assert caught.value.why == "deep"
