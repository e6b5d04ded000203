"""`authsvc audit`: who changed what, and whether anybody tampered with that."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc.audit.shapes import NOBODY, Entry, Filter
from authsvc.cli.options import Json, database_url
from authsvc.cli.output import console, fail, print_json, progress_bar

_STYLES: Final = {"CREATE": "green", "UPDATE": "yellow", "DELETE": "red", "RESTORE": "green", "PURGE": "bold red"}
# Of a row that came or went, a list tells these many columns; `show` tells all.
_COLUMNS_TOLD: Final = 4
_VALUE_CHARACTERS: Final = 40
_UNTOLD: Final = ("account_id", "created_at", "deleted_at")

_Result = TypeVar("_Result")
_Account = Annotated[
    int | None, typer.Option(min=0, help="The account's number; 0: what belongs to nobody, like merchant categories.")
]
_Action = Literal["create", "update", "delete", "restore", "purge"]


def list_(  # noqa: PLR0913 (options of a command)
    *,
    account: _Account = None,
    entity_type: Annotated[str, typer.Option(help="What was changed: card, user, spending_profile, …")] = "",
    entity_id: Annotated[int | None, typer.Option(help="Which of them, by its number.")] = None,
    action: Annotated[
        _Action | None, typer.Option(help="What was done; delete and restore are undone by each other.")
    ] = None,
    actor: Annotated[str, typer.Option(help="Who did it: user:12, key:bridge, database:postgres, …")] = "",
    since: Annotated[datetime | None, typer.Option(help="The first moment; local time.")] = None,
    until: Annotated[datetime | None, typer.Option(help="The first moment after it; local time.")] = None,
    config_version: Annotated[
        int | None, typer.Option(help="The configuration version that a decision of the account tells.")
    ] = None,
    before: Annotated[int | None, typer.Option(min=1, help="Only entries older than this one: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List what was changed, newest first.

    [bold]authsvc audit list --account 1 --entity-type card --entity-id 1001[/bold]
    """
    from authsvc.ledger.audit import page

    wanted = Filter(
        account, entity_type, entity_id, (action or "").upper(), actor, None, config_version, _us(since), _us(until)
    )
    # One more than is shown tells whether there are more.
    found = _on_database(lambda connection: page(connection, wanted, before, limit + 1))
    entries = found[:limit]
    if as_json:
        print_json([facts(entry) for entry in entries])
        return
    if not entries:
        console().print(_nothing(wanted))
        return
    console().print(_table(entries))
    if len(found) > limit:
        console().print(f"[dim]the newest {limit}; go on with --before {entries[-1].id}[/dim]")


def show(
    entry_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="The entry's number.")], *, as_json: Json = False
) -> None:
    """Show an entry: every column that changed, who did it, from where."""
    from authsvc.ledger.audit import entry

    one = _on_database(lambda connection: entry(connection, entry_id))
    if one is None:
        fail(f"there is no entry {entry_id}")
    if as_json:
        print_json(facts(one))
        return
    out = console()
    whose = "of no account" if one.account_id is None else f"of account {one.account_id}"
    out.print(
        f"entry [bold]{one.id}[/bold] {whose}: {_action(one)} {one.entity_type} [bold]{one.entity_id}[/bold]"
        f" at {_local(one.created_us)}"
    )
    said = {
        "by": one.actor,
        "role": one.role,
        "user": one.user_id,
        "from": one.ip_address,
        "with": one.user_agent,
        "request": one.request_id,
        "configuration": one.config_version,
    }
    told = [f"[dim]{name}[/dim] {escape(str(value))}" for name, value in said.items() if value is not None]
    out.print("  ".join(told), soft_wrap=True)
    old, new = _values(one.old_values), _values(one.new_values)
    table = Table("column", "old", "new", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in sorted(old | new):
        table.add_row(name, *(escape(_text(side[name])) if name in side else "" for side in (old, new)))
    out.print(table)
    out.print(f"[dim]hash {one.hash.hex()}, after {one.previous_hash.hex()}[/dim]", soft_wrap=True)


def verify(*, account: _Account = None, as_json: Json = False) -> None:
    """Recompute every hash and name the first entry of each account that is not as it was written; exit code 1 then."""
    from authsvc.ledger.audit import verify as follow

    with progress_bar("entries", None) as advance:

        def progress(done: int, total: int) -> None:
            advance(done, max(done, total))

        verdicts = _on_database(lambda connection: follow(connection, account, progress))
    broken = [verdict for verdict in verdicts if verdict.broken_id is not None]
    if as_json:
        print_json({"is_intact": not broken, "chains": [verdict._asdict() for verdict in verdicts]})
    else:
        out = console()
        for verdict in broken:
            out.print(
                f"[bold red]broken[/bold red] {_chain(verdict.account_id)}: entry [bold]{verdict.broken_id}[/bold]:"
                f" {verdict.why}",
                soft_wrap=True,
            )
        count = sum(verdict.entries for verdict in verdicts)
        state = f"[bold red]{len(broken)} broken[/bold red]" if broken else "[green]all intact[/green]"
        out.print(f"{count} entries in {len(verdicts)} chains: {state}")
    sys.exit(1 if broken else 0)


def heads(*, account: _Account = None, as_json: Json = False) -> None:
    """Print where each chain ends, to be kept where the database's owners cannot reach it."""
    from authsvc.ledger.audit import heads as ends

    found = _on_database(lambda connection: ends(connection, account))
    if as_json:
        print_json([{**head._asdict(), "last_hash": head.last_hash.hex()} for head in found])
        return
    table = Table("chain", "entries", "last entry", "its hash", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in found:
        last = "" if head.last_id is None else str(head.last_id)
        table.add_row(_chain(head.account_id), str(head.entries), last, head.last_hash.hex())
    console().print(table)


def facts(entry: Entry) -> dict[str, Any]:
    """An entry for scripts; amounts with the decimals that they are stored with."""
    return {
        **entry._asdict(),
        "old_values": None if entry.old_values is None else orjson.Fragment(entry.old_values),
        "new_values": None if entry.new_values is None else orjson.Fragment(entry.new_values),
        "previous_hash": entry.previous_hash.hex(),
        "hash": entry.hash.hex(),
    }


def changes(entry: Entry) -> str:
    """What an entry tells, for a list: `status: pending → active`, a line each."""
    old, new = _values(entry.old_values), _values(entry.new_values)
    if old and new:
        return "\n".join(f"{name}: {_brief(old[name])} → {_brief(new[name])}" for name in sorted(new))
    told = {name: value for name, value in (old or new).items() if value not in (None, []) and name not in _UNTOLD}
    parts = [f"{name}: {_brief(told[name])}" for name in sorted(told)[:_COLUMNS_TOLD]]
    return ", ".join(parts + (["…"] if len(told) > _COLUMNS_TOLD else []))


def _table(entries: list[Entry]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("id", justify="right", no_wrap=True)
    years = {_local(entry.created_us, "%Y") for entry in entries}
    table.add_column(f"when ({years.pop()})" if len(years) == 1 else "when", no_wrap=True)
    table.add_column("account", justify="right", no_wrap=True)
    table.add_column("who", overflow="fold")
    table.add_column("action", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("change", overflow="fold", ratio=1)
    table.add_column("version", justify="right", no_wrap=True)
    for entry in entries:
        table.add_row(
            str(entry.id),
            _local(entry.created_us, "%d %b %Y %H:%M:%S" if years else "%d %b %H:%M:%S"),
            "" if entry.account_id is None else str(entry.account_id),
            escape(entry.actor),
            _action(entry),
            f"{entry.entity_type} {entry.entity_id}",
            escape(changes(entry)),
            "" if entry.config_version is None else str(entry.config_version),
        )
    return table


def _nothing(wanted: Filter) -> str:
    if wanted.config_version is None:
        return "no entries"
    return f"no entry left an account at version {wanted.config_version}: older ones have no audit logs"


def _on_database(question: Callable[[Any], Awaitable[_Result]]) -> _Result:
    from authsvc.ledger.audit import desk

    async def ask() -> _Result:
        async with desk(database_url()) as connection:
            return await question(connection)

    return asyncio.run(ask())


def _chain(account_id: int) -> str:
    return "no account" if account_id == NOBODY else f"account {account_id}"


def _values(told: str | None) -> dict[str, Any]:
    # A figure stays the text that it is: 10.00 is not 10.0.
    values: dict[str, Any] = {} if told is None else json.loads(told, parse_float=str)
    return values


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _brief(value: Any) -> str:
    text = "none" if value is None else _text(value)
    return text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 1] + "…"


def _action(entry: Entry) -> str:
    return f"[{_STYLES[entry.action]}]{entry.action.lower()}[/{_STYLES[entry.action]}]"


def _us(at: datetime | None) -> int | None:
    """A moment of the command line, which has no zone, is local."""
    return None if at is None else int(at.astimezone(UTC).timestamp() * 1_000_000)


def _local(at_us: int, form: str = "%d %b %Y %H:%M:%S") -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone().strftime(form)
