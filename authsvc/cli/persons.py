"""`authsvc user export-data` and `authsvc user erase`: what the law asks of whoever keeps people's data."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from authsvc.cli.options import Json, database_url, sealer
from authsvc.cli.output import console, fail, print_json
from authsvc.errors import NotFound, NotPossible

_User = Annotated[int, typer.Argument(metavar="ID", help="The user's id.", min=1)]


def export_data(user_id: _User) -> None:
    """Print all that is kept of one user, as JSON: the record, addresses, cards, transactions, sessions, changes."""
    from authsvc.ledger.persons import export

    opener = sealer()
    document = _asked(lambda connection: export(connection, user_id, opener))
    sys.stdout.write(document + "\n")


def erase(
    user_id: _User,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Forget one user for good: names, e-mail, addresses, sign-in. What was spent stays, without a name."""
    from authsvc.ledger.persons import erase as forget

    if not yes:
        typer.confirm(f"user {user_id} can never be restored. Erase their data?", abort=True)
    erased = _asked(lambda connection: forget(connection, user_id, "cli"))
    if as_json:
        print_json(erased._asdict())
    else:
        console().print(f"user {user_id} is erased, with {erased.addresses} addresses and {erased.sessions} sessions")


def _asked(question: Callable[[Any], Awaitable[Any]]) -> Any:
    from authsvc.ledger.session import session

    async def ask() -> Any:
        async with session(database_url()) as connection:
            return await question(connection)

    try:
        return asyncio.run(ask())
    except (NotFound, NotPossible) as error:
        fail(str(error))
