"""The traffic of the demonstration: repeatable, within its days, and of every kind."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from authsvc.client import AuthorizationClient
from authsvc.codec import request_of
from authsvc.demo.replay import percentile
from authsvc.demo.traffic import DAYS, HABITS, UNKNOWN_CARD, Fields, traffic
from authsvc.seed import PURPOSES

NOW = datetime(2026, 3, 29, 3, 30, tzinfo=UTC)
TOKENS = tuple(PURPOSES)


def orders(count: int, seed: int = 1, run: str = "run") -> list[Fields]:
    return traffic(Random(seed), TOKENS, count, NOW, run)


def test_the_same_seed_makes_the_same_traffic_and_another_seed_another() -> None:
    assert orders(500) == orders(500)
    assert orders(500) != orders(500, seed=2)


def test_another_run_asks_under_other_ids() -> None:
    ids = [{fields["request_id"] for fields in orders(200, run=run)} for run in ("one", "two")]
    assert ids[0].isdisjoint(ids[1])


@pytest.mark.parametrize("count", [1, 2, 3, 10, 3_000])
def test_it_is_as_long_as_asked_for(count: int) -> None:
    assert len(orders(count)) == count


def test_it_lies_in_the_days_before_now_and_in_order_but_for_retries() -> None:
    first_seen = {fields["request_id"]: fields["transacted_at"] for fields in orders(3_000)}
    instants = list(first_seen.values())
    assert instants == sorted(instants)
    assert NOW - timedelta(days=DAYS + 1) < instants[0]
    assert instants[-1] <= NOW


def test_it_has_every_card_every_kind_retries_zero_amounts_and_capable_terminals() -> None:
    made = orders(3_000)
    assert {fields["card_token"] for fields in made} == {*TOKENS, UNKNOWN_CARD}
    assert len({fields["kind"] for fields in made}) == 5
    repeated = [count for count in Counter(fields["request_id"] for fields in made).values() if count > 1]
    assert 20 <= len(repeated) <= 200
    assert any(fields["amount_minor"] == 0 for fields in made)
    assert any(fields["partial_approval_capable"] for fields in made)
    assert any(fields.get("hold_minor", 0) > fields["amount_minor"] for fields in made)
    assert len({fields["merchant"]["mcc"] for fields in made}) > 60


def test_a_retry_is_the_same_request() -> None:
    by_id: dict[str, Fields] = {}
    for fields in orders(3_000):
        assert by_id.setdefault(fields["request_id"], fields) == fields


def test_every_request_is_valid() -> None:
    client = AuthorizationClient("127.0.0.1:1")
    now_us = int(NOW.timestamp()) * 1_000_000
    for fields in orders(2_000):
        assert request_of(client.request(**fields), now_us).card_token == fields["card_token"]


def test_habits_name_cards_of_the_sample_program_only() -> None:
    assert HABITS.keys() <= PURPOSES.keys()


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, 0.0), ([7.0], 0.99, 7.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 3.0), (list(range(100)), 0.99, 99)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected
