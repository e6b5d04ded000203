"""`POST /lithic/events`: what is kept, once, before Lithic hears of it, and what is refused and leaves nothing behind."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import lithic
import orjson
import pytest
import pytest_asyncio
from lithic.types import CardTransactionUpdatedWebhookEvent
from standardwebhooks import Webhook

from authsvc.bridge.app import ASA_PATH, BODY_BYTES_MAX, EVENTS_PATH
from authsvc.bridge.refusal import TEXT_OF_STATUS
from authsvc.bridge.signature import key_of, sign
from authsvc.clock import SystemClock
from authsvc.embedded import Servers
from tests.bridging import NOWHERE
from tests.events import Webhooks, card_updated, encoded, step, transaction, webhooks_to
from tests.lithic import OTHER_SECRET, SECRET, asa_request
from tests.serving import own_database

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOOD = encoded(transaction("txn-http", "card_demo_open", step("CLEARING", 500, moves=True), settled_minor=500))
NOT_JSON = b'{"secret-of-the-body": '


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database_url(servers: Servers, template: str) -> AsyncIterator[str]:
    async with own_database(servers, template) as (url, _):
        yield url


@pytest_asyncio.fixture(loop_scope="module")
async def webhooks(database_url: str) -> AsyncIterator[Webhooks]:
    """Nothing here is processed, so no service is there."""
    async with webhooks_to(NOWHERE, database_url) as one:
        yield one


async def test_a_webhook_is_committed_before_lithic_hears_of_it(webhooks: Webhooks) -> None:
    answer = await webhooks.send(GOOD, "msg_first")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    row = await webhooks.row("msg_first")
    assert (row["event_type"], row["status"], row["retry_count"]) == ("card_transaction.updated", "pending", 0)
    assert orjson.loads(row["payload"]) == orjson.loads(GOOD)


async def test_a_webhook_sent_thrice_is_kept_once_and_answered_alike(webhooks: Webhooks) -> None:
    answers = [await webhooks.send(GOOD, "msg_thrice")]
    answers += await asyncio.gather(*(webhooks.send(GOOD, "msg_thrice") for _ in range(2)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b'{"status":"ok"}')}
    assert [row["webhook_id"] for row in await webhooks.rows()].count("msg_thrice") == 1
    counted = [
        webhooks.counted("webhooks_received_total", type="card_transaction.updated", outcome=outcome)
        for outcome in ("new", "repeated")
    ]
    assert counted == [1, 2]


async def test_many_at_once_are_each_kept_once(webhooks: Webhooks) -> None:
    names = [f"msg_crowd_{number % 40}" for number in range(120)]
    answers = await asyncio.gather(*(webhooks.send(GOOD, name) for name in names))
    assert {answer.status_code for answer in answers} == {200}
    kept = [row["webhook_id"] for row in await webhooks.rows() if row["webhook_id"].startswith("msg_crowd_")]
    assert sorted(kept) == sorted(set(names))


async def test_what_is_not_worth_keeping_is_acknowledged_and_forgotten(webhooks: Webhooks) -> None:
    before = await webhooks.rows()
    for body in ({"event_type": "dispute.updated"}, asa_request(), {"event_type": "a.type_of_the_future", "x": 1.5}):
        assert (await webhooks.send(orjson.dumps(body))).status_code == 200
    assert await webhooks.rows() == before
    assert webhooks.counted("webhooks_received_total", type="other", outcome="not_kept") == 3


async def test_a_card_number_is_not_stored(webhooks: Webhooks) -> None:
    body = {"event_type": "card.created", "card_token": "card", "pan": "4000-NEVER", "cvv": "987", "last_four": "0017"}
    await webhooks.send(orjson.dumps(body), "msg_created")
    kept = orjson.loads((await webhooks.row("msg_created"))["payload"])
    assert kept == {"event_type": "card.created", "card_token": "card", "last_four": "0017"}


async def test_a_text_that_postgresql_cannot_store_takes_nobody_with_it(webhooks: Webhooks) -> None:
    odd = rb'{"event_type": "card.updated", "card_token": "card", "memo": "a\u0000b", "big": 1%b, "tiny": 1e-300}' % (
        b"0" * 30
    )
    answers = await asyncio.gather(webhooks.send(odd, "msg_odd"), webhooks.send(GOOD, "msg_beside_odd"))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert orjson.loads((await webhooks.row("msg_odd"))["payload"])["memo"] == "ab"


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "why", "body", "headers"),
    [
        (415, "content_type",  GOOD, {"content_type": None}),
        (415, "content_type",  GOOD, {"content_type": "text/json"}),
        (413, "size",          GOOD + b" " * BODY_BYTES_MAX, {}),
        (401, "missing",       GOOD, {"webhook_signature": None}),
        (401, "missing",       GOOD, {"webhook_id": None}),
        (401, "missing",       GOOD, {"webhook_timestamp": None}),
        (401, "malformed",     GOOD, {"webhook_signature": "v2,abc"}),
        (401, "malformed",     GOOD, {"webhook_timestamp": "now"}),
        (401, "stale",         GOOD, {"webhook_timestamp": "1614265330"}),
        (401, "wrong",         GOOD, {"webhook_signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}),
        (401, "wrong",         GOOD, {"webhook_id": "msg_of_another_call"}),
        (400, "json",          NOT_JSON, {}),
        (400, "json",          b"", {}),
        (400, "json",          GOOD.replace(b"BISTRO", b"\xff\xfe"), {}),
        (400, "not_an_object", b"[1]", {}),
        (400, "deep",          GOOD.replace(b"null", b"[" * 40 + b"]" * 40, 1), {}),
        (400, "event_type",    b"{}", {}),
        (400, "event_type",    b'{"event_type": 5}', {}),
        (400, "amount",        GOOD.replace(b":500", b":500.0"), {}),
        (400, "amount",        GOOD.replace(b":500", b":5e2"), {}),
        (400, "amount",        GOOD.replace(b":500", b":5" + b"0" * 30), {}),
        (400, "token",         GOOD.replace(b'"txn-http"', b"null"), {}),
        (400, "card_token",    GOOD.replace(b'"card_demo_open"', b"null"), {}),
        (400, "updated",       GOOD.replace(b'"updated":"2025', b'"updated":"x'), {}),
        (400, "card_token",    orjson.dumps(card_updated("", "PAUSED")), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_is_no_webhook_is_refused_and_nothing_is_kept(
    webhooks: Webhooks,
    caplog: pytest.LogCaptureFixture,
    status: int,
    why: str,
    body: bytes,
    headers: dict[str, str | None],
) -> None:
    caplog.set_level(logging.DEBUG)
    before = await webhooks.rows()
    answer = await webhooks.send(body, **headers)
    assert (answer.status_code, answer.json()) == (status, {"error": TEXT_OF_STATUS[status]})
    assert webhooks.counted("bridge_refused_total", status=str(status), why=why) == 1
    assert await webhooks.rows() == before
    logged = str([vars(record) for record in caplog.records if not record.name.startswith(("asyncio", "httpx"))])
    assert [word for word in ("secret-of-the-body", "BISTRO", "txn-http", "whsec_") if word in logged] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", EVENTS_PATH, 405),
        ("PUT", EVENTS_PATH, 405),
        ("DELETE", EVENTS_PATH, 405),
        ("POST", EVENTS_PATH + "/", 404),
    ],
)
async def test_another_method_or_path_takes_no_webhook(webhooks: Webhooks, method: str, path: str, status: int) -> None:
    assert (await webhooks.http.request(method, path)).status_code == status


# --- secrets ----------------------------------------------------------------------------------------------------------


async def test_the_secret_of_decisions_opens_nothing_here_and_the_other_way_round(database_url: str) -> None:
    async with webhooks_to(NOWHERE, database_url, bridge_asa_secrets=OTHER_SECRET) as webhooks:
        headers = {"content-type": "application/json", **sign(key_of(OTHER_SECRET), "msg_other", _now_s(), GOOD)}
        assert (await webhooks.http.post(EVENTS_PATH, content=GOOD, headers=headers)).status_code == 401
        question = orjson.dumps(asa_request())
        headers = {"content-type": "application/json", **sign(key_of(SECRET), "msg_asa", _now_s(), question)}
        assert (await webhooks.http.post(ASA_PATH, content=question, headers=headers)).status_code == 401


async def test_while_secrets_are_rotated_either_of_them_will_do(database_url: str) -> None:
    async with webhooks_to(NOWHERE, database_url, bridge_event_secrets=f"{OTHER_SECRET},{SECRET}") as webhooks:
        for name, secret in (("msg_old", SECRET), ("msg_new", OTHER_SECRET)):
            headers = {"content-type": "application/json", **sign(key_of(secret), name, _now_s(), GOOD)}
            assert (await webhooks.http.post(EVENTS_PATH, content=GOOD, headers=headers)).status_code == 200
            assert (await webhooks.row(name))["status"] == "pending"


async def test_what_lithics_own_library_signs_is_taken_and_what_it_parses_is_what_was_kept(webhooks: Webhooks) -> None:
    at = datetime.now(UTC)
    signature = Webhook(SECRET).sign("msg_library", at, GOOD.decode())
    headers = {
        "webhook-id": "msg_library",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    answer = await webhooks.http.post(
        EVENTS_PATH, content=GOOD, headers={"content-type": "application/json", **headers}
    )
    assert answer.status_code == 200
    kept = (await webhooks.row("msg_library"))["payload"]
    with lithic.Lithic(api_key="none", webhook_secret=SECRET) as client:
        parsed = client.webhooks.parse(kept, headers=sign(key_of(SECRET), "msg_library", _now_s(), kept.encode()))
    assert isinstance(parsed, CardTransactionUpdatedWebhookEvent)
    assert (parsed.token, parsed.amounts.settlement.amount) == ("txn-http", 500)


# --- where it is not served -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["secrets", "database"])
async def test_without_secrets_or_a_database_nobody_is_there(database_url: str, missing: str) -> None:
    settings: dict[str, Any] = {"bridge_event_secrets": ""} if missing == "secrets" else {}
    async with webhooks_to(NOWHERE, database_url, is_given=missing != "database", **settings) as webhooks:
        assert (await webhooks.send(GOOD)).status_code == 404
        assert (await webhooks.http.get("/healthz")).status_code == 200


async def test_unsigned_webhooks_are_taken_where_unsigned_calls_are_and_must_have_a_name(database_url: str) -> None:
    async with webhooks_to(NOWHERE, database_url, bridge_allow_unsigned=True) as webhooks:
        unsigned: dict[str, str | None] = {"webhook_signature": None, "webhook_timestamp": None}
        assert (await webhooks.send(GOOD, "msg_unsigned", **unsigned)).status_code == 200
        assert (await webhooks.row("msg_unsigned"))["status"] == "pending"
        for name in (None, "", "a\tb", "x" * 256):
            assert (await webhooks.send(GOOD, **unsigned | {"webhook_id": name})).status_code == 400
        assert webhooks.counted("bridge_refused_total", status="400", why="webhook_id") == 4


async def test_while_the_database_is_down_lithic_is_asked_to_come_again() -> None:
    async with webhooks_to(NOWHERE, "postgresql://nobody@127.0.0.1:9/none", is_up=False) as webhooks:
        answer = await webhooks.send(GOOD)
        assert (answer.status_code, answer.json()) == (503, {"error": TEXT_OF_STATUS[503]})
        assert webhooks.counted("bridge_refused_total", status="503", why="database") == 1


def _now_s() -> int:
    return SystemClock().now_us() // 1_000_000
