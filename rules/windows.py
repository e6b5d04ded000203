"""Spending windows: the calendar days, weeks, months and years of an IANA time zone, as instants.

A date begins at the first instant at which a clock of the zone shows that date or a later one. So windows tile time,
whatever the zone does: midnight may be missing (Beirut in spring), come twice (Havana in autumn), a whole day may be
skipped (Apia, 30 December 2011: an empty window, which no instant is in), and an instant whose clock was set back over
midnight stays in the new day.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from rules.reasons import Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
_NO_WINDOW = (Window.TRANSACTION, Window.LIFETIME)


def window_bounds(window: Window, instant_us: int, timezone_name: str) -> tuple[int | None, int | None]:
    """The first instant of the window that holds `instant_us`, and the first instant after it, in unix microseconds.

    TRANSACTION and LIFETIME are not windows of the calendar: (None, None). Instants from the year 2 to the year 9998.
    """
    if window in _NO_WINDOW:
        return None, None
    return bounds_of_day(window, day_of(instant_us, timezone_name), timezone_name)


def day_of(instant_us: int, timezone_name: str) -> date:
    """The day that holds the instant."""
    day = local_datetime(instant_us, timezone_name).date()
    # Where the clock was set back over midnight, the instant already belongs to a day its clock has left again.
    while _start_us(day + timedelta(days=1), timezone_name) <= instant_us:
        day += timedelta(days=1)
    return day


def local_datetime(instant_us: int, timezone_name: str) -> datetime:
    """What a clock of the zone shows at this instant."""
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(ZoneInfo(timezone_name))


@lru_cache(maxsize=4096)
def bounds_of_day(window: Window, day: date, timezone_name: str) -> tuple[int, int]:
    """As `window_bounds`, for a window of the calendar and a day in it."""
    match window:
        case Window.DAILY:
            first, next_first = day, day + timedelta(days=1)
        case Window.WEEKLY:
            first = day - timedelta(days=day.weekday())
            next_first = first + timedelta(days=7)
        case Window.MONTHLY:
            first = day.replace(day=1)
            next_first = (first + timedelta(days=31)).replace(day=1)
        case Window.YEARLY:
            first = date(day.year, 1, 1)
            next_first = date(day.year + 1, 1, 1)
        case _:
            raise ValueError(f"{window!r} is not a window of the calendar")
    return _start_us(first, timezone_name), _start_us(next_first, timezone_name)


@lru_cache(maxsize=4096)
def _start_us(day: date, timezone_name: str) -> int:
    """The first instant at which a clock of the zone shows midnight of `day`, or anything later."""
    zone = ZoneInfo(timezone_name)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    start_us = _unix_us(midnight)
    if _wall(start_us, zone) == midnight.replace(tzinfo=None):
        return start_us
    # The clock skips midnight. Read with the offset after the gap it lies before the jump, with the other, after.
    before_s, after_s = _unix_us(midnight.replace(fold=1)) // _SECOND_US, start_us // _SECOND_US
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _wall(middle_s * _SECOND_US, zone) < midnight.replace(tzinfo=None):
            before_s = middle_s
        else:
            after_s = middle_s
    return after_s * _SECOND_US


def _unix_us(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _wall(instant_us: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone).replace(tzinfo=None)
