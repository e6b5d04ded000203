"""Lists and reports on a standby that streams from the primary: never too old, and never missed when it is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import asyncpg
import grpc
import pytest
import pytest_asyncio

from authsvc.clock import SystemClock
from authsvc.embedded import Servers
from authsvc.embedded.places import Places
from authsvc.embedded.postgres import Postgres
from authsvc.embedded.process import run
from authsvc.errors import SettingsError
from authsvc.identity.shapes import OWNER, Caller
from authsvc.ledger.audit import desk, heads, verify
from authsvc.ledger.management import PostgresStore
from authsvc.ledger.migrate import upgrade
from authsvc.ledger.replicas import Mark, Marks, Replica, Replicas, open_replicas
from authsvc.management.resources import RESOURCES
from authsvc.management.shapes import Listing, Order
from authsvc.metrics import Metrics
from authsvc.settings import Settings, load
from authsvc.v1 import history_pb2 as history
from authsvc.v1 import management_pb2 as pb
from authsvc.v1 import transactions_pb2 as transactions
from authsvc.v1.history_pb2_grpc import HistoryServiceStub
from tests.desk import Desk
from tests.network import Network, make_card
from tests.privacy import UNDER_KEYS
from tests.programs import Card, add_account
from tests.serving import NOON, WAIT_S, Running, request, serving, started, until

FAR_MS: Final = 600_000
NEAR_MS: Final = 200
ALL: Final = Listing({}, None, Order("id", descending=False), None, 1_001, show_deleted=True)
FIRST: Final = "replica 1"


class Pair(NamedTuple):
    """A primary, and a standby that streams from it."""

    primary: Servers
    standby: Postgres


class Reader(NamedTuple):
    """A service that has a replica, and what tests ask of it."""

    running: Running
    standby: asyncpg.Connection
    network: Network
    history: Any
    desk: Desk

    async def rows(self, card: Card) -> list[int]:
        """The transactions of a card, as a list tells them."""
        asked = history.ListTransactionsRequest(card_token=card.token, start_time=NOON, end_time=NOON)
        asked.end_time.seconds += 1
        answer = await self.history.ListTransactions(asked, timeout=WAIT_S)
        return [row.transaction_id for row in answer.transactions]

    async def spent(self, card: Card) -> int:
        """What its account has spent, as a summary tells it."""
        asked = history.SpendSummaryRequest(
            account_id=card.account_id, bucket=history.BUCKET_DAY, start_time=NOON, end_time=NOON
        )
        asked.end_time.seconds += 1
        answer = await self.history.SpendSummary(asked, timeout=WAIT_S)
        return sum(row.held_minor for row in answer.rows)

    async def newest_account(self) -> int:
        """The account that was made last, as a list tells it."""
        listed = await self.desk.page("Account", "Accounts", order_by="created_at desc", page_size=1)
        return int(listed.accounts[0].id)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """While it lasts, the standby receives and replays nothing."""
        await self.standby.execute("SELECT pg_wal_replay_pause()")

        async def paused() -> bool:
            return bool(await self.standby.fetchval("SELECT pg_get_wal_replay_pause_state() = 'paused'"))

        try:
            await until(paused)
            yield
        finally:
            await self.standby.execute("SELECT pg_wal_replay_resume()")


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def is_up(metrics: Metrics, name: str = FIRST) -> Callable[[], bool]:
    return lambda: sample(metrics, "authsvc_replica_up", replica=name) == 1


def reads(metrics: Metrics, place: str) -> float:
    return sample(metrics, "authsvc_replica_reads_total", place=place)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    places = Places.claim(None)
    try:
        with Servers.start(None, durable=False) as primary:
            asyncio.run(upgrade(primary.database_url))
            options = [
                f"--dbname={primary.database_url}",
                f"--pgdata={places.postgres_data()}",
                "--write-recovery-conf",
            ]
            options += ["--checkpoint=fast", "--wal-method=stream", "--no-sync"]
            done = run([places.postgres_bin() / "pg_basebackup", *options], places.user)
            assert done.returncode == 0, done.stderr
            standby = Postgres(places, durable=False)
            try:
                yield Pair(primary, standby)
            finally:
                standby.stop()
    finally:
        places.release()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader(pair: Pair) -> AsyncIterator[Reader]:
    """A service that takes whatever the standby has, however old."""
    given = {"database_replica_urls": pair.standby.url(), "replica_lag_max_ms": FAR_MS}
    async with serving(pair.primary.database_url, pair.primary.redis_url, **given) as running:
        standby = await asyncpg.connect(pair.standby.url())
        await until(is_up(running.service.metrics))
        yield Reader(running, standby, Network(running), HistoryServiceStub(running.channel), Desk(running.channel))
        standby.terminate()


@pytest.mark.asyncio(loop_scope="module")
async def test_lists_and_sums_come_from_the_replica_and_what_must_be_exact_does_not(reader: Reader) -> None:
    card = await make_card(reader.running.database)
    first = await reader.network.swipe(card, 1_000)
    await until_seen(reader, lambda: reader.rows(card), [first.transaction_id])
    async with reader.paused():
        second = await reader.network.swipe(card, 500)
        created = await reader.desk.create(pb.Account(business_name="Bakery", owner_email="a.baker@example.com"))
        assert await reader.rows(card) == [first.transaction_id]
        assert await reader.spent(card) == 1_000
        assert await reader.newest_account() != created.id
        audited = {"entity_type": "account", "entity_id": created.id}
        assert list((await reader.desk.page("Audit", "AuditLogs", **audited)).audit_logs) == []

        asked = history.ExplainTransactionRequest(transaction_id=second.transaction_id)
        explained = await reader.history.ExplainTransaction(asked, timeout=WAIT_S)
        assert explained.transaction.transaction_id == second.transaction_id
        assert (await reader.desk.get("Account", created.id)).id == created.id
        got = transactions.GetTransactionRequest(transaction_id=second.transaction_id)
        known = await reader.network.stub.GetTransaction(got, timeout=WAIT_S)
        assert known.transaction_id == second.transaction_id

    await until_seen(reader, lambda: reader.rows(card), [second.transaction_id, first.transaction_id])
    assert await reader.spent(card) == 1_500
    assert await reader.newest_account() == created.id
    assert len((await reader.desk.page("Audit", "AuditLogs", **audited)).audit_logs) == 1
    assert reads(reader.running.service.metrics, "primary") == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_decisions_and_what_is_one_row_have_no_session_on_the_replica(reader: Reader) -> None:
    card = await make_card(reader.running.database)
    before = await sessions(reader)
    swiped = await reader.network.swipe(card, 700)
    await reader.running.batch(request(card.token))
    asked = history.ExplainTransactionRequest(transaction_id=swiped.transaction_id)
    await reader.history.ExplainTransaction(asked, timeout=WAIT_S)
    await reader.desk.get("Account", card.account_id)
    assert await sessions(reader) == before
    await reader.rows(card)
    assert await sessions(reader) != before


@pytest.mark.asyncio(loop_scope="module")
async def test_a_replica_beyond_the_bound_is_left_for_the_primary_until_it_has_caught_up(
    reader: Reader, pair: Pair
) -> None:
    card = await make_card(reader.running.database)
    given = {"database_replica_urls": pair.standby.url(), "replica_lag_max_ms": NEAR_MS}
    async with started(pair.primary.database_url, pair.primary.redis_url, **given) as (service, _, _):
        near = await reader_of(reader, service)
        await until(is_up(service.metrics))
        async with reader.paused():
            swiped = await reader.network.swipe(card, 1_000)
            await until(lambda: not is_up(service.metrics)())
            assert await near.rows(card) == [swiped.transaction_id]
            assert await reader.rows(card) == []
            assert reads(service.metrics, FIRST) == 0
            assert sample(service.metrics, "authsvc_replica_lag_seconds", replica=FIRST) > NEAR_MS / 1_000
        await until(is_up(service.metrics))
        assert await near.rows(card) == [swiped.transaction_id]
        assert reads(service.metrics, FIRST) == 1
        await near.running.channel.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_read_goes_on_at_the_primary_when_its_replica_is_killed_and_returns_with_it(
    reader: Reader, pair: Pair
) -> None:
    card = await make_card(reader.running.database)
    swiped = await reader.network.swipe(card, 1_000)
    await until_seen(reader, lambda: reader.rows(card), [swiped.transaction_id])
    metrics = reader.running.service.metrics
    before = reads(metrics, "primary"), reads(metrics, FIRST)
    blocker = await asyncpg.connect(pair.primary.database_url)
    lock = blocker.transaction()
    await lock.start()
    # The standby takes the lock as well, once it reads of it; the message makes sure that it does.
    await blocker.execute("LOCK TABLE cards IN ACCESS EXCLUSIVE MODE")
    await reader.running.database.execute("SELECT pg_logical_emit_message(true, 'test', '')")
    await until(lambda: locked(reader.standby))
    listing = asyncio.ensure_future(reader.rows(card))
    await until(lambda: waits(reader.standby))
    await asyncio.to_thread(pair.standby.kill)
    await until(lambda: waits(reader.running.database))
    await lock.rollback()
    await blocker.close()
    assert await listing == [swiped.transaction_id]
    await until(lambda: not is_up(metrics)())
    assert await reader.rows(card) == [swiped.transaction_id]
    assert (reads(metrics, "primary"), reads(metrics, FIRST)) == (before[0] + 2, before[1])

    await asyncio.to_thread(pair.standby.restart)
    await until(is_up(metrics))
    assert await reader.rows(card) == [swiped.transaction_id]
    assert reads(metrics, FIRST) == before[1] + 1


@pytest.mark.asyncio
async def test_a_caller_sees_no_other_account_on_the_replica_and_can_write_nothing_there(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.primary.database_url)
    mine, other = [await add_account(connection) for _ in range(2)]
    caller = Caller("test", OWNER, mine, None)
    metrics, resources = Metrics(), {resource.name: resource for resource in RESOURCES}
    async with AsyncExitStack() as stack:
        store = await store_on(pair, metrics, stack)
        for name in ("Account", "User", "Card"):
            seen = await store.read(caller, lambda session, name=name: session.page(resources[name], ALL))
            assert [record["id"] for record in seen] == ([mine] if name == "Account" else [])
        assert reads(metrics, FIRST) == 3
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await store.read(caller, lambda session: session.purge(resources["Account"], other))
    await connection.close()


@pytest.mark.asyncio
async def test_audit_logs_can_be_verified_on_the_replica(pair: Pair) -> None:
    async with desk(pair.primary.database_url) as connection:
        await add_account(connection)
        written = await heads(connection)
    assert written

    async def replayed() -> bool:
        async with desk(pair.standby.url()) as there:
            return await heads(there) == written

    await until(replayed)
    async with desk(pair.standby.url()) as there:
        assert {verdict.broken_id for verdict in await verify(there)} == {None}


@pytest.mark.asyncio
async def test_several_replicas_take_turns_and_one_that_follows_nobody_is_never_read(pair: Pair) -> None:
    urls = [pair.standby.url(), pair.primary.database_url, pair.standby.url(), pair.primary.postgres.url("template1")]
    metrics, accounts = Metrics(), next(one for one in RESOURCES if one.name == "Account")
    caller = Caller("test", OWNER, 1, None)
    async with AsyncExitStack() as stack:
        store = await store_on(pair, metrics, stack, *urls)
        await until(is_up(metrics, "replica 3"))
        for _ in range(4):
            await store.read(caller, lambda session: session.page(accounts, ALL))
    assert [reads(metrics, f"replica {number}") for number in range(1, 5)] == [2, 0, 2, 0]


def test_a_primary_that_writes_nothing_makes_nobody_late() -> None:
    marks, replica = Marks(), Replica(FIRST, "", None, 0.0)  # type: ignore[arg-type]
    for now_s in (10.0, 20.0, 30.0):
        marks.add("c", Mark(now_s, 500))
        replica.measured(marks, now_s, "c", 500)
        assert (replica.is_sound, replica.fresh_s) == (True, now_s)


def test_a_late_replica_is_as_old_as_the_newest_mark_that_it_has_reached() -> None:
    marks, replica = Marks(), Replica(FIRST, "", None, 0.0)  # type: ignore[arg-type]
    for now_s in range(10):
        marks.add("c", Mark(float(now_s), now_s * 100))
    replica.measured(marks, 9.5, "c", 399)
    assert replica.fresh_s == 3.0
    replica.measured(marks, 9.6, "c", 400)
    assert replica.fresh_s == 4.0


@pytest.mark.parametrize(
    ("cluster", "position", "why"),
    [("c", None, "was promoted"), ("d", 900, "is of another cluster")],
)
def test_a_server_that_does_not_follow_is_not_sound(cluster: str, position: int | None, why: str) -> None:
    marks, replica = Marks(), Replica(FIRST, "", None, 0.0)  # type: ignore[arg-type]
    marks.add("c", Mark(1.0, 500))
    replica.measured(marks, 2.0, "c", 500)
    assert replica.is_sound
    replica.measured(marks, 3.0, cluster, position)
    assert not replica.is_sound, why


def test_a_replica_that_was_past_its_new_primary_has_another_history() -> None:
    marks, replica = Marks(), Replica(FIRST, "", None, 0.0)  # type: ignore[arg-type]
    marks.add("c", Mark(1.0, 1_000))
    replica.measured(marks, 2.0, "c", 1_000)
    marks.add("c", Mark(3.0, 950))
    replica.measured(marks, 4.0, "c", 1_000)
    assert not replica.is_sound


def test_no_secret_of_a_replica_is_shown_and_each_wrong_url_is_named() -> None:
    primary, first, second = (f"postgresql://me:{word}@{word}.internal/db" for word in ("zero", "one", "two"))
    servers = {"AUTHSVC_DATABASE_URL": primary, "AUTHSVC_REDIS_URL": "redis://redis.internal"}
    settings = load({**servers, "AUTHSVC_DATABASE_REPLICA_URLS": f"{first}, {second}"})
    assert settings.replica_urls() == [first, second]
    shown = settings.effective()["database_replica_urls"]
    assert shown == "postgresql://***@one.internal/db,postgresql://***@two.internal/db"
    with pytest.raises(SettingsError) as refused:
        load({**servers, "AUTHSVC_DATABASE_REPLICA_URLS": f"{first},mysql://me:three@x"})
    assert "URL 2 must start with postgresql://" in str(refused.value)
    assert "three" not in str(refused.value)
    with pytest.raises(SettingsError, match="AUTHSVC_DATABASE_REPLICA_URLS needs AUTHSVC_DATABASE_URL"):
        load({"AUTHSVC_DATABASE_REPLICA_URLS": first})


async def store_on(pair: Pair, metrics: Metrics, stack: AsyncExitStack, *urls: str) -> PostgresStore:
    """On the primary and these replicas, of which the first is up."""
    texts = ",".join(urls or [pair.standby.url()])
    chosen = Settings(database_url=pair.primary.database_url, database_replica_urls=texts, replica_lag_max_ms=FAR_MS)
    replicas = await open_replicas(chosen, SystemClock().monotonic_s, metrics, stack)
    assert isinstance(replicas, Replicas)
    pool = await stack.enter_async_context(asyncpg.create_pool(pair.primary.database_url, min_size=1, max_size=2))
    task = asyncio.create_task(replicas.run())
    stack.push_async_callback(asyncio.wait, [task])
    stack.callback(task.cancel)
    await until(is_up(metrics))
    return PostgresStore(pool, replicas, privacy=UNDER_KEYS, acquire_timeout_ms=5_000)


async def reader_of(reader: Reader, service: Any) -> Reader:
    """The same questions to another service."""
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{service.port}", options=[("grpc.use_local_subchannel_pool", 1)])
    running = Running(service, channel, None, reader.running.database, reader.running.redis, None, None)  # type: ignore[arg-type]
    return Reader(running, reader.standby, Network(running), HistoryServiceStub(channel), Desk(channel))


async def until_seen(reader: Reader, ask: Callable[[], Any], answer: object) -> None:
    """Returns once the replica has replayed what the test wrote."""

    async def seen() -> bool:
        return bool(await ask() == answer)

    await until(seen)


async def sessions(reader: Reader) -> set[tuple[int, Any]]:
    """Who is connected to the standby, and when each asked something last, beside those that measure, and ourselves."""
    return {
        tuple(row)
        for row in await reader.standby.fetch(
            "SELECT pid, query_start FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND application_name <> 'authsvc lag' AND pid <> pg_backend_pid()"
        )
    }


async def locked(standby: asyncpg.Connection) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE relation = 'cards'::regclass AND mode = 'AccessExclusiveLock'"
    return bool(await standby.fetchval(query))


async def waits(connection: asyncpg.Connection) -> bool:
    query = (
        "SELECT count(*) FROM pg_locks WHERE relation = 'cards'::regclass AND NOT granted AND mode = 'AccessShareLock'"
    )
    return bool(await connection.fetchval(query))
