"""PostgreSQL's own programs: which ones are used, and how they are run."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from authsvc.errors import StartupRefused

_PROGRESS: Final = re.compile(r"(\d+)/(\d+) kB")
_VERSION: Final = re.compile(r"(\d+)(?:\.\d+|devel|beta\d+|rc\d+)")
_LINES_MAX: Final = 20
_NOT_FOUND: Final = (
    "the programs of PostgreSQL {major} are not here: install its client and server packages, or name their folder "
    "with --pg-bin, for example /usr/lib/postgresql/{major}/bin"
)
_SYSTEM_FOLDERS: Final = ("lib/postgresql/*/bin", "pgsql-*/bin")  # Debian and its like, Red Hat and its like

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Tools:
    """The programs of one PostgreSQL release, in one folder."""

    folder: Path
    major: int

    @classmethod
    def find(cls, server_version: int, pg_bin: Path | None, embedded: Callable[[], Path]) -> "Tools":
        """Of a server's major version: in `pg_bin`, else on the PATH or where systems keep them, else embedded ones.

        Raises StartupRefused when there are none, with the versions that are there.
        """
        major, others = server_version // 10_000, []
        for folder in [pg_bin] if pg_bin is not None else _candidates(embedded):
            found = _major(folder)
            if found == major:
                return cls(folder, major)
            if found is not None:
                others.append(f"{folder} has those of {found}")
        raise StartupRefused("; ".join([_NOT_FOUND.format(major=major), *others]))

    def base_backup(self, url: str, data: Path, *, label: str, parent: Path | None, progress: Progress) -> None:
        """Take a backup into `data`, which is new; with `parent`, the difference to that data directory.

        Raises StartupRefused with what pg_basebackup said.
        """
        with _without_password(url) as address:
            options = [f"--dbname={address}", f"--pgdata={data}", f"--label={label}", "--no-password", "--progress"]
            options += ["--checkpoint=fast", "--wal-method=stream", "--manifest-checksums=SHA256"]
            if parent is not None:
                options.append(f"--incremental={parent / 'backup_manifest'}")
            self._run("pg_basebackup", options, progress)

    def verify(self, data: Path) -> str | None:
        """What is wrong with a backup's files and its WAL; None when they are what was backed up."""
        try:
            self._run("pg_verifybackup", ["--quiet", str(data)])
        except StartupRefused as refused:
            return str(refused)
        return None

    def combine(self, links: Sequence[Path], data: Path) -> None:
        """Make a data directory of a full backup and the incremental ones on it, oldest first."""
        if len(links) == 1:
            shutil.copytree(links[0], data, symlinks=True)
        else:
            self._run("pg_combinebackup", [*map(str, links), f"--output={data}", "--no-sync"])

    def sound(self, url: str) -> str | None:
        """What is wrong with the pages of a database's tables and indexes; None when every one can be trusted."""
        try:
            self._run("pg_amcheck", ["--install-missing", "--heapallindexed", "--no-password", url])
        except StartupRefused as refused:
            return str(refused)
        return None

    def _run(self, program: str, options: Sequence[str], progress: Progress | None = None) -> None:
        """Run a program to its end. It ends with us, too, when we are interrupted."""
        try:
            process = subprocess.Popen(
                [self.folder / program, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise StartupRefused(f"cannot run {self.folder / program}: {error.strerror}") from error
        try:
            said = _listen(process, progress)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # pg_basebackup has a child that would go on
            raise
        finally:
            process.wait()
        if process.returncode != 0:
            raise StartupRefused("; ".join(said) or f"{program} failed")


def _listen(process: "subprocess.Popen[str]", progress: Progress | None) -> list[str]:
    """Pass its figures on until it ends; returns the last lines of whatever else it said."""
    assert process.stdout is not None
    said: list[str] = []
    with process.stdout:
        for line in process.stdout:
            figures = _PROGRESS.search(line)
            if figures is None:
                said = [*said, line.strip()][-_LINES_MAX:]
            elif progress is not None:
                progress(int(figures[1]) * 1024, int(figures[2]) * 1024)
    return [line for line in said if line]


def _candidates(embedded: Callable[[], Path]) -> Iterator[Path]:
    """The folders to look in, one after the other. On Debian the PATH has only a wrapper."""
    on_path = shutil.which("pg_basebackup")
    if on_path is not None and Path(os.path.realpath(on_path)).name == "pg_basebackup":
        yield Path(os.path.realpath(on_path)).parent
    for pattern in _SYSTEM_FOLDERS:
        yield from sorted(Path("/usr").glob(pattern))
    with suppress(StartupRefused):
        yield embedded()


def _major(folder: Path) -> int | None:
    """The major version of the programs in a folder; None when there are none that run."""
    try:
        said = subprocess.run([folder / "pg_basebackup", "--version"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    version = _VERSION.search(said.stdout)
    return None if version is None else int(version[1])


@contextmanager
def _without_password(url: str) -> Iterator[str]:
    """The URL with its password in a file that only we can read: everybody can read the arguments of a program."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    password = query.pop("password", None) or (unquote(parts.password) if parts.password else None)
    if password is None:
        yield url
        return
    with tempfile.NamedTemporaryFile("w", prefix="authsvc-", suffix=".pgpass") as file:  # it is made with mode 0600
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        user, at, host = parts.netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}{at}{host}"
        yield urlunsplit(
            parts._replace(netloc=netloc, query=urlencode({**query, "passfile": file.name}, quote_via=quote))
        )
