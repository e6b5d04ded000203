"""Accounts that nobody uses: who is due for notice, who was given it, and what becomes of them afterwards.

An account is archived by `deleted_at`, as a card is. From that commit on no decision on it can be recorded: the write
raises the version that decisions are fenced by.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from authsvc.errors import NotFound, NotPossible
from authsvc.ledger.queries import RETENTION_SQL, SQL

if TYPE_CHECKING:
    from asyncpg import Connection, Record

_BY_HAND: Final = "cli"
# Accounts are not used by what a scheduler does to them: see `last_used` in retention.sql.
BY_SCHEDULE: Final = "cli:retention"
# Decisions for the account queue behind whoever waits for its row.
_LOCK_TIMEOUT_MS: Final = 500
_ACCOUNTS_MAX: Final = 1_000
# What a verdict rests on. Of these none may hide a row.
LOOKED_AT: Final = ("api_keys", "audit_logs", "balance_adjustments", "refresh_tokens")


class DormantAccount(NamedTuple):
    """An account that was not used for long."""

    id: int
    status: str
    last_used_at: datetime
    balance: str
    currency: str


class Outcome(StrEnum):
    """What becomes of an account that was given notice."""

    WAITING = "waiting"
    WITHDRAWN = "notice withdrawn"
    KEPT = "kept"
    ARCHIVED = "archived"


class Verdict(NamedTuple):
    """`outcome` of an account with a notice, and why."""

    id: int
    notice_at: datetime
    outcome: Outcome
    why: str


class GivenNotice(NamedTuple):
    """`is_new` is False for an account that had been given notice before; that notice stands."""

    id: int
    notice_at: datetime
    is_new: bool


async def unused_accounts(connection: "Connection[Record]", since: datetime) -> list[DormantAccount]:
    """Accounts that were last used before then and have no notice; at most 1,000."""
    statement = _stated("unused_accounts")
    return [DormantAccount(*record) for record in await connection.fetch(statement, since, _ACCOUNTS_MAX, None)]


async def give_notice(
    connection: "Connection[Record]", account_ids: Sequence[int], unused_since: datetime
) -> list[GivenNotice]:
    """Record that these accounts were told that they will be closed: all of them, or none.

    Raises NotFound, and NotPossible for accounts that were used since then.
    """
    async with connection.transaction():
        await connection.execute(SQL["tell"], _BY_HAND)
        notices = await _locked(connection, account_ids)
        fresh = [account_id for account_id, notice_at in notices.items() if notice_at is None]
        unused = await connection.fetch(_stated("unused_accounts"), unused_since, len(fresh), fresh)
        if used := sorted({*fresh} - {record["id"] for record in unused}):
            raise NotPossible(f"used since {unused_since:%Y-%m-%d}, or newer: account {_listed(used)}")
        notices |= {row["id"]: row["notice_at"] for row in await connection.fetch(RETENTION_SQL["give_notice"], fresh)}
    return [GivenNotice(account_id, notice_at, account_id in fresh) for account_id, notice_at in notices.items()]


async def withdraw_notice(connection: "Connection[Record]", account_ids: Sequence[int]) -> list[int]:
    """Take notices back. Returns the accounts that had one. Raises NotFound."""
    async with connection.transaction():
        await connection.execute(SQL["tell"], _BY_HAND)
        await _locked(connection, account_ids)
        return [row[0] for row in await connection.fetch(RETENTION_SQL["withdraw_notice"], list(account_ids))]


async def verdicts(connection: "Connection[Record]", now: datetime, notice_days: int) -> list[Verdict]:
    """What `settle` would do now, for every account with a notice."""
    records = await connection.fetch(_stated("accounts_with_notice"), None)
    return [_judged(record, now, notice_days) for record in records]


async def settle(connection: "Connection[Record]", found: Verdict, now: datetime, notice_days: int) -> Verdict:
    """Act on a verdict, if it is still the same once nobody can use the account. Returns what became of it."""
    if found.outcome in (Outcome.WAITING, Outcome.KEPT):
        return found
    try:
        async with connection.transaction():
            await connection.execute(SQL["tell"], BY_SCHEDULE)
            await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            await connection.execute(RETENTION_SQL["lock_accounts"], [found.id])
            record = await connection.fetchrow(_stated("accounts_with_notice"), found.id)
            if record is None:
                return found._replace(outcome=Outcome.WITHDRAWN, why="by somebody else")
            verdict = _judged(record, now, notice_days)
            if verdict.outcome is Outcome.WITHDRAWN:
                await connection.execute(RETENTION_SQL["withdraw_notice"], [found.id])
            elif verdict.outcome is Outcome.ARCHIVED:
                await connection.execute(RETENTION_SQL["archive_account"], found.id)
            return verdict
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return found._replace(outcome=Outcome.KEPT, why="running statements hold it: try again")


def _judged(record: Any, now: datetime, notice_days: int) -> Verdict:
    outcome, why = _judgement(record, now, record["notice_at"] + timedelta(days=notice_days))
    return Verdict(record["id"], record["notice_at"], outcome, why)


def _judgement(record: Any, now: datetime, due_at: datetime) -> tuple[Outcome, str]:
    if record["last_used_at"] > record["notice_at"]:
        return Outcome.WITHDRAWN, f"used on {record['last_used_at']:%Y-%m-%d}"
    if now < due_at:
        return Outcome.WAITING, f"until {due_at:%Y-%m-%d}"
    reasons = [f"{record['balance']} {record['currency']}"] if record["balance"] else []
    reasons += [f"{record['holds']} open holds"] if record["holds"] else []
    reasons += [f"{record['open_cards']} cards that are not closed"] if record["open_cards"] else []
    if reasons:
        return Outcome.KEPT, "it has " + ", ".join(reasons)
    return Outcome.ARCHIVED, f"unused since {record['last_used_at']:%Y-%m-%d}"


async def _locked(connection: "Connection[Record]", account_ids: Sequence[int]) -> dict[int, Any]:
    """When notice was given to each of these, or None."""
    records = await connection.fetch(RETENTION_SQL["lock_accounts"], list(account_ids))
    locked = {record["id"]: record["notice_at"] for record in records}
    if missing := sorted({*account_ids} - locked.keys()):
        raise NotFound(f"there is no account {_listed(missing)}")
    return locked


def _listed(account_ids: Sequence[int]) -> str:
    return ", ".join(str(account_id) for account_id in account_ids)


def _stated(name: str) -> str:
    return RETENTION_SQL[name].format(last_used=RETENTION_SQL["last_used"])
