"""The data model page says what the database says, and the database has what the schema documents say."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import asyncpg
import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "data-model.md"

# Tables and columns as the schema documents list them; ! means NOT NULL. Every table has id, created_at beside them.
DOCUMENTED = """
accounts: business_name string!, owner_email string!, lithic_account_token string, balance decimal, status string,
    lithic_financial_account_token string, updated_at date!
users: account_id integer!, email string!, first_name string!, last_name string!, role string!, status string,
    lithic_account_holder_token string, password_hash string, password_reset_expires date, last_login_at date,
    login_attempts integer, locked_until date, updated_at date!
spending_profiles: account_id integer!, name string!, description string, spend_limit decimal, updated_at date!,
    spend_limit_duration string, allowed_categories json, blocked_categories json, lithic_auth_rule_token string
cards: account_id integer!, user_id integer!, spending_profile_id integer, lithic_card_token string, card_type string!,
    last_four string, status string, spend_limit decimal, spend_limit_duration string, card_product_id integer,
    updated_at date!
audit_logs: account_id integer, user_id integer, action string!, entity_type string!, entity_id integer!,
    old_values json, new_values json, ip_address string, user_agent string
transactions: account_id integer!, card_id integer!, user_id integer!, lithic_transaction_token string, amount decimal!,
    currency string, merchant_name string, merchant_category_code string, transaction_type string!, status string!,
    declined_reason string, transaction_date date!, updated_at date!
addresses: addressable_type string!, addressable_id integer!, address_type string!, street_line1 string!,
    street_line2 string, city string!, state string, postal_code string, country string, is_primary boolean,
    updated_at date!
card_products: account_id integer!, name string!, card_type string!, default_spend_limit decimal, updated_at date!,
    default_spend_limit_duration string, default_spending_profile_id integer, card_design string, is_active boolean
webhooks: account_id integer, event_type string!, payload json!, status string, processed_at date,
    error_message string, retry_count integer, updated_at date!
account_settings: account_id integer!, key string!, value json, value_type string!, updated_at date!
spending_categories: mcc_code string!, category_name string!, category_group string, is_high_risk boolean,
    updated_at date!
profile_categories: spending_profile_id integer!, spending_category_id integer, rule_type string!, updated_at date!
"""
TYPES = {
    "string": r"character varying\(\d+\)|text|character\(\d\)|bytea",  # bytea: encrypted
    "integer": "integer|bigint",
    "decimal": r"numeric\(10,2\)",
    "date": "timestamp with time zone",
    "json": "jsonb",
    "boolean": "boolean",
}
SOFT_DELETED = (
    "accounts",
    "users",
    "spending_profiles",
    "cards",
    "transactions",
    "addresses",
    "card_products",
    "account_settings",
    "spending_categories",
    "profile_categories",
)
# Indexes of the documents: table, first columns, whether one value may be there once.
INDEXES = [
    ("accounts", "id", True),
    ("accounts", "lower(owner_email)", True),
    ("users", "id", True),
    ("users", "lower(email)", True),
    ("users", "account_id", False),
    ("spending_profiles", "id", True),
    ("spending_profiles", "account_id", False),
    ("spending_profiles", "account_id, name", True),
    ("spending_profiles", "lithic_auth_rule_token", False),
    ("cards", "id", True),
    ("cards", "account_id", False),
    ("cards", "user_id", False),
    ("cards", "spending_profile_id", False),
    ("cards", "lithic_card_token", True),
    ("transactions", "card_id, transaction_date", False),
    ("transactions", "account_id, transaction_date", False),
    ("transactions", "merchant_category_code", False),
    ("transactions", "lithic_transaction_token", False),
    ("transactions", "transaction_date", False),
    ("addresses", "addressable_type, addressable_id", False),
    ("webhooks", "status, created_at", False),
    ("webhooks", "event_type", False),
    ("account_settings", "account_id, key", True),
    ("spending_categories", "mcc_code", True),
]
# Relationships of the documents that are foreign keys. Those of transactions are kept by triggers.
RELATIONSHIPS = [
    ("users", "account_id", "accounts"),
    ("spending_profiles", "account_id", "accounts"),
    ("cards", "account_id", "accounts"),
    ("cards", "user_id", "users"),
    ("cards", "spending_profile_id", "spending_profiles"),
    ("cards", "card_product_id", "card_products"),
    ("card_products", "account_id", "accounts"),
    ("card_products", "default_spending_profile_id", "spending_profiles"),
    ("addresses", "owner_account_id", "accounts"),
    ("addresses", "owner_user_id", "users"),
    ("webhooks", "account_id", "accounts"),
    ("account_settings", "account_id", "accounts"),
    ("profile_categories", "spending_profile_id", "spending_profiles"),
    ("profile_categories", "spending_category_id", "spending_categories"),
]


def _documented() -> list[tuple[str, str, str, bool]]:
    """(table, column, type, whether it must be there) of every column of the documents."""
    found = []
    for table, columns in re.findall(r"^(\w+): (.*?)(?=^\w+:|\Z)", DOCUMENTED, re.DOTALL | re.MULTILINE):
        own = re.findall(r"(\w+) (\w+)(!?)", columns)
        for name, kind, required in [("id", "integer", "!"), ("created_at", "date", "!"), *own]:
            found.append((table, name, kind, bool(required)))
        if table in SOFT_DELETED:
            found.append((table, "deleted_at", "date", False))
    return found


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """docs/make_data_model.py."""
    spec = importlib.util.spec_from_file_location("make_data_model", DOCS / "make_data_model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_tables_have_every_column_of_the_schema_documents(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch("""
        SELECT attrelid::regclass::TEXT, attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    """)
    there = {(table, name): (kind, required) for table, name, kind, required in rows}
    documented = _documented()
    assert len(documented) > 120
    for table, name, kind, must_be_there in documented:
        found, is_required = there.get((table, name), ("missing", False))
        assert re.fullmatch(TYPES[kind], found), f"{table}.{name} is {found}"
        assert is_required or not must_be_there, f"{table}.{name} may be NULL"


async def test_the_tables_have_every_index_of_the_schema_documents(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch("""
        SELECT indrelid::regclass::TEXT, indisunique, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    """)
    there = {
        (table, re.sub(r"\((\w+)\)::text", r"\1", re.search(r"USING \w+ \((.*?)\)( WHERE|$)", definition)[1]), unique)  # type: ignore[index]
        for table, unique, definition in rows
    }
    assert [index for index in INDEXES if index not in there] == []


async def test_the_tables_have_every_relationship_of_the_schema_documents(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch("""
        SELECT conrelid::regclass::TEXT, attname, confrelid::regclass::TEXT FROM pg_constraint
        JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f'
    """)
    there = {tuple(row) for row in rows}
    assert [relationship for relationship in RELATIONSHIPS if relationship not in there] == []


async def test_the_data_model_page_is_what_the_database_says(connection: asyncpg.Connection, maker: ModuleType) -> None:
    assert PAGE.read_text(encoding="utf-8") == await maker.page(connection), "run: make docs"


async def test_every_rule_that_the_data_model_page_names_is_in_the_database(
    connection: asyncpg.Connection, maker: ModuleType
) -> None:
    _, _, by_hand = PAGE.read_text(encoding="utf-8").partition(maker.END)
    named = set(re.findall(r"`(\w+_(?:key|idx|fkey|pkey|check|transition|in_use|live|product))`", by_hand))
    refusals = " ".join(
        body for (body,) in await connection.fetch("SELECT prosrc FROM pg_proc WHERE proname LIKE 'authsvc%'")
    )
    there = {
        name
        for (name,) in await connection.fetch(
            "SELECT conname::TEXT FROM pg_constraint UNION SELECT relname::TEXT FROM pg_class"
            " UNION SELECT tgname::TEXT FROM pg_trigger"
        )
    }
    made_up = {f"account_settings_{key}_check" for (key,) in await connection.fetch("SELECT key FROM setting_keys")}
    made_up |= {f"spending_profiles_{side}_categories_check" for side in ("allowed", "blocked")}
    assert len(named) > 40
    assert {name for name in named - there - made_up if f"'{name}'" not in refusals} == set()
