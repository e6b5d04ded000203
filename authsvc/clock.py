"""The only module that reads the time. Everything else is handed a Clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where the service gets the time from; tests bring one that they move by hand."""

    def now_us(self) -> int:
        """Wall clock: UTC, microseconds since the Unix epoch. It may jump; never measure with it."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed point; never goes back. For deadlines and durations."""


class SystemClock:
    """The clock of this machine."""

    def now_us(self) -> int:
        """See Clock.now_us."""
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        """See Clock.monotonic_s; it is CLOCK_MONOTONIC, the clock asyncio's loop uses."""
        return time.monotonic()
