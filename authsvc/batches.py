"""Batches without a timer: what arrives while a batch is under way is the next one. Idle, nothing waits."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

Item = TypeVar("Item")

# A busy loop hands over arrivals a few at a turn; when so many turns brought none, the burst is over.
_QUIET_TURNS: Final = 16
# From here on a round trip is shared well enough; while it is under way, the rest can arrive.
_GATHER_MAX: Final = 64


class Batches(Generic[Item]):
    """One batch at a time through `work`; what `work` or a spawned step raises goes to `failed` with its items."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[None]],
        failed: Callable[[Sequence[Item], BaseException], None],
        batch_max: int,
    ) -> None:
        """`batch_max` bounds the rows of one commit."""
        self._work = work
        self._failed = failed
        self._batch_max = batch_max
        self._waiting: deque[Item] = deque()
        self._runner: asyncio.Task[None] | None = None
        # The loop keeps only weak references to tasks: hold them until they end.
        self._steps: set[asyncio.Task[None]] = set()

    def submit(self, item: Item) -> None:
        """Put an item into the next batch."""
        self._waiting.append(item)
        if self._runner is None:
            self._runner = asyncio.get_running_loop().create_task(self._run())

    def spawn(self, step: Coroutine[Any, Any, None], items: Sequence[Item]) -> None:
        """Run a step that some items wait for, beside the batches."""
        task = asyncio.get_running_loop().create_task(self._guard(step, items))
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)

    async def rest(self, timeout_s: float) -> None:
        """Returns when nothing is under way any more, or when the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while under_way := {*self._steps, *filter(None, [self._runner])}:
                    await asyncio.wait(under_way)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                size = min(len(self._waiting), self._batch_max)
                batch = [self._waiting.popleft() for _ in range(size)]
                await self._guard(self._work(batch), batch)
        finally:
            self._runner = None

    async def _gather(self) -> None:
        """Lets those in who are arriving just now. Idle, it costs a few empty turns of the loop: microseconds."""
        quiet_turns, seen = 0, len(self._waiting)
        while quiet_turns < _QUIET_TURNS and seen < _GATHER_MAX:
            await asyncio.sleep(0)
            quiet_turns = quiet_turns + 1 if len(self._waiting) == seen else 0
            seen = len(self._waiting)

    async def _guard(self, step: Awaitable[None], items: Sequence[Item]) -> None:
        try:
            await step
        except Exception as error:  # noqa: BLE001 - reported by `failed`; no item may be left waiting
            self._failed(items, error)
