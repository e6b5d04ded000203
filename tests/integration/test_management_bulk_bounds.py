"""Bulk calls of callers who take their time: there are few of them at once, and none of them lasts for ever."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import orjson
import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from authsvc.v1 import management_pb2 as pb
from authsvc.v1 import management_pb2_grpc
from tests.desk import Desk, account
from tests.serving import WAIT_S, Running, refusal, serving_module, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Half of them may be in use by bulk calls.
POOL: Final = 4


class Trickle:
    """An import whose lines come when they are sent, one by one."""

    def __init__(self, running: Running, account_id: int, **how: Any) -> None:
        self._lines: asyncio.Queue[pb.ImportRecordsRequest | None] = asyncio.Queue()
        self._account_id = account_id
        self._sent = 0
        self._lines.put_nowait(pb.ImportRecordsRequest(resource="User", **how))
        stub: Any = management_pb2_grpc.BulkServiceStub(running.channel)
        self.call: Any = stub.ImportRecords(self._messages(), timeout=WAIT_S)

    async def _messages(self) -> AsyncIterator[pb.ImportRecordsRequest]:
        while (message := await self._lines.get()) is not None:
            yield message

    async def send(self) -> pb.ImportRecordsProgress:
        """One line, and what the service says of it."""
        self._sent += 1
        line = {
            "account_id": self._account_id,
            "email": f"trickle-{self._account_id}-{self._sent}@example.com",
            "first_name": "Ada",
            "last_name": "Baker",
        }
        self._lines.put_nowait(pb.ImportRecordsRequest(lines=[orjson.dumps(line).decode()]))
        return await self.call.read()

    async def end(self) -> pb.ImportRecordsProgress:
        self._lines.put_nowait(None)
        last = pb.ImportRecordsProgress()
        while (report := await self.call.read()) is not grpc.aio.EOF:
            last = report
        return last


async def account_of(running: Running) -> int:
    return int((await Desk(running.channel).create(account())).id)


async def users_of(running: Running, account_id: int) -> int:
    return int(await running.database.fetchval("SELECT count(*) FROM users WHERE account_id = $1", account_id))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template, pg_pool_min=0, pg_pool_max=POOL) as one:
        yield one


async def test_half_of_the_pool_is_for_others_however_many_imports_trickle(running: Running) -> None:
    accounts = [await account_of(running) for _ in range(POOL // 2)]
    trickles = [Trickle(running, one) for one in accounts]
    for trickle in trickles:
        assert (await trickle.call.read()).read == 0
        assert (await trickle.send()).read == 1
    others = [Trickle(running, one) for one in accounts]
    cards = management_pb2_grpc.BulkServiceStub(running.channel).CreateCards(pb.CreateCardsRequest(card_product_id=1))
    for call in (*(other.call for other in others), cards):
        assert await refusal(call.read()) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "as many bulk calls as there may be are under way: try again when one of them has ended",
        )
    asked = [Desk(running.channel).get("Account", accounts[0]) for _ in range(3 * POOL)]
    assert {one.id for one in await asyncio.gather(*asked)} == {accounts[0]}
    for trickle in trickles:
        assert (await trickle.send()).read == 2
        assert (await trickle.end()).is_committed
    assert [await users_of(running, one) for one in accounts] == [2, 2]
    assert (await Trickle(running, accounts[0]).end()).is_committed


async def test_a_caller_who_opens_an_import_and_says_nothing_keeps_nobody_out(running: Running) -> None:
    account_id = await account_of(running)
    stub: Any = management_pb2_grpc.BulkServiceStub(running.channel)
    silent = [stub.ImportRecords(timeout=WAIT_S) for _ in range(POOL)]
    for call in silent:
        await call.wait_for_connection()
    trickle = Trickle(running, account_id)
    assert (await trickle.call.read()).read == 0
    assert (await trickle.end()).is_committed
    for call in silent:
        call.cancel()


async def test_a_bulk_call_that_takes_too_long_is_ended_and_undone(servers: Servers, template: str) -> None:
    async with serving_module(servers, template, bulk_timeout_ms=300) as short:
        account_id = await account_of(short)
        trickle = Trickle(short, account_id, skip_bad=True)

        async def trickling() -> None:
            while True:
                assert await trickle.send() is not grpc.aio.EOF

        assert await refusal(trickling()) == (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "a bulk call may take 0.3 seconds: send less in one",
        )
        query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()"

        async def is_over() -> bool:
            return not await short.database.fetchval(query)

        await until(is_over)
        assert await users_of(short, account_id) == 0
