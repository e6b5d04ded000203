"""Decisions as they are recorded: none lost and none twice, whatever the order in which they are committed."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import grpc
import pytest

from authsvc.client import AuthorizationClient
from authsvc.embedded import Servers
from authsvc.history.shapes import Turnstile
from authsvc.ledger.history import PostgresHistory
from authsvc.v1 import authorization_pb2 as auth
from authsvc.v1 import history_pb2 as pb
from authsvc.v1.authorization_pb2_grpc import AuthorizationServiceStub
from authsvc.v1.history_pb2_grpc import HistoryServiceStub
from tests.network import CLEARING, RESTAURANT, Network, event
from tests.programs import Card, add_account, add_card, add_cards
from tests.serving import WAIT_S, Running, refusal, request, serving, started, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count(1)


@pytest.fixture
def history(network: Network) -> Any:
    return HistoryServiceStub(network.running.channel)


class Reader:
    """A stream that is read row by row."""

    def __init__(self, stub: Any, **fields: Any) -> None:
        self._call = stub.WatchTransactions(pb.WatchTransactionsRequest(**fields))
        self._rows: list[int] = []
        self.cursor = -1

    async def begun(self) -> "Reader":
        """Once the stream has told where it begins."""
        message = await self._message()
        assert not message.transactions
        return self

    async def take(self, count: int) -> list[int]:
        """The next ids."""
        while len(self._rows) < count:
            self._rows += [row.transaction_id for row in (await self._message()).transactions]
        taken, self._rows = self._rows[:count], self._rows[count:]
        return taken

    async def end(self) -> list[int]:
        """The ids that come until the server ends the stream."""
        while (message := await self._call.read()) is not grpc.aio.EOF:
            self._rows += [row.transaction_id for row in message.transactions]
        return self._rows

    def leave(self) -> None:
        self._call.cancel()

    async def _message(self) -> pb.WatchTransactionsResponse:
        async with asyncio.timeout(WAIT_S):
            message = await self._call.read()
        assert message is not grpc.aio.EOF
        assert message.cursor >= self.cursor
        self.cursor = message.cursor
        return message


@asynccontextmanager
async def held_after_its_id(running: Running, message: auth.AuthorizeRequest) -> AsyncIterator[asyncio.Task[Any]]:
    """The request has drawn an id and waits, within its transaction, for somebody who holds its key and then gives it up."""
    blocker = await asyncpg.connect(running.service.settings.database_url)
    try:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute(
            "INSERT INTO request_keys (request_id, fingerprint, transaction_date) VALUES ($1, '', now())",
            message.request_id,
        )
        deciding = asyncio.create_task(running.authorize(message))

        async def waits() -> bool:
            query = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
            return bool(await running.database.fetchval(query, blocker.get_server_pid()))

        await until(waits)
        yield deciding
        await transaction.rollback()
        await deciding
    finally:
        await blocker.close()


class Counting(PostgresHistory):
    """Counts how often it was asked how far the horizon may go."""

    looks = 0

    async def oldest(self) -> int:
        self.looks += 1
        return await super().oldest()

    async def turnstile(self) -> Turnstile:
        self.looks += 1
        return await super().turnstile()


def counting(running: Running) -> Counting:
    """Puts one in the place of the service's own."""
    made = Counting(running.service.ledger)
    running.service.history._watch._history = made
    return made


@asynccontextmanager
async def second_worker(running: Running) -> AsyncIterator[Any]:
    """Another service on the same database and counters."""
    settings = running.service.settings
    async with (
        started(settings.database_url, settings.redis_url) as (service, _, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        yield channel


async def test_a_watcher_is_told_every_decision_from_now_on_in_order(network: Network, history: Any) -> None:
    account_id = await add_account(network.running.database)
    card = await add_card(network.running.database, account_id, "100.00", "monthly")
    await network.swipe(card, 1)
    reader = await Reader(history, account_id=account_id).begun()
    swipes = [await network.swipe(card, amount_minor) for amount_minor in (100, 20_000, 200)]
    assert await reader.take(3) == [swipe.transaction_id for swipe in swipes]
    reader.leave()


async def test_filters_are_by_account_by_its_token_and_by_card(network: Network, history: Any) -> None:
    database = network.running.database
    first, second = [await add_account(database) for _ in range(2)]
    await database.execute("UPDATE accounts SET lithic_account_token = 'watched' WHERE id = $1", first)
    one, two = await add_cards(database, 2, first)
    three = await add_card(database, second)
    start = (await network.swipe(one, 1)).transaction_id
    numbers = {card.token: (await network.swipe(card, 1)).transaction_id for card in (three, two, one)}
    cases: list[tuple[dict[str, Any], list[Card]]] = [
        ({"account_id": first}, [two, one]),
        ({"account_token": "watched"}, [two, one]),
        ({"card_token": one.token}, [one]),
        ({"card_token": three.token}, [three]),
        ({"account_id": first, "card_token": two.token}, [two]),
        ({}, [three, two, one]),
    ]
    for fields, cards in cases:
        reader = await Reader(history, cursor=start, **fields).begun()
        assert await reader.take(len(cards)) == [numbers[card.token] for card in cards]
        reader.leave()


async def test_what_the_network_forced_is_no_decision(network: Network, history: Any, card: Card) -> None:
    reader = await Reader(history, account_id=card.account_id).begun()
    await network.swipe(card, 1)
    forced = {"transaction_token": "watch-forced", "card_token": card.token, "merchant": RESTAURANT}
    await network.say(event(CLEARING, None, 300, **forced))
    last = await network.swipe(card, 1)
    assert (await reader.take(2))[1] == last.transaction_id
    reader.leave()


async def test_a_lesser_id_that_is_committed_later_is_waited_for(network: Network, history: Any) -> None:
    """Without the horizon, the stream would tell of the later ids and never come back for the earlier one."""
    running = network.running
    slow, quick = await add_account(running.database), await add_account(running.database)
    slow_card, quick_card = await add_card(running.database, slow), await add_card(running.database, quick)
    looks = counting(running)
    async with second_worker(running) as channel:
        other = AuthorizationServiceStub(channel)
        await other.Authorize(request(quick_card.token, 1), timeout=WAIT_S)
        start = await Reader(history).begun()
        readers = [start, await Reader(HistoryServiceStub(channel)).begun()]
        async with held_after_its_id(running, request(slow_card.token, 1)) as held:
            later = [(await other.Authorize(request(quick_card.token, 1), timeout=WAIT_S)) for _ in range(5)]
            seen = looks.looks
            await until(lambda: looks.looks > seen + 3)
        expected = [held.result().transaction_id, *(answer.transaction_id for answer in later)]
        assert expected == sorted(expected)
        for reader in readers:
            assert await reader.take(6) == expected
            reader.leave()


async def test_an_id_is_waited_for_when_nothing_else_happens(network: Network, history: Any, card: Card) -> None:
    """The end of a snapshot is no measure of what is at work: nobody who is younger has ended yet."""
    running = network.running
    await network.swipe(card, 1)  # the counters are loaded, which takes a transaction as well
    looks = counting(running)
    reader = await Reader(history, account_id=card.account_id).begun()
    async with held_after_its_id(running, request(card.token, 1)) as held:
        seen = looks.looks
        await until(lambda: looks.looks > seen + 3)
    assert await reader.take(1) == [held.result().transaction_id]
    reader.leave()


async def test_an_id_that_is_given_up_holds_nobody_back(network: Network, history: Any, card: Card) -> None:
    running = network.running
    reader = await Reader(history, account_id=card.account_id).begun()
    async with running.database.transaction():
        await running.database.fetchval("SELECT nextval('transactions_id_seq')")
        swipe = await network.swipe(card, 1)
        assert await reader.take(1) == [swipe.transaction_id]
    reader.leave()


async def test_a_stream_resumes_from_its_cursor(network: Network, history: Any, card: Card) -> None:
    first = await Reader(history, card_token=card.token).begun()
    numbers = [(await network.swipe(card, 1)).transaction_id for _ in range(2)]
    assert await first.take(2) == numbers
    first.leave()
    # More than a message holds.
    results = await network.running.batch(*(request(card.token, 1) for _ in range(901)))
    numbers += sorted(result.response.transaction_id for result in results)
    second = await Reader(history, card_token=card.token, cursor=first.cursor).begun()
    assert second.cursor == first.cursor
    assert await second.take(901) == numbers[2:]
    second.leave()
    from_the_first = await Reader(history, card_token=card.token, cursor=0).begun()
    assert await from_the_first.take(903) == numbers
    from_the_first.leave()


async def test_many_clients_deciding_at_once_on_two_workers_are_each_told_once(network: Network, history: Any) -> None:
    running = network.running
    accounts = [await add_account(running.database) for _ in range(4)]
    cards = [await add_card(running.database, account_id) for account_id in accounts]
    async with second_worker(running) as channel:
        stubs = [running.stub, AuthorizationServiceStub(channel)]
        readers = [await Reader(history).begun(), await Reader(HistoryServiceStub(channel)).begun()]
        of_one = await Reader(history, account_id=accounts[0]).begun()

        async def swipe(number: int) -> int:
            message = request(cards[number % 4].token, 1)
            return (await stubs[number % 2].Authorize(message, timeout=WAIT_S)).transaction_id

        async def client(offset: int) -> list[int]:
            return [await swipe(offset + step) for step in range(20)]

        told = await asyncio.gather(*(client(offset) for offset in range(40)))
        numbers = sorted(itertools.chain.from_iterable(told))
        assert len(set(numbers)) == 800
        for reader in readers:
            assert await reader.take(800) == numbers
            reader.leave()
        assert len(set(await of_one.take(200))) == 200
        of_one.leave()


async def test_streams_end_in_order_when_the_server_drains(servers: Servers, database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url) as running:
        reader = await Reader(HistoryServiceStub(running.channel), cursor=0).begun()
        swipe = await running.authorize(request())
        assert await reader.take(1) == [swipe.transaction_id]
        running.stop.set()
        assert await reader.end() == []
        await asyncio.wait_for(running.serving, WAIT_S)


async def test_watchers_are_bounded(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url, streams_max=2) as running:
        stub = HistoryServiceStub(running.channel)
        readers = [await Reader(stub).begun() for _ in range(2)]
        call = stub.WatchTransactions(pb.WatchTransactionsRequest(), timeout=WAIT_S)
        assert await refusal(call.read()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watchers")
        readers[0].leave()
        await until(lambda: len(running.service.history._watch._watchers) == 1)
        (await Reader(stub).begun()).leave()
        readers[1].leave()
        await until(lambda: not running.service.history._watch._watchers)
        await until(lambda: running.service.history._watch._looking is None)


async def test_the_client_goes_on_where_it_was_when_the_database_comes_back(own_servers: Servers) -> None:
    async with (
        serving(own_servers.database_url, own_servers.redis_url) as running,
        AuthorizationClient(running.address, connections=1) as client,
    ):
        raw = HistoryServiceStub(running.channel).WatchTransactions(pb.WatchTransactionsRequest())
        await raw.read()
        rows = client.watch_transactions(card_token="card_demo_open")
        following = asyncio.create_task(anext(rows))
        await until(lambda: len(running.service.history._watch._watchers) == 2)
        numbers = [(await running.authorize(request())).transaction_id]
        told = [(await asyncio.wait_for(following, WAIT_S)).transaction_id]
        following = asyncio.create_task(anext(rows))
        own_servers.postgres.kill()
        code, _ = await refusal(_drained(raw))
        assert code is grpc.StatusCode.UNAVAILABLE
        await asyncio.to_thread(own_servers.postgres.restart)
        numbers += [(await client.authorize(request(), timeout_s=WAIT_S)).transaction_id for _ in range(3)]
        told.append((await asyncio.wait_for(following, WAIT_S)).transaction_id)
        told += [(await asyncio.wait_for(anext(rows), WAIT_S)).transaction_id for _ in range(2)]
        assert told == numbers
        await rows.aclose()


async def _drained(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass
