"""The command that runs the bridge to Lithic."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from authsvc import settings
from authsvc.cli.options import known_database_url
from authsvc.errors import SettingsError

if TYPE_CHECKING:
    from authsvc.bridge.process import Listening


def bridge(
    *,
    target: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The service that decides (AUTHSVC_BRIDGE_TARGET)."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (AUTHSVC_BRIDGE_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="HTTP port (AUTHSVC_BRIDGE_PORT); 0 takes any free one.")] = None,
) -> None:
    """Answer Lithic's authorization requests (Auth Stream Access) until Ctrl-C, which drains it.

    It verifies and reads each [bold]POST /lithic/asa[/bold], asks a running service, and answers with Lithic's words.
    It needs the secret that Lithic signs with, in AUTHSVC_BRIDGE_ASA_SECRETS; it is not an option, so that no list of
    processes shows it. With AUTHSVC_BRIDGE_EVENT_SECRETS and a database it also takes webhooks, at
    [bold]POST /lithic/events[/bold], and processes them. It prints [bold]ready on HOST:PORT[/bold]; logs go to stderr.
    See docs/lithic.md.
    """
    from authsvc import logs
    from authsvc.bridge import process

    effective = settings.load(bridge_target=target, bridge_host=host, bridge_port=port)
    if effective.bridge_database_url is None:
        # On a laptop: the database of the embedded servers of `authsvc serve`. This looks at the environment alone,
        # which may contradict itself where an option has put it right: then there is none.
        with suppress(SettingsError):
            effective = effective.model_copy(update={"bridge_database_url": known_database_url()})
    logs.configure(effective.log_level)
    process.run(effective, _say_ready)
    sys.exit(0)


def _say_ready(listening: "Listening") -> None:
    sys.stdout.write(f"ready on {listening.host}:{listening.port}\n")
    sys.stdout.flush()
