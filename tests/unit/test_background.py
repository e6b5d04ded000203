"""Tasks that run beside the server end with it, even where a library loses a cancellation."""

import asyncio
from contextlib import AsyncExitStack

from authsvc import app


async def test_a_background_task_ends_although_its_first_cancellation_was_lost(monkeypatch):
    monkeypatch.setattr(app, "_CANCEL_AGAIN_S", 0.001)
    lost, started = [], asyncio.Event()

    async def work() -> None:
        while True:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append(True)

    async with asyncio.timeout(10), AsyncExitStack() as stack:
        await app._background(stack, work())
        await started.wait()

    assert lost
