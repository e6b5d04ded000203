"""Taking one backup, from looking at the server to a verified folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from authsvc.backups.plan import Backup, Next, Policy, Source, next_backup
from authsvc.backups.shelf import DATA, Shelf, size_bytes
from authsvc.backups.tools import Progress, Tools
from authsvc.clock import Clock
from authsvc.errors import StartupRefused
from authsvc.ledger.session import session

_PREFLIGHT: Final = Path(__file__).with_name("preflight.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Origin:
    """The server to back up, the database in it that is ours, and the cluster's own superuser."""

    source: Source
    database: str
    superuser: str


async def look(url: str) -> Origin:
    """Look at the server. Raises StartupRefused with everything that keeps it from being backed up."""
    async with session(url) as connection:
        row = await connection.fetchrow(_PREFLIGHT)
    assert row is not None
    problems = refusals(dict(row))
    if problems:
        raise StartupRefused("; ".join(problems))
    source = Source(row["server_version"], row["system_identifier"], row["timeline"], row["has_summaries"])
    return Origin(source, row["database"], row["superuser"])


def refusals(server: Mapping[str, Any]) -> list[str]:
    """Why a server cannot be backed up by this role, from the row of preflight.sql."""
    problems = []
    if not server["may_replicate"]:
        problems.append(f"the role {server['role']} may not copy the server: ALTER ROLE {server['role']} REPLICATION")
    if server["wal_level"] == "minimal":
        problems.append("wal_level is minimal: set it to replica and restart PostgreSQL")
    if server["wal_senders_max"] < 2:  # noqa: PLR2004 (one sends files, one the WAL written meanwhile)
        problems.append(f"max_wal_senders is {server['wal_senders_max']}: a backup needs 2")
    if server["tablespaces"]:
        problems.append("there are tablespaces outside of the data directory, which backups here do not cover")
    return problems


@dataclass(frozen=True)
class Job:
    """What it takes to take a backup. `tell` is given a sentence about each step."""

    url: str
    origin: Origin
    shelf: Shelf
    tools: Tools
    clock: Clock
    tell: Callable[[str], None]
    progress: Progress

    def run(self, policy: Policy, *, full: bool) -> Backup:
        """Take the next backup and verify it. Raises StartupRefused; nothing of a failed backup stays."""
        with self.shelf.locked():
            source, now_us = self.origin.source, self.clock.now_us()
            choice = next_backup(self.shelf.backups(), source, now_us, policy, full=full)
            self.tell(f"{'full' if choice.kind == 'full' else 'incremental'} backup: {choice.reason}")
            try:
                return self._take(choice)
            except StartupRefused as refused:
                if choice.kind == "full":
                    raise
                self.tell(f"not possible ({refused}); taking a full backup instead")
                return self._take(Next("full", None, str(refused)))

    def _take(self, choice: Next) -> Backup:
        started_us = self.clock.now_us()
        name = self.shelf.free_name(choice.kind, started_us)
        parent = None if choice.parent is None else self.shelf.data(choice.parent.name)
        with self.shelf.unfinished(name) as folder:
            data = folder / DATA
            self.tools.base_backup(self.url, data, label=name, parent=parent, progress=self.progress)
            ended_us = self.clock.now_us()
            self.tell("verifying")
            problem = self.tools.verify(data)
            if problem is not None:
                raise StartupRefused(f"the backup is not what PostgreSQL sent: {problem}")
            first, last = _wal_ranges(data)
            backup = Backup(
                name=name,
                kind=choice.kind,
                parent=None if choice.parent is None else choice.parent.name,
                started_us=started_us,
                ended_us=ended_us,
                server_version=self.origin.source.server_version,
                system_identifier=self.origin.source.system_identifier,
                timeline=last["Timeline"],
                start_lsn=first["Start-LSN"],
                end_lsn=last["End-LSN"],
                size_bytes=size_bytes(data),
                database=self.origin.database,
                superuser=self.origin.superuser,
                verified_us=self.clock.now_us(),
            )
            self.shelf.finish(folder, backup)
            return backup


def verified(backup: Backup, shelf: Shelf, tools: Tools, clock: Clock) -> Backup:
    """Read every file of a backup and note in its manifest what came of it."""
    checked = replace(backup, verified_us=clock.now_us(), problem=tools.verify(shelf.data(backup.name)))
    shelf.update(checked)
    return checked


def _wal_ranges(data: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first and the last stretch of WAL that the backup needs; it is one, unless the timeline changed meanwhile."""
    ranges = orjson.loads((data / "backup_manifest").read_bytes())["WAL-Ranges"]
    in_order = sorted(ranges, key=lambda one: one["Timeline"])
    return in_order[0], in_order[-1]
