"""The service and the bridge as processes of their own, for as long as a demonstration takes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from authsvc.errors import StartupRefused

READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
READY_WORDS: Final = "ready on "
LOG_LINES_SHOWN: Final = 5


@asynccontextmanager
async def serving(database_url: str, redis_url: str, log: Path) -> AsyncIterator[str]:
    """Run `authsvc serve` on free ports; yields HOST:PORT. At the end it is drained, and killed if that takes too long.

    What it logs goes to the file `log`. Raises StartupRefused with the end of it when it does not get ready.
    """
    given = {
        "AUTHSVC_DATABASE_URL": database_url,
        "AUTHSVC_REDIS_URL": redis_url,
        "AUTHSVC_HOST": "127.0.0.1",
        "AUTHSVC_PORT": "0",
        "AUTHSVC_METRICS_PORT": "0",
        "AUTHSVC_WORKERS": "1",
        "AUTHSVC_LOG_DECISIONS": "false",
    }
    async with _running("serve", given, log) as address:
        yield address


@asynccontextmanager
async def bridging(target: str, database_url: str, asa_secret: str, event_secret: str, log: Path) -> AsyncIterator[str]:
    """Run `authsvc bridge` before the service at `target`, as `serving` runs that."""
    given = {
        "AUTHSVC_BRIDGE_TARGET": target,
        "AUTHSVC_BRIDGE_DATABASE_URL": database_url,
        "AUTHSVC_BRIDGE_HOST": "127.0.0.1",
        "AUTHSVC_BRIDGE_PORT": "0",
        "AUTHSVC_BRIDGE_METRICS_PORT": "0",
        "AUTHSVC_BRIDGE_ALLOW_UNSIGNED": "false",
        "AUTHSVC_BRIDGE_ASA_SECRETS": asa_secret,
        "AUTHSVC_BRIDGE_EVENT_SECRETS": event_secret,
    }
    async with _running("bridge", given, log) as address:
        yield address


@asynccontextmanager
async def _running(command: str, given: Mapping[str, str], log: Path) -> AsyncIterator[str]:
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "authsvc", command),
            env={**os.environ, **given, "AUTHSVC_LOG_LEVEL": "WARNING"},  # noqa: TID251 (handed on, not read)
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # a Ctrl-C in the terminal is for us; we then stop it in order
        )
    try:
        yield await _ready(process, log)
    finally:
        await _stop(process)


async def _ready(process: asyncio.subprocess.Process, log: Path) -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            async for line in process.stdout:
                text = line.decode().strip()
                if text.startswith(READY_WORDS):
                    return text.removeprefix(READY_WORDS)
    except TimeoutError:
        pass
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]  # noqa: ASYNC240 (short)
    raise StartupRefused("\n".join(["the service did not get ready; its log ends with:", *tail]))


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
