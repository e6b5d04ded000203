"""The bridge as a listener: which calls are no question of Lithic's, and how the process starts and ends."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest
import pytest_asyncio

from authsvc.bridge import process
from authsvc.bridge.app import ASA_PATH, BODY_BYTES_MAX
from authsvc.bridge.process import Listening
from authsvc.bridge.refusal import TEXT_OF_STATUS
from authsvc.clock import SystemClock
from authsvc.embedded import Servers
from authsvc.settings import Settings
from tests.bridging import NOWHERE, Bridge, bridge_to, everything
from tests.lithic import OTHER_SECRET, SECRET, TOKEN, asa_request, encoded, signed_headers
from tests.serving import WAIT_S, Running, held_back, serving_module, until, until_held_back

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def bridge(running: Running) -> AsyncIterator[Bridge]:
    async with bridge_to(running.address) as one:
        yield one


# --- no question ------------------------------------------------------------------------------------------------------

GOOD = orjson.dumps(asa_request())
NOT_JSON = b'{"secret-of-the-body": '


@pytest.mark.parametrize(
    ("status", "why", "body", "headers"),
    [
        (415, "content_type", GOOD, {"content_type": None}),
        (415, "content_type", GOOD, {"content_type": "text/plain"}),
        (413, "size", GOOD + b" " * BODY_BYTES_MAX, {}),
        (401, "missing", GOOD, {"webhook_signature": None}),
        (401, "missing", GOOD, {"webhook_id": None}),
        (401, "malformed", GOOD, {"webhook_signature": "v2,abc"}),
        (401, "malformed", GOOD, {"webhook_timestamp": "now"}),
        (401, "stale", GOOD, {"webhook_timestamp": "1614265330"}),
        (401, "wrong", GOOD, {"webhook_signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}),
        (401, "wrong", GOOD, {"webhook_id": "msg_of_another_call"}),
        (400, "json", NOT_JSON, {}),
        (400, "json", b"\xff\xfe", {}),
        (400, "not_an_object", b"[]", {}),
        (400, "deep", orjson.dumps(asa_request()).replace(b"null", b"[" * 40 + b"]" * 40, 1), {}),
        (400, "amount", GOOD.replace(b"1250", b"1250.0"), {}),
        (400, "amount", GOOD.replace(b"1250", b"1" + b"0" * 30), {}),
        (400, "token", orjson.dumps(asa_request(token=None)), {}),
        (400, "card_token", orjson.dumps(asa_request(card=None)), {}),
        (400, "event_type", orjson.dumps(asa_request(event_type="card_transaction.updated")), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_is_no_question_is_refused_and_nothing_is_recorded(  # noqa: PLR0917
    bridge: Bridge,
    running: Running,
    caplog: pytest.LogCaptureFixture,
    status: int,
    why: str,
    body: bytes,
    headers: dict[str, str | None],
) -> None:
    caplog.set_level(logging.DEBUG)
    before = await everything(running)
    answer = await bridge.send(body, **headers)
    assert (answer.status_code, answer.json()) == (status, {"error": TEXT_OF_STATUS[status]})
    assert bridge.counted("refused", status=str(status), why=why) == 1
    assert await everything(running) == before
    logged = str([vars(record) for record in caplog.records if not record.name.startswith(("asyncio", "httpx"))])
    assert [word for word in ("secret-of-the-body", "BISTRO", TOKEN) if word in logged] == []


async def test_a_body_that_does_not_tell_its_length_is_cut_off_at_the_limit(bridge: Bridge) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 1_024 + 1):
            yield b" " * 1_024

    headers = {"content-type": "application/json"}
    answer = await bridge.http.post(ASA_PATH, content=parts(), headers=headers)
    assert (answer.status_code, bridge.counted("refused", status="413", why="size")) == (413, 1)


async def test_another_secret_is_refused_and_a_second_one_is_taken(running: Running) -> None:
    body = encoded(asa_request())
    headers = signed_headers(body, "msg_rotated", SystemClock().now_us() // 1_000_000, OTHER_SECRET)
    async with bridge_to(running.address) as bridge:
        assert (await bridge.http.post(ASA_PATH, content=body, headers=headers)).status_code == 401
    async with bridge_to(running.address, bridge_asa_secrets=f"{SECRET},{OTHER_SECRET}") as bridge:
        answer = await bridge.http.post(ASA_PATH, content=body, headers=headers)
        assert answer.json()["result"] == "APPROVED"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", ASA_PATH, 405),
        ("PUT", ASA_PATH, 405),
        ("DELETE", ASA_PATH, 405),
        ("POST", ASA_PATH + "/", 404),
        ("POST", "/", 404),
        ("POST", "/healthz", 405),
    ],
)
async def test_another_method_or_path_is_no_question(bridge: Bridge, method: str, path: str, status: int) -> None:
    assert (await bridge.http.request(method, path)).status_code == status


# --- a socket, a process ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(running: Running) -> AsyncIterator[tuple[Listening, asyncio.Event, "asyncio.Task[None]"]]:
    settings = Settings(
        bridge_asa_secrets=SECRET, bridge_target=running.address, bridge_port=0, bridge_metrics_port=0, bridge_deadline_ms=5_000
    )  # fmt: skip
    ready: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(process.serve(settings, stop, ready.set_result))
    try:
        yield await asyncio.wait_for(ready, WAIT_S), stop, task
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


async def test_over_a_socket_a_call_is_answered_and_counted_on_the_metrics_port(running: Running) -> None:
    async with listening(running) as (where, _, _), httpx.AsyncClient(timeout=WAIT_S) as http:
        body = encoded(asa_request())
        headers = signed_headers(body, "msg_socket", SystemClock().now_us() // 1_000_000)
        answer = await http.post(f"http://127.0.0.1:{where.port}{ASA_PATH}", content=body, headers=headers)
        assert answer.content == b'{"result":"APPROVED","token":"%s"}' % TOKEN.encode()
        assert (await http.get(f"http://127.0.0.1:{where.port}/readyz")).status_code == 200
        scraped = await http.get(f"http://127.0.0.1:{where.metrics_port}/metrics")
        assert 'authsvc_bridge_answers_total{reason="APPROVED",result="APPROVED"} 1.0' in scraped.text


async def test_a_call_in_flight_at_the_end_is_answered_before_the_bridge_stops(running: Running) -> None:
    async with listening(running) as (where, stop, task), httpx.AsyncClient(timeout=WAIT_S) as http:
        body = encoded(asa_request("card_demo_kitchen_1"))
        headers = signed_headers(body, "msg_drained", SystemClock().now_us() // 1_000_000)
        async with held_back(running, "card_demo_kitchen_1") as blocker:
            url = f"http://127.0.0.1:{where.port}{ASA_PATH}"
            asking = asyncio.create_task(http.post(url, content=body, headers=headers))
            await until_held_back(running, blocker)
            stop.set()
            await until(lambda: _refuses(where.port))
            assert not task.done()
        assert (await asking).json()["result"] == "APPROVED"
        await asyncio.wait_for(task, WAIT_S)


async def _refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False


def _command(**settings: str) -> "subprocess.Popen[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")}
    given = {"PORT": "0", "METRICS_PORT": "0", "TARGET": NOWHERE} | settings
    environ |= {f"AUTHSVC_BRIDGE_{name}": value for name, value in given.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "authsvc", "bridge"],
        env=environ, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


async def test_the_command_says_when_it_listens_and_ends_with_0_on_sigterm() -> None:
    with _command(ASA_SECRETS=SECRET) as bridge:
        try:
            assert bridge.stdout is not None
            line = await asyncio.to_thread(bridge.stdout.readline)
            port = int(line.removeprefix("ready on 127.0.0.1:"))
            async with httpx.AsyncClient(timeout=WAIT_S) as http:
                assert (await http.get(f"http://127.0.0.1:{port}/healthz")).json() == {"status": "ok"}
            bridge.send_signal(signal.SIGTERM)
            _, errors = await asyncio.to_thread(bridge.communicate, timeout=WAIT_S)
        finally:
            bridge.kill()
    assert bridge.returncode == 0
    assert "whsec_" not in errors


async def test_the_command_refuses_to_start_without_a_secret() -> None:
    with _command() as bridge:
        _, errors = await asyncio.to_thread(bridge.communicate, timeout=WAIT_S)
    assert bridge.returncode == 1
    assert "AUTHSVC_BRIDGE_ASA_SECRETS" in errors
