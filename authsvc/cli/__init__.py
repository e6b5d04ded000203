"""The command line. Each command imports what it needs when it runs: `authsvc health` is called every few seconds."""

import sys
from typing import Final

import typer

from authsvc.cli import ask, bridge, card, database, demo, service, transactions
from authsvc.cli.output import fail
from authsvc.errors import AuthsvcError

INTERRUPTED: Final = 130

app = typer.Typer(
    name="authsvc",
    help="An exact authorization decision engine for card spending.",
    epilog="New here? [bold]authsvc demo[/bold] shows everything in a minute and leaves nothing behind.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
database_app = typer.Typer(help="Look after the database's schema.", no_args_is_help=True)
database_app.command("migrate")(database.migrate)
database_app.command("status")(database.status)
database_app.command("partitions")(database.partitions)
transactions_app = typer.Typer(help="Look at transactions.", no_args_is_help=True)
transactions_app.command("show")(transactions.show)

app.command(rich_help_panel="Run")(service.serve)
app.command(rich_help_panel="Run")(bridge.bridge)
app.command(rich_help_panel="Run")(demo.demo)
app.command(rich_help_panel="Run")(service.health)
app.command(rich_help_panel="Run")(service.config)
app.command(rich_help_panel="Ask")(ask.authorize)
app.command(rich_help_panel="Ask")(card.card)
app.add_typer(transactions_app, name="tx", rich_help_panel="Ask")
app.command(rich_help_panel="Ask")(transactions.event)
app.add_typer(database_app, name="db", rich_help_panel="Data")
app.command(rich_help_panel="Data")(database.seed)
app.command(rich_help_panel="Measure", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    service.bench
)
app.command(hidden=True)(service.worker)


def run() -> None:
    """Run the command of this process's arguments and end it: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        app(prog_name="authsvc")
    except AuthsvcError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
