"""Accounts that nobody uses: notice, what takes it back, and what is archived after it."""

import asyncio
import inspect
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from authsvc.cli import retention as retention_commands
from authsvc.errors import NotFound, NotPossible, StartupRefused
from authsvc.ledger import notices, retention
from authsvc.ledger.queries import RETENTION_SQL
from authsvc.settings import PREFIX
from authsvc.v1 import types_pb2 as types
from tests.commands import Done, command
from tests.integration.conftest import until_waiting
from tests.integration.test_retention import spend
from tests.network import CLEARING, Network, counts, event
from tests.programs import Card, add_account, add_card
from tests.serving import held_back, until_held_back

DAYS: Final = 30
OLD: Final = 400
IS_OLD: Final = ("audit_logs", "created_at"), ("accounts", "created_at"), ("transactions", "updated_at")


@pytest.fixture
def call(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs `authsvc retention` with these arguments."""
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", database_url)
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", "redis://unused")

    async def called(*arguments: str) -> Done:
        return await asyncio.to_thread(command, monkeypatch, capsys, "retention", *arguments)

    return called


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


async def age(connection: asyncpg.Connection, days: int = OLD) -> None:
    """Everything that happened so far happened so long ago."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table, column in IS_OLD:
            await connection.execute(f"UPDATE {table} SET {column} = {column} - make_interval(days => $1)", days)


async def set_back(connection: asyncpg.Connection, account_id: int, days: int) -> None:
    """Its notice was given so many days earlier."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE accounts SET closing_notice_at = closing_notice_at - make_interval(days => $2) WHERE id = $1",
            account_id,
            days,
        )
        await connection.execute(
            "UPDATE audit_logs SET created_at = created_at - make_interval(days => $2) WHERE account_id = $1",
            account_id,
            days,
        )


async def noticed(connection: asyncpg.Connection, balance: str = "0.00", days_ago: int = DAYS + 1) -> int:
    """An account that is unused, and was given notice."""
    account_id = await add_account(connection, balance)
    await age(connection)
    await notices.give_notice(connection, [account_id], ago(OLD - 1))
    await set_back(connection, account_id, days_ago)
    return account_id


async def settled(connection: asyncpg.Connection, days: int = DAYS) -> dict[int, tuple[str, str]]:
    """What the nightly run makes of the accounts with notice."""
    now = datetime.now(UTC)
    found = await notices.verdicts(connection, now, days)
    done = [await notices.settle(connection, one, now, days) for one in found]
    assert [(one.id, one.outcome) for one in done] == [(one.id, one.outcome) for one in found]
    return {one.id: (str(one.outcome), one.why) for one in done}


async def state(connection: asyncpg.Connection, account_id: int) -> tuple[bool, bool]:
    """Is it archived, and has it a notice?"""
    query = "SELECT deleted_at IS NOT NULL, closing_notice_at IS NOT NULL FROM accounts WHERE id = $1"
    return tuple(await connection.fetchrow(query, account_id))


async def test_accounts_that_nobody_uses_are_due_for_notice_once(connection: asyncpg.Connection) -> None:
    quiet, busy, signed_in, called = [await add_account(connection, "12.50") for _ in range(4)]
    cards = [await add_card(connection, account_id) for account_id in (busy, signed_in)]
    await connection.execute(
        "INSERT INTO api_keys (account_id, name, prefix, key_hash, scopes, created_at, expires_at)"
        " VALUES ($1, 'erp', 'a', sha256('a'), '{manage}', now(), now())",
        called,
    )
    await age(connection)
    assert {one.id for one in await notices.unused_accounts(connection, ago(365))} >= {quiet, busy, signed_in, called}
    await spend(connection, cards[0], 100)
    await connection.execute("UPDATE users SET last_login_at = now() WHERE id = $1", cards[1].user_id)
    await connection.execute("UPDATE api_keys SET last_used_at = now()")
    (due,) = await notices.unused_accounts(connection, ago(365))
    assert (due.id, due.status, due.balance, due.currency) == (quiet, "active", "12.50", "USD")
    assert ago(OLD + 1) < due.last_used_at < ago(OLD - 1)
    assert await notices.unused_accounts(connection, ago(OLD + 1)) == []
    (given,) = await notices.give_notice(connection, [quiet], ago(365))
    assert (given.id, given.is_new) == (quiet, True)
    assert await notices.unused_accounts(connection, ago(365)) == []


async def test_what_is_done_to_every_account_is_nobodys_use(connection: asyncpg.Connection) -> None:
    account_id = await add_account(connection)
    await connection.execute(
        "INSERT INTO spending_profiles (account_id, name) VALUES ($1, 'a');".replace("$1", str(account_id))
        + "INSERT INTO spending_categories (mcc_code, category_name) VALUES ('0001', 'a');"
        "INSERT INTO profile_categories (spending_profile_id, spending_category_id, rule_type)"
        " SELECT p.id, c.id, 'blocked' FROM spending_profiles p, spending_categories c"
    )
    await age(connection)
    await connection.execute("UPDATE spending_categories SET category_group = 'b'")
    await connection.execute("UPDATE accounts SET counter_epoch = counter_epoch + 1")
    assert [one.id for one in await notices.unused_accounts(connection, ago(365))] == [account_id]


async def test_a_notice_is_given_to_all_or_none_and_only_where_it_is_due(connection: asyncpg.Connection) -> None:
    quiet, other = await add_account(connection), await add_account(connection)
    await age(connection)
    fresh = await add_account(connection)
    with pytest.raises(NotPossible, match=f"account {fresh}$"):
        await notices.give_notice(connection, [quiet, fresh], ago(365))
    with pytest.raises(NotFound, match="account 999999"):
        await notices.give_notice(connection, [quiet, 999_999], ago(365))
    assert await state(connection, quiet) == (False, False)
    ((_, first, _),) = await notices.give_notice(connection, [quiet], ago(365))
    again = await notices.give_notice(connection, [quiet, other], ago(365))
    assert [(one.id, one.is_new) for one in again] == [(quiet, False), (other, True)]
    assert again[0].notice_at == first
    assert await notices.withdraw_notice(connection, [quiet]) == [quiet]
    assert await notices.withdraw_notice(connection, [quiet]) == []
    with pytest.raises(NotFound):
        await notices.withdraw_notice(connection, [999_999])


async def test_giving_taking_back_and_archiving_are_in_the_audit_with_who_did_it(
    connection: asyncpg.Connection,
) -> None:
    account_id = await noticed(connection)
    await notices.withdraw_notice(connection, [account_id])
    await notices.give_notice(connection, [account_id], ago(OLD - 1))
    await set_back(connection, account_id, DAYS + 1)
    version = await connection.fetchval("SELECT config_version FROM accounts")
    assert await settled(connection) == {account_id: ("archived", f"unused since {ago(OLD):%Y-%m-%d}")}
    entries = await connection.fetch(
        "SELECT actor, action, new_values ? 'closing_notice_at' AS is_notice, config_version FROM audit_logs"
        " WHERE account_id = $1 ORDER BY id",
        account_id,
    )
    assert [tuple(entry) for entry in entries[1:]] == [
        ("cli", "UPDATE", True, version),
        ("cli", "UPDATE", True, version),
        ("cli", "UPDATE", True, version),
        ("cli:retention", "DELETE", False, version + 1),
    ]
    assert await state(connection, account_id) == (True, True)


async def test_before_its_days_are_over_nothing_becomes_of_an_account(connection: asyncpg.Connection) -> None:
    account_id = await noticed(connection, days_ago=DAYS - 1)
    assert await settled(connection) == {account_id: ("waiting", f"until {ago(-1):%Y-%m-%d}")}
    assert await settled(connection, DAYS - 1) == {account_id: ("archived", f"unused since {ago(OLD):%Y-%m-%d}")}


async def decide(connection: asyncpg.Connection, card: Card) -> None:
    await spend(connection, card, 100)


async def post(connection: asyncpg.Connection, card: Card) -> None:
    await connection.execute(
        "INSERT INTO balance_adjustments (adjustment_id, fingerprint, account_id, kind, amount_minor, currency, reason,"
        " balance_after_minor, held_after_minor) VALUES ('a', '', $1, 'FUNDING', 1, 'USD', 'a', 1, 0)",
        card.account_id,
    )


async def hear(connection: asyncpg.Connection, _: Card) -> None:
    await connection.execute("UPDATE transactions SET credited_minor = 1")


async def edit(connection: asyncpg.Connection, card: Card) -> None:
    await connection.execute("UPDATE users SET first_name = 'New' WHERE id = $1", card.user_id)


async def restore(connection: asyncpg.Connection, _: Card) -> None:
    await connection.execute("UPDATE accounts SET deleted_at = now()")
    await connection.execute("UPDATE accounts SET deleted_at = NULL")


@pytest.mark.parametrize("use", [decide, post, hear, edit, restore], ids=lambda use: use.__name__)
async def test_any_use_takes_the_notice_back(connection: asyncpg.Connection, use: Any) -> None:
    card = await add_card(connection, await add_account(connection, "0.00"))
    await connection.execute("UPDATE cards SET status = 'closed'")
    await spend(connection, card, 100)
    await age(connection)
    await notices.give_notice(connection, [card.account_id], ago(OLD - 1))
    await set_back(connection, card.account_id, DAYS + 1)
    await use(connection, card)
    assert await settled(connection) == {card.account_id: ("notice withdrawn", f"used on {ago(0):%Y-%m-%d}")}
    assert await state(connection, card.account_id) == (False, False)
    assert await notices.unused_accounts(connection, ago(365)) == []


async def test_an_account_with_money_a_hold_or_a_card_that_is_not_closed_is_kept(
    connection: asyncpg.Connection,
) -> None:
    account_id = await add_account(connection, "12.50")
    card, closed, deleted = [await add_card(connection, account_id) for _ in range(3)]
    await connection.execute("UPDATE cards SET status = 'closed' WHERE id = $1", closed.id)
    await connection.execute("UPDATE cards SET deleted_at = now() WHERE id = $1", deleted.id)
    await spend(connection, card, 100)
    await connection.execute("UPDATE transactions SET held_minor = 100, settled_minor = 0")
    await age(connection)
    await notices.give_notice(connection, [account_id], ago(OLD - 1))
    await set_back(connection, account_id, DAYS + 1)
    why = "it has 12.50 USD, 1 open holds, 1 cards that are not closed"
    assert await settled(connection) == {account_id: ("kept", why)}
    assert await state(connection, account_id) == (False, True)


async def test_an_account_that_is_used_while_the_run_waits_for_it_is_not_archived(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    account_id = await noticed(connection)
    now = datetime.now(UTC)
    (found,) = await notices.verdicts(connection, now, DAYS)
    async with pool.acquire() as user:
        async with user.transaction():
            await user.execute("SELECT FROM accounts WHERE id = $1 FOR SHARE", account_id)
            busy = await notices.settle(connection, found, now, DAYS)
        assert (str(busy.outcome), busy.why) == ("kept", "running statements hold it: try again")
        async with user.transaction():
            await user.execute("SELECT FROM accounts WHERE id = $1 FOR SHARE", account_id)
            late = asyncio.ensure_future(notices.settle(connection, found, now, DAYS))
            await until_waiting(user, connection)
            await add_card(user, account_id)
    assert (await late).outcome is notices.Outcome.WITHDRAWN
    assert await state(connection, account_id) == (False, False)


async def test_people_who_manage_accounts_cannot_write_the_notice(connection: asyncpg.Connection) -> None:
    await add_account(connection)
    async with connection.transaction():
        await connection.execute("SET LOCAL authsvc.role = 'operator'; SET LOCAL ROLE authsvc_management")
        assert await connection.fetchval("SELECT count(closing_notice_at) FROM accounts") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE accounts SET closing_notice_at = now()")


async def test_whoever_does_not_see_every_row_archives_nothing(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "CREATE ROLE half_seeing LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO half_seeing"
    )
    try:
        with pytest.raises(StartupRefused, match=r"all of .*audit_logs.*owner of the tables"):
            async with retention.keeper(database_url.replace("postgres@", "half_seeing@")):
                pass
    finally:
        await connection.execute("DROP OWNED BY half_seeing; DROP ROLE half_seeing")


def _row(done: Done, account_id: int) -> list[str]:
    """What the table of accounts says of this one."""
    (line,) = re.findall(rf"^ {account_id} +(.*?) *$", done.out, re.MULTILINE)
    return re.split(r"  +", line)


async def test_the_command_lists_who_is_due_records_the_notice_and_archives_afterwards(
    connection: asyncpg.Connection, call: Callable[..., Any]
) -> None:
    account_id = await add_account(connection, "0.00")
    await age(connection)
    due = await call()
    assert _row(due, account_id) == ["due for notice", f"last used {ago(OLD):%Y-%m-%d}; active, 0.00 USD"]
    assert "tell the owners, then authsvc retention notice ACCOUNT_ID…" in due.out
    told = await call("notice", str(account_id))
    assert (told.code, told.out) == (0, f"account {account_id}: given notice on {ago(0):%Y-%m-%d}\n")
    assert "was given notice before, on" in (await call("notice", str(account_id))).out
    waiting = ["waiting", f"{ago(0):%Y-%m-%d}", f"until {ago(-DAYS):%Y-%m-%d}"]
    assert _row(await call("--yes"), account_id) == waiting
    assert (await call("notice", "--withdraw", str(account_id))).out == f"account {account_id}: notice withdrawn\n"
    assert (await call("notice", "--withdraw", str(account_id))).out == f"account {account_id}: had no notice\n"
    assert json.loads((await call("notice", "--json", str(account_id))).out)[0]["is_new"] is True
    await set_back(connection, account_id, DAYS + 1)
    assert json.loads((await call("--json")).out)["accounts_with_notice"][0]["outcome"] == "archived"
    told_day, why = f"{ago(DAYS + 1):%Y-%m-%d}", f"unused since {ago(OLD):%Y-%m-%d}"
    assert _row(await call(), account_id) == ["would be: archived", told_day, why]
    assert await state(connection, account_id) == (False, True)
    assert _row(await call("--yes"), account_id) == ["archived", told_day, why]
    assert await state(connection, account_id) == (True, True)
    refused = await call("notice", "999999")
    assert (refused.code, refused.out, refused.err) == (1, "", "error: there is no account 999999\n")


async def test_a_bridge_database_that_is_down_ends_the_run_with_1_after_everything_else_was_done(
    connection: asyncpg.Connection, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}BRIDGE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    done = await call("--yes")
    assert (done.code, done.err) == (1, "error: webhooks: database is unavailable\n")
    assert "partitions made ahead" in done.out
    assert len(await retention.monthly(connection)) == 4


async def test_partitions_that_cannot_be_made_tonight_do_not_keep_the_rest_from_being_done(
    connection: asyncpg.Connection, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute(
        "INSERT INTO request_keys (request_id, fingerprint, transaction_date, created_at) VALUES ('a', '', now(), $1)",
        ago(450),
    )

    async def five_seconds_later(*_: object) -> list[str]:
        raise asyncpg.LockNotAvailableError

    monkeypatch.setattr(retention, "create_ahead", five_seconds_later)
    done = await call("--yes")
    assert (done.code, await connection.fetchval("SELECT count(*) FROM request_keys")) == (1, 0)
    assert done.err.startswith("error: partitions ahead: running statements hold the table")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_decision_that_was_on_its_way_when_its_account_was_archived_is_refused_at_the_commit(
    network: Network, card: Card
) -> None:
    first = await network.swipe(card, 100)
    assert first.reason == types.REASON_APPROVED
    async with held_back(network.running, card.token) as archiver:
        late = asyncio.ensure_future(network.swipe(card, 100))
        await until_held_back(network.running, archiver)
        await archiver.execute(RETENTION_SQL["archive_account"], card.account_id)
    assert (await late).reason == types.REASON_ACCOUNT_NOT_ACTIVE
    assert (await network.swipe(card, 100)).reason == types.REASON_ACCOUNT_NOT_ACTIVE
    # The books go on: what was bought before is still cleared.
    assert counts(await network.say(event(CLEARING, first, 100)))[:2] == (0, 100)
    assert await network.balance_minor(card) == 1_000_00 - 100
    assert await network.drift() == []


def test_the_guide_tells_every_age_as_the_command_has_it() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    ages = {
        name: one.default
        for name, one in inspect.signature(retention_commands.retention).parameters.items()
        if type(one.default) is int
    }
    assert ages["notice_days"] == DAYS
    told = [f"`--{name.replace('_', '-')} {default}`" for name, default in ages.items()]
    assert [one for one in told if one not in guide] == []
