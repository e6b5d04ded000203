"""The command line. Each command imports what it needs when it runs: `authsvc health` is called every few seconds."""

import sys
from typing import Final

import typer

from authsvc.cli import (
    ask,
    audit,
    backup,
    bridge,
    card,
    database,
    demo,
    doctor,
    funding,
    history,
    identity,
    lithic,
    persons,
    privacy,
    records,
    retention,
    service,
    transactions,
    webhooks,
)
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
database_app.command("rollback")(database.rollback)
database_app.command("partitions")(database.partitions)
retention_app = typer.Typer(invoke_without_command=True)
retention_app.callback()(retention.retention)
retention_app.command("notice")(retention.notice)
lithic_app = typer.Typer(help="Stand in for Lithic.", no_args_is_help=True)
lithic_app.command("simulate")(lithic.simulate)
webhooks_app = typer.Typer(help="Look after Lithic's webhooks.", no_args_is_help=True)
webhooks_app.command("list")(webhooks.list_webhooks)
webhooks_app.command("show")(webhooks.show)
webhooks_app.command("retry")(webhooks.retry)
webhooks_app.command("purge")(webhooks.purge)
audit_app = typer.Typer(help="Look at who changed what, and prove that nobody tampered with it.", no_args_is_help=True)
audit_app.command("list")(audit.list_)
audit_app.command("show")(audit.show)
audit_app.command("verify")(audit.verify)
audit_app.command("heads")(audit.heads)
transactions_app = typer.Typer(help="Look at transactions.", no_args_is_help=True)
transactions_app.command("show")(transactions.show)
transactions_app.command("list")(history.list_)
transactions_app.command("explain")(history.explain)
transactions_app.command("summary")(history.summary)
transactions_app.command("watch")(history.watch)

backup_app = typer.Typer(help="Back the database server up, and prove it.", no_args_is_help=True)
backup_app.command("run")(backup.run)
backup_app.command("list")(backup.list_)
backup_app.command("verify")(backup.verify)
backup_app.command("prune")(backup.prune)
backup_app.command("restore-test")(backup.restore_test)
key_app = typer.Typer(help="Look after the API keys of programs that call.", no_args_is_help=True)
key_app.command("create")(identity.create_key)
key_app.command("list")(identity.list_keys)
key_app.command("revoke")(identity.revoke_key)
signing_key_app = typer.Typer(help="Look after the keys that sign access tokens.", no_args_is_help=True)
signing_key_app.command("rotate")(identity.rotate_signing_key)
signing_key_app.command("list")(identity.list_signing_keys)
privacy_app = typer.Typer(help="Look after the keys of what is known of people.", no_args_is_help=True)
privacy_app.command("status")(privacy.status)
privacy_app.command("new-key")(privacy.new_key)
privacy_app.command("use-key")(privacy.use_key)
privacy_app.command("rotate")(privacy.rotate)
privacy_app.command("enforce")(privacy.enforce)
privacy_app.command("open")(privacy.open_)
records_apps = {name: records.app_of(name) for name in records.COMMANDS}
records_apps["user"].command("set-password")(identity.set_password)
records_apps["user"].command("export-data")(persons.export_data)
records_apps["user"].command("erase")(persons.erase)
records_apps["card"].command("limits")(card.limits)

app.command(rich_help_panel="Run")(service.serve)
app.command(rich_help_panel="Run")(bridge.bridge)
app.command(rich_help_panel="Run")(demo.demo)
app.command(rich_help_panel="Run")(service.health)
app.command(rich_help_panel="Run")(service.config)
app.command(rich_help_panel="Ask")(ask.authorize)
app.add_typer(transactions_app, name="tx", rich_help_panel="Ask")
app.command(rich_help_panel="Ask")(transactions.event)
app.command(rich_help_panel="Ask")(funding.fund)
app.command(rich_help_panel="Ask")(funding.withdraw)
for record_name, records_app in records_apps.items():
    app.add_typer(records_app, name=record_name, rich_help_panel="Records")
app.add_typer(retention_app, name="retention", rich_help_panel="Data")
app.add_typer(database_app, name="db", rich_help_panel="Data")
app.command(rich_help_panel="Data")(database.seed)
app.add_typer(webhooks_app, name="webhooks", rich_help_panel="Data")
app.add_typer(audit_app, name="audit", rich_help_panel="Data")
app.add_typer(key_app, name="key", rich_help_panel="Data")
app.add_typer(signing_key_app, name="signing-key", rich_help_panel="Data")
app.add_typer(privacy_app, name="privacy", rich_help_panel="Data")
app.add_typer(backup_app, name="backup", rich_help_panel="Data")
app.command(rich_help_panel="Data")(doctor.doctor)
app.command(rich_help_panel="Measure", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    service.bench
)
app.add_typer(lithic_app, name="lithic", rich_help_panel="Measure")
app.command(hidden=True)(service.worker)


def run() -> None:
    """Run the command of this process's arguments and end it: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        app(prog_name="authsvc")
    except AuthsvcError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
