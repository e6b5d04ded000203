"""What several commands share: the address they ask, the database they use."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, see authsvc/cli/__init__.py

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from authsvc import settings
from authsvc.cli.output import fail
from authsvc.errors import StartupRefused

if TYPE_CHECKING:
    from authsvc.client import AuthorizationClient
    from authsvc.privacy.sealing import Sealer

Address = Annotated[
    str | None,
    typer.Option("--address", "-a", metavar="HOST:PORT", help="The service; default: AUTHSVC_HOST and PORT."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

SERVERS_FILE: Final = "servers.json"
# What listens on every address is asked on this one.
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}  # noqa: S104 (it is compared, not bound)
_NO_DATABASE: Final = "no database: set AUTHSVC_DATABASE_URL and AUTHSVC_REDIS_URL, or start `authsvc serve`"

_CREDENTIALS_TEXT: Final = "AUTHSVC_API_KEY or AUTHSVC_API_KEY_FILE; keys are made with `authsvc key create`"

Ask = Callable[[Callable[["AuthorizationClient"], Awaitable[Any]]], Any]


def target_of(address: str | None) -> str:
    """Where the service is: as given, or as the settings say."""
    if address is not None:
        return address
    effective = settings.load()
    return f"{_ANY_ADDRESS.get(effective.host, effective.host)}:{effective.port}"


@contextmanager
def asking(target: str) -> Iterator[Ask]:
    """Ask a running service. A service that is not there ends the command with one line that says what to start."""
    from authsvc.client import AuthorizationClient, ClientError

    async def ask(question: Callable[[AuthorizationClient], Awaitable[Any]]) -> Any:
        async with client_of(target) as client:
            await client.health("")
            try:
                return await question(client)
            except ClientError as error:
                if error.code == "UNAUTHENTICATED":
                    raise ClientError(error.code, f"{error.message} ({_CREDENTIALS_TEXT})") from error
                raise

    try:
        yield lambda question: asyncio.run(ask(question))
    except ClientError as error:
        if error.code == "UNAVAILABLE" and "handshake" in error.message.lower():
            fail(f"the service at {target} is not who AUTHSVC_TLS_CA_FILE and AUTHSVC_TLS_SERVER_NAME say, or no TLS")
        if error.code == "UNAVAILABLE":
            fail(f"no service answers at {target}: start one with `authsvc serve`, or name another with --address")
        raise


def client_of(target: str) -> "AuthorizationClient":
    """A client with one connection, and with the credentials and the trust of the settings."""
    from authsvc.client import AuthorizationClient, presented_to

    return AuthorizationClient(target, connections=1, **presented_to(target, settings.load())._asdict())


def known_database_url() -> str | None:
    """The database of the settings, else of the embedded servers that `authsvc serve` runs in AUTHSVC_DATA_DIR."""
    effective = settings.load()
    if effective.database_url is not None:
        return effective.database_url
    try:
        return str(orjson.loads((effective.data_dir / SERVERS_FILE).read_bytes())["database_url"])
    except (FileNotFoundError, KeyError, orjson.JSONDecodeError):
        return None


def sealer() -> "Sealer":
    """What opens and seals what is known of people, with the keys of the settings."""
    from authsvc.privacy.keys import privacy_of

    return privacy_of(settings.load(), os.urandom).sealer()


def database_url() -> str:
    """As `known_database_url`; ends the command when there is none."""
    url = known_database_url()
    if url is None:
        raise StartupRefused(_NO_DATABASE)
    return url
