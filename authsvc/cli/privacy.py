"""`authsvc privacy`: the keys of what is known of people, and what is kept under them."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich import box
from rich.table import Table

from authsvc import settings
from authsvc.cli.options import Json, database_url, sealer
from authsvc.cli.output import console, fail, print_json, progress_bar
from authsvc.errors import NotPossible, StartupRefused

if TYPE_CHECKING:
    from authsvc.privacy.sealing import Keys, Sealer

_Result = TypeVar("_Result")
_File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="The keys; default: AUTHSVC_PRIVACY_KEYS_FILE.")
]


def new_key(*, file: _File = None, as_json: Json = False) -> None:
    """Add a key, which opens from now on and seals once `use-key` says so; the first one seals at once.

    Makes the file when there is none. Without it nothing can be opened again: keep a copy where no database is.
    """
    from authsvc.privacy.keys import add

    _show_keys(_on_file(file, lambda path: add(path, os.urandom)), as_json=as_json)


def use_key(
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The key's number.", min=1)],
    *,
    file: _File = None,
    as_json: Json = False,
) -> None:
    """Seal with this key from now on; every host must have it. `rotate` then seals again what is under older ones."""
    from authsvc.privacy.keys import use

    _show_keys(_on_file(file, lambda path: use(path, version)), as_json=as_json)


def status(*, as_json: Json = False) -> None:
    """Show of each column how many values are sealed under which key. Exit code 1 while some are not sealed at all."""
    from authsvc.ledger import privacy

    async def ask(connection: Any) -> Any:
        return await privacy.census(connection), await privacy.is_enforced(connection)

    found, is_enforced = _on_database(ask)
    if as_json:
        columns = [
            {"table": kept.table, "column": kept.column, "not_sealed": kept.by_version.get(0, 0)}
            | {"by_key": {str(version): count for version, count in kept.by_version.items() if version}}
            for kept in found
        ]
        print_json({"columns": columns, "is_enforced": is_enforced})
    else:
        versions = sorted({version for kept in found for version in kept.by_version} - {0})
        names = [f"key {version}" for version in versions]
        table = Table("table", "column", "not sealed", *names, box=box.SIMPLE_HEAD, pad_edge=False)
        for kept in found:
            clear = kept.by_version.get(0, 0)
            counts = [f"{kept.by_version.get(version, 0):,}" for version in versions]
            table.add_row(kept.table, kept.column, f"[red]{clear:,}[/red]" if clear else "0", *counts)
        console().print(table)
        said = "refuses what is not sealed" if is_enforced else "takes what is not sealed: `authsvc privacy enforce`"
        console().print(f"the database {said}")
    if any(kept.by_version.get(0) for kept in found):
        raise typer.Exit(1)


def rotate(
    *,
    reindex: Annotated[
        bool,
        typer.Option("--reindex", help="Make every blind index anew: its key was replaced. Stop the service first."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Seal what is not sealed yet, and again what is under an older key. Run it again if it was interrupted."""
    from authsvc.ledger import privacy

    cipher = sealer()
    version = cipher.version

    async def renew(connection: Any) -> int:
        return await privacy.reindex(connection, cipher) if reindex else 0

    rows = _worked(cipher, version)
    indexed = _on_database(renew)
    if as_json:
        print_json({"key": version, "rows": rows, "reindexed_rows": indexed})
        return
    more = f"; blind indexes of {indexed:,} rows made anew" if reindex else ""
    console().print(f"{rows:,} rows sealed: everything is under key [bold]{version}[/bold]{more}")


def open_(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Keep names and addresses as they are read, before a database goes back to a revision that knows no keys."""
    if not yes:
        typer.confirm("Every name and address will stand in the database as it is read. Go on?", abort=True)
    rows = _worked(sealer(), None)
    if as_json:
        print_json({"rows": rows})
    else:
        console().print(f"{rows:,} rows opened")


def enforce(*, off: Annotated[bool, typer.Option("--off", help="Take that back.")] = False) -> None:
    """Have the database refuse what is not sealed, whoever writes it: run it once everything is."""
    from authsvc.ledger import privacy

    _on_database(lambda connection: privacy.enforce(connection, is_on=not off))
    console().print("the database takes what is not sealed" if off else "the database refuses what is not sealed")


def _worked(cipher: "Sealer", version: int | None) -> int:
    """Seal or open everything, with a bar; in how many rows."""
    from authsvc.ledger import privacy

    async def run(connection: Any) -> int:
        total = await privacy.to_do(connection, version)
        rows = 0
        with progress_bar("rows", total) as progress:
            async for rows in privacy.work(connection, cipher, version):
                progress(rows, max(total, rows))
        return rows

    return _on_database(run)


def _on_database(question: Callable[[Any], Awaitable[_Result]]) -> _Result:
    from authsvc.ledger.privacy import desk

    async def ask() -> _Result:
        async with desk(database_url()) as connection:
            return await question(connection)

    try:
        return asyncio.run(ask())
    except NotPossible as error:
        fail(str(error))


def _on_file(file: Path | None, work: "Callable[[Path], Keys]") -> "Keys":
    path = file or settings.load().privacy_keys_file
    if path is None:
        raise StartupRefused("no file of privacy keys: set AUTHSVC_PRIVACY_KEYS_FILE, or give --file")
    try:
        return work(path)
    except (OSError, ValueError) as error:
        fail(f"{path}: {error.strerror if isinstance(error, OSError) else error}")


def _show_keys(keys: "Keys", *, as_json: bool) -> None:
    versions = sorted(keys.by_version)
    if as_json:
        print_json([{"version": version, "seals": version == keys.current} for version in versions])
        return
    table = Table("key", "", box=box.SIMPLE_HEAD, pad_edge=False)
    for version in versions:
        table.add_row(str(version), "seals and opens" if version == keys.current else "opens")
    console().print(table)
