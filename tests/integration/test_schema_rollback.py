"""The way back: every revision down and up again, with data in place; what is refused; the command."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest

from authsvc.cli import run
from authsvc.errors import NotPossible
from authsvc.ledger import migrate
from authsvc.settings import PREFIX
from tests.integration.conftest import PROGRAM_SQL

# Rows for the tables that a revision brings, put in as soon as they are there. They change no row of an older table.
ROWS = {
    "0001": PROGRAM_SQL,
    "0005": """
        INSERT INTO transaction_events (
            event_id, fingerprint, account_id, transaction_id, transaction_date, kind, amount_minor, occurred_at,
            status_after, held_after_minor, settled_after_minor, credited_after_minor
        ) VALUES (
            'clearing', '\\x01', 1, 1, '2026-03-15 12:00:00Z', 'CLEARING', 400, '2026-03-16 12:00:00Z', 'SETTLED', 0, 400, 0
        )
    """,
    "0006": """
        INSERT INTO webhooks (webhook_id, event_type, payload, sent_at, received_at, next_attempt_at)
        VALUES ('msg_1', 'card.updated', '{}', now(), now(), now())
    """,
    "0007": """
        INSERT INTO overtaken_decisions (transaction_id) VALUES (1);
        INSERT INTO balance_adjustments (
            adjustment_id, fingerprint, account_id, kind, amount_minor, currency, reason, balance_after_minor,
            held_after_minor
        ) VALUES ('wire', '\\x01', 1, 'FUNDING', 100000, 'USD', 'a wire', 100000, 1000)
    """,
    "0008": """
        INSERT INTO card_products (id, account_id, name, card_type, default_spending_profile_id)
        VALUES (1, 1, 'Travel', 'virtual', 101);
        INSERT INTO addresses (account_id, addressable_type, addressable_id, address_type, street_line1, city, country)
        VALUES (1, 'user', 11, 'billing', '1 Way', 'Nowhere', 'US')
    """,
    # A row that comes and goes leaves nothing but its entries in the audit.
    "0009": """
        INSERT INTO card_products (id, account_id, name, card_type) VALUES (9, 1, 'Passing', 'virtual');
        DELETE FROM card_products WHERE id = 9
    """,
    "0010": """
        INSERT INTO api_keys (name, prefix, key_hash, scopes, created_at, expires_at)
        VALUES ('bridge', 'a1b2c3d4', sha256('key'), '{authorize}', now(), now() + interval '1 year');
        INSERT INTO refresh_tokens (token_hash, family_id, account_id, user_id, created_at, expires_at)
        VALUES (sha256('token'), gen_random_uuid(), 1, 11, now(), now() + interval '1 day')
    """,
    # Nobody's edit: it raises no version of the row.
    "0012": """
        SET session_replication_role = replica;
        UPDATE users SET phone = '+14155550100', date_of_birth = '1990-02-03', tax_id = '12-3456789' WHERE id = 11;
        UPDATE accounts SET tax_id = '98-7654321' WHERE id = 1;
        SET session_replication_role = origin
    """,
    "0013": """
        SET session_replication_role = replica;
        UPDATE accounts SET closing_notice_at = now() WHERE id = 1;
        SET session_replication_role = origin
    """,
}

# What makes up a schema, in lines that do not depend on the order in which columns were added.
SCHEMA_SQL = """
SELECT format('table %s %s %s rls=%s,%s', c.relname, c.relkind, c.reloptions, c.relrowsecurity, c.relforcerowsecurity)
FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT format(
    'column %s.%s %s null=%s %s generated=%s identity=%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attgenerated, a.attidentity
) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
    AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT pg_get_indexdef(i.indexrelid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT format('%s enabled=%s', pg_get_triggerdef(t.oid), t.tgenabled)
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
UNION ALL SELECT format(
    'policy %s.%s %s %s %s %s %s', tablename, policyname, permissive, roles, cmd, qual, with_check
) FROM pg_policies WHERE schemaname = 'public'
UNION ALL SELECT format('grant on %s: %s', c.relname, g) FROM pg_class AS c
CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault(
    CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::"char", c.relowner
))) AS g WHERE c.relnamespace = 'public'::regnamespace
    AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
UNION ALL SELECT format('grant on %s: %s', p.proname, g) FROM pg_proc AS p
CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS g
WHERE p.pronamespace = 'public'::regnamespace
UNION ALL SELECT format('grant on column %s.%s: %s', attrelid::regclass, attname, g)
FROM pg_attribute CROSS JOIN LATERAL aclexplode(attacl) AS g
WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
UNION ALL SELECT format('extension %s', extname) FROM pg_extension
"""
TABLES_SQL = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
AND NOT relispartition AND relname <> 'alembic_version' ORDER BY relname
"""

Rows = dict[str, list[str]]


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database without tables, that keeps no plan from one schema to the next."""
    opened = await asyncpg.connect(empty_database_url, statement_cache_size=0)
    yield opened
    await opened.close()


async def _schema(connection: asyncpg.Connection) -> set[str]:
    # Alembic's own table comes with the first revision and stays.
    return {line for (line,) in await connection.fetch(SCHEMA_SQL) if "alembic_version" not in line}


async def _rows(connection: asyncpg.Connection) -> Rows:
    tables = [name for (name,) in await connection.fetch(TABLES_SQL)]
    return {
        name: [row for (row,) in await connection.fetch(f'SELECT to_jsonb(t)::TEXT FROM "{name}" AS t ORDER BY 1')]
        for name in tables
    }


def _differences(before: Rows, after: Rows) -> list[str]:
    """Tables whose rows are not as before. What was written down in the audit logs meanwhile stays there."""
    same = {name for name, rows in before.items() if after.get(name) == rows}
    grown = {"audit_logs"} if {*before.get("audit_logs", ())} <= {*after.get("audit_logs", ())} else set()
    return sorted((before.keys() | after.keys()) - same - grown - {"audit_chains"})


async def test_every_revision_goes_down_and_up_again_with_data_in_place(
    empty: asyncpg.Connection, empty_database_url: str
) -> None:
    revisions = [revision for revision, _, _ in await migrate.status(empty_database_url)]
    below = migrate.BASE
    for revision in revisions:
        schema_below, rows_below = await _schema(empty), await _rows(empty)
        assert await migrate.upgrade(empty_database_url, revision) == [revision]
        schema, fresh = await _schema(empty), await _rows(empty)
        await empty.execute(ROWS.get(revision, "SELECT"))
        assert (await _rows(empty) != fresh) == (revision in ROWS)

        assert await migrate.downgrade(empty_database_url, below) == [revision]
        assert await _schema(empty) ^ schema_below == set(), f"{revision} down"
        assert _differences(rows_below, await _rows(empty)) == [], f"{revision} down"

        assert await migrate.upgrade(empty_database_url, revision) == [revision]
        assert await _schema(empty) ^ schema == set(), f"{revision} up again"
        assert _differences(fresh, await _rows(empty)) == [], f"{revision} up again"
        await empty.execute(ROWS.get(revision, "SELECT"))
        below = revision

    assert await migrate.downgrade(empty_database_url, migrate.BASE) == revisions[::-1]
    assert await _rows(empty) == {}


async def test_a_message_that_the_older_schema_does_not_know_holds_the_schema_back(
    program: asyncpg.Connection, database_url: str
) -> None:
    message = ROWS["0005"].replace("'CLEARING'", "'FINANCIAL_AUTHORIZATION_ADVICE'")
    await program.execute(message)
    before = await program.fetch("SELECT * FROM transaction_events")
    with pytest.raises(NotPossible, match="transaction_events_kind_check"):
        await migrate.downgrade(database_url, "0006")
    applied = [revision for revision, _, done in await migrate.status(database_url) if done]
    assert applied[-1] == "0007"
    assert await program.fetch("SELECT * FROM transaction_events") == before


async def test_only_a_revision_that_the_database_has_can_be_gone_back_to(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url, "0002")
    for revision in ("0003", "head", "0001_tables"):
        with pytest.raises(NotPossible, match=revision):
            await migrate.downgrade(empty_database_url, revision)
    assert await migrate.downgrade(empty_database_url, "0002") == []


async def test_every_revision_tells_what_goes_with_it(database_url: str) -> None:
    revisions = [revision for revision, _, _ in await migrate.status(database_url)]
    losses = await migrate.losses(database_url, migrate.BASE)
    assert [revision for revision, _ in losses] == revisions[::-1]
    assert [what for _, what in losses if not what.endswith(".")] == []


def test_the_command_says_what_goes_and_asks_before_it_does_it(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", empty_database_url)
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", "redis://127.0.0.1:1")
    asyncio.run(migrate.upgrade(empty_database_url, "0002"))

    def call(*options: str, said: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["authsvc", "db", "rollback", *options])
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        with pytest.raises(SystemExit) as ended:
            run()
        said_back = capsys.readouterr()
        return int(ended.value.code or 0), said_back.out.strip(), said_back.err

    code, out, err = call("0001", said="n\n")
    assert (code, out) == (1, "")
    assert "0002  Drop the guards; no data goes." in err
    assert call("0001", said="y\n")[:2] == (0, "taken back 0002")
    assert call("0001", "--json")[:2] == (0, '{\n  "taken_back": []\n}')
    assert call("base", "--yes")[:2] == (0, "taken back 0001")
    assert call("0001", "--yes")[0] == 1
