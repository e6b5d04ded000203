"""The embedded PostgreSQL, and what a fault test does to it."""

import os
import shutil
import signal
from pathlib import Path
from typing import Final

from authsvc.embedded.places import Places, make_private
from authsvc.embedded.process import ServerProcess, SystemUser, run
from authsvc.errors import StartupRefused

CONNECTIONS_MAX: Final = 200
SUPERUSER: Final = "postgres"
CHILDREN_TIMEOUT_S: Final = 10.0

# The builtin locale sorts and folds case alike on every machine, which the library of the operating system does not.
INITDB_OPTIONS: Final = (
    f"--username={SUPERUSER}",
    "--auth=trust",  # the socket lies in a folder that only its owner can enter
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
TERMINATE_SQL: Final = (
    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class Postgres:
    """A running PostgreSQL that listens on a Unix socket only."""

    def __init__(self, places: Places, *, durable: bool) -> None:
        """Create the cluster when its folder is new, and start it. `durable=False` turns fsync off."""
        self._data = places.postgres_data()
        self._bin = places.postgres_bin()
        self._sockets = places.run / "postgres"
        if not self._data.exists():
            _create_cluster(self._bin, self._data, places.user, sync=durable and places.keep is not None)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "max_connections": str(CONNECTIONS_MAX),
        }
        if not durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = ServerProcess(
            "PostgreSQL",
            [self._bin / "postgres", "-D", self._data, *options],
            log=places.log("postgres"),
            user=places.user,
            stop_signal=signal.SIGINT,  # the fast shutdown: connections are cut, nothing is lost
            folder=self._sockets,
            lock_fd=places.lock_fd,
        )
        self._process.start(self._ready)

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None while it does not run."""
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """The connection URL of a database on this server."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self._sockets}"

    def stop(self) -> None:
        """Fast shutdown."""
        self._process.stop()

    def restart(self) -> None:
        """Stop it in order, when it runs, and start it under the same URL; after kill() that is a crash recovery."""
        self._process.stop()
        self._process.start(self._ready)

    def kill(self) -> None:
        """SIGKILL the postmaster. Returns when its children have noticed and gone too, so that restart() can follow."""
        import psutil  # noqa: PLC0415 (nothing else of the embedded servers needs it)

        children = psutil.Process(self.pid).children(recursive=True) if self.pid is not None else []
        self._process.kill()
        _, alive = psutil.wait_procs(children, timeout=CHILDREN_TIMEOUT_S)
        for child in alive:
            child.kill()
        psutil.wait_procs(alive, timeout=CHILDREN_TIMEOUT_S)

    def terminate_connections(self) -> int:
        """End every client's connection, as an administrator can, and wait for that; returns how many there were."""
        return int(self.execute(TERMINATE_SQL))

    def execute(self, sql: str) -> str:
        """Run one statement as administrator in the first database; returns its rows, columns split by `|`."""
        options = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--command", sql]
        result = run([self._bin / "psql", *options, self.url()], None)
        if result.returncode != 0:
            raise RuntimeError(f"psql failed: {result.stderr.strip()}")
        return result.stdout.strip()

    def _ready(self, pid: int) -> bool:
        return is_ready(self._data, pid)


def is_ready(data: Path, pid: int) -> bool:
    """PostgreSQL itself writes its process id and then its state to a file in its data directory."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004 (file format)


def _create_cluster(binaries: Path, data: Path, user: SystemUser | None, *, sync: bool) -> None:
    """Run initdb beside the final place, then rename: an interrupted start leaves no half cluster behind."""
    new = data.with_name(f"{data.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    make_private(new, user)
    options = [*INITDB_OPTIONS, "--no-instructions", *([] if sync else ["--no-sync"])]
    result = run([binaries / "initdb", "-D", new, *options], user)
    if result.returncode != 0:
        raise StartupRefused(f"initdb failed in {new}:\n{result.stderr.strip()[-2_000:]}")
    os.rename(new, data)  # noqa: PTH104 (Path.rename reads as if it were in place)
