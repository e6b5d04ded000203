"""What makes two calls of Lithic's one question: the key under which the engine answers it once."""

import hashlib
from typing import Final

from authsvc.bridge.asa import AsaRequest
from authsvc.clock import Clock

# Lithic repeats a call once, at once.
REPEAT_US: Final = 15 * 1_000_000
SEEN_MAX: Final = 65_536
# With the longest prefix it still fits into the engine's 128 characters.
_PLAIN_MAX: Final = 100


class FirstSeen:
    """When each of the latest names was first seen. One is forgotten after `span_us`, or when too many came since."""

    def __init__(self, span_us: int = REPEAT_US, size_max: int = SEEN_MAX) -> None:
        """It is kept in memory: another process knows nothing of it."""
        self._span_us = span_us
        self._size_max = size_max
        self._at_us: dict[str, int] = {}

    def at_us(self, name: str, now_us: int) -> int:
        """When the name was first seen: now, unless it was less than the span ago."""
        first_us = self._at_us.get(name)
        if first_us is not None and now_us - first_us < self._span_us:
            return first_us
        self._at_us.pop(name, None)
        self._at_us[name] = now_us
        self._forget(now_us)
        return now_us

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._at_us)

    def _forget(self, now_us: int) -> None:
        # Two at a time: what is remembered shrinks, and no call pays for all.
        for _ in range(2):
            name, first_us = next(iter(self._at_us.items()))
            if now_us - first_us < self._span_us and len(self._at_us) <= self._size_max:
                return
            del self._at_us[name]


class Keys:
    """Chooses the key of each request, and the time of those that bring none."""

    def __init__(self, clock: Clock) -> None:
        """`clock`: its wall clock dates what Lithic did not."""
        self._clock = clock
        self._bodies = FirstSeen()
        self._undated = FirstSeen()

    def key_of(self, request: AsaRequest, webhook_id: str, body: bytes) -> str:
        """`event_token`, else `webhook-id`, else the body itself within 15 s.

        Never the transaction's token: an increment has the same. Prefixes keep the three apart.
        """
        if request.event_token:
            return _named("event", request.event_token)
        if webhook_id:
            return _named("webhook", webhook_id)
        digest = hashlib.sha256(body).hexdigest()
        # A repeat takes the bucket of the first one, also when the clock has passed an edge between them.
        return f"body:{digest}:{self._bodies.at_us(digest, self._clock.now_us()) // REPEAT_US}"

    def time_us_of(self, key: str) -> int:
        """The time of an undated request: when its key was first seen, so that a repeat has the same."""
        return self._undated.at_us(key, self._clock.now_us())


def _named(kind: str, name: str) -> str:
    if len(name) <= _PLAIN_MAX and name.isascii() and name.isprintable():
        return f"{kind}:{name}"
    return f"{kind}-sha256:{hashlib.sha256(name.encode()).hexdigest()}"
