"""Listens for committed configuration changes, and has the directory read again what it may have missed."""

import asyncio
import logging
from typing import Any, Final

import asyncpg
import orjson

from loader.directory import Directory
from loader.records import Change, SourceUnavailable

CHANNEL: Final = "authsvc_config"
_log = logging.getLogger(__name__)


class Watch:
    """One listening connection, made again whenever it is lost."""

    def __init__(self, url: str, directory: Directory, *, ping_s: float, retry_s: float) -> None:
        """`ping_s`: how often a silent connection is tried (it may be half-open); `retry_s`: pause between tries."""
        self._url = url
        self._directory = directory
        self._ping_s = ping_s
        self._retry_s = retry_s
        self._ready = asyncio.Event()

    async def ready(self) -> None:
        """Returns once the first connection listens."""
        await self._ready.wait()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._listen()
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                TimeoutError,
                SourceUnavailable,
            ) as error:
                _log.warning("configuration listener lost: %s", type(error).__name__)
            self._directory.listening = False
            await asyncio.sleep(self._retry_s)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._url, server_settings={"application_name": "authsvc listener"})
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._notified)
            self._directory.listening = True
            if self._ready.is_set():
                changed = await self._directory.resync()
                _log.info("configuration listener is back, %d accounts had changed", changed)
            self._ready.set()
            while not lost.is_set():
                try:
                    async with asyncio.timeout(self._ping_s):
                        await lost.wait()
                except TimeoutError:
                    await connection.fetchval("SELECT 1", timeout=self._ping_s)
        finally:
            connection.terminate()

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._directory.notified(parse_change(str(payload)))


def parse_change(payload: str) -> Change:
    """A payload as the version triggers make it."""
    said = orjson.loads(payload)
    ids, tokens = said["ids"], said.get("tokens", ())
    return Change(
        said["a"],
        said["v"],
        said["k"],
        None if ids is None else frozenset(ids),
        None if tokens is None else tuple(tokens),
    )
