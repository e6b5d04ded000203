"""Ways to a server on which what holds a certain word gets stuck, or its answer gets lost."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Self

_CHUNK_BYTES = 65_536
Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Way:
    """Forwards connections, in the test's own loop.

    `hold`: how many requests with the word never get there from now on; whoever sent one waits until it gives up or dies.
    `lose`: how many get there and are answered, but the connection ends before the answer. While `is_mute`, no answer
    arrives at all.
    """

    def __init__(self, dial: Dial, word: bytes = b"") -> None:
        """`dial` connects to the server."""
        self._dial = dial
        self._word = word
        self._tasks: set[asyncio.Task[None]] = set()
        # Their next answer is the last thing that does not arrive.
        self._doomed: set[asyncio.StreamWriter] = set()
        self._loud = asyncio.Event()
        self._loud.set()
        self.port = 0
        self.hold = self.lose = self.lost = 0
        # The ports of those who sent what was held.
        self.held: list[int] = []

    @property
    def is_mute(self) -> bool:
        """No answer arrives."""
        return not self._loud.is_set()

    @is_mute.setter
    def is_mute(self, value: bool) -> None:
        if value:
            self._loud.clear()
        else:
            self._loud.set()

    async def __aenter__(self) -> Self:
        """Listens."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cuts everything that is still open."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError):
                answers, requests = await self._dial()
                try:
                    await self._carry(reader, writer, answers, requests)
                finally:
                    requests.close()
        finally:
            self._tasks.discard(task)
            self._doomed.discard(writer)
            writer.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        requests: asyncio.StreamWriter,
    ) -> None:
        pumps = [asyncio.ensure_future(self._back(answers, writer))]
        pumps.append(asyncio.ensure_future(self._forth(reader, writer, requests)))
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _back(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await answers.read(_CHUNK_BYTES):
            await self._loud.wait()
            if writer in self._doomed:
                return
            writer.write(chunk)

    async def _forth(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if self._word and self._word in chunk and self.hold:
                self.hold -= 1
                self.held.append(writer.get_extra_info("peername")[1])
                while await reader.read(_CHUNK_BYTES):
                    pass
                return
            if self._word and self._word in chunk and self.lose:
                self.lose, self.lost = self.lose - 1, self.lost + 1
                self._doomed.add(writer)
            requests.write(chunk)
