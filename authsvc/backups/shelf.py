"""The folder of backups: each a folder of its own, with PostgreSQL's files in `data` and our manifest beside them."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from authsvc.backups.plan import Backup, Kind
from authsvc.errors import NotFound, StartupRefused

MANIFEST: Final = "backup.json"
DATA: Final = "data"
# Half a backup, and half of a removal. Neither is ever listed.
UNFINISHED: Final = ".unfinished-"
_SECOND_US: Final = 1_000_000


class Shelf:
    """Backups in a folder."""

    def __init__(self, folder: Path) -> None:
        """The folder need not exist before the first backup."""
        self.folder = folder.resolve()

    def backups(self) -> list[Backup]:
        """All that are finished, oldest first. Those without a readable manifest are told by `unreadable`."""
        found = [backup for folder in self._folders() if (backup := _read(folder)) is not None]
        return sorted(found, key=lambda backup: (backup.started_us, backup.name))

    def unreadable(self) -> list[str]:
        """Folders that look like a backup and lack our manifest: nobody builds on them, and nobody removes them."""
        return sorted(folder.name for folder in self._folders() if _read(folder) is None)

    def _folders(self) -> list[Path]:
        return [folder for folder in self.folder.glob("[0-9]*-*") if folder.is_dir()]

    def find(self, name: str) -> Backup:
        """Raises NotFound."""
        for backup in self.backups():
            if backup.name == name:
                return backup
        raise NotFound(f"there is no backup {name} in {self.folder}")

    def data(self, name: str) -> Path:
        """The data directory in a backup."""
        return self.folder / name / DATA

    def free_name(self, kind: Kind, started_us: int) -> str:
        """The name of a backup that starts now. Of two within one second the later one is named a second ahead."""
        taken = {one.name.partition("-")[0] for one in self.backups()}
        while name_of(kind, started_us).partition("-")[0] in taken:
            started_us += _SECOND_US
        return name_of(kind, started_us)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For whoever adds or removes: one at a time. What somebody left unfinished is removed first."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartupRefused(f"cannot write to {self.folder}: {error.strerror}") from error
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock_fd)
            raise StartupRefused(f"another backup works in {self.folder}") from error
        try:
            for left in self.folder.glob(f"{UNFINISHED}*"):
                shutil.rmtree(left)
            yield
        finally:
            os.close(lock_fd)

    @contextmanager
    def unfinished(self, name: str) -> Iterator[Path]:
        """A folder to make a backup in; whatever is not finished at the end is gone."""
        folder = self.folder / f"{UNFINISHED}{name}"
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def finish(self, folder: Path, backup: Backup) -> None:
        """From now on it is a backup. Its manifest and name are on disk when this returns."""
        _write(folder / MANIFEST, backup)
        folder.rename(self.folder / backup.name)
        _sync(self.folder)

    def update(self, backup: Backup) -> None:
        """Replace the manifest."""
        _write(self.folder / backup.name / MANIFEST, backup)

    def remove(self, name: str) -> None:
        """First the name, then the files: half a backup is never taken for one."""
        gone = (self.folder / name).rename(self.folder / f"{UNFINISHED}{name}")
        _sync(self.folder)
        shutil.rmtree(gone)


def name_of(kind: Kind, started_us: int) -> str:
    """YYYYMMDDTHHMMSSZ-full or -incr: sorted by name is sorted by time."""
    return f"{datetime.fromtimestamp(started_us // _SECOND_US, UTC):%Y%m%dT%H%M%SZ}-{kind}"


def size_bytes(folder: Path) -> int:
    """Of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _read(folder: Path) -> Backup | None:
    try:
        backup = Backup(**orjson.loads((folder / MANIFEST).read_bytes()))
    except (OSError, TypeError, orjson.JSONDecodeError):
        return None
    return backup if backup.name == folder.name else None


def _write(path: Path, backup: Backup) -> None:
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(orjson.dumps(asdict(backup), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Names are on disk only once their folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
