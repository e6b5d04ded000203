"""The one place where tests wait: for a condition, never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_AGAIN_S = 0.02


async def until_clear(look: Callable[[], Awaitable[object]], within_s: float) -> None:
    """Look again and again until nothing is seen. Fails with what was seen last."""
    deadline_s = time.monotonic() + within_s
    while seen := await look():
        assert time.monotonic() < deadline_s, f"still after {within_s} s: {seen}"
        await pause(_AGAIN_S)


def until(holds: Callable[[], bool], within_s: float) -> bool:
    """The same for a process that starts or ends, without a loop. Returns whether it came to hold."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(_AGAIN_S)
    return True


async def pause(seconds: float) -> None:
    """What a client waits before it tries again. No test depends on how long that is."""
    await asyncio.sleep(seconds)
