"""What audit logs hold of each change, and of which there is none."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import asyncpg
import pytest

from authsvc.audit.shapes import ENTITY_TYPES, NOBODY, Entry, Filter
from authsvc.embedded import Servers
from authsvc.ledger.audit import entry, page
from authsvc.ledger.queries import EVENTS_SQL, SQL
from tests.integration.conftest import PROGRAM_SQL

NEWEST: Final = Filter()
AUDITED: Final = (
    "accounts", "users", "spending_profiles", "cards", "card_products", "addresses", "account_settings",
    "profile_categories", "spending_categories", "setting_keys", "api_keys",
)  # fmt: skip
ADDRESS: Final = (
    "INSERT INTO addresses (id, account_id, addressable_type, addressable_id, address_type, street_line1, city)"
    " VALUES (1, 1, 'account', 1, 'billing', '1 Main Street', 'Springfield')"
)
PRODUCT: Final = "INSERT INTO card_products (id, account_id, name, card_type) VALUES (1, 1, 'Gift', 'virtual')"
SECOND_KEY: Final = (
    "INSERT INTO setting_keys (id, key, value_type, default_value, description) VALUES (900, 'k', 'json', 'null', 'd')"
)
KEY: Final = (
    "INSERT INTO api_keys (id, account_id, name, prefix, key_hash, scopes, created_at, expires_at)"
    " VALUES (1, {}, 'bridge', 'abcd', decode(repeat('ab', 32), 'hex'), '{{authorize}}', now(), now() + interval '1 day')"
)
BY_NAME: Final = {"deleted_at": "a moment"}
# Statement, then what it writes: account, action, type, id, old values, new values. Of a whole row a part is enough.
CHANGES: Final[list[tuple[str, list[tuple[Any, ...]]]]] = [
    (KEY.format(1), [(1, "CREATE", "api_key", 1, None, {"name": "bridge", "key_hash": "***", "scopes": ["authorize"]})]),
    (KEY.format("NULL"), [(None, "CREATE", "api_key", 1, None, {"name": "bridge", "key_hash": "***"})]),
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
     [(at, "CREATE", "spending_category", 9, None, {"mcc_code": "0001"}) for at in (1, None)]),
    ("DELETE FROM spending_categories WHERE id = 1",
     [(at, "PURGE", "spending_category", 1, {"mcc_code": "5812"}, None) for at in (1, None)]),
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
    return sorted(added, key=lambda one: one.id)


def told(values: str | None) -> dict[str, Any] | None:
    """What an entry tells, but not the moment of a deletion."""
    if values is None:
        return None
    return {name: "a moment" if name == "deleted_at" and at else at for name, at in json.loads(values).items()}


@pytest.mark.parametrize(("statements", "expected"), CHANGES, ids=[change[0] for change in CHANGES])
async def test_a_change_of_a_row_is_one_entry_with_what_changed(
    draft: asyncpg.Connection, statements: str, expected: list[tuple[Any, ...]]
) -> None:
    found = await written(draft, statements)
    assert [(one.account_id, one.action, one.entity_type, one.entity_id) for one in found] == [
        change[:4] for change in expected
    ]
    for one, (*_, old, new) in zip(found, expected, strict=True):
        if one.action == "UPDATE":
            assert (told(one.old_values), told(one.new_values)) == (old, new)
        else:
            assert (told(one.old_values) is None, told(one.new_values) is None) == (old is None, new is None)
            assert (told(one.old_values) or {}).items() >= (old or {}).items()
            assert (told(one.new_values) or {}).items() >= (new or {}).items()


@pytest.mark.parametrize("table", [name for name in AUDITED if name not in ("setting_keys", "api_keys")])
async def test_a_soft_delete_is_told_from_its_undoing(draft: asyncpg.Connection, table: str) -> None:
    await draft.execute(f"{PRODUCT}; {ADDRESS}; SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    one = f"WHERE id = {102 if table == 'spending_profiles' else f'(SELECT min(id) FROM {table})'}"
    found = await written(
        draft, f"UPDATE {table} SET deleted_at = now() {one}; UPDATE {table} SET deleted_at = NULL {one}"
    )
    found = [entry for entry in found if entry.account_id is None or table != "spending_categories"]
    assert [entry.action for entry in found] == ["DELETE", "RESTORE"]
    assert [told(entry.old_values) for entry in found] == [{"deleted_at": None}, BY_NAME]
    assert [told(entry.new_values) for entry in found] == [BY_NAME, {"deleted_at": None}]


@pytest.mark.parametrize("statement", SILENT)
async def test_what_nobody_changed_is_no_entry(draft: asyncpg.Connection, statement: str) -> None:
    assert await written(draft, statement) == []


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        (SQL["post"], ([1], [500], [100], [True])),
        (EVENTS_SQL["move_money"], ([1], [500], [100])),
        (SQL["bump_epoch"], (1, 7)),
    ],
)
async def test_what_the_engine_writes_to_an_account_does_not_start_the_trigger(
    draft: asyncpg.Connection, statement: str, arguments: tuple[Any, ...]
) -> None:
    before = await draft.fetchval("SELECT balance + counter_epoch FROM accounts WHERE id = 1")
    plan = await draft.fetch(f"EXPLAIN (ANALYZE) {statement}", *arguments)
    assert await draft.fetchval("SELECT balance + counter_epoch FROM accounts WHERE id = 1") != before
    assert "zz_audit" not in str(plan)
    plan = await draft.fetch("EXPLAIN (ANALYZE) UPDATE accounts SET business_name = 'New' WHERE id = 1")
    assert "zz_audit" in str(plan)


async def test_every_table_that_people_edit_is_audited(draft: asyncpg.Connection) -> None:
    edited = await draft.fetch(
        "SELECT table_name FROM information_schema.columns WHERE column_name = 'row_version' AND table_schema = 'public'"
    )
    assert {record["table_name"] for record in edited} <= {*AUDITED}
    triggers = await draft.fetch(
        "SELECT tgrelid::regclass::text AS name, array_agg(tgname::text ORDER BY tgname) AS events,"
        " min(encode(substr(tgargs, 1, position('\\x00'::bytea IN tgargs) - 1), 'escape')) AS type"
        " FROM pg_trigger WHERE tgname LIKE 'zz_audit%' GROUP BY 1"
    )
    events = [f"zz_audit_{event}" for event in ("delete", "insert", "truncate", "update")]
    assert {record["name"]: record["events"] for record in triggers} == dict.fromkeys(AUDITED, events)
    assert {record["type"] for record in triggers} == {*ENTITY_TYPES}


async def test_audit_triggers_run_after_all_others_of_their_event(draft: asyncpg.Connection) -> None:
    later = await draft.fetch(
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY ($1) AND tgname > 'zz_b'",
        AUDITED,
    )
    assert later == []


async def test_an_accounts_trigger_looks_at_every_column_that_is_not_the_engines(draft: asyncpg.Connection) -> None:
    condition = await draft.fetchval(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'zz_audit_update'"
        " AND tgrelid = 'accounts'::regclass"
    )
    columns = await draft.fetchval("SELECT authsvc_audit_columns('accounts')")
    assert len(columns) >= 9
    assert [name for name in columns if f"new.{name}" not in condition.lower()] == []


# --- who ---------------------------------------------------------------------------------------------------------------


async def test_an_entry_tells_who_asked_as_the_transaction_was_told(draft: asyncpg.Connection) -> None:
    context = {
        "user_id": "11", "role": "owner", "actor": "user:11", "request_id": "r-1", "ip_address": "192.0.2.7",
        "user_agent": "x" * 300,
    }  # fmt: skip
    for name, value in context.items():
        await draft.execute("SELECT set_config($1, $2, true)", f"authsvc.{name}", value)
    [one] = await written(draft, "UPDATE cards SET last_four = '0000' WHERE id = 1001")
    assert (one.user_id, one.role, one.actor, one.request_id, one.ip_address, one.user_agent) == (
        11, "owner", "user:11", "r-1", "192.0.2.7", "x" * 255,
    )  # fmt: skip


async def test_without_a_context_the_database_user_is_the_actor(draft: asyncpg.Connection) -> None:
    await draft.execute("CREATE ROLE audit_test_clerk; GRANT SELECT, UPDATE ON cards TO audit_test_clerk")
    await draft.execute("ALTER ROLE audit_test_clerk BYPASSRLS; SET LOCAL ROLE audit_test_clerk")
    await draft.execute("SELECT set_config('authsvc.actor', '', true)")
    await draft.execute("UPDATE cards SET last_four = '0000' WHERE id = 1001")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with draft.transaction():
            await draft.execute("SELECT FROM audit_logs")
    await draft.execute("RESET ROLE")
    [clerk, owner] = await written(draft, "UPDATE cards SET last_four = '0001' WHERE id = 1001")
    assert (clerk.actor, owner.actor) == ("database:audit_test_clerk", "database:postgres")
    assert {clerk[9:13], owner[9:13]} == {(None,) * 4}


async def test_nobody_diverts_entries_to_tables_of_their_own(draft: asyncpg.Connection) -> None:
    await draft.execute("CREATE TEMP TABLE audit_pending (LIKE public.audit_pending INCLUDING ALL)")
    await draft.execute("CREATE TEMP TABLE audit_logs (LIKE public.audit_logs INCLUDING ALL)")
    await draft.execute("CREATE TEMP TABLE pg_attribute (attrelid oid, attname name, attnum int2, attisdropped bool)")
    await draft.execute("UPDATE cards SET last_four = '0000' WHERE id = 1001; SET CONSTRAINTS ALL IMMEDIATE")
    assert await draft.fetchval("SELECT count(*) FROM pg_temp.audit_pending") == 0
    assert (
        await draft.fetchval('SELECT count(*) FROM public.audit_logs WHERE new_values = \'{"last_four": "0000"}\'') == 1
    )


# --- what is not told --------------------------------------------------------------------------------------------------


async def test_secrets_and_what_is_known_of_people_never_appear(draft: asyncpg.Connection) -> None:
    columns = await draft.fetch(
        "SELECT table_name AS of, column_name AS name, data_type AS type FROM information_schema.columns"
        " WHERE authsvc_audit_is_private(table_name, column_name) AND table_name = ANY ($1)",
        AUDITED,
    )
    assert {(row["of"], row["name"]) for row in columns} >= {("users", "first_name"), ("addresses", "street_line1")}
    await draft.execute(f"{ADDRESS}; {KEY.format(1)}")
    values = {
        "password_hash": "'$argon2id$zebra'",
        "email": "'zebra@first.example'",
        "owner_email": "'zebra@first.example'",
        "password_reset_token_hash": "sha256('zebra'), password_reset_expires = now()",
        "date_of_birth": "'1984-05-06'",
    }
    for row in columns:
        value = values.get(row["name"], "sha256('zebra')" if row["type"] == "bytea" else "'Zebra'")
        await draft.execute(
            f"UPDATE {row['of']} SET {row['name']} = {value} WHERE id = (SELECT min(id) FROM {row['of']})"
        )
    found = await written(
        draft, "DELETE FROM addresses; DELETE FROM cards WHERE user_id = 12; DELETE FROM users WHERE id = 12"
    )
    # Without what is random: four digits are found in one of ten sets of hashes or in a moment's microseconds.
    everything = await draft.fetchval(
        "SELECT string_agg((to_jsonb(a) - '{hash,previous_hash,created_at}'::TEXT[])::TEXT, '') FROM audit_logs AS a"
    )
    assert "z***@first.example" in everything
    for secret in (
        "zebra",
        "Zebra",
        hashlib.sha256(b"zebra").hexdigest(),
        "1984",
        "Main Street",
        "Springfield",
        "one@first",
        'First""}',
    ):
        assert secret not in everything
    changed = {name for one in found for name in json.loads(one.new_values or "{}")}
    assert {row["name"] for row in columns} <= changed


# --- what leads where --------------------------------------------------------------------------------------------------


async def test_a_configuration_version_leads_to_the_entry_that_made_it(draft: asyncpg.Connection) -> None:
    await written(draft, "UPDATE cards SET last_four = '0000' WHERE id = 1001; SET CONSTRAINTS ALL DEFERRED")
    [made] = await written(draft, "UPDATE cards SET spend_limit = 1 WHERE id = 1001; SET CONSTRAINTS ALL DEFERRED")
    await written(draft, "UPDATE users SET status = 'suspended' WHERE id = 12")
    version = await draft.fetchval("SELECT config_version - 1 FROM accounts WHERE id = 1")
    assert await page(draft, Filter(account_id=1, config_version=version), None, 10) == [made]


async def test_a_version_that_the_catalogue_raised_leads_to_the_catalogues_change(draft: asyncpg.Connection) -> None:
    change = "UPDATE spending_categories SET category_group = 'Airlines' WHERE id = 1"
    [told_to_1, of_nobody] = await written(draft, change)
    version = await draft.fetchval("SELECT config_version FROM accounts WHERE id = 1")
    assert await page(draft, Filter(account_id=1, config_version=version), None, 10) == [told_to_1]
    assert told_to_1[3:8] == of_nobody[3:8] and (of_nobody.account_id, of_nobody.config_version) == (None, None)


async def test_lists_are_filtered_and_go_on_after_a_page(draft: asyncpg.Connection) -> None:
    await draft.execute("SELECT set_config('authsvc.actor', 'user:11', true)")
    [mine] = await written(draft, "UPDATE cards SET last_four = '0000' WHERE id = 1001")
    everything = await page(draft, NEWEST, None, 1000)
    assert everything[0] == mine and await entry(draft, mine.id) == mine and await entry(draft, 0) is None
    filters = {
        Filter(account_id=2): lambda one: one.account_id == 2,
        Filter(account_id=NOBODY): lambda one: one.account_id is None,
        Filter(entity_type="card", entity_id=1001): lambda one: (one.entity_type, one.entity_id) == ("card", 1001),
        Filter(action="CREATE", account_id=1): lambda one: (one.action, one.account_id) == ("CREATE", 1),
        Filter(actor="user:11"): lambda one: one == mine,
        Filter(user_id=11): lambda one: one.user_id == 11,
        Filter(since_us=mine.created_us): lambda one: one == mine,
        Filter(until_us=mine.created_us): lambda one: one != mine,
    }
    for wanted, matches in filters.items():
        assert await page(draft, wanted, None, 1000) == [one for one in everything if matches(one)]
    first = await page(draft, Filter(account_id=1), None, 3)
    second = await page(draft, Filter(account_id=1), first[-1].id, 1000)
    assert [*first, *second] == [one for one in everything if one.account_id == 1]


async def test_five_hundred_cards_of_one_statement_are_as_many_entries_of_one_chain(draft: asyncpg.Connection) -> None:
    found = await written(
        draft,
        "INSERT INTO cards (account_id, user_id, card_type) SELECT 1 + n % 2, 11 + n % 2 * 10, 'virtual'"
        " FROM generate_series(1, 500) AS n",
    )
    assert [sum(one.account_id == account_id for one in found) for account_id in (1, 2)] == [250, 250]
    assert len({one.entity_id for one in found}) == len({one.hash for one in found}) == 500
