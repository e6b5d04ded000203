"""The index of every hot query, pinned. The planner is left alone: the data alone must make it choose the index."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from authsvc.embedded import Servers
from authsvc.ledger.history import STATEMENTS, page_query, sums_query
from authsvc.ledger.partitions import create_ahead
from authsvc.ledger.queries import EVENTS_SQL, SQL
from authsvc.ledger.store import FIELD_SEPARATOR, ROW_SEPARATOR
from loader.source import BY_TOKEN

# 100 accounts of 20 cards each, 40,000 transactions over four months; each table has rows enough to make a scan dear.
DATA_SQL = """
    INSERT INTO accounts (id, business_name, owner_email, balance)
    SELECT i, 'Account ' || i, 'owner' || i || '@many.example', 1000 FROM generate_series(1, 100) AS i;
    INSERT INTO users (id, account_id, email, first_name, last_name)
    SELECT i, 1 + i % 100, 'user' || i || '@many.example', 'U', 'X' FROM generate_series(1, 1000) AS i;
    INSERT INTO spending_profiles (id, account_id, name)
    SELECT i, 1 + i % 100, 'Profile ' || i FROM generate_series(1, 2000) AS i;
    INSERT INTO cards (id, account_id, user_id, spending_profile_id, lithic_card_token, card_type, status)
    SELECT i, 1 + i % 100, 1 + (i - 1) % 1000, 1 + (i - 1) % 200, 'card-' || i, 'virtual', 'active'
    FROM generate_series(1, 2000) AS i;
    INSERT INTO transactions (
        id, account_id, card_id, user_id, spending_profile_id, request_id, lithic_transaction_token, kind,
        transaction_type, status, amount, held_minor, settled_minor, config_version, counter_epoch, explanation,
        merchant_category_code, transaction_date
    )
    SELECT
        i, c.account_id, c.id, c.user_id, c.spending_profile_id, 'request-' || i, 'token-' || i, 'AUTHORIZATION',
        'AUTHORIZATION', 'PENDING', 1, CASE WHEN i % 50 = 0 THEN 100 ELSE 0 END, 100, 1, 1, '[]',
        lpad((i * 7919 % 10000)::TEXT, 4, '0'), '2026-01-01Z'::TIMESTAMPTZ + i * INTERVAL '4 minutes 18 seconds'
    FROM generate_series(1, 40000) AS i JOIN cards AS c ON c.id = 1 + i % 2000;
    INSERT INTO request_keys (request_id, fingerprint, transaction_id, transaction_date)
    SELECT request_id, '\\x00', id, transaction_date FROM transactions;
"""

WINDOW = "transaction_date >= '2026-02-03Z' AND transaction_date < '2026-02-04Z'"
SPENT = "SELECT coalesce(sum(held_minor + settled_minor), 0) FROM transactions"

# Query, then the one index it must use, without the name of the partition. Nothing may be read without an index.
HOT_QUERIES = {
    "spent by a card in a window": (
        f"{SPENT} WHERE card_id = 77 AND {WINDOW}",
        "card_id_transaction_date_idx",
    ),
    "spent by a card ever": (f"{SPENT} WHERE card_id = 77", "card_id_transaction_date_idx"),
    "spent by a profile in a window": (
        f"{SPENT} WHERE spending_profile_id = 7 AND {WINDOW}",
        "spending_profile_id_transaction_date_idx",
    ),
    "held by an account": (
        "SELECT coalesce(sum(held_minor), 0) FROM transactions WHERE account_id = 7 AND held_minor > 0",
        "account_id_idx",
    ),
    "transactions of an account in a window": (
        f"SELECT * FROM transactions WHERE account_id = 7 AND {WINDOW}",
        "account_id_transaction_date_idx",
    ),
    "the messages of one network token": (
        "SELECT * FROM transactions WHERE lithic_transaction_token = 'token-77'",
        "lithic_transaction_token_idx",
    ),
    "transactions of a category": (
        "SELECT * FROM transactions WHERE merchant_category_code = '5812'",
        "merchant_category_code_idx",
    ),
    "a card by its token": (
        "SELECT * FROM cards WHERE lithic_card_token = 'card-77' AND deleted_at IS NULL",
        "cards_lithic_card_token_key",
    ),
    "cards by their tokens": (
        "SELECT * FROM cards WHERE lithic_card_token = ANY ('{card-7,card-77,card-777}') AND deleted_at IS NULL",
        "cards_lithic_card_token_key",
    ),
    "cards of a user": ("SELECT * FROM cards WHERE user_id = 77", "cards_user_id_idx"),
    "cards of a profile": ("SELECT * FROM cards WHERE spending_profile_id = 77", "cards_spending_profile_id_idx"),
    "cards of an account": ("SELECT * FROM cards WHERE account_id = 7", "cards_account_id_idx"),
    "users of an account": ("SELECT * FROM users WHERE account_id = 7", "users_account_id_idx"),
    "profiles of an account": ("SELECT * FROM spending_profiles WHERE account_id = 7", "spending_profiles_account_id"),
    "a user by e-mail": (
        "SELECT * FROM users WHERE lower(email) = 'user77@many.example' AND deleted_at IS NULL",
        "users_email_key",
    ),
    "a request by its id": ("SELECT * FROM request_keys WHERE request_id = 'request-77'", "request_keys_pkey"),
}


@pytest.fixture(scope="module")
def traffic_url(servers: Servers, template: str) -> Iterator[str]:
    """A database with the data above, in monthly partitions; made once, because these tests only read."""
    servers.postgres.execute(f"CREATE DATABASE explain TEMPLATE {template}")
    url = servers.postgres.url("explain")
    asyncio.run(_fill(url))
    yield url
    servers.postgres.execute("DROP DATABASE explain WITH (FORCE)")


@pytest.fixture
async def traffic(traffic_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    opened = await asyncpg.connect(traffic_url)
    yield opened
    await opened.close()


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    await create_ahead(connection, 3, date(2026, 1, 1))
    await connection.execute(DATA_SQL)
    await connection.execute("ANALYZE")
    await connection.close()


async def _plan(connection: asyncpg.Connection, query: str, *arguments: object) -> list[dict[str, Any]]:
    """List the nodes of the plan that was run, without those that never ran."""
    text = await connection.fetchval(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT JSON) {query}", *arguments)
    nodes, waiting = [], [json.loads(text)[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        if node["Actual Loops"] > 0:
            nodes.append(node)
    return nodes


async def test_every_hot_query_uses_its_index_and_scans_no_table(traffic: asyncpg.Connection) -> None:
    for name, (query, index) in HOT_QUERIES.items():
        nodes = await _plan(traffic, query)
        used = {node["Index Name"] for node in nodes if "Index Name" in node}
        scanned = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
        # The empty default partition has one page or none: scanning it is the cheapest there is.
        scanned = [table for table in scanned if table != "transactions_default"]
        assert (name, scanned) == (name, [])
        assert (name, {entry for entry in used if index not in entry}) == (name, set())
        assert (name, bool(used)) == (name, True)


# The engine's own statements, as they stand in its .sql files: arguments, then the indexes they must use.
DAY = (datetime(2026, 2, 3, tzinfo=UTC), datetime(2026, 2, 4, tzinfo=UTC))
OWN_QUERIES: dict[str, tuple[str, list[object], set[str]]] = {
    "load": (
        SQL["load"],
        [7, [77], [DAY[0]], [DAY[1]], [7], [DAY[0]], [DAY[1]]],
        {
            "transactions_2026_02_card_id_transaction_date_idx",
            "transactions_2026_02_spending_profile_id_transaction_date_idx",
            "transactions_2026_02_account_id_idx",
        },
    ),
    "stored": (SQL["stored"], [["request-20000"]], {"request_keys_pkey", "transactions_2026_03_pkey"}),
    "remembered": (SQL["remembered"], [["request-20000"], 60_000], {"request_keys_pkey"}),
    "cards of the directory": (BY_TOKEN, [["card-7", "card-77"]], {"cards_lithic_card_token_key"}),
}
LARGE = ("cards", "request_keys", "transactions_2026")


@pytest.mark.parametrize("name", OWN_QUERIES)
async def test_what_the_engine_asks_uses_the_indexes_made_for_it(traffic: asyncpg.Connection, name: str) -> None:
    query, arguments, indexes = OWN_QUERIES[name]
    nodes = await _plan(traffic, query, *arguments)
    scanned = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    assert [table for table in scanned if table.startswith(LARGE)] == []
    assert indexes <= {node["Index Name"] for node in nodes if "Index Name" in node}


async def _compared_in_vain(connection: asyncpg.Connection, query: str, *arguments: object) -> int:
    """The most rows that a join of the statement threw away, whichever way it is planned; nothing of it stays."""
    worst = 0
    await connection.execute(f"PREPARE batch AS {query}")
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        await connection.execute("SAVEPOINT asked")
        nodes = await _plan(connection, f"EXECUTE batch ({', '.join(_literal(argument) for argument in arguments)})")
        await connection.execute("ROLLBACK TO asked")
        worst = max(worst, *(node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"] for node in nodes))
    return worst


@pytest.fixture
async def draft(traffic: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """The connection, in a transaction that leaves nothing."""
    transaction = traffic.transaction()
    await transaction.start()
    yield traffic
    await transaction.rollback()


# A row as the service writes it, of a card of the data above.
NEW_ROW = (
    "new-{card} 00 {account} {card} {card} - 1 1 AUTHORIZATION - 100 100 100 0 USD 100 new-token-{card}"
    " - - 5812 - - - - - CHIP VISA [] 1772323200000000 -"
)


async def test_a_batch_of_decisions_is_not_compared_row_by_row(draft: asyncpg.Connection) -> None:
    cards = range(1, 301)
    rows = [NEW_ROW.format(card=card, account=1 + card % 100).replace("-", "") for card in cards]
    lines = ROW_SEPARATOR.join(rows).replace(" ", FIELD_SEPARATOR)
    assert await _compared_in_vain(draft, SQL["record"], lines, list(range(1, 101))) <= len(cards)


async def test_messages_find_their_transactions_by_name_and_not_by_account(draft: asyncpg.Connection) -> None:
    # As in a month that nobody has analysed yet.
    await draft.execute("DELETE FROM pg_statistic WHERE starelid::regclass::text LIKE 'transactions_2026%'")
    await draft.execute("UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname LIKE 'transactions_2026%'")
    await draft.execute(EVENTS_SQL["plan_by_index"])
    tokens = [f"token-{number}" for number in range(5, 40_000, 100)]
    assert await _compared_in_vain(draft, EVENTS_SQL["groups"], [], tokens, [7]) <= len(tokens)


async def test_a_window_reads_only_the_partitions_it_touches(traffic: asyncpg.Connection) -> None:
    nodes = await _plan(traffic, f"{SPENT} WHERE card_id = 77 AND {WINDOW}")
    assert {node["Relation Name"] for node in nodes if "Relation Name" in node} == {"transactions_2026_02"}


async def test_a_request_finds_its_transaction_in_one_partition(traffic: asyncpg.Connection) -> None:
    nodes = await _plan(
        traffic,
        "SELECT t.* FROM request_keys AS k"
        " JOIN transactions AS t ON t.id = k.transaction_id AND t.transaction_date = k.transaction_date"
        " WHERE k.request_id = 'request-20000'",
    )
    read = {node["Relation Name"] for node in nodes if "Relation Name" in node}
    indexes = {node["Index Name"] for node in nodes if "Index Name" in node}
    assert read == {"request_keys", "transactions_2026_03"}
    assert indexes == {"request_keys_pkey", "transactions_2026_03_pkey"}


async def test_a_check_of_a_foreign_key_uses_the_unique_index_of_its_target(traffic: asyncpg.Connection) -> None:
    nodes = await _plan(traffic, "SELECT FROM cards WHERE id = 77 AND account_id = 78 FOR KEY SHARE")
    assert {node["Index Name"] for node in nodes if "Index Name" in node} <= {"cards_pkey", "cards_id_account_id_key"}
    assert [node for node in nodes if node["Node Type"] == "Seq Scan"] == []


# What is asked of the past: arguments, the indexes it must use, and the months it may look into.
MARCH = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))
HISTORY_QUERIES: dict[str, tuple[str, list[object], set[str], set[str]]] = {
    "a page of a card": (
        page_query([("t.card_id", [77])])[0],
        [*MARCH, 0, 50, 77],
        {"transactions_2026_03_card_id_transaction_date_idx"},
        {"transactions_2026_03"},
    ),
    "a page of an account": (
        page_query([("t.account_id", [7]), ("t.status", ["PENDING"])])[0],
        [*MARCH, 0, 50, 7, "PENDING"],
        {"transactions_2026_03_account_id_transaction_date_idx"},
        {"transactions_2026_03"},
    ),
    "an hour of everybody": (
        page_query([])[0],
        [datetime(2026, 3, 5, 11, tzinfo=UTC), datetime(2026, 3, 5, 12, tzinfo=UTC), 0, 50],
        set(),  # more than one of them is good for that
        {"transactions_2026_03"},
    ),
    "a summary": (
        sums_query("card"),
        [7, datetime(2026, 2, 27, tzinfo=UTC), MARCH[1], [datetime(2026, 2, 1, tzinfo=UTC), MARCH[0]], 100],
        {
            "transactions_2026_02_account_id_transaction_date_idx",
            "transactions_2026_03_account_id_transaction_date_idx",
        },
        {"transactions_2026_02", "transactions_2026_03"},
    ),
    "an explanation by its request": (
        STATEMENTS["remembered"],
        [20_000, datetime(2026, 3, 1, 15, 20, tzinfo=UTC)],
        set(),
        {"transactions_2026_03"},
    ),
    "the next decisions of an account": (
        STATEMENTS["decisions"],
        [20_000, 40_000, [7], None, 500],
        {"transactions_2026_03_pkey"},
        {"transactions_2026_01", "transactions_2026_02", "transactions_2026_03", "transactions_2026_04"},
    ),
}


@pytest.mark.parametrize("name", HISTORY_QUERIES)
async def test_what_is_asked_of_the_past_uses_its_index_and_looks_into_no_other_month(
    traffic: asyncpg.Connection, name: str
) -> None:
    query, arguments, indexes, months = HISTORY_QUERIES[name]
    # As the service does: a statement is prepared once, and its plan may come to be one for all arguments.
    await traffic.execute(f"PREPARE asked AS {query}")
    asked = f"EXECUTE asked ({', '.join(_literal(argument) for argument in arguments)})"
    for mode in ("force_custom_plan", "force_generic_plan"):
        await traffic.execute(f"SET plan_cache_mode = {mode}")
        nodes = await _plan(traffic, asked)
        scanned = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
        assert [table for table in scanned if table.startswith("transactions_2026")] == [], mode
        assert indexes <= {node["Index Name"] for node in nodes if "Index Name" in node}, mode
        # A page of an account, which has many rows, is read in their order and no further than it is long.
        assert not (name == "a page of an account" and "Sort" in {node["Node Type"] for node in nodes}), mode
        read = {node["Relation Name"] for node in nodes if "Relation Name" in node}
        assert {table for table in read if table.startswith("transactions_2026")} <= months, mode


def _literal(value: object) -> str:
    if isinstance(value, list):
        return f"'{{{','.join(map(str, value))}}}'"
    return "NULL" if value is None else f"'{value}'"
