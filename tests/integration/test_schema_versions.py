"""What raises the versions of an account, by how much, and what is told about it.

A case: a statement on program.sql, then for accounts 1 and 2 the rise of (config_version, counter_epoch), then the
notifications, each as (account, kind, ids, tokens); tokens is ABSENT when the payload has none.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.integration.conftest import PROGRAM_SQL, until_waiting

ABSENT = "absent"
NOTHING = ((0, 0), (0, 0), [])
CARD_1001 = (1, "card", [1001], ABSENT)
CARDS_OF_1 = (1, "card", [1001, 1002, 1003], ABSENT)
CARDS_OF_2 = (2, "card", [2001], ABSENT)
PROFILE_101 = (1, "profile", [101], ABSENT)
PROFILE_102 = (1, "profile", [102], ABSENT)
USER_12 = (1, "user", [12], ABSENT)
ACCOUNT_1 = (1, "account", [1], ABSENT)

CARDS = {
    "UPDATE cards SET status = 'inactive' WHERE id = 1001": ((1, 0), (0, 0), [CARD_1001]),
    "UPDATE cards SET status = 'active' WHERE id = 1001": NOTHING,
    "UPDATE cards SET status = 'closed'": ((1, 0), (1, 0), [(1, "card", [1001, 1002], ABSENT), CARDS_OF_2]),
    "UPDATE cards SET user_id = 12 WHERE id = 1001": ((1, 0), (0, 0), [CARD_1001]),
    "UPDATE cards SET spend_limit = 99 WHERE id = 1001": ((1, 0), (0, 0), [CARD_1001]),
    "UPDATE cards SET spend_limit = NULL WHERE id = 1001": ((1, 1), (0, 0), [CARD_1001]),
    "UPDATE cards SET spend_limit_duration = 'weekly' WHERE id = 1001": ((1, 1), (0, 0), [CARD_1001]),
    "UPDATE cards SET spending_profile_id = 102 WHERE id = 1001": ((1, 1), (0, 0), [CARD_1001]),
    "UPDATE cards SET spending_profile_id = NULL WHERE id = 1001": ((1, 1), (0, 0), [CARD_1001]),
    "UPDATE cards SET spend_limit = 5, spend_limit_duration = 'daily'": ((1, 1), (1, 1), [CARDS_OF_1, CARDS_OF_2]),
    "UPDATE cards SET lithic_card_token = 'new' WHERE id = 1001": (
        (1, 0),
        (0, 0),
        [(1, "card", [1001], ["card-1001", "new"])],
    ),
    "UPDATE cards SET deleted_at = now() WHERE id = 1001": ((1, 0), (0, 0), [(1, "card", [1001], ["card-1001"])]),
    "UPDATE cards SET last_four = '0000', card_type = 'debit'": NOTHING,
    "UPDATE cards SET status = status": NOTHING,
    "UPDATE cards SET status = 'closed' WHERE id = 0": NOTHING,
    "UPDATE cards SET account_id = 2, user_id = 21 WHERE id = 1002": (
        (1, 1),
        (1, 1),
        [(1, "card", [1002], ["card-1002"]), (2, "card", [1002], ["card-1002"])],
    ),
    "DELETE FROM cards WHERE id = 1002": ((1, 0), (0, 0), [(1, "card", [1002], ["card-1002"])]),
    "INSERT INTO cards (id, account_id, user_id, card_type) VALUES (1, 1, 11, 'debit')": NOTHING,
    "INSERT INTO cards (id, account_id, user_id, card_type, lithic_card_token)"
    " VALUES (1, 1, 11, 'debit', 'a'), (2, 1, 11, 'debit', 'b'), (3, 2, 21, 'debit', 'c')": (
        (0, 0),
        (0, 0),
        [(1, "card", [1, 2], ["a", "b"]), (2, "card", [3], ["c"])],
    ),
}

USERS = {
    "UPDATE users SET status = 'suspended' WHERE id = 12": ((1, 0), (0, 0), [USER_12]),
    "UPDATE users SET status = 'suspended'": (
        (1, 0),
        (1, 0),
        [(1, "user", [11, 12], ABSENT), (2, "user", [21], ABSENT)],
    ),
    "UPDATE users SET deleted_at = now() WHERE id = 12": ((1, 0), (0, 0), [USER_12]),
    "UPDATE users SET first_name = 'New', role = 'analyst', email = 'new@first.example' WHERE id = 12": NOTHING,
    "DELETE FROM cards WHERE user_id = 12; DELETE FROM users WHERE id = 12": (
        (2, 0),
        (0, 0),
        [(1, "card", [1002, 1003], ["card-1002", "card-1003"]), USER_12],
    ),
    "INSERT INTO users (account_id, email, first_name, last_name) VALUES (1, 'n@n.example', 'N', 'N')": NOTHING,
}

PROFILES = {
    "UPDATE spending_profiles SET spend_limit = 1 WHERE id = 101": ((1, 0), (0, 0), [PROFILE_101]),
    "UPDATE spending_profiles SET spend_limit = NULL WHERE id = 101": ((1, 1), (0, 0), [PROFILE_101]),
    "UPDATE spending_profiles SET spend_limit = 1 WHERE id = 102": ((1, 1), (0, 0), [PROFILE_102]),
    "UPDATE spending_profiles SET spend_limit_duration = 'daily' WHERE id = 101": ((1, 1), (0, 0), [PROFILE_101]),
    "UPDATE spending_profiles SET limit_scope = 'shared' WHERE id = 101": ((1, 1), (0, 0), [PROFILE_101]),
    "UPDATE spending_profiles SET allowed_categories = '[]' WHERE id = 101": ((1, 0), (0, 0), [PROFILE_101]),
    "UPDATE spending_profiles SET blocked_categories = '[\"5813\"]' WHERE id = 101": ((1, 0), (0, 0), [PROFILE_101]),
    "UPDATE spending_profiles SET deleted_at = now() WHERE id = 102": ((1, 0), (0, 0), [PROFILE_102]),
    "UPDATE spending_profiles SET name = 'Renamed', description = 'New', lithic_auth_rule_token = 'r' WHERE id = 101": (
        NOTHING
    ),
    "DELETE FROM spending_profiles WHERE id = 102": ((1, 0), (0, 0), [PROFILE_102]),
    "INSERT INTO spending_profiles (account_id, name) VALUES (1, 'New')": NOTHING,
}

CATEGORIES = {
    "INSERT INTO profile_categories (spending_profile_id, category_group, rule_type) VALUES (102, 'Fuel', 'allowed')": (
        (1, 0),
        (0, 0),
        [PROFILE_102],
    ),
    "UPDATE profile_categories SET rule_type = 'blocked' WHERE id = 2": ((1, 0), (0, 0), [PROFILE_101]),
    "UPDATE profile_categories SET spending_profile_id = 102 WHERE id = 2": (
        (1, 0),
        (0, 0),
        [(1, "profile", [101, 102], ABSENT)],
    ),
    "UPDATE profile_categories SET deleted_at = now()": ((1, 0), (0, 0), [PROFILE_101]),
    "DELETE FROM profile_categories": ((1, 0), (0, 0), [PROFILE_101]),
    "DELETE FROM profile_categories WHERE id = 0": NOTHING,
    "UPDATE spending_categories SET category_group = 'Retail' WHERE id = 1": (
        (1, 0),
        (0, 0),
        [(1, "profile", None, ABSENT)],
    ),
    "UPDATE spending_categories SET mcc_code = '5814' WHERE id = 1": ((1, 0), (0, 0), [(1, "profile", None, ABSENT)]),
    "UPDATE spending_categories SET category_name = 'Eating', is_high_risk = true": NOTHING,
    "DELETE FROM spending_categories WHERE id = 1": ((1, 0), (0, 0), [(1, "profile", None, ABSENT)]),
    "INSERT INTO spending_categories (mcc_code, category_name) VALUES ('5813', 'Bars'), ('5814', 'Fast food')": (
        (1, 0),
        (0, 0),
        [(1, "profile", None, ABSENT)],
    ),
}

SETTINGS = {
    "UPDATE account_settings SET value = '\"UTC\"' WHERE id = 1": ((1, 1), (0, 0), [ACCOUNT_1]),
    "UPDATE account_settings SET deleted_at = now() WHERE id = 1": ((1, 1), (0, 0), [ACCOUNT_1]),
    "UPDATE account_settings SET value = '9' WHERE id = 2": ((1, 0), (0, 0), [ACCOUNT_1]),
    "DELETE FROM account_settings": ((1, 1), (0, 0), [ACCOUNT_1]),
    "DELETE FROM account_settings WHERE id = 2": ((1, 0), (0, 0), [ACCOUNT_1]),
    "INSERT INTO account_settings (account_id, key, value, value_type) VALUES (1, 'balance_check', '\"off\"', 'string')": (
        (1, 1),
        (0, 0),
        [ACCOUNT_1],
    ),
    "INSERT INTO account_settings (account_id, key, value, value_type) VALUES (1, 'refund_policy', '\"never\"', 'string')": (
        (1, 1),
        (0, 0),
        [ACCOUNT_1],
    ),
}

ACCOUNTS = {
    "UPDATE accounts SET status = 'suspended' WHERE id = 1": ((1, 0), (0, 0), [ACCOUNT_1]),
    "UPDATE accounts SET status = 'suspended' WHERE id < 3": ((1, 0), (1, 0), [ACCOUNT_1, (2, "account", [2], ABSENT)]),
    "UPDATE accounts SET currency = 'EUR' WHERE id = 1": ((1, 1), (0, 0), [ACCOUNT_1]),
    "UPDATE accounts SET deleted_at = now() WHERE id = 1": ((1, 0), (0, 0), [ACCOUNT_1]),
    "UPDATE accounts SET balance = balance + 5 WHERE id = 1": ((0, 1), (0, 0), []),
    "UPDATE accounts SET balance = balance - 5, postings = postings + 1 WHERE id = 1": NOTHING,
    "UPDATE accounts SET balance = balance + 5, counter_epoch = counter_epoch + 1 WHERE id = 1": ((0, 1), (0, 0), []),
    "UPDATE accounts SET balance = balance + 5, status = 'inactive' WHERE id = 1": ((1, 1), (0, 0), [ACCOUNT_1]),
    "UPDATE accounts SET counter_epoch = counter_epoch + 1 WHERE id = 1": ((0, 1), (0, 0), []),
    "UPDATE accounts SET business_name = 'New', lithic_account_token = 't', owner_email = 'n@n.example' WHERE id = 1": (
        NOTHING
    ),
    "UPDATE accounts SET status = 'active', currency = 'USD'": NOTHING,
}

ENGINE = {
    "UPDATE transactions SET held_minor = 0, settled_minor = 1000": NOTHING,
    "DELETE FROM request_keys; DELETE FROM transactions": NOTHING,
}

GROUPS = {
    "cards": CARDS,
    "users": USERS,
    "profiles": PROFILES,
    "categories": CATEGORIES,
    "settings": SETTINGS,
    "accounts": ACCOUNTS,
    "engine": ENGINE,
}

RESET_SQL = "TRUNCATE transactions, accounts, spending_categories, request_keys CASCADE"


class Listener:
    """What a connection of its own hears on the channel."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Nothing is heard before start()."""
        self._connection = connection
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def start(self) -> None:
        """Listen from now on."""
        await self._connection.add_listener("authsvc_config", self._hear)

    async def heard(self, sender: asyncpg.Connection) -> list[dict[str, Any]]:
        """Return what was sent since the last call, by account, then in the order sent; a marker ends the wait."""
        await sender.execute("""SELECT pg_notify('authsvc_config', '{"end": true}')""")
        messages = []
        async with asyncio.timeout(10):
            while "end" not in (message := await self._queue.get()):
                messages.append(message)
        return sorted(messages, key=lambda message: message["a"])

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._queue.put_nowait(json.loads(str(payload)))


@pytest.fixture
async def listener(database_url: str) -> AsyncIterator[Listener]:
    """A listener on the test's own database."""
    connection = await asyncpg.connect(database_url)
    listening = Listener(connection)
    await listening.start()
    yield listening
    await connection.close()


@pytest.mark.parametrize("group", GROUPS)
async def test_a_statement_raises_the_versions_exactly_once_and_tells_what_changed(
    connection: asyncpg.Connection, listener: Listener, group: str
) -> None:
    for statement, expected in GROUPS[group].items():
        await connection.execute(f"{RESET_SQL}; {PROGRAM_SQL}")
        await listener.heard(connection)
        before = await _versions(connection)
        await connection.execute(statement)
        after = await _versions(connection)
        told = await listener.heard(connection)
        rises = tuple((n[0] - o[0], n[1] - o[1]) for o, n in zip(before, after, strict=True))
        content = [(m["a"], m["k"], m["ids"], m.get("tokens", ABSENT)) for m in told]
        assert (statement, (*rises, content)) == (statement, expected)
        for account_id in (1, 2):
            versions = [m["v"] for m in told if m["a"] == account_id and m["v"] is not None]
            assert versions == list(range(before[account_id - 1][0] + 1, after[account_id - 1][0] + 1))


async def test_more_ids_or_tokens_than_a_message_holds_become_null(
    program: asyncpg.Connection, listener: Listener
) -> None:
    add = """
        INSERT INTO cards (account_id, user_id, card_type, status, lithic_card_token)
        SELECT 1, 11, 'debit', 'active', rpad('bulk-' || i, $2, 'x') FROM generate_series(1, $1::INTEGER) AS i
    """
    await program.execute(add, 50, 12)
    fits = (await listener.heard(program))[-1]
    assert (len(fits["ids"]), len(fits["tokens"])) == (50, 50)
    await program.execute(add, 50, 255)
    assert (await listener.heard(program))[-1]["tokens"] is None
    await program.execute(add, 51, 13)
    assert (await listener.heard(program))[-1]["tokens"] is None
    await program.execute("UPDATE cards SET status = 'inactive' WHERE lithic_card_token LIKE 'bulk-%'")
    assert len((await listener.heard(program))[-1]["ids"]) == 151
    await program.execute(add, 50, 14)
    await program.execute("UPDATE cards SET status = 'closed' WHERE lithic_card_token LIKE 'bulk-%'")
    assert (await listener.heard(program))[-1]["ids"] is None


async def test_accounts_are_locked_in_the_order_of_their_ids(program: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    lock = "SELECT id FROM accounts WHERE id = $1 FOR UPDATE SKIP LOCKED"
    for held, free in ((1, 2), (2, None)):
        async with pool.acquire() as holder, pool.acquire() as changer:
            holding = holder.transaction()
            await holding.start()
            await holder.fetchval(lock, held)
            change = asyncio.create_task(changer.execute("UPDATE cards SET spend_limit = $1::INTEGER", held))
            await until_waiting(program, changer)
            other = 3 - held
            assert await program.fetchval(lock, other) == free
            await holding.commit()
            assert await change == "UPDATE 4"


async def test_whoever_locks_the_account_at_the_old_version_finds_nothing_once_the_change_is_committed(
    program: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    version = await program.fetchval("SELECT config_version FROM accounts WHERE id = 1")
    async with pool.acquire() as recorder:
        change = program.transaction()
        await change.start()
        await program.execute("UPDATE cards SET status = 'closed' WHERE id = 1001")
        fence = asyncio.create_task(
            recorder.fetch("SELECT FROM accounts WHERE id = 1 AND config_version = $1 FOR SHARE", version)
        )
        async with pool.acquire() as watcher:
            await until_waiting(watcher, recorder)
        await change.commit()
        assert await fence == []


async def test_a_change_that_is_rolled_back_raises_and_tells_nothing(
    program: asyncpg.Connection, listener: Listener
) -> None:
    await listener.heard(program)
    before = await _versions(program)
    change = program.transaction()
    await change.start()
    await program.execute("UPDATE cards SET status = 'closed'")
    await change.rollback()
    assert await listener.heard(program) == []
    assert await _versions(program) == before


async def _versions(connection: asyncpg.Connection) -> list[tuple[int, int]]:
    rows = await connection.fetch("SELECT config_version, counter_epoch FROM accounts WHERE id < 3 ORDER BY id")
    return [(row["config_version"], row["counter_epoch"]) for row in rows]
