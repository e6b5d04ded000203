"""Every constraint of the tables, tried by breaking it. A case is a statement and the constraint that must refuse it."""

import asyncpg
import pytest

NAN = "'NaN'"
WITHOUT_REGISTRY = "ALTER TABLE account_settings DISABLE TRIGGER account_settings_known"

REFUSED = {
    "accounts": [
        ("INSERT INTO accounts (owner_email) VALUES ('a@b.example')", "accounts_business_name_not_null"),
        ("INSERT INTO accounts (business_name) VALUES ('A')", "accounts_owner_email_not_null"),
        ("UPDATE accounts SET owner_email = 'nobody' WHERE id = 1", "accounts_owner_email_check"),
        ("UPDATE accounts SET owner_email = 'a b@c.example' WHERE id = 1", "accounts_owner_email_check"),
        ("UPDATE accounts SET owner_email = 'OWNER@Second.Example' WHERE id = 1", "accounts_owner_email_key"),
        ("UPDATE accounts SET status = 'open' WHERE id = 1", "accounts_status_check"),
        ("UPDATE accounts SET currency = 'usd' WHERE id = 1", "accounts_currency_check"),
        ("UPDATE accounts SET currency = 'US' WHERE id = 1", "accounts_currency_check"),
        ("UPDATE accounts SET balance = -0.01 WHERE id = 1", "accounts_balance_check"),
        (f"UPDATE accounts SET balance = {NAN} WHERE id = 1", "accounts_balance_check"),
        ("INSERT INTO accounts (id, business_name, owner_email) VALUES (1, 'A', 'a@b.example')", "accounts_pkey"),
        ("DELETE FROM accounts WHERE id = 1", "_account_id_fkey"),
        ("UPDATE accounts SET id = 9 WHERE id = 3", "accounts_id_immutable"),
    ],
    "users": [
        ("UPDATE users SET account_id = 99 WHERE id = 12", "cards_user_id_fkey"),
        (
            "INSERT INTO users (account_id, email, first_name, last_name) VALUES (99, 'n@n.example', 'N', 'N')",
            "users_account_id_fkey",
        ),
        ("UPDATE users SET email = '@first.example' WHERE id = 11", "users_email_check"),
        ("UPDATE users SET email = 'one@first' WHERE id = 11", "users_email_check"),
        ("UPDATE users SET email = 'ONE@second.example' WHERE id = 11", "users_email_key"),
        ("UPDATE users SET role = 'root' WHERE id = 11", "users_role_check"),
        ("UPDATE users SET status = 'gone' WHERE id = 11", "users_status_check"),
        ("UPDATE users SET first_name = NULL WHERE id = 11", "users_first_name_not_null"),
        ("UPDATE users SET last_name = NULL WHERE id = 11", "users_last_name_not_null"),
        ("DELETE FROM users WHERE id = 11", "_user_id_fkey"),
        ("UPDATE users SET id = 99 WHERE id = 12", "users_id_immutable"),
    ],
    "spending_profiles": [
        (
            "UPDATE spending_profiles SET account_id = 2, name = 'Moved' WHERE id = 101",
            "cards_spending_profile_id_fkey",
        ),
        ("INSERT INTO spending_profiles (account_id, name) VALUES (99, 'N')", "spending_profiles_account_id_fkey"),
        ("UPDATE spending_profiles SET name = 'Travel' WHERE id = 102", "spending_profiles_account_id_name_key"),
        ("UPDATE spending_profiles SET spend_limit = -0.01 WHERE id = 101", "spending_profiles_spend_limit_check"),
        (f"UPDATE spending_profiles SET spend_limit = {NAN} WHERE id = 101", "spending_profiles_spend_limit_check"),
        (
            "UPDATE spending_profiles SET spend_limit_duration = 'hourly' WHERE id = 101",
            "spending_profiles_spend_limit_duration_check",
        ),
        ("UPDATE spending_profiles SET limit_scope = 'user' WHERE id = 101", "spending_profiles_limit_scope_check"),
        ("DELETE FROM spending_profiles WHERE id = 101", "_spending_profile_id_fkey"),
        ("UPDATE spending_profiles SET id = 999 WHERE id = 102", "spending_profiles_id_immutable"),
    ],
    "cards": [
        ("UPDATE cards SET user_id = 21 WHERE id = 1001", "cards_user_id_fkey"),
        ("UPDATE cards SET spending_profile_id = 201 WHERE id = 1001", "cards_spending_profile_id_fkey"),
        ("UPDATE cards SET account_id = 2 WHERE id = 1002", "cards_user_id_fkey"),
        ("UPDATE cards SET lithic_card_token = 'card-2001' WHERE id = 1001", "cards_lithic_card_token_key"),
        ("UPDATE cards SET card_type = 'credit' WHERE id = 1001", "cards_card_type_check"),
        ("UPDATE cards SET card_type = NULL WHERE id = 1001", "cards_card_type_not_null"),
        ("UPDATE cards SET last_four = '123' WHERE id = 1001", "cards_last_four_check"),
        ("UPDATE cards SET last_four = '12a4' WHERE id = 1001", "cards_last_four_check"),
        ("UPDATE cards SET status = 'lost' WHERE id = 1001", "cards_status_check"),
        ("UPDATE cards SET spend_limit = -1 WHERE id = 1001", "cards_spend_limit_check"),
        (f"UPDATE cards SET spend_limit = {NAN} WHERE id = 1001", "cards_spend_limit_check"),
        ("UPDATE cards SET spend_limit_duration = 'never' WHERE id = 1001", "cards_spend_limit_duration_check"),
        ("DELETE FROM cards WHERE id = 1001", "transactions_card_id_fkey"),
        ("UPDATE cards SET id = 9 WHERE id = 1002", "cards_id_immutable"),
    ],
    "spending_categories": [
        ("UPDATE spending_categories SET mcc_code = '581' WHERE id = 1", "spending_categories_mcc_code_check"),
        ("UPDATE spending_categories SET mcc_code = '58a2' WHERE id = 1", "spending_categories_mcc_code_check"),
        ("UPDATE spending_categories SET mcc_code = '7995' WHERE id = 1", "spending_categories_mcc_code_key"),
        ("UPDATE spending_categories SET category_name = NULL WHERE id = 1", "category_name_not_null"),
        ("DELETE FROM spending_categories WHERE id = 2", "profile_categories_spending_category_id_fkey"),
    ],
    "profile_categories": [
        ("UPDATE profile_categories SET category_group = 'Retail' WHERE id = 1", "profile_categories_target_check"),
        ("UPDATE profile_categories SET category_group = NULL WHERE id = 2", "profile_categories_target_check"),
        ("UPDATE profile_categories SET rule_type = 'maybe' WHERE id = 1", "profile_categories_rule_type_check"),
        (
            (
                "INSERT INTO profile_categories (spending_profile_id, spending_category_id, rule_type)"
                " VALUES (101, 2, 'blocked')"
            ),
            "profile_categories_category_key",
        ),
        (
            (
                "INSERT INTO profile_categories (spending_profile_id, category_group, rule_type)"
                " VALUES (101, 'Airlines', 'allowed')"
            ),
            "profile_categories_group_key",
        ),
        (
            (
                "INSERT INTO profile_categories (spending_profile_id, category_group, rule_type)"
                " VALUES (999, 'Airlines', 'allowed')"
            ),
            "profile_categories_spending_profile_id_fkey",
        ),
    ],
    "account_settings": [
        ("UPDATE account_settings SET account_id = 99 WHERE id = 1", "account_settings_account_id_fkey"),
        (
            "INSERT INTO account_settings (account_id, key, value, value_type) VALUES (1, 'hold_days', '8', 'number')",
            "account_settings_account_id_key_key",
        ),
        # The registry's trigger comes first; what stands behind it must hold without it.
        (
            (
                f"{WITHOUT_REGISTRY};"
                " INSERT INTO account_settings (account_id, key, value_type) VALUES (1, 'own', 'date')"
            ),
            "account_settings_value_type_check",
        ),
        (
            f"{WITHOUT_REGISTRY}; UPDATE account_settings SET value_type = 'number' WHERE id = 1",
            "account_settings_value_check",
        ),
    ],
    "transactions": [
        ("UPDATE transactions SET kind = 'CLEARING'", "transactions_kind_check"),
        ("UPDATE transactions SET transaction_type = 'OTHER'", "transactions_transaction_type_check"),
        ("UPDATE transactions SET status = 'OPEN'", "transactions_status_check"),
        ("UPDATE transactions SET amount = -0.01", "transactions_amount_check"),
        (f"UPDATE transactions SET amount = {NAN}", "transactions_amount_check"),
        ("UPDATE transactions SET currency = 'eur'", "transactions_currency_check"),
        ("UPDATE transactions SET approved_minor = -1", "transactions_approved_minor_check"),
        ("UPDATE transactions SET held_minor = -1", "transactions_held_minor_check"),
        ("UPDATE transactions SET merchant_category_code = '12'", "transactions_merchant_category_code_check"),
        ("UPDATE transactions SET card_id = 9999", "transactions_card_id_fkey"),
        ("UPDATE transactions SET account_id = 2", "transactions_card_id_fkey"),
        ("UPDATE transactions SET user_id = 9999", "transactions_user_id_fkey"),
        ("UPDATE transactions SET explanation = NULL", "transactions_explanation_not_null"),
        ("UPDATE transactions SET request_id = NULL", "transactions_request_id_not_null"),
        ("UPDATE transactions SET config_version = NULL", "transactions_config_version_not_null"),
        ("INSERT INTO transactions SELECT * FROM transactions", "transactions_default_pkey"),
    ],
    "request_keys": [
        ("INSERT INTO request_keys SELECT * FROM request_keys", "request_keys_pkey"),
        ("UPDATE request_keys SET fingerprint = NULL", "request_keys_fingerprint_not_null"),
        ("UPDATE request_keys SET transaction_date = NULL", "request_keys_transaction_date_not_null"),
    ],
}

ALLOWED = {
    "an account may be overdrawn by a write that says so": "UPDATE accounts SET balance = -5, overdrawn = true",
    "an e-mail is free again after a soft delete": """
        UPDATE users SET deleted_at = now() WHERE id = 21;
        UPDATE users SET email = 'One@Second.example' WHERE id = 11
    """,
    "an owner's e-mail is free again after a soft delete": """
        UPDATE accounts SET deleted_at = now() WHERE id = 2;
        UPDATE accounts SET owner_email = 'owner@second.example' WHERE id = 1
    """,
    "a card token is free again after a soft delete": """
        UPDATE cards SET deleted_at = now() WHERE id = 2001;
        UPDATE cards SET lithic_card_token = 'card-2001' WHERE id = 1001
    """,
    "a profile name is free again after a soft delete": """
        UPDATE spending_profiles SET deleted_at = now() WHERE id = 102;
        INSERT INTO spending_profiles (account_id, name) VALUES (1, 'Unused')
    """,
    "a setting can be made again after a soft delete": """
        UPDATE account_settings SET deleted_at = now() WHERE id = 2;
        INSERT INTO account_settings (account_id, key, value, value_type) VALUES (1, 'hold_days', '3', 'number')
    """,
    "two accounts may use one profile name": "UPDATE spending_profiles SET name = 'Travel' WHERE id IN (101, 201)",
    "a category may be allowed and blocked at once": """
        INSERT INTO profile_categories (spending_profile_id, spending_category_id, rule_type) VALUES (101, 2, 'allowed')
    """,
    "a limit may stand without a duration": "UPDATE cards SET spend_limit_duration = NULL",
    "a duration may stand without a limit": "UPDATE cards SET spend_limit = NULL",
    "a limit may be zero": "UPDATE cards SET spend_limit = 0.00",
    "increments share the network's token": """
        INSERT INTO transactions (
            account_id, card_id, user_id, request_id, lithic_transaction_token, kind, transaction_type, status, amount,
            config_version, explanation, transaction_date
        )
        SELECT 1, 1001, 11, 'increment-' || i, 'same', 'AUTHORIZATION', 'AUTHORIZATION', 'PENDING', 1, 1, '[]', now()
        FROM generate_series(1, 2) AS i
    """,
    "an unknown card leaves a request key without a transaction": """
        INSERT INTO request_keys (request_id, fingerprint, transaction_date) VALUES ('unknown', '\\x02', now())
    """,
}


async def _refusal(connection: asyncpg.Connection, statement: str) -> str:
    """Name what refuses a statement; a NOT NULL without a name (before PostgreSQL 18) is named the way 18 does."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        await connection.execute(statement)
    except asyncpg.NotNullViolationError as error:
        return f"{error.table_name}_{error.column_name}_not_null".replace("_default_", "_")
    except asyncpg.IntegrityConstraintViolationError as error:
        return error.constraint_name or ""
    finally:
        await attempt.rollback()
    return "nothing"


@pytest.mark.parametrize("table", REFUSED)
async def test_a_write_that_breaks_a_constraint_is_refused_by_its_name(program: asyncpg.Connection, table: str) -> None:
    refusals = [(statement, constraint, await _refusal(program, statement)) for statement, constraint in REFUSED[table]]
    assert [case for case in refusals if not case[2].endswith(case[1])] == []


async def test_what_the_constraints_leave_free_is_accepted(program: asyncpg.Connection) -> None:
    outcomes = {name: await _refusal(program, statement) for name, statement in ALLOWED.items()}
    assert outcomes == dict.fromkeys(ALLOWED, "nothing")


async def test_a_value_that_a_column_cannot_hold_is_refused(program: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.NumericValueOutOfRangeError):
        await program.execute("UPDATE cards SET spend_limit = 100000000.00")
    with pytest.raises(asyncpg.StringDataRightTruncationError):
        await program.execute("UPDATE request_keys SET request_id = repeat('x', 129)")


async def test_a_new_row_has_the_documented_defaults(program: asyncpg.Connection) -> None:
    account = await program.fetchrow(
        "INSERT INTO accounts (business_name, owner_email) VALUES ('N', 'n@n.example') RETURNING *"
    )
    user = await program.fetchrow(
        "INSERT INTO users (account_id, email, first_name, last_name) VALUES (1, 'n@n.example', 'N', 'N') RETURNING *"
    )
    card = await program.fetchrow(
        "INSERT INTO cards (account_id, user_id, card_type) VALUES (1, 11, 'virtual') RETURNING *"
    )
    assert (account["status"], str(account["balance"]), account["currency"]) == ("active", "0.00", "USD")
    assert (account["config_version"], account["counter_epoch"], account["postings"]) == (1, 1, 0)
    assert (user["role"], user["status"]) == ("user", "active")
    assert (card["status"], card["spend_limit"], card["deleted_at"]) == ("pending", None, None)
    assert account["created_at"] == account["updated_at"] is not None
