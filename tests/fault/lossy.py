"""A way to PostgreSQL on which answers get lost."""

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

RECORDER = b"authsvc recorder"
_CHUNK_BYTES = 65_536


class LossyWay:
    """Forwards connections, in a thread of its own. `lose` is how many answers to recorders never arrive from now on.

    The statement that such an answer belongs to is done; whoever waits for it only sees the connection end.
    """

    def __init__(self, database_url: str) -> None:
        """To the server of this URL, which names a folder of Unix sockets."""
        parts = urlsplit(database_url)
        self._socket = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
        self._name = parts.path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.lose = 0
        self.lost = 0

    @property
    def url(self) -> str:
        """The same database, this way."""
        return f"postgresql://postgres@127.0.0.1:{self._port}{self._name}?sslmode=disable"

    def __enter__(self) -> Self:
        """Listens."""
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accept, "127.0.0.1", 0), self._loop
        ).result()
        self._server = server
        self._port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        """Cuts everything that is still open."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self._socket)
            try:
                await self._carry(reader, writer, server_reader, server_writer)
            finally:
                server_writer.close()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        hello = await reader.read(_CHUNK_BYTES)
        server_writer.write(hello)
        is_recorder = RECORDER in hello

        async def back() -> None:
            while chunk := await server_reader.read(_CHUNK_BYTES):
                if is_recorder and self.lose:
                    self.lose, self.lost = self.lose - 1, self.lost + 1
                    return
                writer.write(chunk)

        async def forth() -> None:
            while chunk := await reader.read(_CHUNK_BYTES):
                server_writer.write(chunk)

        pumps = [asyncio.ensure_future(back()), asyncio.ensure_future(forth())]
        try:
            with contextlib.suppress(OSError):
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
