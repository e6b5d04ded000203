"""One person's data: told in full, and forgotten without a trace while the books stay."""

import json
from typing import Any, Final

import asyncpg
import pytest

from authsvc.errors import NotFound, NotPossible
from authsvc.ledger.audit import verify
from authsvc.ledger.persons import erase, export
from tests.privacy import UNDER_KEYS

NAMES: Final = ("Zebrawood", "Quillfeather", "zq@marmalade.example", "77 Lanternfish Row", "Porridgetown")
PERSON: Final = """
    UPDATE users SET first_name = 'Zebrawood', last_name = 'Quillfeather', email = 'zq@marmalade.example',
        password_hash = '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA', lithic_account_holder_token = 'holder-zq'
    WHERE id = 11;
    INSERT INTO addresses (account_id, addressable_type, addressable_id, address_type, street_line1, city)
    VALUES (1, 'user', 11, 'billing', '77 Lanternfish Row', 'Porridgetown');
    INSERT INTO refresh_tokens (token_hash, family_id, account_id, user_id, created_at, expires_at)
    VALUES (sha256('t'), gen_random_uuid(), 1, 11, now(), now());
    INSERT INTO transactions (
        account_id, card_id, user_id, request_id, kind, transaction_type, status, amount, settled_minor, config_version,
        explanation, transaction_date
    ) VALUES (1, 1001, 11, 'r-1', 'AUTHORIZATION', 'AUTHORIZATION', 'SETTLED', 12.50, 1250, 1, '[]', now())
"""


@pytest.fixture
async def person(program: asyncpg.Connection) -> asyncpg.Connection:
    """The sample program, whose user 11 has a name that stands nowhere else."""
    await program.execute(PERSON)
    return program


async def everything(connection: asyncpg.Connection) -> str:
    """Every row of every table, as text."""
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    )
    rows = [await connection.fetch(f'SELECT t::TEXT FROM "{table["relname"]}" AS t') for table in tables]
    return "\n".join(row[0] for found in rows for row in found)


async def books(connection: asyncpg.Connection) -> list[Any]:
    rows = await connection.fetch("SELECT to_jsonb(t)::TEXT FROM transactions AS t ORDER BY 1")
    return [row[0] for row in rows] + [await connection.fetchval("SELECT sum(balance) FROM accounts")]


async def test_an_export_holds_everything_and_no_secret(person: asyncpg.Connection) -> None:
    text = await export(person, 11, UNDER_KEYS.sealer())
    document = json.loads(text)
    assert all(name in text for name in NAMES)
    assert [len(document[name]) for name in ("addresses", "sessions")] == [1, 1]
    spent = await person.fetch("SELECT request_id FROM transactions WHERE user_id = 11 ORDER BY transaction_date, id")
    assert [one["request_id"] for one in document["transactions"]] == [row[0] for row in spent]
    assert {card["user_id"] for card in document["cards"]} == {11}
    assert document["changes"] and "argon2id" not in text and "hash" not in document["user"]
    with pytest.raises(NotFound):
        await export(person, 999_999, UNDER_KEYS.sealer())


async def test_an_erased_person_is_nowhere_and_the_books_are_as_they_were(person: asyncpg.Connection) -> None:
    before = await books(person)
    with pytest.raises(NotPossible, match="not closed"):
        await erase(person, 11, "cli")
    assert "Zebrawood" in await everything(person)
    await person.execute("UPDATE cards SET status = 'closed' WHERE user_id = 11")
    assert await erase(person, 11, "cli") == (11, 1, 1)
    left = await everything(person)
    assert [name for name in (*NAMES, "argon2id") if name in left] == []
    assert await person.fetchval("SELECT lithic_account_holder_token IS NULL FROM users WHERE id = 11")
    assert await books(person) == before
    told = await person.fetchrow(
        "SELECT actor, action, new_values FROM audit_logs WHERE entity_id = 11 ORDER BY id DESC"
    )
    assert (told["actor"], told["action"]) == ("cli", "DELETE")
    assert {verdict.broken_id for verdict in await verify(person)} == {None}
    assert (await erase(person, 11, "cli")).addresses == 0
    with pytest.raises(NotFound):
        await erase(person, 999_999, "cli")
