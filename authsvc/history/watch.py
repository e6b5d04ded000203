"""Decisions as they are recorded: none lost and none twice, although their ids are drawn before they are committed.

Ids come from a sequence, so a lesser one may be committed after a greater one. Whoever draws an id has a transaction
number by then (the locks that come first need one). So: note the last id that was drawn, then take a number. Once every
lesser number has ended, all ids up to the noted one are committed or never will be. That id is the horizon; nobody is
told of anything beyond it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from authsvc.errors import AuthsvcError, InvalidRequest, Overloaded, Unavailable
from authsvc.history.shapes import History, Page, Scope

_INTERVAL_S: Final = 0.1
# A watcher of whom nothing was asked for is told so after so many ids, so that it need not read them again.
_SILENCE_MAX: Final = 10_000


class Watch:
    """All watchers of a process, and the one task that looks how far they may read. It runs while there are any."""

    def __init__(self, history: History, failed: Callable[[BaseException], None], *, watchers_max: int) -> None:
        """`failed` is told of what nobody planned for."""
        self._history = history
        self._failed = failed
        self._watchers_max = watchers_max
        self._watchers: set[Watcher] = set()
        self._looking: asyncio.Task[None] | None = None
        self._draining = False
        self._horizon = 0
        # The last id that was drawn when this transaction number was taken.
        self._mark: tuple[int, int] | None = None

    async def serve(self, scope: Scope, cursor: int | None, tell: Callable[[Page], Awaitable[None]]) -> None:
        """Tell a watcher of decisions after the cursor (None: from now on), until the service drains.

        Raises `Unavailable` when the database is down, `Overloaded` when there are too many.
        """
        if self._draining:
            raise Unavailable("this worker")
        if len(self._watchers) >= self._watchers_max:
            raise Overloaded("too many watchers")
        watcher = Watcher(self._history, scope, tell)
        self._watchers.add(watcher)
        try:
            await watcher.begin(cursor)
            if self._looking is None:
                self._looking = asyncio.get_running_loop().create_task(self._look())
            watcher.wake(self._horizon)
            await watcher.follow()
        finally:
            self._watchers.discard(watcher)

    def drain(self) -> None:
        """Every stream ends; watchers go on elsewhere, from their cursors."""
        self._draining = True
        for watcher in self._watchers:
            watcher.end(None)

    async def _look(self) -> None:
        while self._watchers:
            try:
                await self._advance()
            except AuthsvcError as error:
                self._give_up(error)
            except Exception as error:  # noqa: BLE001 - nobody may wait for ever
                self._failed(error)
                self._give_up(error)
            await asyncio.sleep(_INTERVAL_S)
        self._looking = None

    async def _advance(self) -> None:
        """Move the horizon as far as can be told now."""
        if self._mark is not None:
            oldest = await self._history.oldest()
        else:
            last_id = await self._history.last_id()
            if last_id <= self._horizon:
                return
            number, oldest = await self._history.turnstile()
            self._mark = last_id, number
        last_id, number = self._mark
        if oldest >= number:
            self._horizon, self._mark = last_id, None
            for watcher in self._watchers:
                watcher.wake(last_id)

    def _give_up(self, error: BaseException) -> None:
        for watcher in self._watchers:
            watcher.end(error)


class Watcher:
    """One stream: what it was told, and how far it may read."""

    def __init__(self, history: History, scope: Scope, tell: Callable[[Page], Awaitable[None]]) -> None:
        """`tell` waits for a slow reader."""
        self._history = history
        self._scope = scope
        self._tell = tell
        self._cursor = 0
        self._told = 0
        self._horizon = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._error: BaseException | None = None

    async def begin(self, cursor: int | None) -> None:
        """Find the place to begin at, and tell it."""
        last_id = await self._history.last_id()
        if cursor is not None and cursor > last_id:
            raise InvalidRequest("cursor", "is ahead of every transaction")
        self._cursor = last_id if cursor is None else cursor
        await self._say(Page([], self._cursor))

    async def follow(self) -> None:
        """Read up to the horizon, again and again, until the end."""
        while not self._ended:
            if self._horizon <= self._cursor:
                self._changed.clear()
                await self._changed.wait()
                continue
            page = await self._history.decisions(self._scope, self._cursor, self._horizon)
            self._cursor = page.reached
            if page.rows or self._cursor - self._told >= _SILENCE_MAX:
                await self._say(page)
        if self._error is not None:
            raise self._error

    def wake(self, horizon: int) -> None:
        """It may read so far."""
        self._horizon = horizon
        self._changed.set()

    def end(self, error: BaseException | None) -> None:
        """It must end, in order or because of an error."""
        self._ended, self._error = True, error
        self._changed.set()

    async def _say(self, page: Page) -> None:
        self._told = page.reached
        await self._tell(page)
