"""Configuration changes while two workers decide: not one decision that commits after the change uses what was before it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import asyncpg
import pytest
import redis.asyncio

from authsvc.embedded import Servers
from authsvc.ledger.migrate import upgrade
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests import books
from tests.programs import Card, add_account, add_card, add_profile
from tests.service import Service, running
from tests.traffic import Callers, request
from tests.waiting import until_clear

BEFORE: Final = 150
AFTER: Final = 200
QUICK: Final = 400
HEALED_S: Final = 60.0
REAPER: Final = {"reaper_interval_ms": 200, "reaper_grace_ms": 1_000}


class Case(NamedTuple):
    """A change of the card's configuration, and the reason for which it is declined from then on."""

    sql: str
    reason: str


CASES: Final = {
    "a profile's limit is lowered":     Case("UPDATE spending_profiles SET spend_limit = 0.50 WHERE id = {profile}", "PROFILE_LIMIT_EXCEEDED"),
    "a card's limit is lowered":        Case("UPDATE cards SET spend_limit = 0.50 WHERE id = {card}", "CARD_LIMIT_EXCEEDED"),
    "a card is given another profile":  Case("UPDATE cards SET spending_profile_id = {strict} WHERE id = {card}", "PROFILE_LIMIT_EXCEEDED"),
    "a profile blocks the category":    Case("UPDATE spending_profiles SET blocked_categories = '[\"5800-5899\"]' WHERE id = {profile}", "MCC_BLOCKED"),
    "a profile allows only others":     Case("UPDATE spending_profiles SET allowed_categories = '[\"3000\"]' WHERE id = {profile}", "MCC_NOT_ALLOWED"),
    "a rule blocks a group":            Case("INSERT INTO profile_categories (spending_profile_id, category_group, rule_type) VALUES ({profile}, 'Food & Dining', 'blocked')", "MCC_BLOCKED"),
    "a card is closed":                 Case("UPDATE cards SET status = 'closed' WHERE id = {card}", "CARD_CLOSED"),
    "a cardholder is suspended":        Case("UPDATE users SET status = 'suspended' WHERE id = {user}", "USER_NOT_ACTIVE"),
    "an account is suspended":          Case("UPDATE accounts SET status = 'suspended' WHERE id = {account}", "ACCOUNT_NOT_ACTIVE"),
    "money is taken out of an account": Case("UPDATE accounts SET balance = 0 WHERE id = {account}", "INSUFFICIENT_FUNDS"),
    "a card is deleted":                Case("UPDATE cards SET deleted_at = now() WHERE id = {card}", "UNKNOWN_CARD"),
}  # fmt: skip


@dataclass(slots=True)
class Subject:
    """A card whose configuration is going to change, its profile, and a stricter one."""

    card: Card
    profile_id: int
    strict_id: int

    def sql(self, case: Case) -> str:
        card = self.card
        names = {"card": card.id, "user": card.user_id, "account": card.account_id}
        return case.sql.format(profile=self.profile_id, strict=self.strict_id, **names)


class Change(NamedTuple):
    """A committed change: when it returned, the transaction that made it, and the version it led to."""

    returned_s: float
    transaction: int
    version: int


@pytest.fixture(scope="module")
def timed() -> Iterator[Servers]:
    """Servers whose PostgreSQL remembers when each transaction committed."""
    with Servers.start(None) as started:
        started.postgres.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        started.postgres.restart()
        asyncio.run(upgrade(started.database_url))
        started.postgres.execute(
            "INSERT INTO spending_categories (mcc_code, category_name, category_group) VALUES ('5812', 'Restaurants', 'Food & Dining')"
        )
        yield started


@pytest.fixture(scope="module")
def service(timed: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(timed.database_url, timed.redis_url, tmp_path_factory.mktemp("config"), **REAPER) as started:
        yield started


@pytest.fixture
async def database(timed: Servers) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(timed.database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def callers(service: Service) -> AsyncIterator[Callers]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(Callers(service))


async def subject_of(database: asyncpg.Connection) -> Subject:
    account = await add_account(database)
    profile = await add_profile(database, account, "5000.00", "daily")
    strict = await add_profile(database, account, "0.50", "daily")
    return Subject(await add_card(database, account, "9000.00", "monthly", profile), profile, strict)


async def commit(database: asyncpg.Connection, account_id: int, sql: str) -> Change:
    async with database.transaction():
        await database.execute(sql)
        version = await database.fetchval("SELECT config_version FROM accounts WHERE id = $1", account_id)
        transaction = int(await database.fetchval("SELECT pg_current_xact_id()::text"))
    return Change(time.monotonic(), transaction, version)


@dataclass(slots=True)
class Run:
    """A change in the midst of a load: answers to what was sent before it returned, and to what was sent afterwards."""

    change: Change
    before: list[pb.AuthorizeResponse]
    after: list[pb.AuthorizeResponse]


async def change_under_load(database: asyncpg.Connection, callers: Callers, card: Card, sql: str) -> Run:
    """Sends requests of 1.00 until enough of them were sent after the change."""
    changes: list[Change] = []
    sent_s: list[float] = []

    async def happens() -> None:
        changes.append(await commit(database, card.account_id, sql))

    def messages() -> Iterator[pb.AuthorizeRequest]:
        left = AFTER
        while left:
            left -= len(changes)
            sent_s.append(time.monotonic())
            yield request(card.token, 100, explain=True)

    answers = await callers.load(messages(), {BEFORE: happens})
    (change,) = changes
    before = [answer for answer, at_s in zip(answers, sent_s, strict=True) if at_s < change.returned_s]
    return Run(change, before, answers[len(before) :])


async def rows_after(database: asyncpg.Connection, account_id: int, transaction: int) -> list[asyncpg.Record]:
    """What was recorded of an account after another transaction had committed, by PostgreSQL's own clock."""
    return await database.fetch(
        "SELECT request_id, status, declined_reason, config_version FROM transactions"
        " WHERE account_id = $1 AND pg_xact_commit_timestamp(xmin) > pg_xact_commit_timestamp($2::text::xid)",
        account_id,
        str(transaction),
    )


@pytest.mark.parametrize("name", CASES)
async def test_no_decision_commits_after_a_change_on_what_was_before_it(database, callers, name):
    case, subject = CASES[name], await subject_of(database)

    run = await change_under_load(database, callers, subject.card, subject.sql(case))

    assert types.REASON_APPROVED in {answer.reason for answer in run.before}
    assert {types.Reason.Name(answer.reason) for answer in run.after} == {f"REASON_{case.reason}"}
    late = await rows_after(database, subject.card.account_id, run.change.transaction)
    assert [row for row in late if row["declined_reason"] != case.reason] == []
    assert [row for row in late if row["config_version"] < run.change.version] == []


async def test_a_window_of_another_time_zone_begins_with_the_change(database, callers):
    account = await add_account(database)
    card = await add_card(database, account, "9000.00", "daily")
    zone = "INSERT INTO account_settings (account_id, key, value, value_type) VALUES ({}, 'timezone', '\"America/New_York\"', 'string')"

    run = await change_under_load(database, callers, card, zone.format(account))

    assert {window_start(answer) for answer in run.before} >= {datetime(2025, 3, 15, tzinfo=UTC)}
    assert {window_start(answer) for answer in run.after} == {datetime(2025, 3, 15, 4, tzinfo=UTC)}
    late = await rows_after(database, account, run.change.transaction)
    assert late and [row for row in late if row["config_version"] < run.change.version] == []
    # It holds everything that was spent in it before it was a window.
    last = await callers.ask(request(card.token, 100, explain=True))
    assert limit_check(last).used_minor == 100 * len(run.before + run.after)


def limit_check(answer: pb.AuthorizeResponse) -> types.Check:
    return next(check for check in answer.checks if check.name == types.CHECK_NAME_CARD_LIMIT)


def window_start(answer: pb.AuthorizeResponse) -> datetime:
    return limit_check(answer).window_start.ToDatetime(UTC)


async def test_changes_in_quick_succession_are_each_obeyed_also_by_requests_that_are_sent_twice(
    database, callers, timed
):
    subject = await subject_of(database)
    card, changes = subject.card, list[Change]()

    async def happens() -> None:
        limit = "0.50" if len(changes) % 2 == 0 else "9000.00"
        sql = f"UPDATE cards SET spend_limit = {limit} WHERE id = {card.id}"
        changes.append(await commit(database, card.account_id, sql))

    messages = [request(card.token, 100) for _ in range(QUICK)]
    twice = [message for message in messages for _ in range(2)]
    await callers.load(twice, {80 * i: happens for i in range(1, 9)})

    rows = await database.fetch(
        "SELECT declined_reason, config_version FROM transactions WHERE account_id = $1", card.account_id
    )
    declined = {changes[i].version for i in range(0, len(changes), 2)}
    expected = {
        row["config_version"]: "CARD_LIMIT_EXCEEDED" if row["config_version"] in declined else None for row in rows
    }
    assert [row for row in rows if row["declined_reason"] != expected[row["config_version"]]] == []
    assert len(rows) == QUICK
    for change in changes:
        late = await rows_after(database, card.account_id, change.transaction)
        assert [row for row in late if row["config_version"] < change.version] == []
    async with redis.asyncio.Redis.from_url(timed.redis_url) as counters:
        # Only this account's: one whose time zone changed may keep a counter of a day that no plan has any more.
        await until_clear(lambda: books.drift(database, counters, only=[card.account_id]), HEALED_S)


async def test_a_new_card_works_at_once_although_its_token_was_unknown_to_every_worker(database, callers):
    account = await add_account(database)

    async def everywhere() -> set[int]:
        return {(await stub.Authorize(request("card-to-come", 100))).reason for stub in callers.stubs}

    assert await everywhere() == {types.REASON_UNKNOWN_CARD}
    await add_card(database, account, token="card-to-come")
    assert await everywhere() == {types.REASON_APPROVED}
