"""What makes two calls one question."""

from datetime import UTC, datetime

import pytest

from authsvc.bridge.asa import AsaRequest, parse
from authsvc.bridge.keys import REPEAT_US, FirstSeen, Keys
from authsvc.clock import SystemClock
from tests.case_files import unix_us
from tests.lithic import asa_request, encoded

NOON_US = unix_us(datetime(2025, 11, 20, 12, tzinfo=UTC))
assert NOON_US % REPEAT_US == 0


class HandClock(SystemClock):
    """A wall clock that a test moves."""

    def __init__(self, at_us: int = NOON_US) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        return self.at_us


def asked(**changes: object) -> tuple[AsaRequest, bytes]:
    body = encoded(asa_request(**changes))  # type: ignore[arg-type]
    return parse(body), body


def test_the_event_token_comes_first_then_the_webhook_id_then_the_body() -> None:
    keys = Keys(HandClock())
    with_event, body = asked(event_token="event-1")
    without, bare = asked()
    assert keys.key_of(with_event, "msg_1", body) == "event:event-1"
    assert keys.key_of(without, "msg_1", bare) == "webhook:msg_1"
    assert keys.key_of(without, "", bare).startswith("body:")


def test_the_three_kinds_never_meet_and_the_token_of_the_transaction_is_no_key() -> None:
    keys = Keys(HandClock())
    request, body = asked()
    named, _ = asked(event_token="same")
    made = {keys.key_of(named, "", b""), keys.key_of(request, "same", b""), keys.key_of(request, "", b"same")}
    assert len(made) == 3
    assert all(request.token not in key for key in {*made, keys.key_of(request, "", body)})


@pytest.mark.parametrize("name", ["x" * 101, "x" * 5_000, "naïve", "\x85"])
def test_a_name_that_the_engine_would_not_take_is_hashed(name: str) -> None:
    keys = Keys(HandClock())
    request, body = asked()
    key = keys.key_of(request, name, body)
    assert key.startswith("webhook-sha256:") and len(key) <= 128 and key.isascii() and key.isprintable()
    assert key == keys.key_of(request, name, b"other") != keys.key_of(request, name + "x", body)


def test_every_key_fits_into_the_engines_128_characters() -> None:
    keys = Keys(HandClock(10**16))
    named, _ = asked(event_token="e" * 100)
    request, body = asked()
    for key in (keys.key_of(named, "", body), keys.key_of(request, "w" * 100, body), keys.key_of(request, "", body)):
        assert 0 < len(key) <= 128 and key.isascii() and key.isprintable()


def test_a_body_is_the_same_question_for_15_seconds_also_across_the_edge_of_a_bucket() -> None:
    clock = HandClock(NOON_US + REPEAT_US - 1)
    keys, (request, body) = Keys(clock), asked()
    first = keys.key_of(request, "", body)
    clock.at_us += REPEAT_US - 1
    assert keys.key_of(request, "", body) == first
    clock.at_us += 1
    assert keys.key_of(request, "", body) != first


def test_two_processes_agree_on_the_key_of_a_body_within_a_bucket() -> None:
    request, body = asked()
    one, other = Keys(HandClock(NOON_US)), Keys(HandClock(NOON_US + REPEAT_US - 1))
    assert one.key_of(request, "", body) == other.key_of(request, "", body)


def test_a_repeat_of_an_undated_request_has_the_time_of_the_first() -> None:
    clock = HandClock()
    keys = Keys(clock)
    first_us = keys.time_us_of("event:1")
    clock.at_us += REPEAT_US - 1
    assert (first_us, keys.time_us_of("event:1"), keys.time_us_of("event:2")) == (NOON_US, NOON_US, clock.at_us)


def test_what_is_remembered_is_bounded_in_number_and_in_time() -> None:
    seen = FirstSeen(span_us=10, size_max=3)
    for at_us in range(9):
        seen.at_us(f"name-{at_us}", at_us)
    assert len(seen) == 3
    assert seen.at_us("name-8", 9) == 8
    for at_us in range(100, 103):
        seen.at_us(f"name-{at_us}", at_us)
    assert len(seen) == 3
    seen.at_us("last", 1_000)
    seen.at_us("last", 1_001)
    assert seen.at_us("name-102", 1_002) == 1_002


def test_a_clock_that_goes_back_leaves_a_repeat_a_repeat() -> None:
    seen = FirstSeen()
    assert seen.at_us("name", 1_000) == seen.at_us("name", 500) == 1_000
