"""Many records from the command line: cards of a product, cards that move, files in and out."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import csv
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc.cli.options import Address, Json, client_of, target_of
from authsvc.cli.output import console, fail, print_json, progress_bar
from authsvc.management.resources import Resource, Shape

_LINES: Final = 200
_TIMEOUT_S: Final = 600.0
_BOOK_KEEPING: Final = ("id", "etag", "created_at", "updated_at", "deleted_at", "warnings")
_Format = Annotated[Literal["csv", "jsonl"], typer.Option("--format", "-f", help="How the file is written.")]
_File = Annotated[Path, typer.Argument(help="The file; - is standard input.", allow_dash=True)]


def create_many(
    product_id: Annotated[int, typer.Argument(metavar="PRODUCT", help="What the cards are made from.", min=1)],
    user_ids: Annotated[list[int], typer.Argument(metavar="USER...", help="One card for each.")],
    *,
    each: Annotated[int, typer.Option(help="So many cards for each user.", min=1)] = 1,
    status: Annotated[Literal["pending", "active", "inactive"], typer.Option(help="What they are.")] = "pending",
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Make many cards from a product: all of them, or none."""
    from authsvc.v1 import management_pb2 as pb

    cards = [pb.NewCard(user_id=user_id) for user_id in user_ids for _ in range(each)]
    asked = pb.CreateCardsRequest(card_product_id=product_id, cards=cards, status=f"CARD_STATUS_{status.upper()}")
    made: list[int] = []
    with progress_bar("cards", len(cards)) as advance:

        def told(report: Any) -> None:
            made.extend(report.card_ids)
            advance(report.made, len(cards))

        _stream(address, "CreateCards", asked, told)
    if as_json:
        print_json(made)
    else:
        console().print(f"{len(made):,} cards made: {made[0]} to {made[-1]}")


def move(
    card_ids: Annotated[list[int] | None, typer.Argument(metavar="[CARD]...", help="Ids of cards.")] = None,
    *,
    from_profile: Annotated[int | None, typer.Option(help="All cards of this profile instead.", min=1)] = None,
    to_profile: Annotated[int, typer.Option(help="The new profile; 0 for none.", min=0)],
    address: Address = None,
) -> None:
    """Give cards another spending profile: all of them, or none."""
    from authsvc.cli.records import speaking
    from authsvc.v1 import management_pb2 as pb

    asked = pb.MoveCardsRequest(card_ids=card_ids, from_profile_id=from_profile or 0, to_profile_id=to_profile)
    with speaking(address) as ask:
        answer = ask(lambda client: client.manage("MoveCards", asked, timeout_s=_TIMEOUT_S))
    console().print(f"cards moved: {answer.moved:,}")


def importer(resource: Resource) -> Callable[..., None]:
    """The `import` command of a resource."""

    def import_(
        file: _File,
        *,
        format_: _Format = "csv",
        skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Make the good lines all the same.")] = False,
        check: Annotated[bool, typer.Option("--check", help="Only look; make nothing.")] = False,
        address: Address = None,
        as_json: Json = False,
    ) -> None:
        from authsvc.client import to_dict
        from authsvc.v1 import management_pb2 as pb

        lines = list(_lines_of(file, format_, resource))
        bad: list[Any] = []
        last: list[Any] = []

        async def asked() -> AsyncIterator[Any]:
            yield pb.ImportRecordsRequest(resource=resource.name, skip_bad=skip_bad, check_only=check)
            for start in range(0, len(lines), _LINES):
                yield pb.ImportRecordsRequest(lines=lines[start : start + _LINES])

        with progress_bar("lines", len(lines)) as advance:

            def told(report: Any) -> None:
                bad.extend(report.bad_lines)
                last[:] = [report]
                advance(report.read, len(lines))

            _stream(address, "ImportRecords", asked(), told)
        made = last[0].good if last[0].is_committed else 0
        if as_json:
            print_json({"read": last[0].read, "made": made, "bad_lines": [to_dict(one) for one in bad]})
        else:
            _tell_import(bad, last[0], made)
        if bad:
            sys.exit(1)

    return import_


def exporter(resource: Resource) -> Callable[..., None]:
    """The `export` command of a resource."""

    def export(
        *,
        format_: _Format = "csv",
        account: Annotated[int | None, typer.Option(help="Only of this account.", min=1)] = None,
        address: Address = None,
    ) -> None:
        from authsvc.cli.records import speaking
        from authsvc.client import to_dict
        from authsvc.management.codec import snake
        from authsvc.v1 import management_pb2 as pb

        request = getattr(pb, f"List{resource.plural}Request")(page_size=1_000)
        if account is not None and hasattr(request, "account_id"):
            request.account_id = account
        names = [field.name for field in resource.fields if not field.read_only]
        writer = csv.DictWriter(sys.stdout, ["id", *names], extrasaction="ignore")
        if format_ == "csv":
            writer.writeheader()
        with speaking(address) as ask:
            while True:
                page = ask(lambda client: client.manage(f"List{resource.plural}", request, timeout_s=_TIMEOUT_S))
                for one in getattr(page, snake(resource.plural)):
                    record = to_dict(one)
                    if format_ == "csv":
                        writer.writerow({name: _written(resource, name, value) for name, value in record.items()})
                    else:
                        sys.stdout.write(orjson.dumps(record).decode() + "\n")
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    break

    return export


def _written(resource: Resource, name: str, value: Any) -> Any:
    """A value as a cell: lists with commas, words without the prefix that they have in the contract."""
    field = resource.by_name.get(name)
    if field is not None and field.shape is Shape.WORD:
        return value.removeprefix(field.prefix).lower()
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else value


def _read(resource: Resource, name: str, text: str) -> Any:
    """What `_written` wrote. Names that are no field are the service's to refuse."""
    field = resource.by_name.get(name)
    if field is not None and field.shape is Shape.WORD:
        return field.prefix + text.upper()
    if field is not None and field.shape is Shape.LIST:
        return text.split(",")
    if field is not None and field.shape is Shape.BOOLEAN and text in ("true", "false"):
        return text == "true"
    return text


def _lines_of(file: Path, format_: str, resource: Resource) -> Iterator[str]:
    """JSON of the records in a file. What an export wrote beside the fields is left out."""
    try:
        source = sys.stdin if str(file) == "-" else file.open(encoding="utf-8-sig", newline="")
        with source:
            if format_ == "jsonl":
                yield from (line.rstrip("\r\n") for line in source)
                return
            for row in csv.DictReader(source):
                given = {name: value for name, value in row.items() if value and name not in _BOOK_KEEPING}
                yield orjson.dumps(
                    {name: _read(resource, name, value) for name, value in given.items()}, default=str
                ).decode()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        fail(f"{file} cannot be read: {error}")


def _tell_import(bad: list[Any], last: Any, made: int) -> None:
    out = console()
    if bad:
        table = Table("record", "field", "problem", box=box.SIMPLE_HEAD)
        for one in bad:
            table.add_row(str(one.line), escape(one.problem.field), escape(one.problem.problem))
        out.print(table)
    verdict = f"{made:,} made" if last.is_committed else "nothing made"
    out.print(f"{last.read:,} records read, {last.good:,} good, {len(bad):,} bad: [bold]{verdict}[/bold]")


def _stream(address: str | None, method: str, asked: Any, told: Callable[[Any], None]) -> None:
    from authsvc.client import ClientError

    async def listen() -> None:
        async with client_of(target_of(address)) as client:
            await client.health("")
            async for report in client.manage_stream(method, asked, timeout_s=_TIMEOUT_S):
                told(report)

    try:
        asyncio.run(listen())
    except ClientError as error:
        fail(error.message)
