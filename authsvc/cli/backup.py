"""`authsvc backup`: copies of the whole database server, and the proof that they can be restored."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc.cli.options import Json, database_url
from authsvc.cli.output import console, fail, print_json
from authsvc.clock import SystemClock

if TYPE_CHECKING:
    from authsvc.backups.plan import Backup
    from authsvc.backups.tools import Progress, Tools
    from authsvc.ledger.invariants import Check

TERMINATED: Final = 128 + signal.SIGTERM
_UNREADABLE: Final = "its backup.json is missing or not readable"
_HOUR_US: Final = 3_600 * 1_000_000

_From = Annotated[Path, typer.Option("--from", metavar="FOLDER", help="Where the backups are.")]
_PgBin = Annotated[
    Path | None,
    typer.Option(
        "--pg-bin", metavar="FOLDER", help="PostgreSQL's programs; default: those of the PATH, else embedded."
    ),
]
_Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="One backup.", show_default=False)]


def run(
    *,
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the backups are; made when missing.")],
    full: Annotated[bool, typer.Option("--full", help="Full, even if an incremental one would do.")] = False,
    pg_bin: _PgBin = None,
    as_json: Json = False,
) -> None:
    """Take the backup that is due, a full one a week and incremental ones between, and verify it.

    It copies the whole PostgreSQL server of AUTHSVC_DATABASE_URL while that works on. The role needs REPLICATION.
    """
    import asyncio

    from authsvc.backups.plan import Policy
    from authsvc.backups.shelf import Shelf
    from authsvc.backups.take import Job, look

    url = database_url()
    with _terminable(), _progress() as (tell, progress):
        origin = asyncio.run(look(url))
        job = Job(url, origin, Shelf(to), _tools(origin.source.server_version, pg_bin), SystemClock(), tell, progress)
        backup = job.run(Policy(), full=full)
    if as_json:
        print_json(asdict(backup))
    else:
        console().print(
            f"[green]{backup.name}[/green]  {_size(backup.size_bytes)}, verified, as of WAL {backup.end_lsn}",
            soft_wrap=True,
        )


def list_(*, folder: _From, as_json: Json = False) -> None:
    """List the backups, newest first. What is not finished is not listed."""
    from authsvc.backups.plan import chain_problem
    from authsvc.backups.shelf import Shelf

    shelf, now_us = Shelf(folder), SystemClock().now_us()
    existing = shelf.backups()
    problems = [chain_problem(backup, existing) for backup in existing]
    if as_json:
        print_json(
            [
                {**asdict(backup), "age_seconds": (now_us - backup.ended_us) // 1_000_000, "chain_problem": problem}
                for backup, problem in zip(existing, problems, strict=True)
            ]
        )
    elif not existing:
        console().print(f"no backups in {escape(str(folder))}")
    else:
        table = Table("name", "kind", "parent", "age", "size", "verified", box=box.SIMPLE_HEAD, pad_edge=False)
        for backup, problem in reversed(list(zip(existing, problems, strict=True))):
            state = f"[bold red]{escape(problem)}[/bold red]" if problem else _age(now_us - backup.verified_us) + " ago"
            table.add_row(
                backup.name,
                backup.kind,
                backup.parent or "",
                _age(now_us - backup.ended_us),
                _size(backup.size_bytes),
                state,
            )
        console().print(table)
    if not as_json:
        for name in shelf.unreadable():
            _tell_result(console(), name, _UNREADABLE)


def verify(name: _Name = None, *, folder: _From, pg_bin: _PgBin = None, as_json: Json = False) -> None:
    """Read every file of all backups, or of one, and compare it with what was sent; exit code 1 if one differs."""
    from authsvc.backups.plan import chain_problem
    from authsvc.backups.shelf import Shelf
    from authsvc.backups.take import verified

    shelf, clock, out = Shelf(folder), SystemClock(), console()
    problems: dict[str, str | None] = {}
    with _terminable(), shelf.locked():
        for one in shelf.backups() if name is None else [shelf.find(name)]:
            verified(one, shelf, _tools(one.server_version, pg_bin), clock)
            problems[one.name] = chain_problem(shelf.find(one.name), shelf.backups())
            if not as_json:
                _tell_result(out, one.name, problems[one.name])
    problems |= dict.fromkeys(shelf.unreadable() if name is None else (), _UNREADABLE)
    if as_json:
        print_json([{"name": one, "problem": problem} for one, problem in problems.items()])
    elif not problems:
        out.print(f"no backups in {escape(str(folder))}")
    sys.exit(1 if any(problems.values()) else 0)


def prune(
    *,
    folder: _From,
    keep_weeks: Annotated[int, typer.Option(min=1, max=5_200, metavar="N", help="Keep what is younger than this.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them; without it, only say which ones.")] = False,
    as_json: Json = False,
) -> None:
    """Remove old backups, never what a younger one builds on, nor the last full one."""
    from authsvc.backups.plan import prunable
    from authsvc.backups.shelf import Shelf

    shelf = Shelf(folder)
    with _terminable(), shelf.locked():
        gone = prunable(shelf.backups(), SystemClock().now_us(), keep_weeks)
        for backup in gone if yes else ():
            shelf.remove(backup.name)
    if as_json:
        print_json({"removed": yes, "names": [backup.name for backup in gone]})
        return
    for backup in gone:
        console().print(f"{'removed' if yes else 'would remove'} {backup.name}  {_size(backup.size_bytes)}")
    if not gone:
        console().print("nothing to remove")
    elif not yes:
        console().print("[dim]nothing is removed without --yes[/dim]")


def restore_test(
    name: _Name = None,
    *,
    folder: _From,
    scratch_folder: Annotated[
        Path | None,
        typer.Option("--scratch", metavar="FOLDER", help="Where to restore to; default: a temporary folder."),
    ] = None,
    pg_bin: _PgBin = None,
    as_json: Json = False,
) -> None:
    """Restore the newest backup, or one, into a server that is thrown away, and check what must hold of every database.

    Exit code 1 when something does not hold. Nothing is left behind, and the real server is not touched.
    """
    from authsvc.backups.plan import newest
    from authsvc.backups.restore import Trial
    from authsvc.backups.shelf import Shelf
    from authsvc.embedded.scratch import scratch

    shelf = Shelf(folder)
    existing = shelf.backups()
    if not existing and name is None:
        fail(f"there are no backups in {folder}")
    backup = newest(existing) if name is None else shelf.find(name)
    tools = _tools(backup.server_version, pg_bin)
    with _terminable(), _progress() as (tell, _), scratch(tools.folder, scratch_folder) as place:
        checks = Trial(shelf, tools, place.data, place.server, tell).run(backup)
    if as_json:
        print_json({"backup": backup.name, "checks": [_check_facts(one) for one in checks]})
    else:
        _show_checks(backup, checks)
    sys.exit(1 if any(one.faults for one in checks) else 0)


def _tools(server_version: int, pg_bin: Path | None) -> "Tools":
    from authsvc.backups.tools import Tools
    from authsvc.embedded.places import wheel_bin

    return Tools.find(server_version, pg_bin, wheel_bin)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, of a timer or a shutdown, ends a command as Ctrl-C does: what it began is removed."""

    def end(_number: int, _frame: object) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress() -> "Iterator[tuple[Any, Progress]]":
    """How to tell a step, and how to tell its figures: lines on stderr, and on a terminal a bar below them."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    out = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("copying", total=None, visible=False)

        def tell(step: str) -> None:
            bar.update(task, visible=False)
            out.print(f"[dim]{escape(step)}[/dim]", soft_wrap=True)

        yield tell, lambda done, total: bar.update(task, completed=done, total=max(done, total), visible=True)


def _show_checks(backup: "Backup", checks: "Sequence[Check]") -> None:
    table = Table("check", "looked at", "result", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[0].no_wrap = True
    for one in checks:
        result = "[bold red]" + escape("\n".join(one.faults)) + "[/bold red]" if one.faults else "[green]ok[/green]"
        table.add_row(one.name, one.looked_at, result)
    out = console()
    out.print(table)
    failed = sum(bool(one.faults) for one in checks)
    if failed:
        out.print(f"[bold red]{backup.name}: {failed} of {len(checks)} checks failed[/bold red]")
    else:
        out.print(f"[green]{backup.name} can be restored: {len(checks)} checks hold[/green]")


def _check_facts(one: "Check") -> dict[str, Any]:
    return {"check": one.name, "looked_at": one.looked_at, "ok": not one.faults, "faults": list(one.faults)}


def _tell_result(out: Any, name: str, problem: str | None) -> None:
    out.print(
        f"{name}  [bold red]{escape(problem)}[/bold red]" if problem else f"{name}  [green]ok[/green]", soft_wrap=True
    )


def _age(span_us: int) -> str:
    hours = span_us / _HOUR_US
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"  # noqa: PLR2004


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes < 1e9 else f"{size_bytes / 1e9:,.2f} GB"  # noqa: PLR2004
