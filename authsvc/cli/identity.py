"""`authsvc key`, `authsvc signing-key` and `authsvc user set-password`: who may call."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from authsvc import settings
from authsvc.cli.options import Json, database_url, sealer
from authsvc.cli.output import console, fail, print_json
from authsvc.clock import SystemClock
from authsvc.errors import InvalidRequest, StartupRefused

if TYPE_CHECKING:
    from authsvc.identity.ports import Candidate
    from authsvc.identity.signing_keys import SigningKey
    from authsvc.ledger.identity import Key

_SECOND_US: Final = 1_000_000
_DAY_US: Final = 86_400 * _SECOND_US
_KEY_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_Result = TypeVar("_Result")
_File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="The keys; default: AUTHSVC_SIGNING_KEYS_FILE.")
]


def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What logs call it: a-z, 0-9, dot, dash, underscore.")],
    *,
    scope: Annotated[
        list[str], typer.Option(help="What it is for: authorize, events, history, manage or all; once for each.")
    ],
    account: Annotated[int | None, typer.Option(metavar="ID", help="Only for this account; default: for all.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="How long it is good for.")] = 365,
    as_json: Json = False,
) -> None:
    """Make an API key for a program, and print it: it is not shown again.

    [bold]authsvc key create bridge --scope authorize --scope events[/bold]
    """
    from authsvc.identity.authenticate import SCOPES
    from authsvc.identity.tokens import api_key, hash_of
    from authsvc.ledger.identity import NewKey, add_key

    if not set(scope) <= set(SCOPES):
        raise typer.BadParameter(f"a scope is one of {', '.join(SCOPES)}", param_hint="--scope")
    if not _KEY_NAME.fullmatch(name):
        raise typer.BadParameter("a name is a-z, 0-9, dot, dash, underscore, at most 64", param_hint="NAME")
    key, prefix = api_key(os.urandom)
    now_us = SystemClock().now_us()
    made = NewKey(account, name, prefix, hash_of(key), sorted(set(scope)), now_us, now_us + days * _DAY_US)
    _on_database(lambda connection: add_key(connection, made))
    if as_json:
        print_json({"name": name, "key": key, "scopes": made.scopes, "expires_at": _at(made.expires_us)})
        return
    console(stderr=True).print(f"key [bold]{name}[/bold], for {days} days; keep it now, it is not shown again:")
    console().print(key, soft_wrap=True)


def list_keys(
    *,
    all_of_them: Annotated[bool, typer.Option("--all", help="Those that expired or were revoked as well.")] = False,
    as_json: Json = False,
) -> None:
    """List API keys: what they are for, until when, and when they were last used."""
    from authsvc.ledger import identity

    now_us = SystemClock().now_us()
    keys = _on_database(lambda connection: identity.list_keys(connection, now_us, all_of_them=all_of_them))
    if as_json:
        print_json([key._asdict() for key in keys])
        return
    if not keys:
        console().print("no keys")
        return
    table = Table(
        "name", "begins with", "scopes", "account", "expires", "last used", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for key in keys:
        account = "all" if key.account_id is None else str(key.account_id)
        table.add_row(key.name, key.prefix, ", ".join(key.scopes), account, _end(key, now_us), _local(key.last_used_at))
    console().print(table)


def revoke_key(
    name: Annotated[str, typer.Argument(metavar="KEY", help="Its name, or what it begins with (authsvc_…).")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Revoke an API key, for ever. Servers refuse it within AUTHSVC_CREDENTIALS_TTL_MS."""
    from authsvc.ledger import identity

    if not yes:
        typer.confirm(f"Revoke {name}? Whoever uses it is refused, and it cannot be taken back.", abort=True)
    if not _on_database(lambda connection: identity.revoke_key(connection, name, SystemClock().now_us())):
        fail(f"there is no key {name} that could be revoked")
    console().print(f"{escape(name)} is revoked")


def set_password(
    name: Annotated[str, typer.Argument(metavar="USER", help="The user's number or e-mail address.")],
) -> None:
    """Choose a user's password: asked for twice, or one line of a pipe. Ends their sessions and any lock."""
    from authsvc.identity.passwords import check_strength
    from authsvc.ledger import identity

    opener = sealer()
    user = _on_database(lambda connection: identity.user_named(connection, name, opener))
    if user is None:
        fail(f"there is no user {name}")
    password = (
        typer.prompt("New password", hide_input=True, confirmation_prompt=True)
        if sys.stdin.isatty()
        else sys.stdin.readline().rstrip("\r\n")
    )
    try:
        check_strength("the password", password, user.email)
    except InvalidRequest as error:
        fail(f"the password {error.problem}")
    if not asyncio.run(_set_password(user, password)):
        fail("somebody else changed the password just now")
    console().print(f"user [bold]{user.user_id}[/bold] {escape(user.email)} has a new password")


def rotate_signing_key(
    *,
    file: _File = None,
    signs_in: Annotated[
        int,
        typer.Option(
            min=0, max=604_800, metavar="SECONDS", help="When the new one signs: after the file is everywhere."
        ),
    ] = 0,
    keep: Annotated[int, typer.Option(min=0, max=100, help="Older keys whose tokens still count.")] = 1,
    as_json: Json = False,
) -> None:
    """Add a key that signs access tokens, and drop the oldest ones. Makes the file when there is none.

    Servers read a changed file by themselves. Tokens live for ten minutes: keep the last key at least so long.
    """
    from authsvc.identity.signing_keys import rotate

    path = file or _signing_keys_file()
    now_s = SystemClock().now_us() // _SECOND_US
    try:
        keys = rotate(path, now_s=now_s, signs_in_s=signs_in, keep=keep, chance=os.urandom)
    except (OSError, ValueError) as error:
        fail(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
    _show_signing_keys(keys, now_s, as_json=as_json)


def list_signing_keys(*, file: _File = None, as_json: Json = False) -> None:
    """List the keys whose tokens count, and which one signs."""
    from authsvc.identity.signing_keys import read

    path = file or _signing_keys_file()
    try:
        keys = read(path)
    except (OSError, ValueError) as error:
        fail(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
    _show_signing_keys(keys, SystemClock().now_us() // _SECOND_US, as_json=as_json)


def _show_signing_keys(keys: list["SigningKey"], now_s: int, *, as_json: bool) -> None:
    ripe = [key for key in keys if key.signs_from_s <= now_s]
    signer = max(ripe, key=lambda key: key.signs_from_s) if ripe else None
    if as_json:
        print_json(
            [{"kid": key.kid, "signs_from": _at(key.signs_from_s * _SECOND_US), "signs": key is signer} for key in keys]
        )
        return
    table = Table("kid", "signs from", "", box=box.SIMPLE_HEAD, pad_edge=False)
    for key in keys:
        said = "signs" if key is signer else "verifies" if key in ripe else "will sign"
        table.add_row(key.kid, _local(datetime.fromtimestamp(key.signs_from_s, UTC)), said)
    console().print(table)


async def _set_password(user: "Candidate", password: str) -> bool:
    from authsvc.identity.passwords import Cost, HashedPasswords
    from authsvc.ledger import identity

    known = settings.load()
    cost = Cost(known.password_hash_memory_kib, known.password_hash_iterations, known.password_hash_parallelism)
    passwords = HashedPasswords(cost, threads=1, waiting_max=1)
    new_hash = await passwords.hash(password)
    passwords.close()
    async with identity.desk(database_url()) as connection:
        return await identity.set_password(connection, user, new_hash, SystemClock().now_us())


def _on_database(question: Callable[[Any], Awaitable[_Result]]) -> _Result:
    from authsvc.ledger.identity import desk

    async def ask() -> _Result:
        async with desk(database_url()) as connection:
            return await question(connection)

    return asyncio.run(ask())


def _signing_keys_file() -> Path:
    path = settings.load().signing_keys_file
    if path is None:
        raise StartupRefused("no file of signing keys: set AUTHSVC_SIGNING_KEYS_FILE, or give --file")
    return path


def _end(key: "Key", now_us: int) -> str:
    if key.revoked_at is not None:
        return f"[red]revoked {_local(key.revoked_at)}[/red]"
    expired = key.expires_at.timestamp() * _SECOND_US <= now_us
    return f"[red]{_local(key.expires_at)}[/red]" if expired else _local(key.expires_at)


def _at(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us // _SECOND_US, UTC).isoformat()


def _local(at: datetime | None) -> str:
    return "never" if at is None else f"{at.astimezone():%d %b %Y %H:%M}"
