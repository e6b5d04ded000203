"""A restore that is thrown away: what was found says whether the backup is one."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from authsvc.backups.plan import Backup, chain, chain_problem
from authsvc.backups.shelf import Shelf
from authsvc.backups.tools import Tools
from authsvc.errors import StartupRefused
from authsvc.ledger.invariants import Check, check

# Superuser and database in, the URL of a running server out.
Server = Callable[[str, str], AbstractContextManager[str]]


@dataclass(frozen=True)
class Trial:
    """A restore of one backup into `data`, which is new and belongs to somebody who removes it."""

    shelf: Shelf
    tools: Tools
    data: Path
    server: Server
    tell: Callable[[str], None]

    def run(self, backup: Backup) -> list[Check]:
        """Restore, start, look. A backup that cannot be restored is a failed check; else raises StartupRefused."""
        existing = self.shelf.backups()
        problem = chain_problem(backup, existing)
        links = chain(backup, existing)
        found = [Check("the chain is whole", f"{len(links)} backups", [problem] if problem else [])]
        if not problem:
            self._require_space(links)
            found += self._restored(links, backup)
        return found

    def _restored(self, links: Sequence[Backup], backup: Backup) -> list[Check]:
        self.tell("verifying the files")
        broken = {link.name: self.tools.verify(self.shelf.data(link.name)) for link in links}
        faults = [f"{name}: {problem}" for name, problem in broken.items() if problem]
        files = Check("the files are those that were backed up", _gigabytes(links), faults)
        if faults:
            return [files]
        self.tell(f"restoring {backup.name}")
        try:
            self.tools.combine([self.shelf.data(link.name) for link in links], self.data)
            with self.server(backup.superuser, backup.database) as url:
                self.tell("looking at it")
                return [files, _starts(backup, []), *asyncio.run(check(url)), self._pages(url)]
        except StartupRefused as refused:
            return [files, _starts(backup, [str(refused)])]

    def _pages(self, url: str) -> Check:
        problem = self.tools.sound(url)
        return Check("every page of tables and indexes is sound", "pg_amcheck", [problem] if problem else [])

    def _require_space(self, links: Sequence[Backup]) -> None:
        """No restore is larger than all parts of its chain together."""
        needed = sum(link.size_bytes for link in links)
        free = shutil.disk_usage(self.data.parent).free
        if free < needed:
            raise StartupRefused(
                f"{self.data.parent} has {free / 1e9:.1f} GB free, a restore may take {needed / 1e9:.1f} GB: "
                "name another folder with --scratch"
            )


def _starts(backup: Backup, faults: list[str]) -> Check:
    return Check("PostgreSQL starts on it", f"as of WAL {backup.end_lsn}", faults)


def _gigabytes(links: Sequence[Backup]) -> str:
    return f"{sum(link.size_bytes for link in links) / 1e9:.2f} GB"
