"""The `History` port on PostgreSQL. It reads beside decisions, on few of their connections at a time.

With replicas, lists and sums are read there. What must be exact is not: one decision, whose account it is, the watch.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

import asyncpg
import orjson

from authsvc.errors import DeadlineExceeded, NotFound
from authsvc.history.shapes import (
    Filter,
    Grouping,
    Holder,
    Page,
    Place,
    Recorded,
    Remembered,
    Scope,
    Span,
    Sums,
    Turnstile,
    Whose,
)
from authsvc.ledger.queries import HISTORY_SQL
from authsvc.ledger.replicas import Replicas
from authsvc.ledger.store import Connection, PostgresLedger, datetime_of, instant_us
from authsvc.ports import Stored
from rules.lifecycle import Status
from rules.money import divisor

T = TypeVar("T")

# Decisions share the pool; a report must never be what they wait for.
_REPORTS_AT_ONCE: Final = 2
_DECISIONS_AT_ONCE: Final = 200
# Without a card or an account there is no index in the order of a list. Rows lie about as they happened, so that a
# short span is read quickly, and it is mostly enough.
_FIRST_SPAN_US: Final = int(timedelta(hours=1) / timedelta(microseconds=1))
_SPAN_GROWTH: Final = 8
_COLUMNS: Final = HISTORY_SQL["columns"].partition("\n")[2]
STATEMENTS: Final = {name: text.replace(":columns", _COLUMNS) for name, text in HISTORY_SQL.items()}
_REASON: Final = "coalesce(t.declined_reason, CASE WHEN t.is_decided THEN 'APPROVED' END)"
# What a summary tells apart: its key, a name for it, and what that needs to be joined.
_GROUPINGS: Final[dict[Grouping, tuple[str, str, str]]] = {
    "nothing": ("''", "''", ""),
    "category_group": (
        "coalesce(g.category_group, '')",
        "''",
        "LEFT JOIN spending_categories g ON g.mcc_code = t.merchant_category_code AND g.deleted_at IS NULL",
    ),
    "card": ("coalesce(c.lithic_card_token, '')", "''", "JOIN cards c ON c.id = t.card_id"),
    "user": ("t.user_id::text", "''", ""),
    "merchant": ("coalesce(t.merchant_id, t.merchant_name, '')", "coalesce(max(t.merchant_name), '')", ""),
}


class PostgresHistory:
    """Reads what is committed."""

    def __init__(self, ledger: PostgresLedger, replicas: Replicas | None = None) -> None:
        """On the connections of the ledger of decisions, and on those of `replicas`."""
        self._ledger = ledger
        self._replicas = replicas
        self._reports = asyncio.Semaphore(_REPORTS_AT_ONCE)
        self._tail = asyncio.Semaphore(1)

    async def page(self, wanted: Filter, after: Place | None, count: int) -> list[Recorded]:
        """See `History.page`."""
        return await self._report(lambda connection: _page(connection, wanted, after, count))

    async def remembered(self, transaction_id: int, request_id: str) -> Remembered | None:
        """See `History.remembered`."""
        async with self._reporting() as connection:
            date = None
            if not transaction_id:
                key = await connection.fetchrow(STATEMENTS["request"], request_id)
                if key is None:
                    return None
                if key["transaction_id"] is None:
                    nothing = Stored(b"", None, 0, None, None)
                    return Remembered(None, nothing, request_id, instant_us(key["created_at"]), "", 0)
                transaction_id, date = key["transaction_id"], key["transaction_date"]
            record = await connection.fetchrow(STATEMENTS["remembered"], transaction_id, date)
        return None if record is None else _remembered(record)

    async def holder(self, account_id: int | None, account_token: str) -> Holder | None:
        """See `History.holder`."""
        async with self._reporting() as connection:
            records = await connection.fetch(STATEMENTS["accounts"], account_id, account_token or None)
        return Holder(*records[0]) if records else None

    async def sums(self, span: Span, starts_us: Sequence[int], by: Grouping, rows_max: int) -> list[Sums]:
        """See `History.sums`."""
        bounds = datetime_of(span.start_us), datetime_of(span.end_us)
        starts = [datetime_of(start_us) for start_us in starts_us]
        records = await self._report(
            lambda connection: connection.fetch(sums_query(by), span.account_id, *bounds, starts, rows_max)
        )
        return [Sums(*record) for record in records]

    async def scope(self, whose: Whose) -> Scope:
        """See `History.scope`."""
        async with self._reporting() as connection:
            return await _scope(connection, whose)

    async def decisions(self, scope: Scope, after: int, until: int) -> Page:
        """See `History.decisions`. Watchers read one after the other, however many there are."""
        async with self._tail, self._ledger.reading() as connection:
            records = await connection.fetch(STATEMENTS["decisions"], after, until, *scope, _DECISIONS_AT_ONCE)
        is_last = records[0]["count"] < _DECISIONS_AT_ONCE
        rows = [_recorded(record) for record in records if record["id"] is not None]
        return Page(rows, until if is_last else records[0]["reached"])

    async def last_id(self) -> int:
        """See `History.last_id`."""
        async with self._ledger.reading() as connection:
            return int(await connection.fetchval(STATEMENTS["last_id"]))

    async def turnstile(self) -> Turnstile:
        """See `History.turnstile`."""
        async with self._ledger.reading() as connection:
            return Turnstile(*await connection.fetchrow(STATEMENTS["turnstile"]))

    async def oldest(self) -> int:
        """See `History.oldest`."""
        async with self._ledger.reading() as connection:
            return int(await connection.fetchval(STATEMENTS["oldest"]))

    @asynccontextmanager
    async def _reporting(self) -> AsyncIterator[Connection]:
        async with self._reports, self._ledger.reading() as connection:
            with _too_long():
                yield connection

    async def _report(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What may be a moment old."""
        if self._replicas is None:
            async with self._reporting() as connection:
                return await work(connection)
        with _too_long():
            return await self._replicas.read(work, self._reporting)


@contextmanager
def _too_long() -> Iterator[None]:
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise DeadlineExceeded("this takes the database too long; ask for a smaller span") from error


async def _page(connection: Connection, wanted: Filter, after: Place | None, count: int) -> list[Recorded]:
    place = after or Place(wanted.end_us, 0)
    rows: list[Recorded] = []
    conditions = await _conditions(connection, wanted)
    if conditions is None:
        return []
    is_ordered = any(column in ("t.account_id", "t.card_id") for column, _ in conditions)
    query, values = page_query(conditions)
    for start_us in [wanted.start_us] if is_ordered else _starts_us(wanted.start_us, place.transacted_at_us):
        bounds = datetime_of(start_us), datetime_of(place.transacted_at_us), place.transaction_id
        rows += map(_recorded, await connection.fetch(query, *bounds, count - len(rows), *values))
        if len(rows) == count:
            break
        place = Place(start_us, 0)
    return rows


def page_query(conditions: Sequence[tuple[str, Sequence[Any]]]) -> tuple[str, list[Any]]:
    """A page where each of these columns has one of its values, and the parameters that this adds."""
    terms, parameters = "", []
    for at, (column, values) in enumerate(conditions, start=5):
        # An index is read in its order for one value, not for an array of one.
        is_one = len(values) == 1
        terms += f" AND {column} = ${at}" if is_one else f" AND {column} = ANY(${at})"
        parameters.append(values[0] if is_one else values)
    return STATEMENTS["page"].replace(":conditions", terms), parameters


def sums_query(by: Grouping) -> str:
    """A summary by one thing."""
    key, name, join = _GROUPINGS[by]
    return STATEMENTS["sums"].replace(":key", key).replace(":name", name).replace(":join", join)


async def _conditions(connection: Connection, wanted: Filter) -> list[tuple[str, Any]] | None:
    """What the filter says of columns, and of which values each must be one. None: nothing can be like that."""
    scope = await _scope(connection, wanted.whose)
    account_ids = scope.account_ids
    if wanted.user_id is not None and account_ids is None:
        # There is no index by cardholder; there is one by account.
        account_ids = [record["account_id"] for record in await connection.fetch(STATEMENTS["user"], wanted.user_id)]
    codes: list[str] | None = [wanted.mcc] if wanted.mcc else None
    if wanted.category_group:
        group = [record["mcc_code"] for record in await connection.fetch(STATEMENTS["codes"], wanted.category_group)]
        codes = group if codes is None else [code for code in codes if code in group]
    columns: list[tuple[str, Sequence[Any] | None]] = [
        ("t.account_id", account_ids),
        ("t.card_id", scope.card_ids),
        ("t.user_id", None if wanted.user_id is None else [wanted.user_id]),
        ("t.merchant_category_code", codes),
        ("t.status", None if wanted.status is None else [wanted.status.value]),
        (_REASON, [wanted.reason] if wanted.reason else None),
    ]
    conditions = [(column, values) for column, values in columns if values is not None]
    return None if any(not values for _, values in conditions) else conditions


async def _scope(connection: Connection, whose: Whose) -> Scope:
    account_ids = card_ids = None
    if whose.account_id is not None:
        account_ids = [whose.account_id]
    elif whose.account_token:
        account_ids = [
            record["id"] for record in await connection.fetch(STATEMENTS["accounts"], None, whose.account_token)
        ]
    if whose.card_token:
        card_ids = [record["id"] for record in await connection.fetch(STATEMENTS["cards"], whose.card_token)]
    return Scope(account_ids, card_ids)


def _starts_us(start_us: int, end_us: int) -> Iterator[int]:
    """Where to begin reading: each further back than the one before, the last one at the start."""
    span_us = _FIRST_SPAN_US
    while end_us - span_us > start_us:
        yield end_us - span_us
        span_us *= _SPAN_GROWTH
    yield start_us


def _recorded(record: asyncpg.Record) -> Recorded:
    return Recorded(
        record["id"],
        record["request_id"],
        record["transaction_token"] or "",
        record["account_id"],
        record["card_token"] or "",
        record["user_id"],
        record["kind"],
        Status(record["status"]),
        record["is_decided"],
        record["declined_reason"] or "",
        record["currency"],
        int(record["amount"] * divisor(record["currency"])),
        record["approved_minor"],
        record["held_minor"],
        record["settled_minor"],
        record["credited_minor"],
        record["merchant_id"] or "",
        record["merchant_name"] or "",
        record["mcc"] or "",
        record["merchant_city"] or "",
        record["merchant_state"] or "",
        record["merchant_country"] or "",
        record["merchant_amount_minor"],
        record["merchant_currency"] or "",
        instant_us(record["transaction_date"]),
        instant_us(record["created_at"]),
    )


def _remembered(record: asyncpg.Record) -> Remembered:
    said = orjson.loads(record["explanation"])
    if not record["is_decided"] or "decision" not in said:
        raise NotFound("nobody decided this transaction: the network forced it, and there is nothing to explain")
    return Remembered(
        _recorded(record),
        Stored(b"", record["id"], record["config_version"], record["counter_epoch"], record["explanation"].encode()),
        record["request_id"],
        instant_us(record["created_at"]),
        said.get("node", ""),
        said.get("us", 0),
    )
