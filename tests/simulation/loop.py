"""An event loop without input or output: virtual time, and a seeded choice of who moves next.

Every simulated process keeps its own callbacks in the order they came, as a real loop does. Between processes, and among
messages under way, the seed decides. Time stands still while anybody can move.
"""

import asyncio
import heapq
import itertools
import random
import warnings
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any

NOBODY = ""
"""The process of whatever happens between the processes: messages, servers, the script of the run."""

PROCESS: ContextVar[str] = ContextVar("simulated_process", default=NOBODY)


class _Handle:
    """A callback that waits for its turn."""

    __slots__ = ("args", "callback", "cancelled", "context", "when_s")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, when_s: float) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.when_s = when_s
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def when(self) -> float:
        return self.when_s


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs until nothing is left to do. `trace` is a running hash of who moved when: equal runs have equal traces."""

    def __init__(self, choice: random.Random) -> None:
        self._choice = choice
        self._now_s = 0.0
        self._queues: dict[str, deque[_Handle]] = {}
        self._messages: list[_Handle] = []
        self._timers: list[tuple[float, int, _Handle]] = []
        self._timer_count = 0
        self._dead: set[str] = set()
        # What a crash leaves behind stays referenced, or the garbage collector would run its `finally` blocks.
        self._graveyard: list[_Handle] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self.steps = 0
        self.trace = 0
        self.after_step: Callable[[], None] | None = None

    # --- what asyncio asks of a loop ------------------------------------------------------------------------------

    def time(self) -> float:
        return self._now_s

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        handle = _Handle(callback, args, context if context is not None else copy_context(), self._now_s)
        self._ready(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        handle = _Handle(callback, args, context if context is not None else copy_context(), when)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, handle))
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None, **_: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, AssertionError):
            raise error

    # --- what a simulation asks of it -----------------------------------------------------------------------------

    def in_process(self, process: str, callback: Callable[..., object], *args: Any) -> None:
        """Have a process run the callback when its turn comes."""
        context = copy_context()
        context.run(PROCESS.set, process)
        self.call_soon(callback, *args, context=context)

    def crash(self, process: str) -> None:
        """Stop a process where it stands: none of its code runs again, not even a `finally`. Messages under way arrive."""
        self._dead.add(process)
        self._graveyard += self._queues.pop(process, ())

    def is_dead(self, process: str) -> bool:
        return process in self._dead

    def run(self, until: Callable[[], bool], steps_max: int) -> bool:
        """Step until the condition holds. False: nothing is left to do, or too many steps were made."""
        asyncio._set_running_loop(self)
        try:
            for _ in range(steps_max):
                if until() or not self._step():
                    break
            return until()
        finally:
            asyncio._set_running_loop(None)

    def close(self) -> None:
        """Let go of everything. Only after all checks: closing a coroutine runs its `finally` blocks."""
        asyncio._set_running_loop(self)
        with warnings.catch_warnings():
            # A step that never came to its turn was never awaited: that is what crashes are.
            warnings.simplefilter("ignore", RuntimeWarning)
            for task in self._tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    task.get_coro().close()  # type: ignore[union-attr]
                elif not task.cancelled():
                    task.exception()
            for left in (self._messages, self._graveyard, self._timers, self._tasks):
                left.clear()
            self._queues.clear()
        asyncio._set_running_loop(None)

    def _ready(self, handle: _Handle) -> None:
        process = handle.context.get(PROCESS, NOBODY)
        if process == NOBODY:
            self._messages.append(handle)
        elif process in self._dead:
            self._graveyard.append(handle)
        else:
            queue = self._queues.get(process)
            if queue is None:
                queue = self._queues[process] = deque()
            queue.append(handle)

    def _step(self) -> bool:
        while True:
            handle = self._next()
            if handle is None:
                return False
            if not handle.cancelled:
                break
        self.steps += 1
        handle.context.run(handle.callback, *handle.args)
        if self.after_step is not None:
            self.after_step()
        return True

    def _next(self) -> _Handle | None:
        queues, messages = self._queues, self._messages
        width = len(queues) + len(messages)
        if not width:
            if not self._timers:
                return None
            self._now_s, _, handle = heapq.heappop(self._timers)
            while self._timers and self._timers[0][0] <= self._now_s:
                self._ready(heapq.heappop(self._timers)[2])
            self._ready(handle)
            return self._next()
        pick = int(self._choice.random() * width)
        self.trace = (self.trace * 1_000_003 + pick * 31 + width) & 0xFFFFFFFFFFFF
        if pick < len(queues):
            name = next(itertools.islice(queues, pick, None))
            queue = queues[name]
            handle = queue.popleft()
            if not queue:
                del queues[name]
            return handle
        position = pick - len(queues)
        handle = messages[position]
        messages[position] = messages[-1]
        messages.pop()
        return handle
