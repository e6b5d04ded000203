"""Workers over the table of webhooks: what comes again and when, what is given up, and that nothing is lost or in the way."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import orjson
import pytest
import pytest_asyncio

from authsvc.bridge import workers
from authsvc.bridge.webhooks import Again, Webhook
from authsvc.bridge.workers import LEASE_MS, Workers
from authsvc.client import AuthorizationClient, ClientError
from authsvc.ledger.queries import WEBHOOKS_SQL
from authsvc.settings import Settings
from tests.bridging import NOWHERE
from tests.events import Webhooks, card_updated, step, transaction, webhooks_to
from tests.network import Network
from tests.programs import Card, add_card
from tests.serving import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
_numbers = itertools.count(1)
FIRST_PAUSE_US = 5_000_000


@pytest_asyncio.fixture(loop_scope="module")
async def webhooks(network: Network) -> AsyncIterator[Webhooks]:
    """With an empty table."""
    async with webhooks_to(network.running.address, network.running.service.settings.database_url) as one:
        await one.database.execute("TRUNCATE webhooks")
        yield one


def settled(card: str, amount_minor: int = 700, **changes: Any) -> dict[str, Any]:
    cleared = step("CLEARING", amount_minor, moves=True)
    token = f"txn-workers-{next(_numbers)}"
    return transaction(token, card, cleared, settled_minor=amount_minor, status="SETTLED", **changes)


async def outcome(webhooks: Webhooks, name: str) -> tuple[str, int]:
    row = await webhooks.row(name)
    return row["status"], row["retry_count"]


# --- poison -----------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_processed_fails_at_once_and_nothing_else_waits_for_it(
    webhooks: Webhooks, card: Card
) -> None:
    foreign = settled(card.token)
    for part in foreign["amounts"].values():
        part["currency"] = "EUR"
    await webhooks.deliver(foreign, "msg_foreign")
    await webhooks.deliver(settled(card.token, 10**12), "msg_huge")
    await webhooks.deliver(settled(card.token, updated="2099-01-01T00:00:00Z"), "msg_future")
    for number in range(3):
        await webhooks.deliver(settled(card.token), f"msg_good_{number}")
    # What an older release may have taken for readable.
    await webhooks.database.execute(
        "INSERT INTO webhooks (webhook_id, event_type, payload, sent_at, received_at, next_attempt_at)"
        " VALUES ('msg_odd', 'card_transaction.updated', '{\"event_type\": \"card_transaction.updated\"}', now(), now(), now())"
    )
    webhooks.clock.ahead_us = 1_000_000
    assert await webhooks.workers.work_once() == 7
    told = {row["webhook_id"]: (row["status"], row["error_message"]) for row in await webhooks.rows()}
    assert {name: status for name, (status, _) in told.items() if "good" in name} == {
        f"msg_good_{number}": "processed" for number in range(3)
    }
    assert told["msg_odd"] == ("failed", "cannot be read: token")
    assert told["msg_foreign"] == ("failed", "INVALID_ARGUMENT: currency: is not the account's")
    assert [told[name][0] for name in ("msg_huge", "msg_future")] == ["failed", "failed"]
    assert webhooks.counted("webhooks_failed_total", type="card_transaction.updated") == 4
    assert await webhooks.workers.work_once() == 0


class Fussy:
    """The client of a service that fails for a whole batch when one of its messages is about a certain transaction."""

    def __init__(self, client: AuthorizationClient, token: str) -> None:
        self._client = client
        self._token = token
        self.event = client.event

    async def apply_events(self, messages: Sequence[Any], *, timeout_s: float) -> list[Any]:
        if any(message.transaction_token == self._token for message in messages):
            raise ClientError("INTERNAL", "the request failed")
        return await self._client.apply_events(messages, timeout_s=timeout_s)


async def test_a_message_that_fails_its_whole_batch_is_found_and_the_rest_goes_on(
    webhooks: Webhooks, network: Network, card: Card
) -> None:
    bodies = [settled(card.token) for _ in range(9)]
    for number, body in enumerate(bodies):
        await webhooks.deliver(body, f"msg_batch_{number}")
    async with AuthorizationClient(network.running.address) as client:
        fussy: Any = Fussy(client, bodies[4]["token"])
        await workers_of(webhooks, fussy).work_once()
    outcomes = [await outcome(webhooks, f"msg_batch_{number}") for number in range(9)]
    assert outcomes == [("processed", 0)] * 4 + [("pending", 1)] + [("processed", 0)] * 4


def workers_of(webhooks: Webhooks, client: AuthorizationClient, **settings: Any) -> Workers:
    return Workers(webhooks.store, client, Settings(**settings), webhooks.clock, webhooks.metrics.webhooks, lambda: 0.5)


# --- again ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["transaction", "card"])
async def test_news_of_an_unknown_card_waits_for_the_card(webhooks: Webhooks, card: Card, kind: str) -> None:
    token = f"card-late-{next(_numbers)}"
    body = settled(token) if kind == "transaction" else card_updated(token, "PAUSED")
    await webhooks.deliver(body, "msg_early")
    await webhooks.work()
    row = await webhooks.row("msg_early")
    assert (row["status"], row["retry_count"], row["account_id"]) == ("pending", 1, None)
    assert row["error_message"].endswith("no card has this token")
    await add_card(webhooks.database, card.account_id, token=token)
    await webhooks.work()
    assert await outcome(webhooks, "msg_early") == ("pending", 1)
    webhooks.clock.ahead_us = FIRST_PAUSE_US + 1_000_000
    await webhooks.work()
    row = await webhooks.row("msg_early")
    assert (row["status"], row["error_message"], row["account_id"]) == ("processed", None, card.account_id)
    assert webhooks.counted("webhooks_retries_total", status="NOT_FOUND") == 1


async def test_each_pause_is_twice_the_last_one_until_the_last_try_fails(webhooks: Webhooks, network: Network) -> None:
    await webhooks.deliver(card_updated("card-never", "PAUSED"), "msg_never")
    pauses_s, tries_max = [], 5
    async with AuthorizationClient(network.running.address) as client:
        patient = workers_of(webhooks, client, bridge_webhook_tries_max=tries_max)
        while (row := await webhooks.row("msg_never"))["status"] == "pending":
            webhooks.clock.ahead_us += 3_600_000_000
            before_us = webhooks.clock.now_us()
            assert await patient.work_once() == 1
            after = await webhooks.row("msg_never")
            assert after["retry_count"] == row["retry_count"] + 1
            pauses_s.append((after["next_attempt_at"].timestamp() * 1_000_000 - before_us) // 1_000_000)
    assert pauses_s[:-1] == [5, 10, 20, 40]
    row = await webhooks.row("msg_never")
    assert (row["status"], row["retry_count"]) == ("failed", tries_max)
    assert row["error_message"] == "no card has this token"


async def test_while_the_service_is_down_nothing_is_counted_and_nothing_fails(
    webhooks: Webhooks, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_APPLY_TIMEOUT_S", 0.2)
    await webhooks.deliver(settled(card.token), "msg_waits")
    async with AuthorizationClient(NOWHERE) as client:
        hopeful = workers_of(webhooks, client, bridge_webhook_tries_max=1)
        for _ in range(3):
            assert await hopeful.work_once() == 1
            assert await outcome(webhooks, "msg_waits") == ("pending", 0)
            webhooks.clock.ahead_us += 3_000_000
    await webhooks.work()
    assert await outcome(webhooks, "msg_waits") == ("processed", 0)


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_what_a_dead_worker_held_is_taken_over_when_its_lease_ends(webhooks: Webhooks, card: Card) -> None:
    await webhooks.deliver(settled(card.token), "msg_held")
    [held] = await webhooks.store.claim(webhooks.clock.now_us(), LEASE_MS, 10)
    await webhooks.work()
    assert await outcome(webhooks, "msg_held") == ("pending", 0)
    webhooks.clock.ahead_us = LEASE_MS * 1_000
    await webhooks.work()
    assert await outcome(webhooks, "msg_held") == ("processed", 0)
    # The dead one was only slow, and failed where the other one has not.
    await webhooks.store.failed([(held.id, "too late")])
    await webhooks.store.again([Again(held.id, "too late", webhooks.clock.now_us(), is_counted=True)])
    assert await outcome(webhooks, "msg_held") == ("processed", 0)


async def test_two_workers_never_hold_the_same_webhook(webhooks: Webhooks) -> None:
    now_us = webhooks.clock.now_us()
    kept = [Webhook(f"msg_shared_{number}", "card.created", "{}", now_us, now_us) for number in range(100)]
    await webhooks.store.keep(kept)
    claims = await asyncio.gather(*(webhooks.store.claim(now_us, LEASE_MS, 20) for _ in range(8)))
    ids = [one.id for claimed in claims for one in claimed]
    # Who finds others at work skips what they hold, and may so find less than it asked for.
    while claimed := await webhooks.store.claim(now_us, LEASE_MS, 20):
        ids += [one.id for one in claimed]
    assert len(ids) == len(set(ids)) == 100


async def test_a_claim_passes_by_what_another_transaction_has_locked(webhooks: Webhooks, network: Network) -> None:
    now_us = webhooks.clock.now_us()
    await webhooks.store.keep(
        [Webhook(name, "card.created", "{}", now_us, now_us) for name in ("msg_locked", "msg_free")]
    )
    other = await asyncpg.connect(network.running.service.settings.database_url)
    try:
        async with other.transaction():
            await other.execute("SELECT FROM webhooks WHERE webhook_id = 'msg_locked' FOR UPDATE")
            assert len(await webhooks.store.claim(now_us, LEASE_MS, 10)) == 1
        assert len(await webhooks.store.claim(now_us, LEASE_MS, 10)) == 1
    finally:
        await other.close()


# --- by themselves ----------------------------------------------------------------------------------------------------


async def test_a_kept_webhook_wakes_a_worker_at_once(network: Network, card: Card) -> None:
    url = network.running.service.settings.database_url
    async with webhooks_to(
        network.running.address, url, bridge_webhook_workers=2, bridge_webhook_poll_ms=600_000
    ) as webhooks:
        await asyncio.gather(*(webhooks.deliver(settled(card.token), f"msg_awake_{number}") for number in range(30)))

        async def all_done() -> bool:
            query = "SELECT count(*) FROM webhooks WHERE webhook_id LIKE 'msg_awake_%' AND status = 'processed'"
            return bool(await webhooks.database.fetchval(query) == 30)

        await until(all_done)
        assert webhooks.counted("webhooks_processed_total", type="card_transaction.updated") == 30
        assert webhooks.counted("webhooks_lag_seconds_count") == 30
    assert await network.drift() == []


async def test_what_was_kept_by_another_bridge_is_found_by_looking(network: Network, card: Card) -> None:
    url = network.running.service.settings.database_url
    async with (
        webhooks_to(network.running.address, url, bridge_webhook_workers=1, bridge_webhook_poll_ms=10) as finder,
        webhooks_to(network.running.address, url) as keeper,
    ):
        await keeper.deliver(settled(card.token), "msg_elsewhere")

        async def is_done() -> bool:
            return (await outcome(finder, "msg_elsewhere"))[0] == "processed"

        await until(is_done)


async def test_the_backlog_is_told_with_the_age_of_its_oldest(webhooks: Webhooks) -> None:
    now_us = webhooks.clock.now_us()
    await webhooks.workers.look()
    assert webhooks.counted("webhooks_oldest_pending_seconds") == 0
    kept = [
        Webhook(f"msg_old_{age_s}", "card.created", "{}", now_us, now_us - age_s * 1_000_000) for age_s in (60, 900)
    ]
    await webhooks.store.keep(kept)
    await webhooks.database.execute(
        "INSERT INTO webhooks (webhook_id, event_type, payload, status, sent_at, received_at, next_attempt_at)"
        " VALUES ('msg_lost', 'card.updated', $1, 'failed', now(), '2020-01-01Z', now())",
        orjson.dumps({}).decode(),
    )
    await webhooks.workers.look()
    assert [webhooks.counted("webhooks_waiting", status=status) for status in ("pending", "failed")] == [2, 1]
    assert 900 <= webhooks.counted("webhooks_oldest_pending_seconds") < 1_000


async def test_workers_find_what_is_due_by_its_index_however_many_are_done(webhooks: Webhooks) -> None:
    await webhooks.database.execute(
        "INSERT INTO webhooks (webhook_id, event_type, payload, status, sent_at, received_at, next_attempt_at, processed_at)"
        " SELECT 'msg_done_' || g, 'card.created', '{}', 'processed', now(), now(), now(), now() FROM generate_series(1, 3000) g"
    )
    await webhooks.database.execute("ANALYZE webhooks")
    query = WEBHOOKS_SQL["claim"].replace("$1", "now()").replace("$2", "1000").replace("$3", "200")
    plan = "\n".join(row[0] for row in await webhooks.database.fetch(f"EXPLAIN {query}"))
    assert "webhooks_due_idx" in plan
    assert "Seq Scan on webhooks" not in plan
