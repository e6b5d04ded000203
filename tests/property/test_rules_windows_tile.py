"""Windows tile time: every instant is in exactly one, and neighbours touch."""

from datetime import UTC, datetime
from zoneinfo import available_timezones

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.reasons import Window
from rules.windows import local_datetime, window_bounds
from tests.case_files import unix_us

ZONES = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("posix/", "right/")))
# Zones that skip or repeat midnight, skipped a day, or once set their clocks back over midnight.
ODD_ZONES = ("Africa/Cairo", "America/Havana", "America/Sao_Paulo", "America/St_Johns", "Asia/Beirut", "Pacific/Apia")
zones = st.one_of(st.sampled_from(ZONES), st.sampled_from(ODD_ZONES))
windows = st.sampled_from([Window.DAILY, Window.WEEKLY, Window.MONTHLY, Window.YEARLY])
FIRST_US, LAST_US = unix_us(datetime(1960, 1, 1, tzinfo=UTC)), unix_us(datetime(2100, 1, 1, tzinfo=UTC))
instants_us = st.integers(FIRST_US, LAST_US)


def bounds(window: Window, instant_us: int, zone: str) -> tuple[int, int]:
    start_us, end_us = window_bounds(window, instant_us, zone)
    assert start_us is not None
    assert end_us is not None
    return start_us, end_us


@settings(max_examples=150, deadline=None)
@given(windows, instants_us, zones)
def test_every_instant_is_in_exactly_one_window_and_neighbours_touch(
    window: Window, instant_us: int, zone: str
) -> None:
    start_us, end_us = bounds(window, instant_us, zone)
    assert start_us <= instant_us < end_us
    assert bounds(window, start_us, zone) == bounds(window, end_us - 1, zone) == (start_us, end_us)
    assert bounds(window, end_us, zone)[0] == end_us
    assert bounds(window, start_us - 1, zone)[1] == start_us


@settings(max_examples=30, deadline=None)
@given(st.integers(1965, 2045), zones)
def test_the_days_of_a_year_are_the_year(year: int, zone: str) -> None:
    start_us, end_us = bounds(Window.YEARLY, unix_us(datetime(year, 7, 1, tzinfo=UTC)), zone)
    at_us = start_us
    for _ in range(366):
        if at_us < end_us:
            at_us = bounds(Window.DAILY, at_us, zone)[1]
    assert at_us == end_us


@settings(max_examples=150, deadline=None)
@given(windows, instants_us, zones)
def test_a_window_begins_on_the_first_day_of_its_kind(window: Window, instant_us: int, zone: str) -> None:
    start_us, _ = bounds(window, instant_us, zone)
    before, first = local_datetime(start_us - 1, zone).date(), local_datetime(start_us, zone).date()
    assert before < first
    match window:
        case Window.WEEKLY:
            assert before.isocalendar()[:2] < first.isocalendar()[:2]
        case Window.MONTHLY:
            assert (before.year, before.month) < (first.year, first.month)
        case Window.YEARLY:
            assert before.year < first.year


@settings(max_examples=100, deadline=None)
@given(instants_us, zones)
def test_longer_windows_hold_shorter_ones_whole(instant_us: int, zone: str) -> None:
    day, week, month, year = (
        bounds(window, instant_us, zone) for window in (Window.DAILY, Window.WEEKLY, Window.MONTHLY, Window.YEARLY)
    )
    for shorter, longer in ((day, week), (day, month), (month, year)):
        assert longer[0] <= shorter[0] < shorter[1] <= longer[1]
