"""One connection to one server process. Its `run` is in every key's name, so a restarted server has no counters."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import Connection
from redis.exceptions import NoScriptError, RedisError, ResponseError

from authsvc.errors import Unavailable

Command = tuple[str | bytes | int, ...]

_SCRIPT_FILES: Final = sorted(Path(__file__).parent.glob("*.lua"))
_RUN_CHARACTERS: Final = 12


class Link:
    """Sends pipelines, one at a time, each wholly to one server process.

    A client that reconnects by itself could send half a pipeline to a server that has restarted with old data. So the
    run id is read on every new connection, and a pipeline's names are made from that of the connection it is sent on.
    """

    def __init__(self, url: str, timeout_ms: int) -> None:
        """`timeout_ms` bounds connecting and each pipeline."""
        self._pool = ConnectionPool.from_url(url)
        self._timeout_s = timeout_ms / 1000
        self._connection: Connection | None = None
        self._run = ""
        self._sha_by_script: dict[str, str] = {}
        self._turn = asyncio.Lock()

    async def call(self, build: Callable[[str], Sequence[Command]]) -> tuple[str, list[Any]]:
        """Send the commands that `build` makes for the current run id. Returns the run id and the answers, in order.

        Raises `Unavailable` when the server is not reached, goes away or is too slow: what was done is then unknown.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    connection = await self._connected()
                    commands = build(self._run)
                    answers = await self._send(connection, commands)
                    if any(isinstance(answer, NoScriptError) for answer in answers):
                        # Somebody flushed the scripts. A command that was answered so was not run.
                        await self._load_scripts(connection)
                        answers = await self._send_again(connection, commands, answers)
            except (RedisError, OSError, TimeoutError, EOFError) as error:
                await self.close()
                raise Unavailable("counters") from error
            except BaseException:
                # Cancelled half-way: answers of this pipeline must not be read by the next one.
                await self.close()
                raise
        for answer in answers:
            if isinstance(answer, ResponseError):
                # Whatever it was (a replica by now, another reign of the same master): look anew who is there.
                await self.close()
                raise Unavailable("counters") from answer
        return self._run, answers

    def script(self, name: str, keys: Sequence[str], *arguments: str | bytes | int) -> Command:
        """The command that runs a script of this folder."""
        return ("EVALSHA", self._sha_by_script[name], len(keys), *keys, *arguments)

    async def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _connected(self) -> Connection:
        if self._connection is None or not self._connection.is_connected:
            connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            await connection.connect()  # type: ignore[no-untyped-call]
            info = (await self._send(connection, [("INFO", "server", "replication")]))[0]
            self._run = run_of(info)
            await self._load_scripts(connection)
            self._connection = connection
        return self._connection

    async def _load_scripts(self, connection: Connection) -> None:
        sources = [("SCRIPT", "LOAD", path.read_bytes()) for path in _SCRIPT_FILES]
        shas = await self._send(connection, sources)
        self._sha_by_script = {path.stem: sha.decode() for path, sha in zip(_SCRIPT_FILES, shas, strict=True)}

    @staticmethod
    async def _send(connection: Connection, commands: Sequence[Command]) -> list[Any]:
        # The asyncio client packs in Python, which takes ten times as long as the C that comes with it.
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # of any length
        await connection.send_packed_command(packed, check_health=False)
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(await connection.read_response())
            except ResponseError as error:
                answers.append(error)
        return answers

    async def _send_again(self, connection: Connection, commands: Sequence[Command], answers: list[Any]) -> list[Any]:
        again = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        fresh = await self._send(connection, [commands[i] for i in again])
        for i, answer in zip(again, fresh, strict=True):
            answers[i] = answer
        return answers


def run_of(info: bytes) -> str:
    """Which process, and which of its reigns as a master: demoted and promoted again, it may have lost writes."""
    said = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    return f"{said['run_id'][:_RUN_CHARACTERS]}-{said['master_replid'][:_RUN_CHARACTERS]}"
