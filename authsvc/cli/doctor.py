"""`authsvc doctor`: is everything as the service needs it?"""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc import settings
from authsvc.cli.options import SERVERS_FILE, Json, database_url
from authsvc.cli.output import console, print_json
from authsvc.clock import SystemClock
from authsvc.errors import StartupRefused

if TYPE_CHECKING:
    from authsvc.doctor.checkup import Growth, Visit
    from authsvc.doctor.finding import Finding

STATE_FILE: Final = "doctor.json"
_STYLES: Final = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def doctor(  # noqa: PLR0913 (options of a command)
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is safe to mend: partitions, counters.")] = False,
    sample: Annotated[int, typer.Option(min=0, max=10_000, help="Accounts whose counters are compared.")] = 20,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where table sizes are kept; default: in AUTHSVC_DATA_DIR.")
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the states there, for node_exporter's textfiles (*.prom)."),
    ] = None,
    lithic_calls: Annotated[int, typer.Option(min=1, help="Calls for each list of Lithic; 100 cards each.")] = 1_000,
    lithic_seconds: Annotated[float, typer.Option(min=0.1, help="Seconds for each list of Lithic.")] = 120.0,
    as_json: Json = False,
) -> None:
    """Examine both servers, the schema, the tables, the counters, and with an API key what Lithic knows of the cards.

    Exit code, for a scheduler: 0 all is well or was skipped, 1 warnings, 2 failures.
    """
    from authsvc.doctor.checkup import Visit
    from authsvc.doctor.finding import exit_code

    effective = settings.load()
    file = state or effective.data_dir / STATE_FILE
    visit = Visit(
        database_url(), _redis_url(), effective.record_ttl_ms, sample, fix, SystemClock(), before=_figures(file)
    )
    findings = asyncio.run(_examined(visit, _lithic_key(effective), lithic_calls, lithic_seconds))
    if visit.now is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(visit.now._asdict()))
    if metrics is not None:
        _write(metrics, findings, visit.clock.now_us())
    if as_json:
        print_json([one._asdict() for one in findings])
    else:
        _print(findings)
    sys.exit(exit_code(findings))


async def _examined(visit: "Visit", api_key: str, calls_max: int, seconds_max: float) -> "list[Finding]":
    from authsvc.doctor.checkup import examine
    from authsvc.doctor.finding import Finding
    from authsvc.doctor.lithic import Ask

    if not api_key:
        return await examine(visit)
    try:
        from authsvc.doctor.lithic_sdk import open_program
    except ImportError:
        advice = "pip install 'authsvc[lithic]' where the doctor runs."
        visit.at_lithic = Finding("tokens at lithic", "skipped", "Lithic's SDK is not installed, or too old", advice)
        return await examine(visit)
    async with open_program(api_key, settings.load().lithic_environment) as program:
        visit.at_lithic = Ask(program, calls_max, seconds_max)
        return await examine(visit)


def _lithic_key(effective: settings.Settings) -> str:
    """As the settings or their file say; empty: there is none. Raises StartupRefused, which does not tell the text."""
    file = effective.lithic_api_key_file
    if file is None:
        return effective.lithic_api_key or ""
    try:
        key = file.read_bytes().decode("ascii", errors="replace").strip()
    except OSError as error:
        raise StartupRefused(f"AUTHSVC_LITHIC_API_KEY_FILE: {file}: {error.strerror}") from error
    if not (key and key.isascii() and key.isprintable() and " " not in key):
        raise StartupRefused("AUTHSVC_LITHIC_API_KEY_FILE does not hold one word of printable ASCII")
    return key


def _write(file: Path, findings: "list[Finding]", at_us: int) -> None:
    from authsvc.doctor.metrics import DoctorMetrics

    found = DoctorMetrics()
    found.record(findings, at_us)
    try:
        found.write(file)
    except OSError as error:
        raise StartupRefused(f"--metrics: {file}: {error.strerror}") from error


def _print(findings: "list[Finding]") -> None:
    table = Table("check", "state", "finding", "what to do", box=box.SIMPLE_HEAD, pad_edge=False)
    for one in findings:
        state = f"[{_STYLES[one.state]}]{one.state}[/{_STYLES[one.state]}]"
        table.add_row(one.check, state, escape(one.finding), escape(one.advice))
    console().print(table)


def _figures(file: Path) -> "Growth | None":
    """Those of the last visit; None when there are none that can be read."""
    from authsvc.doctor.checkup import Growth

    try:
        told = orjson.loads(file.read_bytes())
        return Growth(int(told["at_us"]), {str(name): int(size) for name, size in told["bytes_by_table"].items()})
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _redis_url() -> str:
    """That of the settings, else of the embedded servers that `authsvc serve` runs in AUTHSVC_DATA_DIR."""
    effective = settings.load()
    if effective.redis_url is not None:
        return effective.redis_url
    try:
        return str(orjson.loads((effective.data_dir / SERVERS_FILE).read_bytes())["redis_url"])
    except (OSError, KeyError, orjson.JSONDecodeError) as error:
        raise StartupRefused("no Redis: set AUTHSVC_REDIS_URL, or start `authsvc serve`") from error
