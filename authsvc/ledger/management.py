"""The `Store` port of the management services on PostgreSQL: a transaction sees what its caller may see.

Names of tables and columns in its statements come from authsvc/management/resources.py, values are always parameters.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final, TypeVar

import asyncpg
import orjson

from authsvc.audit.shapes import Entry, Filter
from authsvc.errors import InvalidRequest, Unavailable
from authsvc.identity.shapes import Caller
from authsvc.ledger.audit import page
from authsvc.ledger.queries import MANAGEMENT_SQL as SQL
from authsvc.ledger.refusals import named_fields, unavailable
from authsvc.ledger.replicas import Replicas
from authsvc.ledger.store import GONE, NOT_COMMITTED, Connection, Pool
from authsvc.management.resources import CARD, Field, Resource, Shape
from authsvc.management.shapes import Listing, Record, SettingKey
from authsvc.privacy.columns import SEALED, opened, sealed
from authsvc.privacy.keys import Privacy
from authsvc.privacy.sealing import Sealer
from rules.money import divisor

T = TypeVar("T")

_BOOK_KEEPING: Final = ("id", "row_version", "created_at", "updated_at", "deleted_at")


class PostgresStore:
    """Keeps the records. On a pool of its own or on the ledger's: nothing of a caller outlasts its transaction."""

    def __init__(
        self, pool: Pool, replicas: Replicas | None = None, *, privacy: Privacy, acquire_timeout_ms: int
    ) -> None:
        """`pool`, and the replicas', must connect as somebody who may become `authsvc_management`."""
        self._pool = pool
        self._privacy = privacy
        self._replicas = replicas
        self._acquire_timeout_s = acquire_timeout_ms / 1000

    @asynccontextmanager
    async def session(self, caller: Caller) -> "AsyncIterator[PostgresSession]":
        """See `Store.session`."""
        async with self._connected() as connection, connection.transaction():
            await connection.execute(SQL["become"], *_context(caller))
            yield PostgresSession(connection, self._privacy.sealer())

    async def read(self, caller: Caller, work: "Callable[[PostgresSession], Awaitable[T]]") -> T:
        """See `Store.read`."""
        if self._replicas is None:
            async with self.session(caller) as session:
                return await work(session)

        async def told(connection: Connection) -> T:
            async with connection.transaction(readonly=True):
                await connection.execute(SQL["become"], *_context(caller))
                return await work(PostgresSession(connection, self._privacy.sealer()))

        with unavailable():
            return await self._replicas.read(told, self._connected)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.acquire(timeout=self._acquire_timeout_s)
        except (*NOT_COMMITTED, *GONE) as error:
            raise Unavailable("database") from error
        try:
            with unavailable():
                yield connection
        finally:
            await self._pool.release(connection)


class PostgresSession:
    """See `Session`."""

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        """Within a transaction."""
        self._connection = connection
        self._sealer = sealer

    async def create(self, resource: Resource, values: Mapping[str, Any]) -> Record:
        """See `Session.create`."""
        [row] = await self._insert(resource, [values], _columns(resource))
        return self._record(resource, row)

    async def find(self, resource: Resource, record_id: int, *, lock: bool = False) -> Record | None:
        """See `Session.find`."""
        ending = " FOR UPDATE" if lock else ""
        row = await self._connection.fetchrow(
            f"SELECT {_columns(resource)} FROM {resource.table} WHERE id = $1{ending}", record_id
        )
        return self._record(resource, row) if row is not None else None

    async def page(self, resource: Resource, listing: Listing) -> list[Record]:
        """See `Session.page`."""
        conditions, arguments = self._conditions(resource, listing)
        order = listing.order
        column = resource.by_name[order.field].column if order.field in resource.by_name else order.field
        direction = "DESC" if order.descending else "ASC"
        statement = (
            f"SELECT {_columns(resource)} FROM {resource.table} WHERE {' AND '.join(conditions) or 'true'} "
            f"ORDER BY {column} {direction}, id {direction} LIMIT {int(listing.size)}"
        )
        try:
            rows = await self._connection.fetch(statement, *arguments)
        except asyncpg.DataError as error:
            # Filters were checked; what is left is the place in a token that somebody made up.
            raise InvalidRequest("page_token", "is not one that this service gave out") from error
        return [self._record(resource, row) for row in rows]

    async def change(self, resource: Resource, record_id: int, values: Mapping[str, Any]) -> Record | None:
        """See `Session.change`."""
        currency = await self._currency_of(resource, record_id) if _has_money(resource, values) else ""
        parts, arguments = [], [record_id]
        written = {name: value for name, value in values.items() if name != "deleted_at"}
        if len(written) < len(values):
            parts.append(f"deleted_at = {'now()' if values['deleted_at'] else 'NULL'}")
        for column, value in self._kept(resource, record_id, written, currency).items():
            arguments.append(value)
            parts.append(f"{column} = {_place(resource, column, len(arguments))}")
        with named_fields(resource):
            row = await self._connection.fetchrow(
                f"UPDATE {resource.table} SET {', '.join(parts)} WHERE id = $1 RETURNING {_columns(resource)}",
                *arguments,
            )
        return self._record(resource, row) if row is not None else None

    async def purge(self, resource: Resource, record_id: int) -> None:
        """See `Session.purge`."""
        with named_fields(resource):
            await self._connection.execute(f"DELETE FROM {resource.table} WHERE id = $1", record_id)

    async def setting_keys(self) -> list[SettingKey]:
        """See `Session.setting_keys`."""
        return [
            SettingKey(
                row["key"],
                row["value_type"],
                orjson.loads(row["default_value"]),
                None if row["minimum"] is None else int(row["minimum"]),
                None if row["maximum"] is None else int(row["maximum"]),
                row["choices"] or (),
                row["description"],
            )
            for row in await self._connection.fetch(SQL["setting_keys"])
        ]

    async def setting(self, account_id: int, key: str) -> Any:
        """See `Session.setting`."""
        return orjson.loads(await self._connection.fetchval(SQL["setting"], account_id, key))

    async def rules_of(self, profile_id: int) -> list[tuple[str, str]]:
        """See `Session.rules_of`."""
        return [(row["rule_type"], row["name"]) for row in await self._connection.fetch(SQL["rules_of"], profile_id)]

    async def open_cards(self, account_id: int, user_ids: Sequence[int]) -> dict[int, int]:
        """See `Session.open_cards`."""
        known = [row["id"] for row in await self._connection.fetch(SQL["lock_users"], account_id, list(user_ids))]
        rows = await self._connection.fetch(SQL["open_cards"], known)
        return dict.fromkeys(known, 0) | {row["user_id"]: row["count"] for row in rows}

    async def create_many(self, resource: Resource, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """See `Session.create_many`."""
        return [row["id"] for row in await self._insert(resource, rows, "id")]

    async def move_cards(
        self, card_ids: Sequence[int], from_profile_id: int | None, to_profile_id: int | None
    ) -> list[int]:
        """See `Session.move_cards`."""
        with named_fields(CARD):
            rows = await self._connection.fetch(SQL["move_cards"], list(card_ids), from_profile_id, to_profile_id)
        return [row["id"] for row in rows]

    async def audit_page(self, wanted: Filter, before: int | None, count: int) -> Sequence[Entry]:
        """See `Session.audit_page`."""
        return await page(self._connection, wanted, before, count)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """See `Session.attempt`."""
        async with self._connection.transaction():
            yield

    async def _insert(
        self, resource: Resource, rows: Sequence[Mapping[str, Any]], returning: str
    ) -> list[asyncpg.Record]:
        currency = await self._currency(resource, rows[0])
        # What is sealed is bound to its row: that is numbered first.
        ids: list[int | None] = [None] * len(rows)
        if resource.table in SEALED:
            ids = [row["id"] for row in await self._connection.fetch(SQL["new_ids"], resource.table, len(rows))]
        written = [
            self._kept(resource, row_id, row, currency) | ({} if row_id is None else {"id": row_id})
            for row_id, row in zip(ids, rows, strict=True)
        ]
        columns, lines = list(written[0]), []
        arguments: list[Any] = []
        for one in written:
            start = len(arguments) + 1
            arguments += one.values()
            lines.append(", ".join(_place(resource, column, start + n) for n, column in enumerate(columns)))
        into = f"{resource.table} ({', '.join(columns)})"
        with named_fields(resource):
            made: list[asyncpg.Record] = await self._connection.fetch(
                f"INSERT INTO {into} VALUES ({'), ('.join(lines)}) RETURNING {returning}", *arguments
            )
        return made

    def _kept(self, resource: Resource, row_id: int | None, values: Mapping[str, Any], currency: str) -> dict[str, Any]:
        """Values by their columns, as the database keeps them; `row_id` where they are bound to it."""
        fields = [resource.by_name[name] for name in values]
        kept = {field.column: _to_column(field, values[field.name], currency) for field in fields}
        return kept if row_id is None else sealed(self._sealer, resource.table, row_id, kept)

    def _record(self, resource: Resource, row: asyncpg.Record) -> Record:
        record: Record = {name: row[name] for name in _BOOK_KEEPING}
        for field in resource.fields:
            value = row[field.column]
            if value is not None and field.shape is Shape.MONEY:
                value = int(value * divisor(row["_currency"]))
            elif value is not None and field.shape in (Shape.LIST, Shape.JSON):
                value = orjson.loads(value)
            record[field.name] = value
        return record | opened(self._sealer, resource.table, row["id"], record)

    def _conditions(self, resource: Resource, listing: Listing) -> tuple[list[str], list[Any]]:
        conditions: list[str] = [] if listing.show_deleted else ["deleted_at IS NULL"]
        arguments: list[Any] = []
        if listing.account_id is not None and resource.tenant:
            arguments.append(listing.account_id)
            conditions.append(f"{resource.tenant} = ${len(arguments)}")
        for name, value in listing.wanted.items():
            arguments.append(value)
            column = resource.by_name[name].column
            condition = f"{column} = ${len(arguments)}"
            if index := SEALED.get(resource.table, {}).get(column):
                # What was not sealed yet is found as well.
                condition = f"(lower({column}) = lower(${len(arguments)}) OR {index} = ${len(arguments) + 1})"
                arguments.append(self._sealer.index(resource.table, column, value))
            conditions.append(condition)
        if listing.after is not None:
            order = listing.order
            field = resource.by_name.get(order.field)
            arguments += listing.after
            column = field.column if field is not None else order.field
            conditions.append(
                f"({column}, id) {'<' if order.descending else '>'} (${len(arguments) - 1}, ${len(arguments)})"
            )
        return conditions, arguments

    async def _currency(self, resource: Resource, values: Mapping[str, Any]) -> str:
        if not _has_money(resource, values):
            return ""
        currency = await self._connection.fetchval(SQL["currency"], values["account_id"])
        if currency is None:
            raise InvalidRequest("account_id", "is no account")
        return str(currency)

    async def _currency_of(self, resource: Resource, record_id: int) -> str:
        account_id = await self._connection.fetchval(
            f"SELECT {resource.tenant} FROM {resource.table} WHERE id = $1", record_id
        )
        return str(await self._connection.fetchval(SQL["currency"], account_id))


def _context(caller: Caller) -> tuple[str, ...]:
    return (
        "" if caller.account_id is None else str(caller.account_id),
        "" if caller.user_id is None else str(caller.user_id),
        caller.role,
        caller.actor,
        caller.request_id,
        caller.ip_address,
        caller.user_agent,
    )


def _has_money(resource: Resource, values: Mapping[str, Any]) -> bool:
    return any(
        name in resource.by_name and resource.by_name[name].shape is Shape.MONEY and value is not None
        for name, value in values.items()
    )


def _columns(resource: Resource) -> str:
    """What is read of a record, and the currency that its money is in."""
    columns = [*_BOOK_KEEPING, *(field.column for field in resource.fields)]
    if any(field.shape is Shape.MONEY for field in resource.fields):
        if resource.tenant == "id":
            columns.append("currency AS _currency")
        else:
            columns.append(f"(SELECT a.currency FROM accounts AS a WHERE a.id = {resource.tenant}) AS _currency")
    return ", ".join(columns)


def _place(resource: Resource, column: str, number: int) -> str:
    field = resource.by_name.get(column)
    return f"${number}::TEXT::JSONB" if field and field.shape in (Shape.LIST, Shape.JSON) else f"${number}"


def _to_column(field: Field, value: Any, currency: str) -> Any:
    if value is None:
        return None
    if field.shape is Shape.MONEY:
        return Decimal(value) / divisor(currency)
    if field.shape in (Shape.LIST, Shape.JSON):
        return orjson.dumps(value).decode()
    return value
