"""`authsvc privacy`: sealing what is there, under one key after another, and back."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from authsvc.errors import NotPossible
from authsvc.ledger import migrate
from authsvc.ledger.audit import verify
from authsvc.ledger.privacy import work
from authsvc.privacy.columns import SEALED, opened
from authsvc.privacy.keys import add, read, use
from authsvc.privacy.sealing import Sealer
from tests.commands import Done, command, forget_settings
from tests.integration.conftest import PROGRAM_SQL, until_waiting

PEOPLE: Final = """
    INSERT INTO users (account_id, email, first_name, last_name, phone, date_of_birth, tax_id)
    SELECT 1, 'person-' || n || '@first.example', 'Given ' || n, 'Family ' || n, '+1415555' || n, '1984-05-06', '12-' || n
    FROM generate_series(1000, 2199) AS n;
    INSERT INTO addresses (account_id, addressable_type, addressable_id, address_type, street_line1, city)
    VALUES (1, 'user', 11, 'billing', '1 Main Street', 'Springfield'), (1, 'account', 1, 'business', '2 Main Street', 'Ogden')
"""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    add(path, os.urandom)
    return path


@pytest.fixture
def call(
    database_url: str, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    """Runs a command on the test's database, with the small program and 1,200 people in it."""
    forget_settings(monkeypatch)
    monkeypatch.setenv("AUTHSVC_DATABASE_URL", database_url)
    monkeypatch.setenv("AUTHSVC_REDIS_URL", "redis://unused")
    monkeypatch.setenv("AUTHSVC_PRIVACY_KEYS_FILE", str(keys))

    def call_it(*arguments: str) -> Done:
        return command(monkeypatch, capsys, *arguments)

    on(database_url, lambda connection: connection.execute(f"{PROGRAM_SQL}; {PEOPLE}"))
    return call_it


def on(url: str, question: Callable[[asyncpg.Connection], Any]) -> Any:
    async def once() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await question(connection)
        finally:
            await connection.close()

    return asyncio.run(once())


def rows(url: str) -> dict[str, list[dict[str, Any]]]:
    """The private columns of all rows as they stand in the database."""

    async def ask(connection: asyncpg.Connection) -> dict[str, list[dict[str, Any]]]:
        found = {}
        for table, columns in SEALED.items():
            names = ", ".join(["id", *columns, *filter(None, columns.values())])
            found[table] = [dict(row) for row in await connection.fetch(f"SELECT {names} FROM {table} ORDER BY id")]
        return found

    found: dict[str, list[dict[str, Any]]] = on(url, ask)
    return found


def in_clear(found: dict[str, list[dict[str, Any]]], keys: Path) -> dict[str, list[dict[str, Any]]]:
    sealer = Sealer(read(keys), os.urandom)
    return {table: [opened(sealer, table, row["id"], row) for row in some] for table, some in found.items()}


def versions(found: dict[str, list[dict[str, Any]]]) -> set[str]:
    """The beginnings of all values: those that are not sealed are whole."""
    values = [row[column] for table, columns in SEALED.items() for row in found[table] for column in columns]
    return {
        value[: len("sealed:1:")] if value.startswith("sealed:") else value for value in values if value is not None
    }


def test_what_is_there_is_sealed_and_sealed_again_under_the_next_key(
    call: Callable[..., Done], database_url: str, keys: Path
) -> None:
    before = rows(database_url)
    clear = call("privacy", "status")
    assert clear.code == 1 and "1,203" in clear.out and "takes what is not sealed" in clear.out
    assert call("privacy", "rotate").out == "1,208 rows sealed: everything is under key 1\n"
    first = rows(database_url)
    assert versions(first) == {"sealed:1:"} and in_clear(first, keys) == in_clear(before, keys)
    assert call("privacy", "rotate", "--json").out == '{\n  "key": 1,\n  "rows": 0,\n  "reindexed_rows": 0\n}\n'

    assert " 2     opens" in call("privacy", "new-key").out
    assert call("privacy", "rotate", "--json").out.count('"rows": 0')
    assert " 2     seals and opens" in call("privacy", "use-key", "2").out
    assert json.loads(call("privacy", "rotate", "--json").out)["rows"] == 1_208
    second = rows(database_url)
    assert versions(second) == {"sealed:2:"} and in_clear(second, keys) == in_clear(before, keys)
    # Whoever is looked for by an address is found under every key.
    assert [row["email_index"] for row in second["users"]] == [row["email_index"] for row in first["users"]]
    status = json.loads(call("privacy", "status", "--json").out)
    emails = next(one for one in status["columns"] if (one["table"], one["column"]) == ("users", "email"))
    assert emails == {"table": "users", "column": "email", "not_sealed": 0, "by_key": {"2": 1_203}}
    verdicts = on(database_url, verify)
    assert {verdict.broken_id for verdict in verdicts} == {None}


def test_who_is_interrupted_goes_on(call: Callable[..., Done], database_url: str, keys: Path) -> None:
    before = rows(database_url)

    async def a_little(connection: asyncpg.Connection) -> int:
        steps = work(connection, Sealer(read(keys), os.urandom), 1)
        done = [await anext(steps) for _ in range(2)][-1]
        await steps.aclose()
        return done

    some = on(database_url, a_little)
    assert 0 < some < 1_208 and "sealed:1:" in versions(rows(database_url)) != {"sealed:1:"}
    assert json.loads(call("privacy", "rotate", "--json").out)["rows"] == 1_208 - some
    assert in_clear(rows(database_url), keys) == in_clear(before, keys)


async def test_what_somebody_writes_meanwhile_is_not_lost(
    program: asyncpg.Connection, database_url: str, keys: Path
) -> None:
    sealer = Sealer(read(keys), os.urandom)
    writer = await asyncpg.connect(database_url)
    change = writer.transaction()
    await change.start()
    await writer.execute("UPDATE users SET first_name = 'Written meanwhile' WHERE id = 12")
    sealing = asyncio.create_task(sealed_all(program, sealer))
    await until_waiting(writer, program)
    await change.commit()
    await sealing
    row = await writer.fetchrow("SELECT * FROM users WHERE id = 12")
    assert row["first_name"].startswith("sealed:1:")
    assert opened(sealer, "users", 12, dict(row))["first_name"] == "Written meanwhile"
    await writer.close()


async def sealed_all(connection: asyncpg.Connection, sealer: Sealer) -> None:
    async for _ in work(connection, sealer, sealer.version):
        pass


async def test_two_who_share_an_address_are_named_and_nothing_is_half_done(
    program: asyncpg.Connection, keys: Path
) -> None:
    sealer = Sealer(read(keys), os.urandom)
    await sealed_all(program, sealer)
    await program.execute(
        "INSERT INTO users (id, account_id, email, first_name, last_name) VALUES (99, 1, 'ONE@first.example', 'A', 'B')"
    )
    with pytest.raises(NotPossible, match="the email of users 11 is also that of another one"):
        await sealed_all(program, sealer)
    assert await program.fetchval("SELECT first_name FROM users WHERE id = 99") == "A"


async def test_sealing_again_voids_no_reset_of_a_password(program: asyncpg.Connection, keys: Path) -> None:
    await sealed_all(program, Sealer(read(keys), os.urandom))
    await program.execute(
        "UPDATE users SET password_reset_token_hash = sha256('t'), password_reset_expires = now() WHERE id = 11"
    )
    add(keys, os.urandom)
    await sealed_all(program, Sealer(use(keys, 2), os.urandom))
    row = await program.fetchrow("SELECT email, password_reset_token_hash FROM users WHERE id = 11")
    assert row["email"].startswith("sealed:2:") and row["password_reset_token_hash"] is not None


def test_the_database_can_refuse_what_is_not_sealed(call: Callable[..., Done], database_url: str) -> None:
    early = call("privacy", "enforce")
    assert early.code == 1 and "run `authsvc privacy rotate` first" in early.err
    call("privacy", "rotate")
    assert call("privacy", "enforce").out == "the database refuses what is not sealed\n"
    assert "the database refuses what is not sealed" in call("privacy", "status").out
    for change in (
        "UPDATE users SET last_name = 'Plain' WHERE id = 11",
        "UPDATE users SET tax_id = '12-3456789' WHERE id = 11",
        "UPDATE accounts SET owner_email = 'plain@first.example' WHERE id = 1",
        "UPDATE addresses SET city = 'Plain'",
    ):
        with pytest.raises(asyncpg.CheckViolationError, match="_sealed_check"):
            on(database_url, lambda connection, change=change: connection.execute(change))
    on(database_url, lambda connection: connection.execute("UPDATE cards SET status = 'closed' WHERE user_id = 11"))
    assert call("user", "erase", "11", "--yes").code == 0
    assert call("privacy", "rotate", "--json").out.count('"rows": 0') == 1
    stays = call("privacy", "open", "--yes")
    assert stays.code == 1 and "authsvc privacy enforce --off" in stays.err
    assert call("privacy", "enforce", "--off").out == "the database takes what is not sealed\n"
    assert call("privacy", "open", "--yes").code == 0


def test_a_database_goes_back_to_a_revision_without_keys_once_it_is_opened(
    call: Callable[..., Done], database_url: str
) -> None:
    before = rows(database_url)
    call("privacy", "rotate")
    with pytest.raises(Exception, match="run `authsvc privacy open`"):
        asyncio.run(migrate.downgrade(database_url, "0011"))
    assert call("privacy", "open", "--yes").out == "1,208 rows opened\n"
    assert rows(database_url) == before
    assert "0012" in asyncio.run(migrate.downgrade(database_url, "0011"))


def test_blind_indexes_are_made_anew_under_a_new_key(call: Callable[..., Done], database_url: str, keys: Path) -> None:
    call("privacy", "rotate")
    before = rows(database_url)
    document = json.loads(keys.read_bytes())
    document["index"] = json.loads(_other(keys).read_bytes())["index"]
    keys.write_text(json.dumps(document))
    said = call("privacy", "rotate", "--reindex")
    assert said.out == "0 rows sealed: everything is under key 1; blind indexes of 1,206 rows made anew\n"
    after = rows(database_url)
    assert in_clear(after, keys) == in_clear(before, keys)
    assert not {row["email_index"] for row in before["users"]} & {row["email_index"] for row in after["users"]}


def _other(keys: Path) -> Path:
    path = keys.with_name("other.json")
    add(path, os.urandom)
    return path


def test_without_keys_a_command_says_how_to_get_some(
    call: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTHSVC_PRIVACY_KEYS_FILE")
    for arguments in (("rotate",), ("new-key",)):
        done = call("privacy", *arguments)
        assert done.code == 1 and "AUTHSVC_PRIVACY_KEYS_FILE" in done.err
