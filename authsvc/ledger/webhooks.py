"""Webhooks on PostgreSQL: the bridge's `WebhookStore`, and what people ask of the table."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg
import orjson

from authsvc.bridge.webhooks import Again, Backlog, Claimed, Webhook
from authsvc.errors import StartupRefused, Unavailable
from authsvc.ledger.queries import WEBHOOKS_SQL
from authsvc.ledger.session import session

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CONNECTIONS_MAX: Final = 4
_TIMEOUT_S: Final = 5.0
_PURGE_AT_ONCE: Final = 10_000
_BIGINT_MAX: Final = 2**63 - 1
_log = logging.getLogger(__name__)
_Connection = Any  # a pooled asyncpg connection, or one of its own; the stubs have no name for both


class PostgresWebhooks:
    """See `WebhookStore`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """On connections of its own: a flood of webhooks takes none from decisions."""
        self._pool = pool

    async def keep(self, webhooks: Sequence[Webhook]) -> set[str]:
        """See `WebhookStore.keep`."""
        # In the order of their names: two bridges that keep the same ones wait for each other instead of deadlocking.
        ordered = sorted(webhooks)
        records = await self._fetch(
            "keep",
            [webhook.webhook_id for webhook in ordered],
            [webhook.event_type for webhook in ordered],
            [webhook.payload for webhook in ordered],
            [_datetime(webhook.sent_us) for webhook in ordered],
            [_datetime(webhook.received_us) for webhook in ordered],
        )
        return {record["webhook_id"] for record in records}

    async def claim(self, now_us: int, lease_ms: int, count_max: int) -> list[Claimed]:
        """See `WebhookStore.claim`."""
        records = await self._fetch("claim", _datetime(now_us), lease_ms, count_max)
        return [
            Claimed(
                record["id"],
                record["event_type"],
                record["payload"].encode(),
                _instant_us(record["sent_at"]),
                _instant_us(record["received_at"]),
                record["retry_count"],
            )
            for record in records
        ]

    async def processed(self, ids: Sequence[int], now_us: int) -> None:
        """See `WebhookStore.processed`."""
        if ids:
            await self._fetch("processed", list(ids), _datetime(now_us))

    async def again(self, attempts: Sequence[Again]) -> None:
        """See `WebhookStore.again`."""
        if attempts:
            ids, whys, next_us, counted = zip(*attempts, strict=True)
            await self._fetch("again", list(ids), list(whys), [_datetime(one) for one in next_us], list(counted))

    async def failed(self, reasons: Sequence[tuple[int, str]]) -> None:
        """See `WebhookStore.failed`."""
        if reasons:
            ids, whys = zip(*reasons, strict=True)
            await self._fetch("failed", list(ids), list(whys))

    async def set_card_status(self, card_token: str, status: str, at_us: int) -> bool:
        """See `WebhookStore.set_card_status`."""
        records = await self._fetch("set_card_status", card_token, status, _datetime(at_us))
        return bool(records[0][0])

    async def backlog(self) -> Backlog:
        """See `WebhookStore.backlog`."""
        [record] = await self._fetch("backlog")
        oldest = record["oldest_received_at"]
        return Backlog(record["pending"], record["failed"], None if oldest is None else _instant_us(oldest))

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """One statement, one commit."""
        try:
            async with self._pool.acquire(timeout=_TIMEOUT_S) as connection:
                return list(await connection.fetch(WEBHOOKS_SQL[name], *arguments))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning(
                "the table of webhooks does not answer", extra={"statement": name, "error": type(error).__name__}
            )
            raise Unavailable("database") from error


@asynccontextmanager
async def open_webhooks(database_url: str) -> AsyncIterator[PostgresWebhooks]:
    """Connects when it is first asked for something: a bridge starts, and answers, while the database is down."""
    pool = asyncpg.create_pool(
        database_url,
        min_size=0,
        max_size=_CONNECTIONS_MAX,
        command_timeout=_TIMEOUT_S,
        server_settings={"application_name": "authsvc bridge"},
    )
    async with pool:
        yield PostgresWebhooks(pool)


@asynccontextmanager
async def desk(database_url: str) -> AsyncIterator[_Connection]:
    """A connection for whoever looks after the table: for the functions below."""
    async with session(database_url) as connection:
        try:
            yield connection
        except asyncpg.UndefinedTableError as error:
            raise StartupRefused("the database has no table of webhooks yet: run `authsvc db migrate`") from error


class Kept(NamedTuple):
    """A row, for people. `payload` is empty in a list."""

    id: int
    webhook_id: str
    event_type: str
    status: str
    account_id: int | None
    retry_count: int
    error_message: str | None
    sent_at: datetime
    received_at: datetime
    next_attempt_at: datetime
    processed_at: datetime | None
    payload: dict[str, Any]


async def listed(connection: _Connection, status: str | None, event_type: str | None, count_max: int) -> list[Kept]:
    """The latest, newest first; None stands for any."""
    records = await connection.fetch(WEBHOOKS_SQL["list"], status, event_type, count_max)
    return [Kept(**record, payload={}) for record in records]


async def shown(connection: _Connection, name: str) -> Kept | None:
    """One by its number here or by Lithic's name of it."""
    record = await connection.fetchrow(WEBHOOKS_SQL["show"], name, _number(name))
    return None if record is None else Kept(**{**record, "payload": orjson.loads(record["payload"])})


async def retry(connection: _Connection, name: str | None, now_us: int) -> int:
    """Make it pending again, as if it had just come; None: all that have failed. Returns how many."""
    number = None if name is None else _number(name)
    return len(await connection.fetch(WEBHOOKS_SQL["retry"], name, number, _datetime(now_us)))


async def purgeable(connection: _Connection, statuses: Sequence[str], before_us: int) -> int:
    """How many `purge` would delete."""
    return int(await connection.fetchval(WEBHOOKS_SQL["purgeable"], list(statuses), _datetime(before_us)))


async def purge(connection: _Connection, statuses: Sequence[str], before_us: int) -> int:
    """Delete those that came before, some at a time. Returns how many."""
    count = 0
    while True:
        tag = await connection.execute(WEBHOOKS_SQL["purge"], list(statuses), _datetime(before_us), _PURGE_AT_ONCE)
        deleted = int(tag.rpartition(" ")[2])
        count += deleted
        if deleted < _PURGE_AT_ONCE:
            return count


def _number(name: str) -> int | None:
    return int(name) if name.isascii() and name.isdigit() and int(name) <= _BIGINT_MAX else None


def _datetime(instant_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=instant_us)


def _instant_us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
