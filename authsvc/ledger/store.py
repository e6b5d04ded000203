"""The `Ledger` port on PostgreSQL: the only truth. One statement records a batch, under the fence of both versions."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from authsvc.errors import OutcomeUnknown, RowRefused, Unavailable
from authsvc.ledger.queries import SQL
from authsvc.ports import AuthorizationRequest, Fenced, Inserted, Loaded, Orphan, Row, Stored
from rules.money import divisor
from rules.reasons import Level
from rules.types import Counter

Pool = asyncpg.Pool
Connection = Any  # a pooled asyncpg connection; the stubs have no name for it

_DAY_S: Final = 86_400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BEFORE_ALL: Final = datetime(1, 1, 1, tzinfo=UTC)
_AFTER_ALL: Final = datetime(9999, 12, 31, tzinfo=UTC)
ROW_SEPARATOR: Final = chr(30)
FIELD_SEPARATOR: Final = chr(31)
# The recorder's statements join a batch to itself: hash joins; and their plans must not be made again for every batch.
_RECORDER_SETTINGS: Final = {"enable_nestloop": "off", "plan_cache_mode": "force_generic_plan"}
NOT_COMMITTED: Final = (asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)
GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)


class _Connection(asyncpg.Connection):
    """Without the driver's clean-up at every release: nothing here changes a session, and it costs a round trip."""

    def get_reset_query(self) -> str:
        return ""


class PostgresLedger:
    """Truth. Errors are `Unavailable` when nothing was committed, `OutcomeUnknown` when that cannot be told."""

    def __init__(self, pool: Pool, recorders: Pool, *, acquire_timeout_ms: int, record_ttl_ms: int) -> None:
        """`recorders` serves the batches (see `open_recorders`), `pool` everything else.

        `record_ttl_ms` as in `RedisCounters`: once a record has expired, a late duplicate makes a second reservation of
        the same name, so a row half as old is not taken for the owner of a reservation that is still pending.
        """
        self._pool = pool
        self._recorders = recorders
        self._acquire_timeout_s = acquire_timeout_ms / 1000
        self._fresh_ms = record_ttl_ms // 2
        self._resting: list[Connection] = []

    async def record(self, rows: Sequence[Row]) -> list[Inserted | Stored | Fenced]:
        """See `Ledger.record`."""
        posting = {row.card.account.id for row in rows if row.posted_minor}
        plain = [row for row in rows if row.card.account.id not in posting]
        moving = [row for row in rows if row.card.account.id in posting]
        results: dict[str, Inserted | Stored | Fenced] = {}
        if plain:
            async with self._committing() as connection:
                results |= _results(plain, await _insert(connection, plain))
        try:
            if moving:
                async with self._committing() as connection:
                    results |= await _insert_and_post(connection, moving)
            await self._look_up([row.request for row in rows], results)
        except Unavailable as error:
            # Part of the batch may be committed by now.
            raise OutcomeUnknown("database") from error
        return [results[row.request.request_id] for row in rows]

    async def record_unknown(self, requests: Sequence[AuthorizationRequest]) -> list[Inserted | Stored | Fenced]:
        """See `Ledger.record_unknown`."""
        async with self._committing() as connection:
            records = await connection.fetch(
                SQL["record_unknown"],
                [request.request_id for request in requests],
                [request.fingerprint for request in requests],
                [datetime_of(request.transacted_at_us) for request in requests],
                [request.card_token for request in requests],
            )
        inserted = {record["request_id"] for record in records}
        results: dict[str, Inserted | Stored | Fenced] = {
            request.request_id: Inserted(None, 0) if request.request_id in inserted else Fenced(0, 0)
            for request in requests
        }
        await self._look_up(requests, results)
        return [results[request.request_id] for request in requests]

    async def bump_epoch(self, account_id: int, seen: int) -> int:
        """See `Ledger.bump_epoch`."""
        async with self.reading() as connection:
            return int(await connection.fetchval(SQL["bump_epoch"], account_id, seen))

    async def counter_epoch(self, account_id: int) -> int:
        """See `Ledger.counter_epoch`."""
        async with self.reading() as connection:
            return int(await connection.fetchval(SQL["counter_epoch"], account_id))

    async def load(self, account_id: int, counters: Sequence[Counter]) -> Loaded:
        """See `Ledger.load`."""
        cards = [counter for counter in counters if counter.level is Level.CARD]
        profiles = [counter for counter in counters if counter.level is Level.PROFILE]
        async with self.reading() as connection:
            row = await connection.fetchrow(SQL["load"], account_id, *_windows(cards), *_windows(profiles))
        both = dict(zip([*cards, *profiles], [*(row["cards"] or ()), *(row["profiles"] or ())], strict=True))
        return Loaded(
            row["counter_epoch"],
            int(row["balance"] * divisor(row["currency"])),
            row["held_minor"],
            [both[counter][0] for counter in counters],
            [both[counter][1] for counter in counters],
        )

    async def recorded(self, orphans: Sequence[Orphan]) -> list[bool]:
        """See `Ledger.recorded`."""
        parts = [_parts(orphan.name) for orphan in orphans]
        async with self.reading() as connection:
            ids = [request_id for _, _, request_id in parts]
            records = await connection.fetch(SQL["remembered"], ids, self._fresh_ms)
        rows = {record["request_id"]: record for record in records}
        return [
            (row := rows.get(request_id)) is not None
            and row["fingerprint"].hex() == fingerprint
            and row["config_version"] == config_version
            and row["counter_epoch"] == orphan.epoch
            for orphan, (fingerprint, config_version, request_id) in zip(orphans, parts, strict=True)
        ]

    async def ping(self) -> None:
        """Raises `Unavailable` when the database does not answer."""
        async with self.reading() as connection:
            await connection.fetchval("SELECT 1")

    async def _look_up(
        self, requests: Sequence[AuthorizationRequest], results: dict[str, Inserted | Stored | Fenced]
    ) -> None:
        """Whoever was not inserted may have been recorded before: a stored answer beats the fence."""
        ids = [request.request_id for request in requests if not isinstance(results[request.request_id], Inserted)]
        if not ids:
            return
        async with self.reading() as connection:
            records = await connection.fetch(SQL["stored"], ids)
        for record in records:
            explanation = record["explanation"]
            results[record["request_id"]] = Stored(
                record["fingerprint"],
                record["transaction_id"],
                record["config_version"] or 0,
                record["counter_epoch"],
                explanation.encode() if explanation is not None else None,
            )

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection to look something up."""
        try:
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                yield connection
        except (*NOT_COMMITTED, *GONE) as error:
            raise Unavailable("database") from error

    @asynccontextmanager
    async def posting(self) -> AsyncIterator[Connection]:
        """A connection to commit something beside the batches, which keep theirs."""
        try:
            connection = await self._pool.acquire(timeout=self._acquire_timeout_s)
        except (*NOT_COMMITTED, *GONE) as error:
            raise Unavailable("database") from error
        try:
            with _commit_errors():
                yield connection
        finally:
            await self._pool.release(connection)

    @asynccontextmanager
    async def _committing(self) -> AsyncIterator[Connection]:
        connection = await self._recorder()
        sound = False
        try:
            with _commit_errors():
                yield connection
            sound = True
        finally:
            if sound:
                self._resting.append(connection)
            else:
                await self._recorders.release(connection)

    async def _recorder(self) -> Connection:
        """What the last batch left, or one of the pool: to give it back each time costs as much as a query."""
        while self._resting:
            connection = self._resting.pop()
            # A connection that is lost while nobody uses it goes back to the pool by itself.
            with suppress(asyncpg.InterfaceError):
                if not connection.is_closed():
                    return connection
                await self._recorders.release(connection)
        try:
            return await self._recorders.acquire(timeout=self._acquire_timeout_s)
        except (*NOT_COMMITTED, *GONE) as error:
            raise Unavailable("database") from error


@contextmanager
def _commit_errors() -> Iterator[None]:
    """Tells a commit that cannot have happened from one whose fate is unknown."""
    try:
        yield
    except NOT_COMMITTED as error:
        raise Unavailable("database") from error
    except GONE as error:
        raise OutcomeUnknown("database") from error
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise RowRefused from error


async def open_recorders(url: str, *, statement_timeout_ms: int, size: int = 2) -> Pool:
    """The pool for batches: one is in use, the other spares a reconnection after a failure."""
    settings = {
        "statement_timeout": str(statement_timeout_ms),
        "application_name": "authsvc recorder",
        **_RECORDER_SETTINGS,
    }
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        server_settings=settings,
        command_timeout=_command_timeout_s(statement_timeout_ms),
        connection_class=_Connection,
    )


async def open_pool(url: str, *, size_min: int, size_max: int, idle_s: float, statement_timeout_ms: int) -> Pool:
    """The pool for everything that is not a batch."""
    settings = {"statement_timeout": str(statement_timeout_ms), "application_name": "authsvc"}
    return await asyncpg.create_pool(
        url,
        min_size=size_min,
        max_size=size_max,
        max_inactive_connection_lifetime=idle_s,
        server_settings=settings,
        command_timeout=_command_timeout_s(statement_timeout_ms),
        connection_class=_Connection,
    )


async def _insert(connection: Connection, rows: Sequence[Row]) -> list[asyncpg.Record]:
    lines = ROW_SEPARATOR.join([_line(row) for row in rows])
    return list(await connection.fetch(SQL["record"], lines, list({row.card.account.id for row in rows})))


def _line(row: Row) -> str:
    """The row as the statement reads it. One text costs the driver far less than an array for every column."""
    request, card, reason = row.request, row.card, row.reason
    profile, epoch, merchant_amount = card.profile, row.counter_epoch, request.merchant_amount_minor
    return FIELD_SEPARATOR.join(
        (
            request.request_id,
            request.fingerprint.hex(),
            str(card.account.id),
            str(card.id),
            str(card.user.id),
            "" if profile is None else str(profile.id),
            str(row.config_version),
            "" if epoch is None else str(epoch),
            request.kind.name,
            "" if reason == "APPROVED" else reason,
            str(request.asked_minor),
            str(row.approved_minor),
            str(row.held_minor),
            str(row.settled_minor),
            request.currency,
            str(divisor(request.currency)),
            request.transaction_token,
            request.merchant_id,
            request.merchant_name,
            request.mcc,
            request.merchant_city,
            request.merchant_state,
            request.merchant_country,
            "" if merchant_amount is None else str(merchant_amount),
            request.merchant_currency,
            request.entry_mode,
            request.network,
            row.explanation.decode(),
            str(request.transacted_at_us),
            "" if request.happened_us is None else str(request.happened_us),
        )
    )


def _results(rows: Sequence[Row], records: Sequence[asyncpg.Record]) -> dict[str, Inserted | Stored | Fenced]:
    return {
        row.request.request_id: Fenced(version, epoch) if transaction_id is None else Inserted(transaction_id, epoch)
        for row, (transaction_id, version, epoch) in zip(rows, records, strict=True)
    }


async def _insert_and_post(connection: Connection, rows: Sequence[Row]) -> dict[str, Inserted | Stored | Fenced]:
    """Rows that also move a balance: the same insert, and the postings of what was inserted, in one transaction."""
    async with connection.transaction():
        await connection.fetch(SQL["lock_for_posting"], list({row.card.account.id for row in rows}))
        results = _results(rows, await _insert(connection, rows))
        postings: dict[int, tuple[int, int, bool]] = {}
        for row in rows:
            if row.posted_minor and isinstance(results[row.request.request_id], Inserted):
                account_id, unit = row.card.account.id, divisor(row.request.currency)
                minor, _, credits_ = postings.get(account_id, (0, unit, False))
                postings[account_id] = (minor + row.posted_minor, unit, credits_ or row.posted_minor < 0)
        if postings:
            minors, units, credited = zip(*postings.values(), strict=True)
            records = await connection.fetch(SQL["post"], list(postings), list(minors), list(units), list(credited))
            epochs = {record["id"]: record["counter_epoch"] for record in records}
            for row in rows:
                result = results[row.request.request_id]
                if isinstance(result, Inserted) and row.card.account.id in epochs:
                    results[row.request.request_id] = Inserted(result.transaction_id, epochs[row.card.account.id])
    return results


def _command_timeout_s(statement_timeout_ms: int) -> float:
    """The client gives up after the server should have: only then is a silent server taken for dead."""
    return statement_timeout_ms / 1000 + 1


def _windows(counters: Sequence[Counter]) -> tuple[list[int], list[datetime], list[datetime]]:
    return (
        [counter.entity_id for counter in counters],
        [_BEFORE_ALL if counter.start_us is None else datetime_of(counter.start_us) for counter in counters],
        [_AFTER_ALL if counter.end_us is None else datetime_of(counter.end_us) for counter in counters],
    )


def datetime_of(instant: int) -> datetime:
    """From microseconds since the Unix epoch."""
    return _EPOCH + timedelta(microseconds=instant)


def instant_us(moment: datetime) -> int:
    """Microseconds since the Unix epoch."""
    since = moment - _EPOCH
    return (since.days * _DAY_S + since.seconds) * 1_000_000 + since.microseconds


def _parts(name: str) -> tuple[str, int, str]:
    """Of a reservation's name: fingerprint (hex), config version, request id."""
    fingerprint, version, request_id = name.split("/", 2)
    return fingerprint, int(version), request_id
