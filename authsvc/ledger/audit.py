"""The `AuditLog` port on PostgreSQL, and what commands ask of audit logs on a connection of their own."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from authsvc.audit.chain import Verdict, Walk, chain_of
from authsvc.audit.shapes import NOBODY, Entry, Filter, Head
from authsvc.errors import StartupRefused
from authsvc.ledger.queries import AUDIT_SQL
from authsvc.ledger.session import session
from authsvc.ledger.store import PostgresLedger, datetime_of, instant_us

_BIGINT_MAX: Final = 2**63 - 1
_READ_AT_ONCE: Final = 1_000
STATEMENTS: Final = {name: text.replace(":columns", AUDIT_SQL["columns"]) for name, text in AUDIT_SQL.items()}
_Connection = Any  # a pooled asyncpg connection, or one of its own; the stubs have no name for both


class PostgresAuditLog:
    """See `AuditLog`."""

    def __init__(self, ledger: PostgresLedger) -> None:
        """On the connections of the ledger of decisions."""
        self._ledger = ledger

    async def page(self, wanted: Filter, before: int | None, count: int) -> Sequence[Entry]:
        """See `AuditLog.page`."""
        async with self._ledger.reading() as connection:
            return await page(connection, wanted, before, count)

    async def entry(self, entry_id: int) -> Entry | None:
        """See `AuditLog.entry`."""
        async with self._ledger.reading() as connection:
            return await entry(connection, entry_id)


@asynccontextmanager
async def desk(database_url: str) -> AsyncIterator[_Connection]:
    """A connection for whoever looks into audit logs: for the functions below."""
    async with session(database_url) as connection:
        try:
            yield connection
        except asyncpg.UndefinedTableError as error:
            raise StartupRefused("the database has no audit logs yet: run `authsvc db migrate`") from error


async def page(connection: _Connection, wanted: Filter, before: int | None, count: int) -> list[Entry]:
    """See `AuditLog.page`."""
    query, values = page_query(wanted)
    records = await connection.fetch(query, _BIGINT_MAX if before is None else before, count, *values)
    return [_entry(record) for record in records]


async def entry(connection: _Connection, entry_id: int) -> Entry | None:
    """See `AuditLog.entry`."""
    record = await connection.fetchrow(STATEMENTS["entry"], entry_id)
    return None if record is None else _entry(record)


async def heads(connection: _Connection, account_id: int | None = None) -> list[Head]:
    """Where the chains end: of one account (NOBODY: the one of no account), or all of them."""
    return [Head(*record) for record in await connection.fetch(STATEMENTS["heads"], account_id)]


async def verify(
    connection: _Connection, account_id: int | None = None, on_progress: Callable[[int, int], None] | None = None
) -> list[Verdict]:
    """Follow one chain or all of them, as they were at one moment, and say of each what became of it.

    `on_progress` is told how many entries were read and how many the heads promise.
    """
    verdicts: list[Verdict] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        ends = {head.account_id: head for head in await heads(connection, account_id)}
        promised = sum(head.entries for head in ends.values())
        walk: Walk | None = None
        chain, count = NOBODY, 0
        async for one in _walk(connection, account_id):
            if walk is None or chain_of(one) != chain:
                verdicts += [] if walk is None else [walk.end(ends.pop(chain, None))]
                chain = chain_of(one)
                walk = Walk(chain)
            walk.add(one)
            count += 1
            if on_progress is not None and count % _READ_AT_ONCE == 0:
                on_progress(count, promised)
        verdicts += [] if walk is None else [walk.end(ends.pop(chain, None))]
    # Of these not one entry is left.
    verdicts += [Walk(head.account_id).end(head) for head in ends.values()]
    return sorted(verdicts)


def page_query(wanted: Filter) -> tuple[str, list[Any]]:
    """The statement of a page, and its parameters from the third on."""
    terms: list[tuple[str, Any]] = [
        ("entity_type = {}", wanted.entity_type or None),
        ("entity_id = {}", wanted.entity_id),
        ("action = {}", wanted.action or None),
        ("actor = {}", wanted.actor or None),
        ("user_id = {}", wanted.user_id),
        ("config_version = {}", wanted.config_version),
        ("created_at >= {}", None if wanted.since_us is None else datetime_of(wanted.since_us)),
        ("created_at < {}", None if wanted.until_us is None else datetime_of(wanted.until_us)),
    ]
    if wanted.account_id not in (None, NOBODY):
        terms.append(("account_id = {}", wanted.account_id))
    conditions = " AND account_id IS NULL" if wanted.account_id == NOBODY else ""
    values: list[Any] = []
    for term, value in terms:
        if value is not None:
            values.append(value)
            conditions += f" AND {term.format(f'${len(values) + 2}')}"
    return STATEMENTS["page"].replace(":conditions", conditions), values


async def _walk(connection: _Connection, account_id: int | None) -> AsyncIterator[Entry]:
    if account_id is None:
        cursor = connection.cursor(STATEMENTS["walk"], prefetch=_READ_AT_ONCE)
    elif account_id == NOBODY:
        cursor = connection.cursor(STATEMENTS["walk_nobody"], prefetch=_READ_AT_ONCE)
    else:
        cursor = connection.cursor(STATEMENTS["walk_one"], account_id, prefetch=_READ_AT_ONCE)
    async for record in cursor:
        yield _entry(record)


def _entry(record: asyncpg.Record) -> Entry:
    fields = dict(record)
    created_us = instant_us(fields.pop("created_at"))
    return Entry(**fields, created_us=created_us)
