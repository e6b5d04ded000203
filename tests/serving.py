"""The whole service inside a test's own event loop, on real servers and a real socket, and the messages to send to it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import grpc
from redis.asyncio import Redis

from authsvc import app
from authsvc.app import Service
from authsvc.clock import Clock, SystemClock
from authsvc.embedded import Servers
from authsvc.seed import seed
from authsvc.settings import Settings
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from authsvc.v1.authorization_pb2_grpc import AuthorizationServiceStub
from tests.case_files import unix_us
from tests.privacy import KEYS_TEXT
from tests.waiting import pause

NOON: Final = datetime(2025, 11, 20, 12, tzinfo=UTC)
WAIT_S: Final = 20
# Tests speak to one worker each; nothing of theirs waits for the reaper unless they ask for it.
_QUIET: Final[Mapping[str, object]] = {
    "host": "127.0.0.1",
    "port": 0,
    "metrics_port": 0,
    "log_decisions": False,
    "privacy_keys": KEYS_TEXT,
}

_AGAIN_S: Final = 0.01

_numbers = itertools.count(1)


@dataclass(slots=True)
class Running:
    """A service that serves, and a channel to it."""

    service: Service
    channel: grpc.aio.Channel
    stub: Any
    database: asyncpg.Connection
    redis: Redis
    stop: asyncio.Event
    serving: asyncio.Task[None]

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.service.port}"

    async def authorize(self, request: pb.AuthorizeRequest, timeout_s: float = WAIT_S) -> pb.AuthorizeResponse:
        """One unary call."""
        return await self.stub.Authorize(request, timeout=timeout_s)

    async def batch(self, *requests: pb.AuthorizeRequest) -> list[pb.AuthorizeResult]:
        """One batch."""
        response = await self.stub.BatchAuthorize(pb.BatchAuthorizeRequest(requests=requests), timeout=WAIT_S)
        return list(response.results)

    async def stream(self, *requests: pb.AuthorizeRequest) -> list[pb.AuthorizeResult]:
        """One stream, all requests in flight at once; the answers as they came."""
        call = self.stub.AuthorizeStream(iter(requests), timeout=WAIT_S)
        return [result async for answers in call for result in answers.results]

    async def recorded(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Everything that a decision may leave in the database: transactions, request keys, balances."""
        queries = (
            "SELECT id, request_id, status, held_minor, settled_minor FROM transactions ORDER BY id",
            "SELECT request_id, transaction_id FROM request_keys ORDER BY request_id",
            "SELECT id, balance, postings FROM accounts ORDER BY id",
        )
        rows = [[tuple(row) for row in await self.database.fetch(query)] for query in queries]
        return rows[0], rows[1], rows[2]

    async def counters(self) -> dict[str, dict[str, str]]:
        """Every counter in Redis: the hash of each account, by its key."""
        keys = [key.decode() async for key in self.redis.scan_iter("authsvc:{*}:*", _type="hash")]
        return {key: _text(await self.redis.hgetall(key)) for key in sorted(keys)}

    async def reservations(self) -> list[str]:
        """The names of the records of reservations in Redis."""
        return sorted([key.decode() async for key in self.redis.scan_iter("authsvc:{*}:*", _type="string")])


@asynccontextmanager
async def serving(database_url: str, redis_url: str, **settings: object) -> AsyncIterator[Running]:
    """The service on a migrated database, with the sample program in it."""
    database = await asyncpg.connect(database_url)
    redis = Redis.from_url(redis_url)
    try:
        await seed(database)
        async with started(database_url, redis_url, **settings) as (service, stop, task):
            # A subchannel of its own: a later server on the same port must not meet an old connection.
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}", options=options) as channel:
                stub = AuthorizationServiceStub(channel)
                yield Running(service, channel, stub, database, redis, stop, task)
    finally:
        await redis.aclose()
        await database.close()


@asynccontextmanager
async def serving_module(servers: Servers, template: str, **settings: object) -> AsyncIterator[Running]:
    """Like `serving`, for all tests of a module."""
    async with own_database(servers, template) as urls, serving(*urls, **settings) as running:
        yield running


@asynccontextmanager
async def own_database(servers: Servers, template: str) -> AsyncIterator[tuple[str, str]]:
    """URLs of a migrated database and of a logical database of Valkey, both apart from those that single tests use."""
    name = f"module_{next(_numbers)}"
    servers.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    async with Redis.from_url(servers.valkey.url(1)) as redis:
        await redis.flushdb()
    yield servers.postgres.url(name), servers.valkey.url(1)
    servers.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def started(
    database_url: str, redis_url: str, *, clock: Clock | None = None, **settings: object
) -> AsyncIterator[tuple[Service, asyncio.Event, asyncio.Task[None]]]:
    """The service alone; at the end it is drained, if the test has not done so."""
    chosen = Settings.model_validate({**_QUIET, "database_url": database_url, "redis_url": redis_url, **settings})
    ready: asyncio.Future[Service] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(app.serve(chosen, stop, ready.set_result, clock=clock))
    await asyncio.wait([task, ready], timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield await ready, stop, task
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


class NewYear(SystemClock):
    """A wall clock that stands still, at an instant after every decision case."""

    def now_us(self) -> int:
        return unix_us(datetime(2027, 1, 1, tzinfo=UTC))


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Returns once the condition holds; fails after a while. Each look gives the loop a turn."""
    async with asyncio.timeout(WAIT_S):
        while True:
            holds = condition()
            if await holds if isinstance(holds, Awaitable) else holds:
                return
            await pause(_AGAIN_S)


def request(card: str = "card_demo_open", amount_minor: int | None = 1_000, **changes: Any) -> pb.AuthorizeRequest:
    """A good request with a fresh id; `changes` are fields of the message."""
    fields: dict[str, Any] = {
        "request_id": f"request-{next(_numbers)}",
        "card_token": card,
        "kind": types.KIND_AUTHORIZATION,
        "amount_minor": amount_minor,
        "currency": "USD",
        "transacted_at": NOON,
        "merchant": types.Merchant(mcc="5812", descriptor="A restaurant", country="USA"),
    }
    return pb.AuthorizeRequest(**(fields | changes))


async def next_answer(call: Any) -> pb.AuthorizeResult:
    """The next answer of a stream, which must come alone."""
    (result,) = (await call.read()).results
    return result


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """The status and the text of a call that must fail."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError(f"answered: {answer}")


@asynccontextmanager
async def held_back(running: Running, token: str) -> AsyncIterator[asyncpg.Connection]:
    """While it lasts no decision on the account of this card can be committed."""
    blocker = await asyncpg.connect(running.service.settings.database_url)
    try:
        async with blocker.transaction():
            await blocker.execute(
                "SELECT FROM accounts WHERE id = (SELECT account_id FROM cards WHERE lithic_card_token = $1) FOR UPDATE",
                token,
            )
            yield blocker
    finally:
        await blocker.close()


async def until_held_back(running: Running, blocker: asyncpg.Connection) -> None:
    """Returns once a batch waits for the lock of `held_back`."""

    async def waits() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
        return bool(await running.database.fetchval(query, blocker.get_server_pid()))

    await until(waits)


def in_future(**ahead: float) -> datetime:
    """So far ahead of the real clock, which is the server's."""
    return datetime.now(UTC) + timedelta(**ahead)


def _text(raw: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in raw.items()}
