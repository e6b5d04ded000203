"""What each operation of the `Ledger` and `Source` ports means."""

import dataclasses
from typing import Any
from unittest.mock import ANY

import pytest

from authsvc.errors import RowRefused
from authsvc.ports import AuthorizationRequest, Fenced, Inserted, Loaded, Orphan, Row, Stored
from loader.records import CardRecord
from rules.mcc import BLOCKED
from rules.reasons import Kind, Level, Window
from rules.types import Card, Counter, Limit
from tests.behaviour.places import RECORD_TTL_MS, Place, card_of
from tests.simulation.postgres import CardRow

MARCH_US = 1_772_323_200_000_000  # 2026-03-01 00:00 UTC
NOON_US = MARCH_US + 14 * 86_400_000_000 + 43_200_000_000
ALWAYS = Counter("c1001:l", Level.CARD, 1001, None, None)
SHARED = Counter("p102:l", Level.PROFILE, 102, None, None)


def request(request_id: str = "r1", token: str = "card-1001", **other: Any) -> AuthorizationRequest:
    fields: dict[str, Any] = {
        "kind": Kind.AUTHORIZATION,
        "amount_minor": 1_000,
        "mcc": "5812",
        "transacted_at_us": NOON_US,
        "partial_approval_capable": False,
        "fingerprint": b"\xab\xcd",
        "currency": "USD",
        "asked_minor": 1_000,
        "merchant_amount_minor": None,
        "explain": False,
    }
    texts = [field.name for field in dataclasses.fields(AuthorizationRequest) if field.name.startswith("merchant_")]
    blank = dict.fromkeys([*texts, "transaction_token", "entry_mode", "network"], "")
    return AuthorizationRequest(**{**blank, **fields, "request_id": request_id, "card_token": token, **other})


def row(card: Card, asked: AuthorizationRequest, **other: Any) -> Row:
    """An approval as the use case would record it; `other` replaces parts."""
    kind, amount = asked.kind, other.get("approved_minor", asked.amount_minor)
    posted = {Kind.FINANCIAL_AUTHORIZATION: amount, Kind.FINANCIAL_CREDIT_AUTHORIZATION: -amount}.get(kind, 0)
    made = Row(
        asked,
        card,
        config_version=card.account.config_version,
        counter_epoch=None if kind is Kind.FINANCIAL_CREDIT_AUTHORIZATION else 1,
        approved_minor=amount,
        held_minor=amount if kind is Kind.AUTHORIZATION else 0,
        settled_minor=amount if kind is Kind.FINANCIAL_AUTHORIZATION else 0,
        posted_minor=posted,
        reason="APPROVED",
        explanation=b'{"said": "this"}',
    )
    return made._replace(**other)


async def record(place: Place, *rows: Row) -> Any:
    results = await place.ledger.record(rows)
    return results[0] if len(rows) == 1 else results


async def used(place: Place, counter: Counter = ALWAYS, account_id: int = 1) -> int:
    return (await place.ledger.load(account_id, [counter])).used_minor[0]


def name_of(one: Row) -> str:
    return f"{one.request.fingerprint.hex()}/{one.config_version}/{one.request.request_id}"


async def test_a_row_under_current_versions_is_recorded(place: Place) -> None:
    one = row(await card_of(place, "card-1001"), request())
    inserted = await record(place, one)
    assert isinstance(inserted, Inserted)
    assert isinstance(inserted.transaction_id, int)
    assert inserted.counter_epoch == 1
    assert await place.ledger.load(1, [ALWAYS]) == Loaded(ANY, 100_000, 1_000, [1_000], [1_000])


async def test_the_same_request_again_gets_what_is_stored(place: Place) -> None:
    card = await card_of(place, "card-1001")
    inserted = await record(place, row(card, request()))
    stored = await record(place, row(card, request(), approved_minor=5, held_minor=5))
    assert isinstance(stored, Stored)
    assert stored[:4] == (b"\xab\xcd", inserted.transaction_id, 1, 1)
    assert await used(place) == 1_000


async def test_the_same_id_with_another_body_gets_the_first_body(place: Place) -> None:
    card = await card_of(place, "card-1001")
    await record(place, row(card, request()))
    stored = await record(place, row(card, request(fingerprint=b"\xef")))
    assert isinstance(stored, Stored)
    assert stored.fingerprint == b"\xab\xcd"


@pytest.mark.parametrize(
    "stale", [{"config_version": 0}, {"config_version": 2}, {"counter_epoch": 0}, {"counter_epoch": 2}]
)
async def test_a_row_under_other_versions_is_refused(place: Place, stale: dict[str, int]) -> None:
    one = row(await card_of(place, "card-1001"), request(), **stale)
    assert await record(place, one) == Fenced(1, 1)
    assert await used(place) == 0
    assert isinstance(await record(place, row(one.card, request())), Inserted)


async def test_a_row_without_counters_does_not_depend_on_the_epoch(place: Place) -> None:
    card = await card_of(place, "card-1001")
    await place.ledger.bump_epoch(1, 0)
    one = row(card, request(amount_minor=0), counter_epoch=None)
    inserted = await record(place, one)
    assert isinstance(inserted, Inserted)
    assert inserted.counter_epoch == 2


async def test_what_is_stored_comes_before_the_fence(place: Place) -> None:
    card = await card_of(place, "card-1001")
    await record(place, row(card, request()))
    await place.change("users", 11, status="suspended")
    await place.ledger.bump_epoch(1, 0)
    assert isinstance(await record(place, row(card, request())), Stored)


async def test_each_row_of_a_batch_has_its_own_fate(place: Place) -> None:
    here, there = await card_of(place, "card-1001"), await card_of(place, "card-2001")
    await record(place, row(here, request("r0")))
    results = await record(
        place,
        row(here, request("r0")),
        row(here, request("r1")),
        row(here, request("r2"), counter_epoch=7),
        row(there, request("r3", "card-2001")),
    )
    assert [type(result) for result in results] == [Stored, Inserted, Fenced, Inserted]
    assert await used(place) == 2_000


async def test_a_decline_counts_nothing(place: Place) -> None:
    declined = row(
        await card_of(place, "card-1001"), request(), approved_minor=0, held_minor=0, reason="CARD_LIMIT_EXCEEDED"
    )
    assert isinstance(await record(place, declined), Inserted)
    assert await place.ledger.load(1, [ALWAYS]) == Loaded(ANY, 100_000, 0, [0], [0])


async def test_a_posting_leaves_the_balance_and_keeps_the_epoch(place: Place) -> None:
    asked = request(kind=Kind.FINANCIAL_AUTHORIZATION)
    inserted = await record(place, row(await card_of(place, "card-1001"), asked))
    assert inserted.counter_epoch == 1
    assert await place.ledger.load(1, [ALWAYS]) == Loaded(ANY, 99_000, 0, [1_000], [0])
    assert await place.versions(1) == (1, 1)


async def test_a_posted_credit_raises_balance_and_epoch_and_gives_room_to_what_is_for_ever(place: Place) -> None:
    asked = request(kind=Kind.FINANCIAL_CREDIT_AUTHORIZATION)
    inserted = await record(place, row(await card_of(place, "card-1001"), asked))
    assert inserted.counter_epoch == 2
    assert await place.balance_minor(1) == 101_000
    assert await place.versions(1) == (1, 2)
    assert await used(place) == -1_000


async def test_a_batch_with_a_credit_is_recorded_whole_and_raises_the_epoch_once(place: Place) -> None:
    card = await card_of(place, "card-1001")
    credit, debit = Kind.FINANCIAL_CREDIT_AUTHORIZATION, Kind.FINANCIAL_AUTHORIZATION
    rows = [
        row(card, request(f"r{i}", kind=kind)) for i, kind in enumerate((credit, debit, credit, Kind.AUTHORIZATION))
    ]
    assert [result.counter_epoch for result in await record(place, *rows)] == [2, 2, 2, 2]
    assert await place.ledger.load(1, [ALWAYS]) == Loaded(ANY, 101_000, 1_000, [0], [1_000])
    assert await place.versions(1) == (1, 2)


async def test_a_stored_posting_is_not_posted_again(place: Place) -> None:
    one = row(await card_of(place, "card-1001"), request(kind=Kind.FINANCIAL_AUTHORIZATION))
    await record(place, one)
    assert isinstance(await record(place, one), Stored)
    assert await place.balance_minor(1) == 99_000


async def test_a_posting_may_overdraw_an_account_whose_balance_is_not_checked(place: Place) -> None:
    asked = request(kind=Kind.FINANCIAL_AUTHORIZATION, amount_minor=100_100, asked_minor=100_100)
    assert isinstance(await record(place, row(await card_of(place, "card-1001"), asked)), Inserted)
    assert await place.balance_minor(1) == -100


async def test_a_refused_row_takes_its_batch_with_it(place: Place) -> None:
    card = await card_of(place, "card-1001")
    bad = row(dataclasses.replace(card, id=9_999), request("r2"))
    with pytest.raises(RowRefused):
        await record(place, row(card, request("r1")), bad)
    assert await used(place) == 0
    assert isinstance(await record(place, row(card, request("r1"))), Inserted)


async def test_the_refusal_of_an_unknown_card_is_recorded_once(place: Place) -> None:
    asked = request(token="card-9")
    assert await place.ledger.record_unknown([asked]) == [Inserted(None, 0)]
    (stored,) = await place.ledger.record_unknown([asked])
    assert stored == Stored(b"\xab\xcd", None, 0, None, None)
    assert isinstance(await record(place, row(await card_of(place, "card-1001"), request())), Stored)


async def test_the_refusal_of_a_card_that_exists_by_now_is_not_recorded(place: Place) -> None:
    unknown, known = request("r1", "card-9"), request("r2", "card-1001")
    results = await place.ledger.record_unknown([unknown, known])
    assert results == [Inserted(None, 0), Fenced(0, 0)]
    assert isinstance(await record(place, row(await card_of(place, "card-1001"), known)), Inserted)


async def test_raising_the_epoch_refuses_older_reservations(place: Place) -> None:
    card = await card_of(place, "card-1001")
    assert await place.ledger.bump_epoch(1, 0) == 2
    assert await place.versions(1) == (1, 2)
    assert await record(place, row(card, request())) == Fenced(1, 2)
    assert isinstance(await record(place, row(card, request(), counter_epoch=2)), Inserted)


async def test_a_raised_epoch_is_above_one_that_was_seen(place: Place) -> None:
    assert await place.ledger.bump_epoch(1, 7) == 8
    assert await place.ledger.bump_epoch(1, 3) == 9


async def test_a_window_holds_its_first_instant_and_not_its_last(place: Place) -> None:
    card = await card_of(place, "card-1001")
    instants = (MARCH_US - 1, MARCH_US, NOON_US, NOON_US + 1)
    for number, instant_us in enumerate(instants):
        await record(
            place,
            row(
                card,
                request(f"r{number}", transacted_at_us=instant_us),
                approved_minor=10**number,
                held_minor=10**number,
            ),
        )
    window = Counter("c1001:m", Level.CARD, 1001, MARCH_US, NOON_US + 1)
    loaded = await place.ledger.load(1, [window, ALWAYS])
    assert loaded.used_minor == [110, 1_111]


async def test_a_shared_profile_counts_all_of_its_cards_and_nothing_else(place: Place) -> None:
    for number, token in enumerate(("card-1002", "card-1003", "card-1001", "card-2001")):
        card = await card_of(place, token)
        await record(place, row(card, request(f"r{number}", token), approved_minor=10**number, held_minor=10**number))
    loaded = await place.ledger.load(1, [Counter("c1003:l", Level.CARD, 1003, None, None), SHARED])
    assert loaded == Loaded(ANY, 100_000, 111, [10, 11], [10, 11])


async def test_spending_stays_with_the_profile_it_was_made_under(place: Place) -> None:
    await record(place, row(await card_of(place, "card-1002"), request(token="card-1002")))
    await place.change("cards", 1002, profile_id=None)
    assert await used(place, SHARED) == 1_000


async def test_nothing_asked_for_loads_the_funds_alone(place: Place) -> None:
    assert await place.ledger.load(2, []) == Loaded(ANY, 50_000, 0, [], [])


async def test_only_the_very_reservation_is_remembered(place: Place) -> None:
    one = row(await card_of(place, "card-1001"), request())
    await record(place, one)
    orphans = [
        Orphan(1, "run", 1, name_of(one)),
        Orphan(1, "run", 2, name_of(one)),
        Orphan(1, "run", 1, "ef/1/r1"),
        Orphan(1, "run", 1, "abcd/2/r1"),
        Orphan(1, "run", 1, "abcd/1/r2"),
        Orphan(1, "run", 1, "abcd/1/r1/with/strokes"),
    ]
    assert await place.ledger.recorded(orphans) == [True, False, False, False, False, False]


async def test_a_decline_remembers_no_reservation(place: Place) -> None:
    declined = row(
        await card_of(place, "card-1001"), request(), approved_minor=0, held_minor=0, reason="CARD_LIMIT_EXCEEDED"
    )
    await record(place, declined)
    assert await place.ledger.recorded([Orphan(1, "run", 1, name_of(declined))]) == [False]


async def test_a_row_of_long_ago_remembers_no_reservation(place: Place) -> None:
    one = row(await card_of(place, "card-1001"), request())
    await record(place, one)
    await place.age_rows(RECORD_TTL_MS)
    assert await place.ledger.recorded([Orphan(1, "run", 1, name_of(one))]) == [False]


@pytest.mark.parametrize(
    ("table", "key", "values", "config", "epoch"),
    [
        ("accounts", 1, {"status": "suspended"}, 1, 0),
        ("accounts", 1, {"status": "active"}, 0, 0),
        ("accounts", 1, {"balance_minor": 5}, 0, 1),
        ("accounts", 1, {"balance_minor": 100_000}, 0, 0),
        ("accounts", 1, {"timezone": "Asia/Tokyo"}, 1, 1),
        ("accounts", 1, {"balance_check": False}, 1, 1),
        ("users", 11, {"status": "inactive"}, 1, 0),
        ("spending_profiles", 101, {"limit_minor": 5}, 1, 0),
        ("spending_profiles", 101, {"limit_minor": None}, 1, 1),
        ("spending_profiles", 101, {"window": Window.DAILY}, 1, 1),
        ("spending_profiles", 101, {"window": None}, 1, 1),
        ("spending_profiles", 101, {"shared": True}, 1, 1),
        ("spending_profiles", 101, {"allowed": ("5812",)}, 1, 0),
        ("spending_profiles", 101, {"blocked": ()}, 1, 0),
        ("spending_profiles", 101, {"limit_minor": 20_000}, 0, 0),
        ("cards", 1001, {"status": "closed"}, 1, 0),
        ("cards", 1001, {"limit_minor": 5}, 1, 0),
        ("cards", 1001, {"limit_minor": None}, 1, 1),
        ("cards", 1002, {"limit_minor": 5}, 1, 1),
        ("cards", 1001, {"window": Window.WEEKLY}, 1, 1),
        ("cards", 1001, {"profile_id": 102}, 1, 1),
        ("cards", 1001, {"profile_id": None}, 1, 1),
        ("cards", 1001, {"status": "active"}, 0, 0),
    ],
)
async def test_a_change_raises_the_versions(
    place: Place, table: str, key: int, values: dict[str, Any], config: int, epoch: int
) -> None:
    await place.change(table, key, **values)
    assert await place.versions(1) == (1 + config, 1 + epoch)
    assert await place.versions(2) == (1, 1)


async def test_the_source_tells_a_card_with_everything_above_it(place: Place) -> None:
    (found,) = await place.source.cards(["card-1001", "card-9"])
    profile = found.profile
    assert profile is not None
    assert profile[:3] == (101, Limit(20_000, Window.MONTHLY), False)
    assert profile.mcc_table is not None and profile.mcc_table[7995] == BLOCKED
    expected = CardRecord(
        "card-1001",
        1001,
        "active",
        Limit(10_000, Window.DAILY),
        1,
        "active",
        "USD",
        "UTC",
        True,
        1,
        11,
        "active",
        profile,
    )
    assert found == expected


async def test_the_source_tells_changes_with_their_version(place: Place) -> None:
    await place.change("accounts", 1, timezone="Asia/Tokyo", balance_check=False)
    await place.change("users", 12, status="suspended")
    await place.change("cards", 1003, limit_minor=None)
    (found,) = await place.source.cards(["card-1003"])
    assert (found.timezone, found.balance_check, found.user_status, found.card_limit) == (
        "Asia/Tokyo",
        False,
        "suspended",
        None,
    )
    assert found.config_version == (await place.versions(1))[0]
    assert await place.source.versions([1, 2, 99]) == {1: found.config_version, 2: 1}


async def test_a_new_card_is_found_and_raises_nothing(place: Place) -> None:
    await place.add_card(CardRow(1009, 1, 12, None, "card-1009", "pending", None, None))
    assert await place.versions(1) == (1, 1)
    (found,) = await place.source.cards(["card-1009"])
    assert (found.card_id, found.card_status, found.card_limit, found.profile) == (1009, "pending", None, None)


async def test_the_source_tells_all_cards(place: Place) -> None:
    found = [record.token async for records in place.source.all_cards(100) for record in records]
    assert found == ["card-1001", "card-1002", "card-1003", "card-2001"]
