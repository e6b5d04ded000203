"""`authsvc retention`: what is archived, what is kept, and that no counter changes by it."""

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from authsvc.cli import run
from authsvc.errors import StartupRefused
from authsvc.ledger import migrate, retention
from authsvc.ledger.doctor import open_chart
from authsvc.settings import PREFIX
from rules.reasons import Level
from rules.types import Counter
from tests.programs import Card, add_account, add_card, add_profile

GUIDE = Path(__file__).parents[2] / "docs" / "operating.md"
LONG_AGO = datetime(2018, 3, 10, 12, tzinfo=UTC)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
CLOSED_AT = "SELECT closed_at FROM cards WHERE id = $1"
NEVER_REPEATED = datetime(2100, 1, 1, tzinfo=UTC)
Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def march(connection: asyncpg.Connection) -> asyncpg.Connection:
    """The connection, to a database with a partition of March 2018."""
    await connection.execute("SELECT authsvc_create_partition('2018-03-01')")
    return connection


@pytest.fixture
def call(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs the command, and reads its report."""
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", database_url)
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", "redis://unused")

    async def command(*arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["authsvc", "retention", "--json", *arguments])
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(run)
        assert not ended.value.code
        return json.loads(capsys.readouterr().out)

    return command


async def spend(connection: asyncpg.Connection, card: Card, minor: int, profile_id: int | None = None) -> None:
    """A settled purchase of long ago."""
    await connection.execute(
        "INSERT INTO transactions (account_id, card_id, user_id, spending_profile_id, request_id, kind, transaction_type,"
        " status, amount, approved_minor, settled_minor, config_version, explanation, transaction_date)"
        " VALUES ($1, $2, $3, $4, gen_random_uuid()::text, 'AUTHORIZATION', 'AUTHORIZATION', 'SETTLED', 1, $5, $5, 1, '[]', $6)",
        card.account_id,
        card.id,
        card.user_id,
        profile_id,
        minor,
        LONG_AGO,
    )


async def close(connection: asyncpg.Connection, card: Card) -> None:
    await connection.execute("UPDATE cards SET status = 'closed' WHERE id = $1", card.id)


async def used(database_url: str, account_id: int, *counters: Counter) -> list[int]:
    """What the ledger says that these counters are."""
    async with open_chart(database_url, record_ttl_ms=1_000) as (_, ledger):
        return (await ledger.load(account_id, counters)).used_minor


def lifetime(level: Level, entity_id: int) -> Counter:
    return Counter(f"{level}{entity_id}", level, entity_id, None, None)


async def tables(connection: asyncpg.Connection, schema: str) -> list[str]:
    query = "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1)::oid AND relname LIKE '%2018%' AND relkind = 'r'"
    return [row[0] for row in await connection.fetch(query, schema)]


async def test_a_partition_that_no_limit_can_count_is_archived_and_no_counter_changes(
    march: asyncpg.Connection, database_url: str, call: Call
) -> None:
    account_id = await add_account(march)
    profile_id = await add_profile(march, account_id, "900.00", "lifetime")
    closed = await add_card(march, account_id, "500.00", "lifetime", profile_id)
    living = await add_card(march, account_id, "500.00", "lifetime")
    await spend(march, living, 1_200)
    await march.execute("UPDATE transactions SET transaction_date = now() - interval '1 day'")
    await spend(march, closed, 3_400, profile_id)
    await close(march, closed)
    dry = await call()
    assert (dry["archived_partitions"], await tables(march, "public")) == (
        ["transactions_2018_03"],
        ["transactions_2018_03"],
    )
    done = await call("--yes")
    assert (done["archived_partitions"], done["kept_partitions"]) == (["transactions_2018_03"], [])
    assert (await tables(march, "public"), await tables(march, "archive")) == ([], ["transactions_2018_03"])
    assert await march.fetchval("SELECT sum(settled_minor) FROM archive.transactions_2018_03") == 3_400
    assert await march.fetchval("SELECT sum(settled_minor) FROM transactions") == 1_200
    assert await used(database_url, account_id, lifetime(Level.CARD, living.id)) == [1_200]
    assert await retention.missed(march) == []
    assert (await call("--yes"))["archived_partitions"] == []


async def test_a_card_that_is_not_closed_keeps_its_spending_whatever_limit_it_has(
    march: asyncpg.Connection, database_url: str, call: Call
) -> None:
    account_id = await add_account(march)
    card = await add_card(march, account_id, "500.00", "daily")
    await spend(march, card, 1_200)
    await march.execute("UPDATE cards SET status = 'inactive'")
    report = await call("--yes")
    assert report["kept_partitions"] == [{"name": "transactions_2018_03", "kept_for": "1 cards that are not closed"}]
    assert await used(database_url, account_id, lifetime(Level.CARD, card.id)) == [1_200]


async def test_a_shared_profile_keeps_the_spending_of_its_closed_cards(
    march: asyncpg.Connection, database_url: str, call: Call
) -> None:
    account_id = await add_account(march)
    profile_id = await add_profile(march, account_id, "900.00", "monthly", "shared")
    card = await add_card(march, account_id, None, None, profile_id)
    await spend(march, card, 1_200, profile_id)
    await close(march, card)
    report = await call("--yes")
    assert report["kept_partitions"][0]["kept_for"] == "1 shared profiles"
    assert await used(database_url, account_id, lifetime(Level.PROFILE, profile_id)) == [1_200]


async def test_a_hold_and_a_request_that_may_be_repeated_keep_a_partition(
    march: asyncpg.Connection, call: Call
) -> None:
    card = await add_card(march, await add_account(march))
    await spend(march, card, 1_200)
    await close(march, card)
    await march.execute("UPDATE transactions SET held_minor = 5")
    assert (await call("--yes"))["kept_partitions"][0]["kept_for"] == "1 open holds"
    await march.execute("UPDATE transactions SET held_minor = 0")
    await march.execute(
        "INSERT INTO request_keys (request_id, fingerprint, transaction_id, transaction_date)"
        " SELECT request_id, '', id, transaction_date FROM transactions"
    )
    assert (await call("--yes"))["kept_partitions"][0]["kept_for"] == "1 requests that may be repeated"
    await march.execute("UPDATE request_keys SET created_at = now() - interval '500 days'")
    report = await call("--yes")
    assert (report["purged_request_keys"], report["archived_partitions"]) == (1, ["transactions_2018_03"])


async def test_a_partition_that_somebody_reads_is_left_for_the_next_night(
    march: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as reader, reader.transaction():
        await reader.execute("SELECT FROM transactions LIMIT 1")
        reason = await retention.archive(march, "transactions_2018_03", NEVER_REPEATED)
    assert "running statements hold the table" in reason
    assert await tables(march, "public") == ["transactions_2018_03"]
    assert await retention.archive(march, "transactions_2018_03", NEVER_REPEATED) == ""


async def test_a_profile_that_becomes_shared_after_its_spending_was_archived_is_noticed_and_the_guide_brings_it_back(
    march: asyncpg.Connection, database_url: str
) -> None:
    account_id = await add_account(march)
    profile_id = await add_profile(march, account_id, "900.00", "lifetime")
    card = await add_card(march, account_id, None, None, profile_id)
    await spend(march, card, 1_200, profile_id)
    await close(march, card)
    assert await retention.archive(march, "transactions_2018_03", NEVER_REPEATED) == ""
    await march.execute("UPDATE spending_profiles SET limit_scope = 'shared'")
    assert await retention.missed(march) == ["transactions_2018_03"]
    assert await used(database_url, account_id, lifetime(Level.PROFILE, profile_id)) == [0]
    (guide,) = re.findall(r"^    BEGIN;\n.*?COMMIT;$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    await march.execute(guide)
    assert await retention.missed(march) == []
    assert await used(database_url, account_id, lifetime(Level.PROFILE, profile_id)) == [1_200]


async def test_nothing_is_archived_by_whom_row_security_hides_cards_from(march: asyncpg.Connection) -> None:
    card = await add_card(march, await add_account(march))
    await spend(march, card, 1_200)
    await march.execute(
        "CREATE ROLE half_blind; GRANT SELECT ON ALL TABLES IN SCHEMA public TO half_blind; SET ROLE half_blind"
    )
    try:
        (kept,) = await retention.old_partitions(march, date(2018, 4, 1), NEVER_REPEATED)
        await march.execute("RESET ROLE; GRANT authsvc_engine TO half_blind; SET ROLE half_blind")
        (seen,) = await retention.old_partitions(march, date(2018, 4, 1), NEVER_REPEATED)
    finally:
        await march.execute("RESET ROLE; DROP OWNED BY half_blind; DROP ROLE half_blind")
    assert "cards" in kept.kept_for and kept.kept_for.endswith("that this database user may not see")
    assert seen.kept_for == "1 cards that are not closed"


async def test_a_user_who_does_not_own_the_tables_is_told_so(database_url: str, march: asyncpg.Connection) -> None:
    await march.execute("CREATE ROLE stranger LOGIN")
    try:
        with pytest.raises(StartupRefused, match="owner of the tables"):
            async with retention.keeper(database_url.replace("postgres@", "stranger@")) as connection:
                await retention.purgeable_keys(connection, LONG_AGO)
    finally:
        await march.execute("DROP ROLE stranger")


async def test_recent_months_are_not_looked_at(march: asyncpg.Connection) -> None:
    assert await retention.old_partitions(march, date(2018, 4, 1), NEVER_REPEATED) == [("transactions_2018_03", "")]
    assert await retention.old_partitions(march, date(2018, 3, 31), NEVER_REPEATED) == []


async def test_cards_closed_long_ago_are_archived_and_those_that_may_still_move_stay(
    connection: asyncpg.Connection, call: Call
) -> None:
    account_id = await add_account(connection)
    old, held, recent, living = [await add_card(connection, account_id) for _ in range(4)]
    for card in (old, held, recent):
        await close(connection, card)
    await spend(connection, held, 100)
    await connection.execute("UPDATE transactions SET held_minor = 100, settled_minor = 0")
    await connection.execute("ALTER TABLE cards DISABLE TRIGGER cards_keep_closed_at")
    await connection.execute(
        "UPDATE cards SET closed_at = now() - interval '8 years' WHERE id = ANY ($1)", [old.id, held.id]
    )
    await connection.execute("ALTER TABLE cards ENABLE TRIGGER cards_keep_closed_at")
    assert (await call())["archived_cards"] == 1
    assert await connection.fetchval("SELECT count(*) FROM cards WHERE deleted_at IS NOT NULL") == 0
    assert (await call("--yes"))["archived_cards"] == 1
    assert [row[0] for row in await connection.fetch("SELECT id FROM cards WHERE deleted_at IS NULL ORDER BY id")] == [
        held.id,
        recent.id,
        living.id,
    ]


async def test_a_card_remembers_when_it_was_closed_for_good(connection: asyncpg.Connection) -> None:
    card = await add_card(connection, await add_account(connection))
    assert await connection.fetchval(CLOSED_AT, card.id) is None
    with pytest.raises(asyncpg.CheckViolationError, match="cards_closed_at_check"):
        await connection.execute("UPDATE cards SET closed_at = now()")
    closed_at = await connection.fetchval(
        "UPDATE cards SET status = 'closed', closed_at = '2001-01-01' RETURNING closed_at"
    )
    assert closed_at > YESTERDAY
    await connection.execute("UPDATE cards SET last_four = '0001', status = 'closed'")
    assert await connection.fetchval(CLOSED_AT, card.id) == closed_at
    for change in ("NULL", "now() - interval '8 years'"):
        with pytest.raises(asyncpg.CheckViolationError, match="never changes"):
            await connection.execute(f"UPDATE cards SET closed_at = {change}")


async def test_a_card_that_comes_closed_may_bring_the_time_and_else_has_it_from_now_on(
    connection: asyncpg.Connection,
) -> None:
    account_id = await add_account(connection)
    card = await add_card(connection, account_id)
    insert = (
        "INSERT INTO cards (account_id, user_id, card_type, status, closed_at) VALUES ($1, $2, 'debit', $3, $4)"
        " RETURNING closed_at"
    )
    assert await connection.fetchval(insert, account_id, card.user_id, "closed", LONG_AGO) == LONG_AGO
    assert await connection.fetchval(insert, account_id, card.user_id, "closed", None) > YESTERDAY
    with pytest.raises(asyncpg.CheckViolationError, match="cards_closed_at_check"):
        await connection.execute(insert, account_id, card.user_id, "active", LONG_AGO)


async def test_cards_closed_before_the_revision_have_their_last_change_and_nothing_else_moves(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await migrate.downgrade(database_url, "0012")
    card = await add_card(connection, await add_account(connection))
    await connection.execute("UPDATE cards SET status = 'closed'")
    look = "SELECT c.updated_at, c.row_version, a.config_version, (SELECT count(*) FROM audit_logs) FROM cards c, accounts a"
    before = tuple(await connection.fetchrow(look))
    await migrate.upgrade(database_url)
    assert tuple(await connection.fetchrow(look)) == before
    assert await connection.fetchval(CLOSED_AT, card.id) == before[0]


async def test_unused_accounts_are_listed_as_due_for_notice_and_left_alone(
    connection: asyncpg.Connection, call: Call
) -> None:
    quiet = await add_account(connection)
    await connection.execute(
        "SET session_replication_role = replica; UPDATE accounts SET created_at = '2018-03-10';"
        " UPDATE audit_logs SET created_at = '2018-03-10'; SET session_replication_role = origin"
    )
    busy = await add_account(connection)
    assert [one["id"] for one in (await call("--yes"))["accounts_due_for_notice"]] == [quiet]
    assert (await call("--yes", "--accounts-days", "36500"))["accounts_due_for_notice"] == []
    live = "SELECT id FROM accounts WHERE deleted_at IS NULL AND closing_notice_at IS NULL ORDER BY id"
    assert [row[0] for row in await connection.fetch(live)] == [quiet, busy]


async def test_a_dry_run_changes_nothing_and_a_run_makes_partitions_and_purges(
    connection: asyncpg.Connection, call: Call
) -> None:
    now = datetime.now(UTC)
    for number, days in enumerate((10, 450)):
        await connection.execute(
            "INSERT INTO request_keys (request_id, fingerprint, transaction_date, created_at) VALUES ($1, '', $2, $2)",
            f"request-{number}",
            now - timedelta(days=days),
        )
        for status in ("processed", "failed"):
            await connection.execute(
                "INSERT INTO webhooks (webhook_id, event_type, payload, status, sent_at, received_at, next_attempt_at,"
                " processed_at, error_message)"
                " VALUES ($1, 'card.updated', '{}', $2::text, $3::timestamptz, $3, $3, CASE $2::text WHEN 'processed' THEN $3::timestamptz END,"
                " CASE $2::text WHEN 'failed' THEN 'x' END)",
                f"msg-{number}-{status}",
                status,
                now - timedelta(days=days),
            )
    wanted = {"purged_webhooks": 1, "purged_request_keys": 1}
    dry, done, again = await call(), await call("--yes"), await call("--yes")
    assert wanted.items() <= dry.items()
    assert wanted.items() <= done.items()
    assert len(dry["created_partitions"]) == 4 and dry["created_partitions"] == done["created_partitions"]
    assert (dry["done"], done["done"], again["purged_webhooks"], again["created_partitions"]) == (False, True, 0, [])
    assert await connection.fetchval("SELECT count(*) FROM webhooks") == 3
    assert await connection.fetchval("SELECT request_id FROM request_keys") == "request-0"
