"""One server as a child process, that ends when its owner stops it or dies, however the owner dies."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from authsvc.errors import StartupRefused

START_TIMEOUT_S: Final = 60.0  # a crash recovery may have much to replay
STOP_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.02

# Servers get nothing of the owner's environment: PGDATA, TZ or LC_ALL of a laptop must not change what they do.
CLEAN_ENVIRONMENT: Final[Mapping[str, str]] = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}

# The guard waits for the end of its input, which comes when the owner closes the pipe or dies (also of SIGKILL), then
# stops the server and removes the server's temporary folder. The wait for the server's end has a limit because a dead
# server that nobody reaps still answers `kill -0`.
GUARD_SCRIPT: Final = """
read -r line
kill -s "$1" "$2" 2>/dev/null
i=0
while kill -0 "$2" 2>/dev/null && [ "$i" -lt 200 ]; do i=$((i + 1)); sleep 0.1; done
kill -s KILL "$2" 2>/dev/null
rm -rf -- "$3"
rmdir -- "${3%/*}" 2>/dev/null
"""


@dataclass(frozen=True)
class SystemUser:
    """A user of this machine to whom a process is handed over; only root can do that."""

    name: str
    uid: int
    gid: int


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def spawn(
    command: Sequence[str | Path],
    *,
    user: SystemUser | None,
    stdin: int,
    output: int,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own (a Ctrl-C in the terminal does not reach it) from `/`, as `user`."""
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=stdin,
        stdout=output,
        stderr=output,
        cwd="/",
        env=CLEAN_ENVIRONMENT,
        start_new_session=True,
        umask=0o077,
        pass_fds=pass_fds,
        **_identity(user),
    )


def run(command: Sequence[str | Path], user: SystemUser | None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end under the same terms as `spawn`, and return what it printed."""
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd="/",
        env=CLEAN_ENVIRONMENT,
        umask=0o077,
        **_identity(user),
    )


def _identity(user: SystemUser | None) -> _Identity:
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


class ServerProcess:
    """Starts, stops and kills one server. Not for use from two threads at once."""

    def __init__(  # noqa: PLR0913 (each is a fact about the server)
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        user: SystemUser | None,
        stop_signal: signal.Signals,
        folder: Path,
        lock_fd: int | None,
    ) -> None:
        """`folder` is what the guard removes; `lock_fd` is held by the guard too, until the server is gone."""
        self._name = name
        self._command = command
        self._log = log
        self._user = user
        self._stop_signal = stop_signal
        self._folder = folder
        self._lock_fd = lock_fd
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id; None while it does not run."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    def start(self, ready: Callable[[int], bool], timeout_s: float = START_TIMEOUT_S) -> None:
        """Start the server and wait until `ready(pid)`. Raises StartupRefused with the end of the server's log."""
        if self.pid is not None:
            raise StartupRefused(f"{self._name} is already running")
        self._release_guard()
        with self._log.open("ab") as log:
            log_start = log.tell()
            process = spawn(self._command, user=self._user, stdin=subprocess.DEVNULL, output=log.fileno())
        self._process = process
        self._guard = self._spawn_guard(process.pid)
        for _ in range(int(timeout_s / POLL_S)):
            if process.poll() is not None:
                break
            if ready(process.pid):
                return
            time.sleep(POLL_S)
        self.kill()
        raise StartupRefused(f"{self._name} did not start; its log {self._log} ends with:\n{self._log_tail(log_start)}")

    def stop(self) -> None:
        """Shut the server down in order; kill it when that takes too long. Nothing happens when it does not run."""
        if self._process is not None and self.pid is not None:
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._release_guard()

    def kill(self) -> None:
        """SIGKILL: the server has no chance to save or to say goodbye."""
        if self._process is not None and self.pid is not None:
            self._process.kill()
            self._process.wait()
        self._release_guard()

    def _spawn_guard(self, pid: int) -> subprocess.Popen[bytes]:
        command = ["/bin/sh", "-c", GUARD_SCRIPT, "guard", self._stop_signal.name.removeprefix("SIG"), str(pid)]
        pass_fds = () if self._lock_fd is None else (self._lock_fd,)
        return spawn(
            [*command, self._folder], user=None, stdin=subprocess.PIPE, output=subprocess.DEVNULL, pass_fds=pass_fds
        )

    def _release_guard(self) -> None:
        """End the guard before it acts: it must never signal a process id that has passed on to another process."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()
            self._guard.wait()
            self._guard.stdin.close()
        self._guard = None

    def _log_tail(self, offset: int) -> str:
        with self._log.open("rb") as log:
            log.seek(offset)
            return log.read()[-2_000:].decode(errors="replace").strip()
