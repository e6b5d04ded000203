"""Rules that triggers keep: life cycles, MCC lists, known settings, deleted profiles, updated_at."""

import asyncio

import asyncpg
import pytest

from tests.integration.conftest import until_waiting

STATUSES = ("pending", "active", "inactive", "closed")
STATUS_CHANGES_ALLOWED = {
    ("pending", "active"),
    ("pending", "inactive"),
    ("pending", "closed"),
    ("active", "inactive"),
    ("active", "closed"),
    ("inactive", "active"),
    ("inactive", "closed"),
}

MCC_LISTS_REFUSED = [
    ('["581"]', '"581"'),
    ('["5812", "58123"]', '"58123"'),
    ('["5812", "3299-3000"]', '"3299-3000"'),
    ('["3000 - 3299"]', '"3000 - 3299"'),
    ('["3000-"]', '"3000-"'),
    ('["3000-3299-3300"]', '"3000-3299-3300"'),
    ('["5812\\n"]', '"5812\\n"'),
    ('["\u0661\u0662\u0663\u0664"]', '"\u0661\u0662\u0663\u0664"'),
    ("[5812]", "5812"),
    ("[null]", "null"),
    ('[["5812"]]', '["5812"]'),
    ('{"5812": true}', '{"5812": true}'),
    ('"5812"', '"5812"'),
    ("null", "null"),
]

SETTINGS_REFUSED = [
    ("timezone", '"Mars/Olympus"', "string"),
    ("timezone", '"america/new_york"', "string"),
    ("timezone", '"posix/UTC"', "string"),
    ("timezone", '"UTC+3"', "string"),
    ("timezone", '""', "string"),
    ("timezone", "3", "number"),
    ("timezone", None, "string"),
    ("balance_check", '"maybe"', "string"),
    ("balance_check", "false", "boolean"),
    ("balance_check", '"off"', "json"),
    ("refund_policy", '"always"', "string"),
    ("hold_days", "0", "number"),
    ("hold_days", "31", "number"),
    ("hold_days", "2.5", "number"),
    ("hold_days", '"7"', "string"),
    ("hold_days", None, "number"),
    ("hold_days", "7", "json"),
]

SETTINGS_ALLOWED = [
    ("timezone", '"UTC"', "string"),
    ("timezone", '"Asia/Kolkata"', "string"),
    ("balance_check", '"on"', "string"),
    ("balance_check", '"off"', "string"),
    ("refund_policy", '"restore_lifetime"', "string"),
    ("refund_policy", '"never"', "string"),
    ("refund_policy", '"restore_window"', "string"),
    ("hold_days", "1", "number"),
    ("hold_days", "30", "number"),
]

PUT_SETTING = """
    INSERT INTO account_settings (account_id, key, value, value_type) VALUES (3, $1, $2, $3)
    ON CONFLICT (account_id, key) WHERE deleted_at IS NULL DO UPDATE SET value = excluded.value
"""


async def test_a_card_never_leaves_closed_and_never_returns_to_pending(program: asyncpg.Connection) -> None:
    for old in STATUSES:
        for new in STATUSES:
            card_id = await program.fetchval(
                "INSERT INTO cards (account_id, user_id, card_type, status) VALUES (1, 11, 'virtual', $1) RETURNING id",
                old,
            )
            changing = program.execute("UPDATE cards SET status = $2 WHERE id = $1", card_id, new)
            if old == new or (old, new) in STATUS_CHANGES_ALLOWED:
                assert await changing == "UPDATE 1"
            else:
                with pytest.raises(asyncpg.CheckViolationError) as refusal:
                    await changing
                assert refusal.value.constraint_name == "cards_status_transition"


@pytest.mark.parametrize("column", ["allowed_categories", "blocked_categories"])
async def test_a_malformed_mcc_list_is_refused_with_the_entry_named(program: asyncpg.Connection, column: str) -> None:
    for written, named in MCC_LISTS_REFUSED:
        for statement in (
            f"UPDATE spending_profiles SET {column} = $1 WHERE id = 101",
            f"INSERT INTO spending_profiles (account_id, name, {column}) VALUES (1, 'New', $1)",
        ):
            with pytest.raises(asyncpg.CheckViolationError) as refusal:
                await program.execute(statement, written)
            assert refusal.value.constraint_name == f"spending_profiles_{column}_check"
            assert column in str(refusal.value)
            assert named in str(refusal.value)


async def test_a_well_formed_mcc_list_is_accepted(program: asyncpg.Connection) -> None:
    for written in ("[]", None, '["0000"]', '["0000-9999", "5812"]', '["5812-5812"]'):
        stored = await program.fetchval(
            "UPDATE spending_profiles SET allowed_categories = $1 WHERE id = 101 RETURNING allowed_categories", written
        )
        assert stored == written


async def test_a_known_setting_with_a_wrong_value_is_refused(program: asyncpg.Connection) -> None:
    for key, value, value_type in SETTINGS_REFUSED:
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await program.execute(PUT_SETTING, key, value, value_type)
        assert refusal.value.constraint_name == f"account_settings_{key}_check"
        assert key in str(refusal.value)


async def test_every_documented_value_of_a_known_setting_is_accepted(program: asyncpg.Connection) -> None:
    for key, value, value_type in SETTINGS_ALLOWED:
        assert await program.execute(PUT_SETTING, key, value, value_type) == "INSERT 0 1"


async def test_a_profile_that_live_cards_use_cannot_be_soft_deleted(program: asyncpg.Connection) -> None:
    delete = "UPDATE spending_profiles SET deleted_at = now() WHERE id = 101"
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await program.execute(delete)
    assert refusal.value.constraint_name == "spending_profiles_in_use"
    await program.execute("UPDATE cards SET status = 'closed' WHERE id = 1001")
    assert await program.execute(delete) == "UPDATE 1"


async def test_a_live_card_cannot_take_a_deleted_profile(program: asyncpg.Connection) -> None:
    await program.execute("UPDATE spending_profiles SET deleted_at = now() WHERE id = 102")
    for statement in (
        "UPDATE cards SET spending_profile_id = 102 WHERE id = 1001",
        "INSERT INTO cards (account_id, user_id, card_type, spending_profile_id) VALUES (1, 11, 'virtual', 102)",
    ):
        with pytest.raises(asyncpg.ForeignKeyViolationError) as refusal:
            await program.execute(statement)
        assert refusal.value.constraint_name == "cards_spending_profile_live"


async def test_a_soft_delete_of_a_profile_waits_for_a_card_that_is_taking_it(
    program: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as other:
        taking = program.transaction()
        await taking.start()
        await program.execute("UPDATE cards SET spending_profile_id = 102 WHERE id = 1001")
        deleting = asyncio.create_task(other.execute("UPDATE spending_profiles SET deleted_at = now() WHERE id = 102"))
        await until_waiting(program, other)
        await taking.commit()
        with pytest.raises(asyncpg.RestrictViolationError):
            await deleting


async def test_updated_at_is_kept_by_the_database(program: asyncpg.Connection) -> None:
    for table in (
        "accounts",
        "users",
        "spending_profiles",
        "cards",
        "spending_categories",
        "profile_categories",
        "account_settings",
        "transactions",
    ):
        row = await program.fetchrow(
            f"UPDATE {table} SET updated_at = '2000-01-01Z' WHERE id = (SELECT min(id) FROM {table})"
            " RETURNING updated_at = now() AS kept, created_at < now() AS later"
        )
        assert (table, row["kept"], row["later"]) == (table, True, True)


async def test_the_overdrawn_flag_ends_with_the_overdraft(program: asyncpg.Connection) -> None:
    state = "RETURNING balance < 0, overdrawn"
    forced = await program.fetchrow(f"UPDATE accounts SET balance = -5, overdrawn = true WHERE id = 1 {state}")
    partly = await program.fetchrow(f"UPDATE accounts SET balance = -2 WHERE id = 1 {state}")
    funded = await program.fetchrow(f"UPDATE accounts SET balance = 50 WHERE id = 1 {state}")
    assert [tuple(forced), tuple(partly), tuple(funded)] == [(True, True), (True, True), (False, False)]
    with pytest.raises(asyncpg.CheckViolationError):
        await program.execute("UPDATE accounts SET balance = -1 WHERE id = 1")


async def test_versions_never_go_back(program: asyncpg.Connection) -> None:
    for column in ("config_version", "counter_epoch"):
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await program.execute(f"UPDATE accounts SET {column} = {column} - 1 WHERE id = 1")
        assert refusal.value.constraint_name == "accounts_versions_monotonic"


@pytest.mark.parametrize(
    ("delete", "constraint"),
    [
        ("UPDATE cards SET spending_profile_id = NULL; DELETE FROM cards WHERE id = 1001", "transactions_card_id_fkey"),
        ("DELETE FROM cards WHERE id = 1001; DELETE FROM users WHERE id = 11", "transactions_card_id_fkey"),
        (
            "UPDATE cards SET user_id = 12 WHERE user_id = 11; DELETE FROM users WHERE id = 11",
            "transactions_user_id_fkey",
        ),
    ],
)
async def test_whoever_has_transactions_cannot_be_deleted(
    program: asyncpg.Connection, delete: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        await program.execute(delete)
    assert refused.value.constraint_name == constraint


async def test_a_card_without_transactions_can_be_deleted(program: asyncpg.Connection) -> None:
    assert await program.execute("DELETE FROM cards WHERE id = 1003") == "DELETE 1"
