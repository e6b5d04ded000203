"""The service as it runs in production: processes of its own, which a test may kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from tests.privacy import KEYS_TEXT
from tests.waiting import until

READY_MAX_S: Final = 60.0
STOP_MAX_S: Final = 30.0
_ROOT: Final = Path(__file__).resolve().parents[1]


class Service:
    """`authsvc serve` with its workers. `port` is the one that they share."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        """Of a process just started; its output goes to `log`."""
        self._process = process
        self._log = log
        self._log_read = 0
        self.port = 0

    @property
    def address(self) -> str:
        """HOST:PORT of the service."""
        return f"127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        """Returns when every worker decides. Raises RuntimeError with the end of the log when that does not happen."""
        until(lambda: self._said_ready() or self._process.poll() is not None, READY_MAX_S)
        if not self.port:
            raise RuntimeError(f"the service did not get ready; its log ends with:\n{self.log_tail()}")

    def workers(self) -> list[int]:
        """The process ids of the workers that run now."""
        return [
            child.pid
            for child in psutil.Process(self._process.pid).children()
            if child.status() != psutil.STATUS_ZOMBIE and "worker" in child.cmdline()
        ]

    def connections_of(self, worker: int) -> int:
        """How many callers a worker is connected to."""
        connections = psutil.Process(worker).net_connections("tcp")
        return sum(one.laddr.port == self.port and one.status == psutil.CONN_ESTABLISHED for one in connections)

    def kill(self, worker: int) -> None:
        """SIGKILL: the worker has no chance to give anything back."""
        os.kill(worker, signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and wait. Returns the exit code; whoever does not drain in time is killed."""
        workers = [psutil.Process(pid) for pid in self.workers()] if self._process.poll() is None else []
        self._process.terminate()
        try:
            return self._process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            for one in workers:
                one.kill()
            self._process.kill()
            self._process.wait()
            raise

    def log_tail(self) -> str:
        """The end of what all of its processes logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-4_000:]

    def new_errors(self) -> list[str]:
        """What was logged since the last call and nobody planned for; that a worker was killed is planned."""
        with self._log.open("rb") as log:
            log.seek(self._log_read)
            lines = log.read().decode(errors="replace").splitlines()
            self._log_read = log.tell()
        return [line for line in lines if '"level":"ERROR"' in line and '"logger":"authsvc.supervisor"' not in line]

    def _said_ready(self) -> bool:
        for line in self._log.read_text(encoding="utf-8").splitlines():
            if line.startswith("ready on "):
                self.port = int(line.rpartition(":")[2])
        return bool(self.port)


@contextmanager
def running(database_url: str, redis_url: str, folder: Path, **settings: object) -> Iterator[Service]:
    """A service of two workers on these servers, ready; `settings` override those that suit a test."""
    given = {
        "database_url": database_url,
        "redis_url": redis_url,
        "port": 0,
        "metrics_port": 0,
        "workers": 2,
        "log_decisions": False,
        "privacy_keys": KEYS_TEXT,
    } | settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")}
    # Workers are started again and again: compiling everything each time would take most of the test.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment |= {f"AUTHSVC_{name.upper()}": str(value) for name, value in given.items()}
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "authsvc", "serve"],
            env=environment,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    service = Service(process, log)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()
