"""Migrations and partitions."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import pytest

from authsvc.errors import StartupRefused
from authsvc.ledger import migrate, migrations
from authsvc.ledger.partitions import create_ahead
from tests.integration.conftest import until_waiting

REVISIONS = [f"{number:04}" for number in range(1, 14)]
TODAY = date(2026, 11, 30)
INSERT = """
    INSERT INTO transactions (
        account_id, card_id, user_id, request_id, kind, transaction_type, status, amount, held_minor, config_version,
        explanation, transaction_date
    )
    SELECT 1, 1001, 11, $1, 'AUTHORIZATION', 'AUTHORIZATION', 'PENDING', 1, 100, 1, '[]', $2
    RETURNING tableoid::regclass::TEXT
"""


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database without tables."""
    opened = await asyncpg.connect(empty_database_url)
    yield opened
    await opened.close()


async def test_a_second_upgrade_has_nothing_to_do(empty_database_url: str) -> None:
    assert await migrate.upgrade(empty_database_url) == REVISIONS
    assert await migrate.upgrade(empty_database_url) == []


async def test_two_starters_at_once_apply_each_revision_once(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrate.upgrade(empty_database_url) for _ in range(3)))
    assert sorted(applied) == [[], [], REVISIONS]


async def test_status_lists_every_revision_and_whether_it_is_applied(empty_database_url: str) -> None:
    before = await migrate.status(empty_database_url)
    await migrate.upgrade(empty_database_url)
    after = await migrate.status(empty_database_url)
    assert [(revision, applied) for revision, _, applied in before] == [(revision, False) for revision in REVISIONS]
    assert [(revision, applied) for revision, _, applied in after] == [(revision, True) for revision in REVISIONS]
    assert [title for _, title, _ in after] == [title for _, title, _ in before]
    assert all(title.endswith(".") for _, title, _ in after)


async def test_a_revision_that_fails_leaves_nothing_behind(empty: asyncpg.Connection, empty_database_url: str) -> None:
    await empty.execute("CREATE FUNCTION authsvc_keep_id() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'")
    with pytest.raises(asyncpg.DuplicateFunctionError):
        await migrate.upgrade(empty_database_url)
    status = await migrate.status(empty_database_url)
    assert [revision for revision, _, applied in status if applied] == ["0001"]
    assert await empty.fetchval("SELECT to_regproc('authsvc_touch_row')") is None
    await empty.execute("DROP FUNCTION authsvc_keep_id()")
    assert await migrate.upgrade(empty_database_url) == REVISIONS[1:]


async def test_a_database_of_a_newer_release_is_refused(empty: asyncpg.Connection, empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url)
    await empty.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StartupRefused, match="9999"):
        await migrate.upgrade(empty_database_url)


def test_every_revision_has_its_sql_beside_it() -> None:
    versions = Path(migrations.__file__).parent / "versions"
    modules = sorted(path.stem for path in versions.glob("v*.py"))
    assert modules == sorted(path.stem for path in versions.glob("*.sql"))
    assert [module[1:5] for module in modules] == REVISIONS


async def test_partitions_are_made_for_this_month_and_those_ahead(program: asyncpg.Connection) -> None:
    made = await create_ahead(program, 2, TODAY)
    assert made == ["transactions_2026_11", "transactions_2026_12", "transactions_2027_01"]
    assert await create_ahead(program, 2, TODAY) == []
    assert await create_ahead(program, 3, TODAY) == ["transactions_2027_02"]


async def test_a_row_lies_in_the_partition_of_its_utc_month(program: asyncpg.Connection) -> None:
    await program.execute("SET timezone = 'Pacific/Auckland'")
    await create_ahead(program, 0, TODAY)
    cases = [
        (datetime(2026, 10, 31, 23, 59, 59, 999_999, UTC), "transactions_default"),
        (datetime(2026, 11, 1, tzinfo=UTC), "transactions_2026_11"),
        (datetime(2026, 11, 30, 23, 59, 59, 999_999, UTC), "transactions_2026_11"),
        (datetime(2026, 12, 1, tzinfo=UTC), "transactions_default"),
    ]
    found = [await program.fetchval(INSERT, f"r-{moment}", moment) for moment, _ in cases]
    assert found == [partition for _, partition in cases]


async def test_rows_of_the_default_partition_move_into_the_new_one(program: asyncpg.Connection) -> None:
    before = await program.fetch("SELECT * FROM transactions ORDER BY id")
    assert await create_ahead(program, 0, date(2026, 3, 1)) == ["transactions_2026_03"]
    assert await program.fetch("SELECT * FROM transactions_2026_03 ORDER BY id") == before
    assert await program.fetchval("SELECT count(*) FROM transactions_default") == 0


async def test_a_new_partition_keeps_ids_triggers_and_foreign_keys(program: asyncpg.Connection) -> None:
    await create_ahead(program, 0, TODAY)
    moment = datetime(2026, 11, 2, tzinfo=UTC)
    assert await program.fetchval(INSERT, "r", moment) == "transactions_2026_11"
    touched = await program.fetchrow(
        "UPDATE transactions SET updated_at = '2000-01-01Z' WHERE request_id = 'r'"
        " RETURNING id, updated_at = now() AS kept"
    )
    assert (touched["id"] > 10000, touched["kept"]) == (True, True)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await program.execute("UPDATE transactions SET card_id = 1 WHERE request_id = 'r'")
    # PostgreSQL 18 tells a restriction from other violations of a foreign key, older ones do not.
    with pytest.raises((asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError)):
        await program.execute("DELETE FROM cards WHERE id = 1001")


async def test_two_makers_of_one_partition_do_not_collide(program: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as two:
        made = await asyncio.gather(create_ahead(one, 1, TODAY), create_ahead(two, 1, TODAY))
    assert sorted([*made[0], *made[1]]) == ["transactions_2026_11", "transactions_2026_12"]


async def test_an_insert_waits_for_the_partition_that_is_being_made_and_lands_in_it(
    program: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as inserter, pool.acquire() as watcher:
        making = program.transaction()
        await making.start()
        await create_ahead(program, 0, TODAY)
        insert = asyncio.create_task(inserter.fetchval(INSERT, "r", datetime(2026, 11, 2, tzinfo=UTC)))
        await until_waiting(watcher, inserter)
        await making.commit()
        assert await insert == "transactions_2026_11"


async def test_a_negative_number_of_months_is_refused(program: asyncpg.Connection) -> None:
    with pytest.raises(ValueError, match="-1"):
        await create_ahead(program, -1, TODAY)
