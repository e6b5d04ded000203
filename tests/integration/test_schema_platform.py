"""The platform around the decision: versions of rows, card products, addresses, the registry of settings."""

import asyncio
import json

import asyncpg
import pytest

from tests.integration.conftest import until_waiting

# A change of each table that has a version, on rows of program.sql and of PLATFORM_SQL.
EDITS = {
    "accounts": "business_name = 'Renamed'",
    "users": "first_name = 'Renamed'",
    "spending_profiles": "description = 'Renamed'",
    "cards": "last_four = '9999'",
    "spending_categories": "category_name = 'Renamed'",
    "profile_categories": "rule_type = 'blocked'",
    "account_settings": "deleted_at = now()",
    "card_products": "name = 'Renamed'",
    "addresses": "city = 'Renamed'",
}
# What the engine writes to accounts all day.
ENGINE_WRITES = (
    "balance = balance + 1",
    "balance = balance - 1, postings = postings + 1",
    "balance = -5, overdrawn = true, postings = postings + 1",
    "config_version = config_version + 1",
    "counter_epoch = counter_epoch + 1",
)

# Products 1 and 2 of account 1, 3 of account 2; addresses 1 of account 1, 2 of user 11, 3 of account 2.
PLATFORM_SQL = """
INSERT INTO card_products (id, account_id, name, card_type, default_spend_limit, default_spend_limit_duration,
    default_spending_profile_id) VALUES
    (1, 1, 'Travel', 'virtual', 100.00, 'monthly', 102), (2, 1, 'Plain', 'physical', NULL, NULL, NULL),
    (3, 2, 'Travel', 'debit', NULL, NULL, 201);
INSERT INTO addresses (id, account_id, addressable_type, addressable_id, address_type, street_line1, city, is_primary)
VALUES
    (1, 1, 'account', 1, 'business', '1 Way', 'Nowhere', true), (2, 1, 'user', 11, 'billing', '2 Way', 'Nowhere', true),
    (3, 2, 'account', 2, 'business', '3 Way', 'Nowhere', true);
SELECT setval(pg_get_serial_sequence(t, 'id'), 10000) FROM unnest(ARRAY['card_products', 'addresses']) AS t;
"""
NEW_ADDRESS = """
    INSERT INTO addresses (account_id, addressable_type, addressable_id, address_type, street_line1, city, is_primary)
    VALUES ({account}, '{owner}', {owner_id}, '{kind}', '1 Way', 'Nowhere', {primary})
"""
NEW_PRODUCT = "INSERT INTO card_products (account_id, name, card_type{more}) VALUES (1, 'New', 'virtual'{values})"


def _address(account: object, owner: str, owner_id: object, kind: str = "shipping", primary: str = "false") -> str:
    return NEW_ADDRESS.format(account=account, owner=owner, owner_id=owner_id, kind=kind, primary=primary)


def _product(more: str, values: str) -> str:
    return NEW_PRODUCT.format(more=f", {more}", values=f", {values}")


REFUSED = {
    "card_products": [
        ("UPDATE card_products SET account_id = 99 WHERE id = 2", "card_products_account_id_fkey"),
        ("UPDATE card_products SET name = 'Plain' WHERE id = 1", "card_products_account_id_name_key"),
        ("UPDATE card_products SET name = NULL WHERE id = 1", "card_products_name_not_null"),
        ("UPDATE card_products SET card_type = 'credit' WHERE id = 1", "card_products_card_type_check"),
        ("UPDATE card_products SET card_type = NULL WHERE id = 1", "card_products_card_type_not_null"),
        ("UPDATE card_products SET default_spend_limit = -1 WHERE id = 1", "card_products_default_spend_limit_check"),
        (
            "UPDATE card_products SET default_spend_limit = 'NaN' WHERE id = 1",
            "card_products_default_spend_limit_check",
        ),
        (
            "UPDATE card_products SET default_spend_limit_duration = 'hourly' WHERE id = 1",
            "card_products_default_spend_limit_duration_check",
        ),
        ("UPDATE card_products SET is_active = NULL WHERE id = 1", "card_products_is_active_not_null"),
        ("UPDATE card_products SET id = 9 WHERE id = 2", "card_products_id_immutable"),
        # Composite keys: nothing of one account names anything of another.
        (_product("default_spending_profile_id", "201"), "card_products_default_spending_profile_id_fkey"),
        ("UPDATE card_products SET account_id = 2, name = 'X' WHERE id = 1", "default_spending_profile_id_fkey"),
        ("UPDATE cards SET card_product_id = 3 WHERE id = 1001", "cards_card_product_id_fkey"),
        ("UPDATE cards SET card_product_id = 99 WHERE id = 1001", "cards_card_product_id_fkey"),
        (
            "UPDATE cards SET card_product_id = 2 WHERE id = 1001; DELETE FROM card_products WHERE id = 2",
            "cards_card_product_id_fkey",
        ),
        (
            "UPDATE cards SET card_product_id = 2 WHERE id = 1001; UPDATE card_products SET account_id = 2 WHERE id = 2",
            "cards_card_product_id_fkey",
        ),
        ("UPDATE cards SET overridden_fields = '{status}' WHERE id = 1001", "cards_overridden_fields_check"),
        ("UPDATE cards SET overridden_fields = NULL WHERE id = 1001", "cards_overridden_fields_not_null"),
    ],
    "addresses": [
        (_address(1, "account", 1, "business", "true"), "addresses_primary_key"),
        (_address(1, "user", 11, "billing", "true"), "addresses_primary_key"),
        # An owner who does not exist, or belongs to another account.
        (_address(1, "user", 99), "addresses_owner_user_id_fkey"),
        (_address(1, "user", 21), "addresses_owner_user_id_fkey"),
        (_address(1, "account", 2), "addresses_owner_check"),
        (_address(99, "account", 99), "_account_id_fkey"),
        (_address(1, "card", 1001), "addresses_addressable_type_check"),
        ("UPDATE addresses SET addressable_id = 21 WHERE id = 2", "addresses_owner_user_id_fkey"),
        ("UPDATE addresses SET account_id = 2 WHERE id = 2", "addresses_owner_user_id_fkey"),
        ("UPDATE addresses SET addressable_type = 'user' WHERE id = 1", "addresses_owner_user_id_fkey"),
        # The other direction: an owner who has addresses stays where and who it is.
        ("DELETE FROM cards WHERE user_id = 12; DELETE FROM users WHERE id = 12", "addresses_owner_user_id_fkey"),
        ("UPDATE users SET account_id = 3 WHERE id = 13", "addresses_owner_user_id_fkey"),
        ("DELETE FROM accounts WHERE id = 3", "_account_id_fkey"),
        (_address(1, "account", 1, "postal"), "addresses_address_type_check"),
        ("UPDATE addresses SET country = 'us' WHERE id = 1", "addresses_country_check"),
        ("UPDATE addresses SET country = 'U' WHERE id = 1", "addresses_country_check"),
        ("UPDATE addresses SET street_line1 = NULL WHERE id = 1", "addresses_street_line1_not_null"),
        ("UPDATE addresses SET city = NULL WHERE id = 1", "addresses_city_not_null"),
        ("UPDATE addresses SET id = 9 WHERE id = 1", "addresses_id_immutable"),
    ],
    "setting_keys": [
        ("UPDATE setting_keys SET value_type = 'null' WHERE key = 'metadata'", "setting_keys_value_type_check"),
        ("UPDATE setting_keys SET default_value = '\"7\"' WHERE key = 'hold_days'", "setting_keys_default_value_check"),
        ("INSERT INTO setting_keys SELECT * FROM setting_keys", "setting_keys_pkey"),
        ("UPDATE setting_keys SET description = NULL", "setting_keys_description_not_null"),
    ],
}

ALLOWED = {
    "a product's name is free again after a soft delete": """
        UPDATE card_products SET deleted_at = now() WHERE id = 2;
        UPDATE card_products SET name = 'Plain' WHERE id = 1
    """,
    "two accounts may use one product name": "UPDATE card_products SET name = 'Plain' WHERE id IN (2, 3)",
    "a primary address gives way by a soft delete": (
        "UPDATE addresses SET deleted_at = now() WHERE id = 1;" + _address(1, "account", 1, "business", "true")
    ),
    "an owner may have one primary address of each type, and others beside it": (
        _address(1, "user", 11, "shipping", "true")
        + ";"
        + _address(1, "user", 11, "billing")
        + ";"
        + _address(1, "user", 11, "billing")
    ),
    "an account and a user of one number are two owners": _address(12, "account", 12, "billing", "true"),
    "a card may say which defaults it does not have": (
        "UPDATE cards SET card_product_id = 1, overridden_fields = '{spend_limit,card_type}' WHERE id = 1001"
    ),
    "a country may be without states and postal codes": "UPDATE addresses SET country = 'HK', state = NULL",
}


@pytest.fixture
async def platform(program: asyncpg.Connection) -> asyncpg.Connection:
    """The connection, after PLATFORM_SQL."""
    await program.execute(PLATFORM_SQL)
    return program


async def _refusal(connection: asyncpg.Connection, statement: str) -> str:
    attempt = connection.transaction()
    await attempt.start()
    try:
        await connection.execute(statement)
    except asyncpg.NotNullViolationError as error:
        return f"{error.table_name}_{error.column_name}_not_null"
    except asyncpg.IntegrityConstraintViolationError as error:
        return error.constraint_name or ""
    finally:
        await attempt.rollback()
    return "nothing"


async def _owners_beside(platform: asyncpg.Connection) -> None:
    """User 12 and user 13, who has no card, and account 3 have an address; account 12 has the number of a user."""
    await platform.execute("""
        INSERT INTO users (id, account_id, email, first_name, last_name) VALUES (13, 1, 'c@first.example', 'C', 'F');
        INSERT INTO accounts (id, business_name, owner_email) VALUES (12, 'Twelfth', 'owner@twelfth.example')
    """)
    for owner in (_address(1, "user", 12, "billing", "true"), _address(1, "user", 13), _address(3, "account", 3)):
        await platform.execute(owner)


@pytest.mark.parametrize("table", REFUSED)
async def test_a_write_that_breaks_a_rule_of_the_platform_is_refused_by_its_name(
    platform: asyncpg.Connection, table: str
) -> None:
    await _owners_beside(platform)
    refusals = [
        (statement, constraint, await _refusal(platform, statement)) for statement, constraint in REFUSED[table]
    ]
    assert [case for case in refusals if not case[2].endswith(case[1])] == []


async def test_what_the_rules_of_the_platform_leave_free_is_accepted(platform: asyncpg.Connection) -> None:
    await _owners_beside(platform)
    outcomes = {name: await _refusal(platform, statement) for name, statement in ALLOWED.items()}
    assert outcomes == dict.fromkeys(ALLOWED, "nothing")


async def test_each_edit_of_a_row_raises_its_version_by_one_and_nobody_can_set_it(platform: asyncpg.Connection) -> None:
    versioned = await platform.fetch("""
        SELECT table_name FROM information_schema.columns WHERE column_name = 'row_version' AND table_schema = 'public'
    """)
    assert {name for (name,) in versioned} >= set(EDITS)
    for table, edit in EDITS.items():
        first = await platform.fetchval(f"SELECT min(id) FROM {table}")
        change = f"UPDATE {table} SET {{}} WHERE id = {first} RETURNING row_version"
        versions = [await platform.fetchval(change.format(edit)), await platform.fetchval(change.format(edit))]
        versions.append(await platform.fetchval(change.format(f"{edit}, row_version = 50")))
        assert (table, versions) == (table, [2, 3, 4])


async def test_what_the_engine_writes_to_an_account_is_no_edit_of_it(platform: asyncpg.Connection) -> None:
    for written in ENGINE_WRITES:
        version = await platform.fetchval(f"UPDATE accounts SET {written} WHERE id = 1 RETURNING row_version")
        assert (written, version) == (written, 1)
    await platform.execute("UPDATE cards SET status = 'closed' WHERE id = 1001")
    assert await platform.fetchval("SELECT row_version FROM accounts WHERE id = 1") == 1


async def test_the_updated_at_of_products_and_addresses_is_kept_by_the_database(platform: asyncpg.Connection) -> None:
    for table in ("card_products", "addresses"):
        kept = await platform.fetchval(
            f"UPDATE {table} SET updated_at = '2000-01-01Z' WHERE id = 1 RETURNING updated_at = now()"
        )
        assert (table, kept) == (table, True)


async def test_a_new_product_and_a_new_address_have_the_documented_defaults(platform: asyncpg.Connection) -> None:
    product = await platform.fetchrow(_product("card_design", "'blue'") + " RETURNING *")
    address = await platform.fetchrow(_address(1, "account", 1) + " RETURNING *")
    assert (product["is_active"], product["row_version"], product["default_spend_limit"]) == (True, 1, None)
    assert (address["country"], address["is_primary"], address["row_version"]) == ("US", False, 1)
    assert (address["owner_account_id"], address["owner_user_id"]) == (1, None)


async def test_the_profile_of_a_product_cannot_be_deleted_while_new_cards_get_it(platform: asyncpg.Connection) -> None:
    delete = "UPDATE spending_profiles SET deleted_at = now() WHERE id = 102"
    assert await _refusal(platform, delete) == "spending_profiles_default_of_product"
    for retired in ("is_active = false", "deleted_at = now()", "default_spending_profile_id = NULL"):
        assert await _refusal(platform, f"UPDATE card_products SET {retired} WHERE id = 1; {delete}") == "nothing"


async def test_a_product_cannot_take_a_deleted_profile_nor_come_back_with_one(platform: asyncpg.Connection) -> None:
    await platform.execute("""
        UPDATE card_products SET is_active = false WHERE id = 1;
        INSERT INTO card_products (account_id, name, card_type, default_spending_profile_id, deleted_at)
        VALUES (1, 'Gone', 'virtual', 102, now());
        UPDATE spending_profiles SET deleted_at = now() WHERE id = 102
    """)
    for statement in (
        "UPDATE card_products SET is_active = true WHERE id = 1",
        "UPDATE card_products SET deleted_at = NULL WHERE name = 'Gone'",
        "UPDATE card_products SET default_spending_profile_id = 102 WHERE id = 2",
        _product("default_spending_profile_id", "102"),
    ):
        assert await _refusal(platform, statement) == "card_products_default_spending_profile_live", statement
    assert await _refusal(platform, "UPDATE card_products SET name = 'Renamed' WHERE id = 1") == "nothing"


async def test_a_soft_delete_of_a_profile_waits_for_a_product_that_is_taking_it(
    platform: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await platform.execute("UPDATE card_products SET default_spending_profile_id = NULL WHERE id = 1")
    async with pool.acquire() as other:
        taking = platform.transaction()
        await taking.start()
        await platform.execute("UPDATE card_products SET default_spending_profile_id = 102 WHERE id = 2")
        deleting = asyncio.create_task(other.execute("UPDATE spending_profiles SET deleted_at = now() WHERE id = 102"))
        await until_waiting(platform, other)
        await taking.commit()
        with pytest.raises(asyncpg.RestrictViolationError):
            await deleting


PUT_SETTING = """
    INSERT INTO account_settings (account_id, key, value, value_type) VALUES (2, $1, $2, $3)
    ON CONFLICT (account_id, key) WHERE deleted_at IS NULL
    DO UPDATE SET value = excluded.value, value_type = excluded.value_type
"""


def _wrong_values(key: asyncpg.Record) -> list[str | None]:
    """Values of another type, and those outside of the key's range and choices."""
    if key["value_type"] == "json":
        return []
    of_type = {"string": '"on"', "number": "2", "boolean": "true"}
    wrong = [value for name, value in of_type.items() if name != key["value_type"]] + ["null", "{}", None]
    if key["value_type"] == "number":
        wrong += ["1.5", str(key["minimum"] - 1), str(key["maximum"] + 1)]
    elif key["choices"] or key["key"] == "timezone":
        wrong += ['"always"', '""']
    return wrong


def _right_values(key: asyncpg.Record) -> list[str | None]:
    """The default, both ends of the range, every choice; anything for a key that may hold anything."""
    right: list[str | None] = [key["default_value"]]
    if key["value_type"] == "number":
        right += [str(key["minimum"]), str(key["maximum"])]
    if key["value_type"] == "boolean":
        right += ["true", "false"]
    if key["value_type"] == "json":
        right += ["2.5", '{"a": [1, null]}', None]
    return right + [json.dumps(word) for word in key["choices"] or ()]


async def test_each_setting_of_the_registry_keeps_its_type_range_and_choices(platform: asyncpg.Connection) -> None:
    keys = await platform.fetch("SELECT * FROM setting_keys ORDER BY key")
    assert {"timezone", "refund_policy", "balance_check", "hold_days", "max_cards_per_user"} < {k["key"] for k in keys}
    for key in keys:
        for value in _right_values(key):
            assert await platform.execute(PUT_SETTING, key["key"], value, key["value_type"]) == "INSERT 0 1"
        for value in _wrong_values(key):
            with pytest.raises(asyncpg.CheckViolationError) as refusal:
                await platform.execute(PUT_SETTING, key["key"], value, key["value_type"])
            assert refusal.value.constraint_name == f"account_settings_{key['key']}_check", value


async def test_a_setting_that_calls_its_value_another_type_is_refused(platform: asyncpg.Connection) -> None:
    for key, value, value_type in (
        ("hold_days", "7", "json"),
        ("metadata", '"a"', "string"),
        ("metadata", None, "date"),
    ):
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await platform.execute(PUT_SETTING, key, value, value_type)
        assert refusal.value.constraint_name == f"account_settings_{key}_check"
    relabel = "UPDATE account_settings SET value_type = 'json' WHERE id = 2"
    assert await _refusal(platform, relabel) == "account_settings_hold_days_check"


async def test_an_unknown_setting_is_refused_and_an_old_one_can_still_be_deleted(platform: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await platform.execute(PUT_SETTING, "theme", '{"dark": true}', "json")
    assert refusal.value.constraint_name == "account_settings_key_check"
    assert "theme" in str(refusal.value)
    await platform.execute("""
        ALTER TABLE account_settings DISABLE TRIGGER account_settings_known;
        INSERT INTO account_settings (account_id, key, value, value_type) VALUES (2, 'theme', '1', 'json');
        ALTER TABLE account_settings ENABLE TRIGGER account_settings_known
    """)
    assert await platform.execute("UPDATE account_settings SET deleted_at = now() WHERE key = 'theme'") == "UPDATE 1"
