"""`authsvc lithic simulate` before a real bridge: everything is taken, and everything ends as Lithic told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from authsvc.bridge.signature import key_of
from authsvc.cli.lithic import SAMPLE_CARDS
from authsvc.client import AuthorizationClient
from authsvc.clock import SystemClock
from authsvc.demo.books import check_books
from authsvc.demo.lithic import differing_after
from authsvc.demo.process import bridging
from authsvc.lithic_simulator.run import Plan, connected, simulate
from authsvc.lithic_simulator.tally import Tally
from authsvc.settings import PREFIX
from tests.commands import Done, command, forget_settings
from tests.lithic import OTHER_SECRET, SECRET

WITHIN_S = 30.0
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge(service: Any, seeded_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """HOST:PORT of a bridge before the module's service."""
    log: Path = tmp_path_factory.mktemp("bridge") / "bridge.log"
    async with bridging(service.target, seeded_url, SECRET, OTHER_SECRET, log) as address:
        yield address


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the command in this process, where the environment has the two secrets unless they are replaced."""
    forget_settings(monkeypatch)

    def call_it(*arguments: str, asa_secret: str = SECRET, event_secret: str = OTHER_SECRET) -> Done:
        monkeypatch.setenv(f"{PREFIX}BRIDGE_ASA_SECRETS", asa_secret)
        monkeypatch.setenv(f"{PREFIX}BRIDGE_EVENT_SECRETS", event_secret)
        return command(monkeypatch, capsys, "lithic", "simulate", *arguments)

    return call_it


async def test_lives_told_twice_and_out_of_order_end_as_lithic_told_and_the_counters_are_what_the_rows_say(
    bridge: str, service: Any, seeded_url: str
) -> None:
    clock, tally = SystemClock(), Tally()
    plan = Plan(7, f"e2e-{clock.now_us():x}", SAMPLE_CARDS, swipes=150, duplicates=0.3, shuffle=True)
    async with connected(f"http://{bridge}", clock, tally, key_of(SECRET), key_of(OTHER_SECRET)) as lithic:
        await simulate(lithic, plan, clock, tally, lambda: None)
    assert tally.errors == {}
    assert {"APPROVED", "CARD_PAUSED", "UNAUTHORIZED_MERCHANT"} <= tally.results.keys()
    assert {"CLEARING", "AUTHORIZATION_REVERSAL", "AUTHORIZATION_EXPIRY", "RETURN"} <= tally.events.keys()
    now = datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC)
    async with AuthorizationClient(service.target) as client:
        assert await differing_after(client, tally.ends, clock, WITHIN_S) == []
        books = await check_books(client, seeded_url, sorted(set(SAMPLE_CARDS)), now)
    # A tip or a force post may overrun a limit.
    assert books.differing == []


async def test_the_command_tells_what_was_asked_answered_and_told(bridge: str, call: Callable[..., Done]) -> None:
    options = ("--url", f"http://{bridge}", "--swipes", "30", "--seed", "3", "--cards", "card_demo_open")
    done = await asyncio.to_thread(call, *options, "--json")
    said = json.loads(done.out)
    assert (done.code, said["errors"], said["seed"]) == (0, {}, 3)
    assert sum(said["results"].values()) == said["asked"] <= 30
    assert 0 < said["events"]["AUTHORIZATION"] <= said["asked"]
    assert said["events"]["CLEARING"] > 0
    assert 0 < said["asa_p50_ms"] <= said["asa_p99_ms"]
    table = await asyncio.to_thread(call, *options, "--duplicates", "1", "--shuffle")
    assert table.code == 0
    assert "told again" in table.out
    assert f"{said['asked']} questions and " in table.out


@pytest.mark.parametrize(
    ("wrong", "refused"),
    [({"asa_secret": OTHER_SECRET}, "asa: 401"), ({"event_secret": SECRET}, "event: 401")],
    ids=["asa", "event"],
)
async def test_with_another_secret_nothing_is_taken_and_the_exit_code_is_1(
    bridge: str, call: Callable[..., Done], wrong: dict[str, str], refused: str
) -> None:
    done = await asyncio.to_thread(lambda: call("--url", f"http://{bridge}", "--swipes", "5", **wrong))
    assert done.code == 1
    assert refused in done.out


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:8080",
        "https://bridge.example",
        "http://127.0.0.1@bridge.example",
        "ftp://127.0.0.1",
        "http://127.0.0.1:99999",
        "http://[::1",
        "8080",
    ],
)
async def test_what_is_no_bridge_of_this_machine_is_refused(call: Callable[..., Done], url: str) -> None:
    done = await asyncio.to_thread(call, "--url", url)
    assert (done.code, done.out) == (2, "")
    assert "--url" in done.err


async def test_where_no_bridge_answers_it_says_what_to_start(call: Callable[..., Done]) -> None:
    done = await asyncio.to_thread(call, "--url", "http://localhost:9")
    assert (done.code, done.out) == (1, "")
    assert "start one with `authsvc bridge`" in done.err
