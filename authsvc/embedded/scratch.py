"""A PostgreSQL over a data directory that a backup left, for somebody to look at: nothing of it stays."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from authsvc.embedded.places import Places, make_private, postgres_user, run_dir, succeeds, temporary_parents, wheel_bin
from authsvc.embedded.postgres import is_ready
from authsvc.embedded.process import ServerProcess, SystemUser
from authsvc.errors import StartupRefused

# The WAL that was written during the backup is replayed first.
RECOVERY_TIMEOUT_S: Final = 3_600.0
CONFIGURATION: Final = """\
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
hba_file = '{sockets}/pg_hba.conf'
ident_file = '{sockets}/pg_ident.conf'
archive_mode = off
autovacuum = off
fsync = off
max_connections = 20
"""


class Scratch:
    """A temporary place for one server. `data` is where its data directory is to be put before `server`."""

    def __init__(self, places: Places, pg_bin: Path) -> None:
        """For `scratch`."""
        self._places = places
        self._home = places.run / "postgres"
        self.data = self._home / "data"
        self._bin = places.postgres_bin() if _is_closed_wheel(pg_bin, places.user) else pg_bin

    @contextmanager
    def server(self, superuser: str, database: str) -> Iterator[str]:
        """Start it, recovered, without any of its former configuration; yields the database's URL for its superuser."""
        process = ServerProcess(
            "PostgreSQL",
            [self._bin / "postgres", "-D", self.data, "-c", f"config_file={self._configure()}"],
            log=self._places.log("postgres"),
            user=self._places.user,
            stop_signal=signal.SIGQUIT,  # nobody needs what it would still write
            folder=self._home,
            lock_fd=None,
        )
        try:
            process.start(lambda pid: is_ready(self.data, pid), RECOVERY_TIMEOUT_S)
            yield f"postgresql://{quote(superuser, safe='')}@/{quote(database, safe='')}?host={self._home}"
        finally:
            process.stop()

    def _configure(self) -> Path:
        """Only whoever can enter our folder can connect; what the server was told by ALTER SYSTEM is forgotten."""
        for name in ("standby.signal", "recovery.signal", "postgresql.auto.conf"):
            (self.data / name).unlink(missing_ok=True)
        (self.data / "postgresql.auto.conf").write_bytes(b"")
        (self._home / "pg_hba.conf").write_text("local all all trust\n", encoding="utf-8")
        (self._home / "pg_ident.conf").write_bytes(b"")
        path = self._home / "postgresql.conf"
        path.write_text(CONFIGURATION.format(sockets=self._home), encoding="utf-8")
        if self._places.user is not None:
            for folder, _, names in os.walk(self._home):
                for entry in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118 (millions of files)
                    os.chown(entry, self._places.user.uid, self._places.user.gid, follow_symlinks=False)
        self.data.chmod(0o700)
        return path


@contextmanager
def scratch(pg_bin: Path, parent: Path | None) -> Iterator[Scratch]:
    """A place in `parent`, or among other temporary folders, for a server run by the programs in `pg_bin`.

    It is removed at the end; if this process is killed while the server runs, the server's guard removes it.
    """
    user = postgres_user()
    places = Places(run_dir(user, temporary_parents() if parent is None else [parent.resolve()]), None, user, None)
    try:
        make_private(places.run / "postgres", user)
        yield Scratch(places, pg_bin)
    finally:
        places.release()


def _is_closed_wheel(pg_bin: Path, user: SystemUser | None) -> bool:
    """Whether these are the wheel's programs, in a folder that PostgreSQL's user cannot enter."""
    try:
        return pg_bin == wheel_bin() and not succeeds([pg_bin / "postgres", "--version"], user)
    except StartupRefused:
        return False
