"""`authsvc serve`: embedded servers if nothing else is given, the schema, and one or more worker processes."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Final

import orjson

from authsvc import app, logs
from authsvc.errors import StartupRefused
from authsvc.privacy import keys
from authsvc.settings import Settings, environment_of

_RESTART_PAUSE_S: Final = 0.5
# What a worker may take to stop beyond the time that requests in flight have.
_HANG_S: Final = 5.0
SERVERS_FILE: Final = "servers.json"
_log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Serve in the foreground until SIGTERM or SIGINT, then drain. Prints `ready on HOST:PORT` once it decides."""
    logs.configure(settings.log_level)
    # Workers import this module too: the tools of migration would cost each of them a second and 20 MB.
    from authsvc.ledger.prepare import prepare  # noqa: PLC0415

    if not settings.is_loopback or settings.tls_cert_file is not None:
        # A port that must not be opened, or files that are no good, are told before anything is changed.
        from authsvc.tls import server_credentials_of  # noqa: PLC0415

        server_credentials_of(settings)
    with ExitStack() as stack:
        settings = _with_servers(settings, stack)
        prepare(str(settings.database_url))
        if settings.workers == 1:
            app.run_worker(settings, lambda service: _say_ready(settings.host, service.port))
            return 0
        return _Workers(settings, stack).run()


def _say_ready(host: str, port: int) -> None:
    sys.stdout.write(f"ready on {host}:{port}\n")
    sys.stdout.flush()


def _with_servers(settings: Settings, stack: ExitStack) -> Settings:
    """Starts embedded servers where none are given, and leaves a note for other commands of where they are."""
    if not settings.embedded:
        return settings
    from authsvc.embedded import Servers  # noqa: PLC0415 - an optional extra

    # A Ctrl-C while they start must still stop them.
    signal.signal(signal.SIGTERM, _interrupt)
    servers = stack.enter_context(Servers.start(settings.data_dir))
    urls = {"database_url": servers.database_url, "redis_url": servers.redis_url}
    note = settings.data_dir / SERVERS_FILE
    note.write_bytes(orjson.dumps(urls))
    stack.callback(note.unlink, missing_ok=True)
    return settings.model_copy(update={**urls, **_privacy_keys(settings)})


def _privacy_keys(settings: Settings) -> dict[str, Path]:
    """Of a database of our own the keys are our own as well."""
    if settings.privacy_keys_file is not None or settings.privacy_keys:
        return {}
    path = settings.data_dir / keys.FILE_NAME
    if not path.exists():
        keys.add(path, os.urandom)
    return {"privacy_keys_file": path}


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Workers:
    """Several workers on one port. One that dies is started again; one that never becomes ready ends them all."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        # A port of 0 is chosen once, for all; holding it (not listening) keeps others from taking it meanwhile.
        held = stack.enter_context(socket.socket())
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((settings.host, settings.port))
        self._settings = settings.model_copy(update={"port": held.getsockname()[1]})
        self._stopping = threading.Event()
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._ready: set[int] = set()
        self._lock = threading.Lock()
        self._failed = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        keepers = [threading.Thread(target=self._keep, args=(index,)) for index in range(self._settings.workers)]
        for keeper in keepers:
            keeper.start()
        for keeper in keepers:
            keeper.join()
        return 1 if self._failed else 0

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()
        for process in list(self._processes.values()):
            process.terminate()
        # A worker that hangs must not keep the others' servers, or a deployment, waiting.
        last_call = threading.Timer(self._settings.drain_timeout_ms / 1000 + _HANG_S, self._kill)
        last_call.daemon = True
        last_call.start()

    def _kill(self) -> None:
        for index, process in self._processes.items():
            if process.poll() is None:
                _log.error("worker %d did not stop in time and is killed", index)
                process.kill()

    def _keep(self, index: int) -> None:
        while not self._stopping.is_set():
            process = self._processes[index] = self._start(index)
            if self._stopping.is_set():
                process.terminate()
            assert process.stdout is not None
            ready = False
            for line in process.stdout:
                ready = ready or self._heard(index, line)
            code = process.wait()
            if self._stopping.is_set():
                return
            _log.error("worker %d ended with %d", index, code)
            if not ready:
                self._failed = True
                self._stop(signal.SIGTERM, None)
                return
            self._stopping.wait(_RESTART_PAUSE_S)

    def _start(self, index: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "authsvc", "worker", str(index)],
            env=environment_of(self._settings),
            # Never written to: its end tells the worker that this process is gone, however it went.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _heard(self, index: int, line: str) -> bool:
        if not line.startswith("ready"):
            return False
        with self._lock:
            self._ready.add(index)
            if len(self._ready) == self._settings.workers:
                _say_ready(self._settings.host, self._settings.port)
                # Said once, not again when a worker is restarted.
                self._ready = {-1}
        return True


def run_worker(settings: Settings, index: int) -> None:
    """The child's side: one worker of several. Raises `StartupRefused` like `serve`."""
    logs.configure(settings.log_level)
    if settings.embedded:
        raise StartupRefused("a worker is given its servers by the process that starts it")
    app.run_worker(
        settings, lambda service: _say_ready(settings.host, service.port), index, lifeline=sys.stdin.fileno()
    )
