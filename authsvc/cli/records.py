"""`authsvc account`, `user`, `card` and so on: the records that people edit, from the command line."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc.cli import bulk
from authsvc.cli.ask import minor_of
from authsvc.cli.options import Address, Ask, Json, asking, target_of
from authsvc.cli.output import console, fail, print_json
from authsvc.management.resources import (
    ACCOUNT,
    ADDRESS,
    CARD,
    CARD_PRODUCT,
    CATEGORY,
    CATEGORY_RULE,
    SETTING,
    SPENDING_PROFILE,
    USER,
    Field,
    Resource,
    Shape,
)
from rules.money import EXPONENT, format_minor

if TYPE_CHECKING:
    from google.protobuf.message import Message

_Id = Annotated[int, typer.Argument(metavar="ID", help="Its id.", min=1)]
_Values = Annotated[
    list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Fields. NAME= empties one.", show_default=False)
]
_Etag = Annotated[str, typer.Option(help="Only if it is still the one that you saw.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
# By the name of the command: the resource, and the columns of a list.
COMMANDS: Final[dict[str, tuple[Resource, str]]] = {
    "account": (ACCOUNT, "business_name owner_email currency balance_minor status"),
    "user": (USER, "account_id email first_name last_name role status"),
    "profile": (SPENDING_PROFILE, "account_id name spend_limit_minor spend_limit_duration limit_scope"),
    "product": (CARD_PRODUCT, "account_id name card_type default_spend_limit_minor default_spending_profile_id"),
    "address": (ADDRESS, "addressable_type addressable_id address_type street_line1 city country is_primary"),
    "setting": (SETTING, "account_id key value"),
    "category": (CATEGORY, "mcc_code category_name category_group is_high_risk"),
    "rule": (CATEGORY_RULE, "spending_profile_id rule_type category_group spending_category_id"),
    "card": (CARD, "account_id user_id card_type last_four status spend_limit_minor spend_limit_duration"),
}
_HIDDEN: Final = ("etag", "warnings")
_LIST_TIMEOUT_S: Final = 10.0


def app_of(name: str) -> typer.Typer:
    """The commands of one resource."""
    resource, columns = COMMANDS[name]
    fields = ", ".join(_spoken(field) for field in resource.fields if not field.read_only)
    app = typer.Typer(help=f"Look at and edit {_plural(name)}.", no_args_is_help=True)
    commands = _Commands(name, resource, columns.split())
    hint = f"Fields: {fields}."
    app.command("list", help=_list_help(name, resource))(commands.list_)
    app.command("show", help=f"Show one {name}.")(commands.show)
    app.command("create", help=f"Make one {name}. {hint}")(commands.create)
    app.command("update", help=f"Change fields of one {name}. {hint}")(commands.update)
    app.command("delete", help=f"Take one {name} out of use; it can be restored.")(commands.delete)
    app.command("restore", help=f"Take the deletion of one {name} back.")(commands.restore)
    if resource.can_be_purged:
        app.command("purge", help=f"Remove one deleted {name} for good.")(commands.purge)
    app.command("export", help=f"Write all {_plural(name)} to standard output.")(bulk.exporter(resource))
    app.command("import", help=f"Make {_plural(name)} from a file: all lines, or none. {hint}")(bulk.importer(resource))
    if resource is CARD:
        app.command("create-many")(bulk.create_many)
        app.command("move")(bulk.move)
    if resource is SPENDING_PROFILE:
        app.command("describe", help="Say in words what a profile allows.")(describe)
    if resource is SETTING:
        app.command("keys", help="List every setting there is, with its default.")(keys)
    return app


class _Commands:
    """What can be done to one resource."""

    def __init__(self, name: str, resource: Resource, columns: list[str]) -> None:
        self._name = name
        self._resource = resource
        self._columns = columns

    def list_(
        self,
        wanted: _Values = None,
        *,
        order_by: Annotated[str, typer.Option(help='A field; "created_at desc" for the newest first.')] = "",
        limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
        deleted: Annotated[bool, typer.Option("--deleted", help="Deleted ones too.")] = False,
        address: Address = None,
        as_json: Json = False,
    ) -> None:
        from authsvc.client import to_dict
        from authsvc.management.codec import snake
        from authsvc.v1 import management_pb2 as pb

        request = getattr(pb, f"List{self._resource.plural}Request")(order_by=order_by, show_deleted=deleted)
        for name, text in _pairs(wanted):
            _set(request, self._resource, name, text, "USD")
        found: list[Any] = []
        with speaking(address) as ask:
            while len(found) < limit:
                request.page_size = min(limit - len(found), 1_000)
                page = _call(ask, f"List{self._resource.plural}", request)
                found += getattr(page, snake(self._resource.plural))
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    break
            currencies = {} if as_json else _currencies(ask, found)
        if as_json:
            print_json([to_dict(one) for one in found])
            return
        table = Table("id", *(_heading(name) for name in self._columns), box=box.SIMPLE_HEAD)
        for one in found:
            cells = (_cell(self._resource, one, name, currencies) for name in self._columns)
            style = "dim strike" if one.HasField("deleted_at") else ""
            table.add_row(str(one.id), *(escape(cell) for cell in cells), style=style)
        console().print(table if found else f"no {_plural(self._name)}")

    def show(
        self,
        record_id: _Id,
        *,
        deleted: Annotated[bool, typer.Option("--deleted", help="Also when it was deleted.")] = False,
        address: Address = None,
        as_json: Json = False,
    ) -> None:
        from authsvc.v1 import management_pb2 as pb

        request = pb.GetResourceRequest(id=record_id, show_deleted=deleted)
        with speaking(address) as ask:
            self._print(ask, _call(ask, f"Get{self._resource.name}", request), as_json=as_json)

    def create(self, values: _Values = None, *, address: Address = None, as_json: Json = False) -> None:
        with speaking(address) as ask:
            message = self._message(ask, values, None)
            made = _call(ask, f"Create{self._resource.name}", self._request("Create", message))
            self._print(ask, made, as_json=as_json)

    def update(
        self,
        record_id: _Id,
        values: _Values = None,
        *,
        etag: _Etag = "",
        yes: _Yes = False,
        address: Address = None,
        as_json: Json = False,
    ) -> None:
        with speaking(address) as ask:
            message = self._message(ask, values, record_id)
            message.etag = etag
            request = self._request("Update", message)
            request.update_mask.paths.extend(_field_of(self._resource, name).name for name, _ in _pairs(values))
            if ("status", "closed") in _pairs(values) and not yes:
                typer.confirm(f"{self._name} {record_id} can never be opened again. Close it?", abort=True)
            self._print(ask, _call(ask, f"Update{self._resource.name}", request), as_json=as_json)

    def delete(self, record_id: _Id, *, etag: _Etag = "", address: Address = None, as_json: Json = False) -> None:
        from authsvc.v1 import management_pb2 as pb

        with speaking(address) as ask:
            deleted = _call(ask, f"Delete{self._resource.name}", pb.DeleteResourceRequest(id=record_id, etag=etag))
            self._print(ask, deleted, as_json=as_json)

    def restore(self, record_id: _Id, *, address: Address = None, as_json: Json = False) -> None:
        from authsvc.v1 import management_pb2 as pb

        with speaking(address) as ask:
            restored = _call(ask, f"Restore{self._resource.name}", pb.RestoreResourceRequest(id=record_id))
            self._print(ask, restored, as_json=as_json)

    def purge(self, record_id: _Id, *, yes: _Yes = False, address: Address = None) -> None:
        from authsvc.v1 import management_pb2 as pb

        if not yes:
            typer.confirm(f"{self._name} {record_id} will be gone for good. Purge it?", abort=True)
        with speaking(address) as ask:
            _call(ask, f"Purge{self._resource.name}", pb.PurgeResourceRequest(id=record_id))
        console().print(f"{self._name} {record_id} is gone")

    def _request(self, verb: str, message: "Message") -> Any:
        from authsvc.management.codec import snake
        from authsvc.v1 import management_pb2 as pb

        return getattr(pb, f"{verb}{self._resource.name}Request")(**{snake(self._resource.name): message})

    def _message(self, ask: Ask, values: list[str] | None, record_id: int | None) -> Any:
        """The record that the arguments describe. Money needs a currency, which the account has."""
        from authsvc.v1 import management_pb2 as pb

        pairs = _pairs(values)
        message = getattr(pb, self._resource.name)()
        currency = ""
        if any(_field_of(self._resource, name).shape is Shape.MONEY for name, _ in pairs):
            account_id = dict(pairs).get("account_id")
            if record_id is not None:
                known = _call(ask, f"Get{self._resource.name}", pb.GetResourceRequest(id=record_id))
                account_id = str(known.account_id)
            elif account_id is None and dict(pairs).get("card_product_id", "").isdigit():
                product = pb.GetResourceRequest(id=int(dict(pairs)["card_product_id"]))
                account_id = str(_call(ask, "GetCardProduct", product).account_id)
            if account_id is None or not account_id.isdigit():
                raise typer.BadParameter("account_id is required")
            currency = _call(ask, "GetAccount", pb.GetResourceRequest(id=int(account_id))).currency
        for name, text in pairs:
            if text:
                _set(message, self._resource, name, text, currency)
        message.id = record_id or 0
        return message

    def _print(self, ask: Ask, record: Any, *, as_json: bool) -> None:
        from authsvc.client import to_dict

        if as_json:
            print_json(to_dict(record))
            return
        currencies = _currencies(ask, [record])
        table = Table.grid(padding=(0, 2))
        for descriptor in record.DESCRIPTOR.fields:
            if descriptor.name in _HIDDEN:
                continue
            text = _cell(self._resource, record, descriptor.name, currencies)
            if text:
                table.add_row(f"[dim]{_heading(descriptor.name)}[/dim]", escape(text))
        out = console()
        out.print(table)
        for warning in getattr(record, "warnings", ()):
            out.print(f"[yellow]note:[/yellow] {_heading(warning.field)} {escape(warning.problem)}")


def describe(record_id: _Id, *, address: Address = None, as_json: Json = False) -> None:
    """Say in words what a profile allows."""
    from authsvc.client import to_dict
    from authsvc.v1 import management_pb2 as pb

    with speaking(address) as ask:
        told = _call(ask, "DescribeProfile", pb.GetResourceRequest(id=record_id))
    if as_json:
        print_json(to_dict(told))
        return
    for sentence in told.sentences:
        console().print(escape(sentence))
    for warning in told.warnings:
        console().print(f"[yellow]note:[/yellow] {_heading(warning.field)} {escape(warning.problem)}")


def keys(*, address: Address = None, as_json: Json = False) -> None:
    """List every setting there is, with its default."""
    from authsvc.client import to_dict
    from authsvc.v1 import management_pb2 as pb

    with speaking(address) as ask:
        told = _call(ask, "ListSettingKeys", pb.ListSettingKeysRequest())
    if as_json:
        print_json([to_dict(one) for one in told.setting_keys])
        return
    table = Table("key", "type", "default", "may be", "what for", box=box.SIMPLE_HEAD)
    for one in told.setting_keys:
        span = f"{one.minimum} to {one.maximum}" if one.HasField("minimum") else ", ".join(one.choices)
        table.add_row(one.key, one.value_type, escape(one.default_value), span, escape(one.description))
    console().print(table)


@contextmanager
def speaking(address: str | None) -> Iterator[Ask]:
    """Ask a running service; what it refuses ends the command with its words."""
    from authsvc.client import ClientError

    with asking(target_of(address)) as ask:
        try:
            yield ask
        except ClientError as error:
            if error.code in ("UNAVAILABLE", "INTERNAL", "UNKNOWN"):
                raise
            fail(error.message)


def _call(ask: Ask, method: str, message: "Message") -> Any:
    return ask(lambda client: client.manage(method, message, timeout_s=_LIST_TIMEOUT_S))


def _pairs(values: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for value in values or ():
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{value} is not NAME=VALUE")
        pairs.append((name, text))
    return pairs


def _spoken(field: Field) -> str:
    """A field's name as it is typed: money is typed in units, not in minor ones."""
    return field.column if field.shape is Shape.MONEY else field.name


def _field_of(resource: Resource, name: str) -> Field:
    known = {_spoken(field): field for field in resource.fields}
    if name not in known:
        raise typer.BadParameter(f"{name} is not a field; there are {', '.join(known)}")
    return known[name]


def _set(message: Any, resource: Resource, name: str, text: str, currency: str) -> None:
    """Write a typed value into a message."""
    field = _field_of(resource, name)
    descriptor = message.DESCRIPTOR.fields_by_name.get(field.name)
    if descriptor is None:
        raise typer.BadParameter(f"{name} is nothing that a list can be narrowed by")
    if field.shape is Shape.LIST:
        getattr(message, field.name).extend(entry.strip() for entry in text.split(",") if entry.strip())
    elif field.shape is Shape.WORD:
        known = {one.name.removeprefix(field.prefix).lower(): one.number for one in descriptor.enum_type.values[1:]}
        if text not in known:
            raise typer.BadParameter(f"{name} must be one of {', '.join(known)}")
        setattr(message, field.name, known[text])
    elif field.shape is Shape.MONEY:
        setattr(message, field.name, minor_of(text, currency, name))
    elif field.shape is Shape.INTEGER:
        if not (text.isascii() and text.isdigit() and int(text) < 2**31):
            raise typer.BadParameter(f"{name} must be an id")
        setattr(message, field.name, int(text))
    elif field.shape is Shape.BOOLEAN:
        if text not in ("true", "false"):
            raise typer.BadParameter(f"{name} must be true or false")
        setattr(message, field.name, text == "true")
    else:
        setattr(message, field.name, text)


def _currencies(ask: Ask, records: list[Any]) -> dict[int, str]:
    """The currencies of the accounts of what is shown."""
    from authsvc.v1 import management_pb2 as pb

    fields = records[0].DESCRIPTOR.fields_by_name if records else {}
    if not any(name.endswith("_minor") for name in fields) or "account_id" not in fields:
        return {}
    accounts = {record.account_id for record in records}
    request = pb.GetResourceRequest(show_deleted=True)
    known = {}
    for account_id in sorted(accounts):
        request.id = account_id
        known[account_id] = _call(ask, "GetAccount", request).currency
    return known


def _cell(resource: Resource, record: Any, name: str, currencies: dict[int, str]) -> str:
    descriptor = record.DESCRIPTOR.fields_by_name[name]
    if descriptor.has_presence and not record.HasField(name):
        return ""
    value: Any = getattr(record, name)
    text: str
    if descriptor.message_type is not None:
        text = value.ToDatetime().strftime("%Y-%m-%d %H:%M:%S UTC")
    elif name.endswith("_minor"):
        currency = getattr(record, "currency", "") or currencies.get(getattr(record, "account_id", 0), "")
        text = f"{format_minor(value, currency)} {currency}" if currency in EXPONENT else str(value)
    elif descriptor.enum_type is not None:
        word = str(descriptor.enum_type.values_by_number[value].name)
        text = word.removeprefix(resource.by_name[name].prefix).lower() if value else ""
    elif descriptor.is_repeated:
        text = ", ".join(value)
    else:
        text = ("yes" if value else "") if isinstance(value, bool) else str(value)
    return text


def _heading(name: str) -> str:
    return name.removesuffix("_minor").replace("_", " ")


def _plural(name: str) -> str:
    return {"address": "addresses", "category": "merchant categories", "rule": "category rules of profiles"}.get(
        name, f"{name}s"
    )


def _list_help(name: str, resource: Resource) -> str:
    filters = ", ".join(("account_id",) * ("account_id" in resource.by_name) + resource.filters)
    return f"List {_plural(name)}; NAME=VALUE narrows it: {filters}."
