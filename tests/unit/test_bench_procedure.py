"""The stored procedure that the service is compared with, and the check of the books: on a real database."""

import asyncio
import datetime as dt

import asyncpg
import pytest

from bench import books, dataset, procedure
from bench.dataset import BALANCE_MINOR, NARROW_EVERY, NARROW_MINOR, Shape

SMALL = Shape(accounts=2, cards_each=NARROW_EVERY, name="small")
NARROW, WIDE = SMALL.token(0), SMALL.token(1)
AT = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)


@pytest.fixture
async def connection(database_url):
    connection = await asyncpg.connect(database_url)
    await dataset.fill(connection, SMALL)
    await dataset.fill_plain(connection, SMALL)
    yield connection
    await connection.close()


async def authorize(
    connection, request_id: str, token: str, amount_minor: int, mcc: str = "5411", at: dt.datetime = AT
) -> int:
    return await connection.fetchval(procedure._CALL, request_id, token, amount_minor, mcc, at)


async def test_both_data_sets_hold_the_same_cards(connection) -> None:
    tokens = [row[0] for row in await connection.fetch("SELECT lithic_card_token FROM cards ORDER BY 1")]
    plain = [row[0] for row in await connection.fetch("SELECT token FROM plain.cards ORDER BY 1")]
    assert tokens == plain == [*SMALL.spread, *SMALL.hot]
    assert await connection.fetchval("SELECT count(DISTINCT account_id) FROM cards") == SMALL.accounts + 1


async def test_a_limit_is_met_exactly_and_not_passed(connection) -> None:
    assert await authorize(connection, "a", NARROW, NARROW_MINOR - 1) == 1
    assert await authorize(connection, "b", NARROW, 2) == 3
    assert await authorize(connection, "c", NARROW, 1) == 1
    assert await authorize(connection, "d", NARROW, 1) == 3


async def test_a_new_month_starts_afresh(connection) -> None:
    assert await authorize(connection, "a", NARROW, NARROW_MINOR) == 1
    assert await authorize(connection, "b", NARROW, NARROW_MINOR, at=AT + dt.timedelta(days=31)) == 1


async def test_a_repeated_request_gets_its_answer_and_counts_once(connection) -> None:
    assert [await authorize(connection, "a", NARROW, NARROW_MINOR) for _ in range(3)] == [1, 1, 1]
    assert await connection.fetchval("SELECT held_minor FROM plain.accounts WHERE id = 0") == NARROW_MINOR


@pytest.mark.parametrize(
    ("token", "amount_minor", "mcc", "reason"),
    [(WIDE, 100, "7995", "MCC_BLOCKED"), (WIDE, BALANCE_MINOR + 1, "5411", "INSUFFICIENT_FUNDS")],
)
async def test_a_decline_is_recorded_with_its_reason(connection, token, amount_minor, mcc, reason) -> None:
    assert await authorize(connection, "a", token, amount_minor, mcc) == 3
    assert await connection.fetchval("SELECT reason FROM plain.transactions WHERE request_id = 'a'") == reason


async def test_an_unknown_card_is_declined(connection) -> None:
    assert await authorize(connection, "a", "nobody", 1) == 3


async def test_concurrent_callers_do_not_overspend(connection, database_url) -> None:
    async def spend(caller: int) -> int:
        own = await asyncpg.connect(database_url)
        try:
            return [await authorize(own, f"{caller}-{n}", NARROW, NARROW_MINOR // 20) for n in range(5)].count(1)
        finally:
            await own.close()

    assert sum(await asyncio.gather(*(spend(caller) for caller in range(8)))) == 20
    assert await books.plain_problems(connection) == []


async def test_the_driver_reports_as_many_decisions_as_there_are_rows(connection, database_url) -> None:
    job = procedure.Job(
        database_url,
        SMALL.spread,
        "run",
        1_760_000_000_000_000,
        connections=4,
        warmup_s=0.0,
        seconds=0.2,
        calls_max=300,
    )
    outcome = await procedure.run_in_process(job)
    rows = await connection.fetch("SELECT decision, count(*) FROM plain.transactions GROUP BY 1 ORDER BY 1")
    assert outcome.decisions == {str(decision): count for decision, count in rows}


async def record(connection, request_id: str, held_minor: int, status: str = "APPROVED") -> None:
    await connection.execute(
        """
        INSERT INTO transactions (account_id, card_id, user_id, request_id, kind, transaction_type, status, amount,
            held_minor, config_version, explanation, transaction_date)
        SELECT account_id, id, user_id, $2::VARCHAR, 'AUTHORIZATION', 'AUTHORIZATION', $4::VARCHAR, 1, $3::BIGINT, 1,
            '[]', $5::TIMESTAMPTZ
        FROM cards WHERE lithic_card_token = $1
        """,
        NARROW,
        request_id,
        held_minor,
        status,
        AT,
    )
    await connection.execute("INSERT INTO request_keys VALUES ($1, '', 1, $2)", request_id, AT)


async def test_the_books_are_right_when_every_answer_is_recorded(connection) -> None:
    await record(connection, "run-1", NARROW_MINOR)
    await record(connection, "run-2", 0, "DECLINED")
    assert await books.problems(connection, {"run-": {"1": 1, "3": 1}}, errors=0) == []


@pytest.mark.parametrize(("answers", "errors"), [({"1": 2}, 0), ({"1": 2}, 9), ({}, 0), ({"3": 1}, 0)])
async def test_the_books_are_wrong_when_answers_and_rows_differ(connection, answers, errors) -> None:
    await record(connection, "run-1", 1)
    assert len(await books.problems(connection, {"run-": answers}, errors)) == 1


async def test_rows_without_an_answer_are_forgiven_after_errors(connection) -> None:
    await record(connection, "run-1", 1)
    assert await books.problems(connection, {"run-": {}}, errors=1) == []


async def test_the_books_find_an_overspent_card(connection) -> None:
    await record(connection, "run-1", NARROW_MINOR)
    await record(connection, "run-2", 1)
    assert await books.problems(connection, {"run-": {"1": 2}}, errors=0) == ["1 cards spent more than their limits"]


async def test_the_books_find_an_overspent_account(connection) -> None:
    await record(connection, "run-1", NARROW_MINOR)
    await connection.execute("UPDATE accounts SET balance = 0")
    assert await books.problems(connection, {"run-": {"1": 1}}, errors=0) == ["1 accounts spent more than their limits"]
