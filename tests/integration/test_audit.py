"""What audit logs hold of each change, and of which there is none."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import asyncpg
import pytest

from authsvc.audit.shapes import ENTITY_TYPES, NOBODY, Entry, Filter
from authsvc.embedded import Servers
from authsvc.ledger.audit import entry, page, verify
from authsvc.ledger.queries import EVENTS_SQL, SQL
from tests.integration.conftest import PROGRAM_SQL

NEWEST: Final = Filter()
AUDITED: Final = (
    "accounts", "users", "spending_profiles", "cards", "card_products", "addresses", "account_settings",
    "profile_categories", "spending_categories", "setting_keys",
)  # fmt: skip
ADDRESS: Final = (
    "INSERT INTO addresses (id, account_id, addressable_type, addressable_id, address_type, street_line1, city)"
    " VALUES (1, 1, 'account', 1, 'billing', '1 Main Street', 'Springfield')"
)
PRODUCT: Final = "INSERT INTO card_products (id, account_id, name, card_type) VALUES (1, 1, 'Gift', 'virtual')"
SECOND_KEY: Final = (
    "INSERT INTO setting_keys (id, key, value_type, default_value, description) VALUES (900, 'k', 'json', 'null', 'd')"
)
BY_NAME: Final = {"deleted_at": "a moment"}
# Statement, then what it writes: account, action, type, id, old values, new values. Of a whole row a part is enough.
CHANGES: Final[list[tuple[str, list[tuple[Any, ...]]]]] = [
    ("INSERT INTO accounts (id, business_name, owner_email) VALUES (9, 'Ninth', 'n@ninth.example')",
     [(9, "CREATE", "account", 9, None, {"business_name": "Ninth", "owner_email": "n***@ninth.example"})]),
    ("UPDATE accounts SET business_name = 'New', owner_email = 'new@first.example' WHERE id = 1",
     [(1, "UPDATE", "account", 1, {"business_name": "First", "owner_email": "o***@first.example"},
       {"business_name": "New", "owner_email": "n***@first.example"})]),
    ("UPDATE accounts SET balance = 5 WHERE id = 1",
     [(1, "UPDATE", "account", 1, {"balance": 1000.0}, {"balance": 5.0})]),
    ("UPDATE accounts SET deleted_at = now() WHERE id = 3",
     [(3, "DELETE", "account", 3, {"deleted_at": None}, BY_NAME)]),
    ("DELETE FROM accounts WHERE id = 3", [(3, "PURGE", "account", 3, {"business_name": "Third"}, None)]),
    ("UPDATE users SET first_name = 'Other', role = 'admin' WHERE id = 12",
     [(1, "UPDATE", "user", 12, {"first_name": "***", "role": "user"}, {"first_name": "***", "role": "admin"})]),
    ("INSERT INTO users (id, account_id, email, first_name, last_name) VALUES (9, 2, 'a@b.example', 'A', 'B')",
     [(2, "CREATE", "user", 9, None, {"email": "a***@b.example", "first_name": "***", "status": "active"})]),
    ("UPDATE spending_profiles SET deleted_at = now() WHERE id = 102",
     [(1, "DELETE", "spending_profile", 102, {"deleted_at": None}, BY_NAME)]),
    ("INSERT INTO spending_profiles (id, account_id, name) VALUES (9, 2, 'Own')",
     [(2, "CREATE", "spending_profile", 9, None, {"name": "Own", "spend_limit": None})]),
    ("UPDATE spending_profiles SET spend_limit = 7.50 WHERE id = 101",
     [(1, "UPDATE", "spending_profile", 101, {"spend_limit": 500.0}, {"spend_limit": 7.5})]),
    ("DELETE FROM spending_profiles WHERE id = 102",
     [(1, "PURGE", "spending_profile", 102, {"name": "Unused"}, None)]),
    ("UPDATE cards SET status = 'active' WHERE id = 1002",
     [(1, "UPDATE", "card", 1002, {"status": "inactive"}, {"status": "active"})]),
    ("UPDATE cards SET deleted_at = now(), status = 'closed' WHERE id IN (1001, 2001)",
     [(1, "DELETE", "card", 1001, {"deleted_at": None, "status": "active"}, BY_NAME | {"status": "closed"}),
      (2, "DELETE", "card", 2001, {"deleted_at": None, "status": "active"}, BY_NAME | {"status": "closed"})]),
    ("UPDATE cards SET account_id = 2, user_id = 21 WHERE id = 1002",
     [(at, "UPDATE", "card", 1002, {"account_id": 1, "user_id": 12}, {"account_id": 2, "user_id": 21}) for at in (1, 2)]),
    ("INSERT INTO cards (id, account_id, user_id, card_type) VALUES (1, 1, 11, 'debit')",
     [(1, "CREATE", "card", 1, None, {"status": "pending", "card_type": "debit", "overridden_fields": []})]),
    ("DELETE FROM cards WHERE id = 1002", [(1, "PURGE", "card", 1002, {"last_four": "1002"}, None)]),
    ("TRUNCATE cards", [(1, "PURGE", "card", 1001, {"last_four": "1001"}, None), (1, "PURGE", "card", 1002, {}, None),
                        (1, "PURGE", "card", 1003, {}, None), (2, "PURGE", "card", 2001, {}, None)]),
    (PRODUCT, [(1, "CREATE", "card_product", 1, None, {"name": "Gift"})]),
    (PRODUCT + "; UPDATE card_products SET is_active = false",
     [(1, "CREATE", "card_product", 1, None, {}),
      (1, "UPDATE", "card_product", 1, {"is_active": True}, {"is_active": False})]),
    (PRODUCT + "; DELETE FROM card_products",
     [(1, "CREATE", "card_product", 1, None, {}), (1, "PURGE", "card_product", 1, {"name": "Gift"}, None)]),
    (ADDRESS, [(1, "CREATE", "address", 1, None, {"street_line1": "***", "city": "***", "country": "US"})]),
    (ADDRESS + "; UPDATE addresses SET city = 'Shelbyville', is_primary = true",
     [(1, "CREATE", "address", 1, None, {}),
      (1, "UPDATE", "address", 1, {"city": "***", "is_primary": False}, {"city": "***", "is_primary": True})]),
    (ADDRESS + "; DELETE FROM addresses",
     [(1, "CREATE", "address", 1, None, {}), (1, "PURGE", "address", 1, {"street_line1": "***"}, None)]),
    ("UPDATE account_settings SET value = '9' WHERE id = 2",
     [(1, "UPDATE", "account_setting", 2, {"value": 7}, {"value": 9})]),
    ("INSERT INTO account_settings (id, account_id, key, value, value_type) VALUES (9, 2, 'hold_days', '3', 'number')",
     [(2, "CREATE", "account_setting", 9, None, {"key": "hold_days", "value": 3})]),
    ("DELETE FROM account_settings WHERE id = 2",
     [(1, "PURGE", "account_setting", 2, {"key": "hold_days", "value": 7}, None)]),
    ("UPDATE profile_categories SET rule_type = 'blocked' WHERE id = 2",
     [(1, "UPDATE", "profile_category", 2, {"rule_type": "allowed"}, {"rule_type": "blocked"})]),
    ("INSERT INTO profile_categories (id, spending_profile_id, category_group, rule_type) VALUES (9, 201, 'G', 'allowed')",
     [(2, "CREATE", "profile_category", 9, None, {"category_group": "G"})]),
    ("DELETE FROM profile_categories WHERE id = 2",
     [(1, "PURGE", "profile_category", 2, {"category_group": "Airlines"}, None)]),
    ("UPDATE spending_categories SET is_high_risk = true WHERE id = 2",
     [(None, "UPDATE", "spending_category", 2, {"is_high_risk": False}, {"is_high_risk": True})]),
    ("INSERT INTO spending_categories (id, mcc_code, category_name) VALUES (9, '0001', 'Ninth')",
     [(None, "CREATE", "spending_category", 9, None, {"mcc_code": "0001"})]),
    ("DELETE FROM spending_categories WHERE id = 1",
     [(None, "PURGE", "spending_category", 1, {"mcc_code": "5812"}, None)]),
    (SECOND_KEY, [(None, "CREATE", "setting_key", 900, None, {"key": "k", "default_value": None})]),
    (SECOND_KEY + "; UPDATE setting_keys SET description = 'other' WHERE key = 'k'",
     [(None, "CREATE", "setting_key", 900, None, {}),
      (None, "UPDATE", "setting_key", 900, {"description": "d"}, {"description": "other"})]),
    (SECOND_KEY + "; DELETE FROM setting_keys WHERE key = 'k'",
     [(None, "CREATE", "setting_key", 900, None, {}), (None, "PURGE", "setting_key", 900, {"key": "k"}, None)]),
]  # fmt: skip
# None of these says anything that somebody did to a row.
SILENT: Final = [
    "UPDATE accounts SET config_version = config_version + 1, counter_epoch = counter_epoch + 1 WHERE id = 1",
    "UPDATE cards SET status = status, spend_limit = spend_limit",
    "UPDATE cards SET status = 'closed' WHERE id = 0",
    "UPDATE cards SET lithic_state_at = now()",
    "UPDATE users SET login_attempts = 1, last_login_at = now()",
    "INSERT INTO spending_categories (mcc_code, category_name) VALUES ('5812', 'Again') ON CONFLICT DO NOTHING",
    "SAVEPOINT one; UPDATE cards SET last_four = '0000'; ROLLBACK TO SAVEPOINT one",
]


@pytest.fixture(scope="module")
def program_url(servers: Servers, template: str) -> Iterator[str]:
    """A database with the small program, which tests change only in transactions that they give up."""
    servers.postgres.execute(f"CREATE DATABASE audited TEMPLATE {template}")
    url = servers.postgres.url("audited")

    async def fill() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(PROGRAM_SQL)
        await connection.close()

    asyncio.run(fill())
    yield url
    servers.postgres.execute("DROP DATABASE audited WITH (FORCE)")


@pytest.fixture
async def draft(program_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The small program, in a transaction that ends with a rollback."""
    opened = await asyncpg.connect(program_url)
    transaction = opened.transaction()
    await transaction.start()
    yield opened
    await transaction.rollback()
    await opened.close()


async def written(connection: asyncpg.Connection, statements: str) -> list[Entry]:
    """What these statements add to the audit logs, as if the transaction had ended with them."""
    last_id = await connection.fetchval("SELECT max(id) FROM audit_logs")
    await connection.execute(statements)
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    added = [one for one in await page(connection, NEWEST, None, 1000) if one.id > last_id]
    return sorted(added, key=lambda one: (one.id))


def says(told: str | None, expected: dict[str, Any] | None, *, is_whole: bool) -> bool:
    if told is None or expected is None:
        return told is None and expected is None
    values = {name: "a moment" if name == "deleted_at" and at else at for name, at in json.loads(told).items()}
    return values.items() >= expected.items() if is_whole else values == expected


@pytest.mark.parametrize(("statements", "expected"), CHANGES, ids=[change[0] for change in CHANGES])
async def test_a_change_of_a_row_is_one_entry_with_what_changed(
    draft: asyncpg.Connection, statements: str, expected: list[tuple[Any, ...]]
) -> None:
    found = await written(draft, statements)
    key = [(one.account_id, one.action, one.entity_type, one.entity_id) for one in found]
    assert sorted(key, key=str) == sorted((change[:4] for change in expected), key=str)
    for one, change in zip(sorted(found, key=lambda e: str(e[1:6])), sorted(expected, key=lambda c: str(c)), strict=False):
        is_whole = one.action in ("CREATE", "PURGE")
        match = next(c for c in expected if c[:4] == (one.account_id, one.action, one.entity_type, one.entity_id))
        assert change is not None
        assert says(one.old_values, match[4], is_whole=is_whole), one.old_values
        assert says(one.new_values, match[5], is_whole=is_whole), one.new_values
