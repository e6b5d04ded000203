"""Commands that run the service, look at it, and measure it."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table

from authsvc import settings
from authsvc.cli.options import Address, Json, asking, target_of
from authsvc.cli.output import console, fail, print_json

HEALTH_TIMEOUT_S: Final = 3.0


def serve(
    *,
    port: Annotated[int | None, typer.Option(help="gRPC port (AUTHSVC_PORT); 0 takes any free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the port (AUTHSVC_WORKERS).")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where embedded servers keep their data (AUTHSVC_DATA_DIR).")
    ] = None,
) -> None:
    """Run the service until Ctrl-C, which drains it.

    Without AUTHSVC_DATABASE_URL and AUTHSVC_REDIS_URL it starts a PostgreSQL and a Valkey of its own and keeps their
    data in AUTHSVC_DATA_DIR. It prints [bold]ready on HOST:PORT[/bold] when requests are decided; logs go to stderr.
    """
    from authsvc import supervisor

    sys.exit(supervisor.serve(settings.load(port=port, workers=workers, data_dir=data_dir)))


def worker(index: int) -> None:
    """One of several processes that serve; `authsvc serve` starts them."""
    from authsvc import supervisor

    supervisor.run_worker(settings.load(), index)


def health(
    *,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Ask a running service for its health: exit code 0 when it is SERVING, 1 otherwise."""
    target = target_of(address)
    with asking(target) as ask:
        status = ask(lambda client: client.health(timeout_s=HEALTH_TIMEOUT_S))
    if as_json:
        print_json({"address": target, "status": status})
    else:
        colour = "green" if status == "SERVING" else "red"
        console().print(f"[{colour}]{status}[/{colour}] at {target}")
    sys.exit(0 if status == "SERVING" else 1)


def config(*, as_json: Json = False) -> None:
    """Print the effective settings, secrets masked; exit code 1 with every problem listed when they are not valid."""
    effective = settings.load()
    values = effective.effective()
    if as_json:
        print_json(values)
        return
    table = Table("setting", "value", "what it is", box=box.SIMPLE_HEAD)
    for name, field in settings.Settings.model_fields.items():
        value = values[name]
        shown = "embedded" if value is None else str(value)
        given = getattr(effective, name) != field.default
        table.add_row(
            f"{settings.PREFIX}{name.upper()}", f"[bold]{shown}[/bold]" if given else shown, field.description
        )
    console().print(table)


def bench(context: typer.Context) -> None:
    """Measure throughput beside a no-op echo of the same run (needs a checkout of the project).

    Arguments are handed on: [bold]authsvc bench --help[/bold] is this text, [bold]python -m bench --help[/bold] theirs.
    """
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "bench" / "__main__.py").is_file():
        fail("the benchmark is not part of the installed package: clone the project and run `make bench` there")
    done = subprocess.run([sys.executable, "-m", "bench", *context.args], cwd=checkout, check=False)
    sys.exit(done.returncode)
