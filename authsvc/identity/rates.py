"""How often one caller may try: buckets of tokens that fill up again, in memory, as many as are needed lately."""

import ipaddress
from collections.abc import Callable
from typing import Final

from cachetools import LRUCache

from authsvc.errors import Overloaded

_MINUTE_S: Final = 60.0
# A network, not an address, is what one caller gets of IPv6.
_IPV6_PREFIX: Final = 64


class RateLimit:
    """At most so many a minute by each caller, and as many at once. Each worker counts for itself."""

    def __init__(
        self,
        per_minute: int,
        monotonic_s: Callable[[], float],
        *,
        at_once: int | None = None,
        callers_max: int = 100_000,
        text: str = "too many attempts; try again in a minute",
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        """`callers_max` are remembered; whoever asked longest ago is forgotten first. `at_once`: fewer at once."""
        self._on_refusal = on_refusal
        self._size = float(per_minute if at_once is None else at_once)
        self._per_s = per_minute / _MINUTE_S
        self._text = text
        self._monotonic_s = monotonic_s
        self._left: LRUCache[str, tuple[float, float]] = LRUCache(callers_max)

    def take(self, caller: str) -> None:
        """Raises Overloaded when this one has asked too often; such a try costs nothing."""
        now_s = self._monotonic_s()
        left, then_s = self._left.get(caller, (self._size, now_s))
        left = min(self._size, left + (now_s - then_s) * self._per_s)
        if left < 1:
            self._on_refusal()
            raise Overloaded(self._text)
        self._left[caller] = (left - 1, now_s)

    def give_back(self, caller: str) -> None:
        """A try that this one took shall not count."""
        left, then_s = self._left.get(caller, (self._size, 0.0))
        self._left[caller] = (min(self._size, left + 1), then_s)

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._left)


def network_of(ip_address: str) -> str:
    """Whom an address stands for: itself, or for IPv6 its network."""
    try:
        address = ipaddress.ip_address(ip_address)
    except ValueError:
        return ip_address
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)
