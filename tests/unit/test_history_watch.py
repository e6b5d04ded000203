"""Watchers without a database: what they are told of nothing, slow readers, errors, and the end."""

import asyncio
from typing import Any

import pytest

from authsvc.errors import InvalidRequest, Overloaded, Unavailable
from authsvc.history.shapes import Page, Scope, Turnstile
from authsvc.history.watch import Watch
from tests.waiting import until_clear

EVERYBODY = Scope(None, None)
WITHIN_S = 20


class Past:
    """Ids up to `last`, all of them committed, no decision among them that anybody asks for."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.error: BaseException | None = None
        self.oldest_running = 1

    async def last_id(self) -> int:
        return self.last

    async def turnstile(self) -> Turnstile:
        if self.error is not None:
            raise self.error
        return Turnstile(1, self.oldest_running)

    async def oldest(self) -> int:
        return self.oldest_running

    async def decisions(self, _: Scope, after: int, until: int) -> Page:
        return Page([], min(after + 4_000, until))


class Reader:
    """Notes how far it was told; reads on only while `reading` is set."""

    def __init__(self) -> None:
        self.cursors: list[int] = []
        self.reading = asyncio.Event()
        self.reading.set()

    async def tell(self, page: Page) -> None:
        await self.reading.wait()
        self.cursors.append(page.reached)


def watch_of(past: Past, watchers_max: int = 10) -> tuple[Watch, list[BaseException]]:
    failures: list[BaseException] = []
    stub: Any = past
    return Watch(stub, failures.append, watchers_max=watchers_max), failures


async def until_told(reader: Reader, cursors: list[int]) -> None:
    async def differs() -> object:
        return f"told {reader.cursors}" if reader.cursors != cursors else None

    await until_clear(differs, WITHIN_S)


async def test_a_watcher_of_whom_nothing_was_asked_for_is_told_how_far_it_came() -> None:
    watch, _ = watch_of(Past(30_000))
    reader = Reader()
    serving = asyncio.create_task(watch.serve(EVERYBODY, 0, reader.tell))
    await until_told(reader, [0, 12_000, 24_000])
    watch.drain()
    await serving


async def test_a_slow_reader_slows_nobody_else() -> None:
    watch, _ = watch_of(Past(30_000))
    slow, quick = Reader(), Reader()
    slow.reading.clear()
    servings = [asyncio.create_task(watch.serve(EVERYBODY, 0, one.tell)) for one in (slow, quick)]
    await until_told(quick, [0, 12_000, 24_000])
    assert slow.cursors == []
    slow.reading.set()
    await until_told(slow, [0, 12_000, 24_000])
    watch.drain()
    await asyncio.gather(*servings)


async def test_nothing_is_told_beyond_what_is_still_at_work() -> None:
    past = Past(30_000)
    past.oldest_running = 0
    watch, _ = watch_of(past)
    reader = Reader()
    serving = asyncio.create_task(watch.serve(EVERYBODY, 0, reader.tell))
    await until_told(reader, [0])
    past.last = 90_000  # drawn after the mark: not part of the next horizon yet
    past.oldest_running = 1
    await until_told(reader, [0, 12_000, 24_000, 34_000, 46_000, 58_000, 70_000, 82_000])
    watch.drain()
    await serving


@pytest.mark.parametrize("error", [Unavailable("database"), ValueError("nobody planned for it")], ids=repr)
async def test_every_watcher_is_told_of_an_error_and_what_nobody_planned_for_is_counted(error: Exception) -> None:
    past = Past(30_000)
    past.error = error
    watch, failures = watch_of(past)
    servings = [asyncio.create_task(watch.serve(EVERYBODY, 0, Reader().tell)) for _ in range(2)]
    assert await asyncio.gather(*servings, return_exceptions=True) == [error, error]
    assert bool(failures) == isinstance(error, ValueError)
    past.error = None
    reader = Reader()
    serving = asyncio.create_task(watch.serve(EVERYBODY, 0, reader.tell))
    await until_told(reader, [0, 12_000, 24_000])
    watch.drain()
    await serving


async def test_nobody_watches_what_drains_is_full_or_lies_ahead() -> None:
    watch, _ = watch_of(Past(5), watchers_max=1)
    with pytest.raises(InvalidRequest, match="cursor"):
        await watch.serve(EVERYBODY, 6, Reader().tell)
    reader = Reader()
    serving = asyncio.create_task(watch.serve(EVERYBODY, None, reader.tell))
    await until_told(reader, [5])
    with pytest.raises(Overloaded):
        await watch.serve(EVERYBODY, None, Reader().tell)
    watch.drain()
    await serving
    with pytest.raises(Unavailable):
        await watch.serve(EVERYBODY, None, Reader().tell)
