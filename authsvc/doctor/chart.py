"""What `authsvc doctor` reads of Redis or Valkey. Reading leaves no trace there."""

from authsvc.counters.connection import Link
from authsvc.counters.store import counters_key


class RedisChart:
    """One connection of its own."""

    def __init__(self, url: str, timeout_ms: int) -> None:
        """`timeout_ms` bounds each question."""
        self._link = Link(url, timeout_ms)

    async def info(self) -> dict[str, str]:
        """What the server says of itself: INFO, by name."""
        _, answers = await self._link.call(lambda _: [("INFO",), ("INFO", "memory")])
        lines = [line for answer in answers for line in answer.decode().splitlines()]
        return dict(line.split(":", 1) for line in lines if ":" in line)

    async def clock_us(self) -> int:
        """What time it is there, in microseconds since the Unix epoch."""
        _, ((seconds, microseconds),) = await self._link.call(lambda _: [("TIME",)])
        return int(seconds) * 1_000_000 + int(microseconds)

    async def counters(self, account_id: int) -> tuple[str, dict[str, int]]:
        """All counters of an account by the names of their fields, and the run they are of."""
        run, (answer,) = await self._link.call(lambda run: [("HGETALL", counters_key(account_id, run))])
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
        return run, {name.decode(): int(value) for name, value in pairs}

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()
