"""Windows: the days that the decision cases do not reach."""

from datetime import datetime

import pytest

from rules.reasons import Window
from rules.windows import local_datetime, window_bounds
from tests.case_files import unix_us


def us(text: str) -> int:
    return unix_us(datetime.fromisoformat(text))


@pytest.mark.parametrize("window", [Window.TRANSACTION, Window.LIFETIME])
def test_a_window_outside_the_calendar_has_no_bounds(window: Window) -> None:
    assert window_bounds(window, us("2025-11-20T12:00:00Z"), "UTC") == (None, None)


@pytest.mark.parametrize(
    ("timezone", "instant", "start", "end"),
    [
        # Midnight does not exist: the day begins when the clock jumps.
        ("Asia/Beirut", "2025-03-30T12:00:00+03:00", "2025-03-30T01:00:00+03:00", "2025-03-31T00:00:00+03:00"),
        ("America/Sao_Paulo", "2018-11-04T01:00:00-02:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"),
        # The gap begins before midnight: Toronto's clocks once went from 23:30 to 00:30.
        ("America/Toronto", "1919-03-31T12:00:00-04:00", "1919-03-31T00:30:00-04:00", "1919-04-01T00:00:00-04:00"),
        # The clock went from 00:01 back to 23:01: that hour stays in the day that had begun.
        ("America/St_Johns", "2006-10-28T23:30:00-03:30", "2006-10-29T00:00:00-02:30", "2006-10-30T00:00:00-03:30"),
        ("America/St_Johns", "2006-10-28T23:30:00-02:30", "2006-10-28T00:00:00-02:30", "2006-10-29T00:00:00-02:30"),
        # 30 December 2011 never was.
        ("Pacific/Apia", "2011-12-29T23:59:59-10:00", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "2011-12-31T00:00:00+14:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"),
        # Midnight comes twice: the first one counts.
        ("America/Havana", "2025-11-02T00:30:00-05:00", "2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00"),
    ],
)
def test_a_day_begins_when_its_date_is_first_shown(timezone: str, instant: str, start: str, end: str) -> None:
    assert window_bounds(Window.DAILY, us(instant), timezone) == (us(start), us(end))


@pytest.mark.parametrize(
    ("date", "hours"),
    [("2025-03-09", 23), ("2025-11-02", 25), ("2025-07-01", 24)],
)
def test_a_day_of_new_york_has_the_hours_its_clocks_give_it(date: str, hours: int) -> None:
    start, end = window_bounds(Window.DAILY, us(f"{date}T12:00:00-04:30"), "America/New_York")
    assert start is not None
    assert end is not None
    assert end - start == hours * 3600 * 10**6


@pytest.mark.parametrize(("year", "days"), [(2023, 365), (2024, 366), (1900, 365), (2000, 366)])
def test_a_year_has_its_days(year: int, days: int) -> None:
    start, end = window_bounds(Window.YEARLY, us(f"{year}-07-01T00:00:00Z"), "UTC")
    assert start is not None
    assert end is not None
    assert end - start == days * 86_400 * 10**6


def test_a_window_before_1970_is_a_window_too() -> None:
    bounds = window_bounds(Window.MONTHLY, us("1969-12-31T23:59:59.999999Z"), "UTC")
    assert bounds == (us("1969-12-01T00:00:00Z"), 0)


def test_microseconds_survive_the_way_to_local_time() -> None:
    assert (
        local_datetime(us("2025-11-20T12:00:00.123456Z"), "Asia/Kolkata").isoformat()
        == "2025-11-20T17:30:00.123456+05:30"
    )
