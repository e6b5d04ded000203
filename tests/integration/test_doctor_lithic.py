"""`authsvc doctor` with an API key: Lithic's SDK asks a real server on loopback, and the ledger is a real one."""

import asyncio
import builtins
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from starlette.responses import Response

from authsvc.cli import run
from authsvc.doctor import lithic
from authsvc.doctor.finding import Finding
from authsvc.doctor.lithic_sdk import SdkProgram, open_program
from authsvc.embedded import Servers
from authsvc.ledger.doctor import PostgresChart, open_chart
from authsvc.settings import PREFIX
from tests.lithic_api import API_KEY, LithicApi, card, rule, said, token_of
from tests.programs import add_account, add_card, add_profile
from tests.serving import own_database

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOT_UNDERSTOOD = "warning: Lithic's SDK does not understand the answer about cards"
CHECKS = ["tokens", "card states", "cards only", "auth rules", "auth stream"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def urls(servers: Servers, template: str) -> AsyncIterator[tuple[str, str]]:
    async with own_database(servers, template) as both:
        yield both


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chart(urls: tuple[str, str]) -> AsyncIterator[PostgresChart]:
    async with open_chart(urls[0], record_ttl_ms=60_000) as (opened, _):
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(urls: tuple[str, str]) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(urls[0])
    await add_card(opened, await add_account(opened))
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def database(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Without a card or a profile that counts."""
    await connection.execute("UPDATE cards SET deleted_at = now() WHERE deleted_at IS NULL")
    await connection.execute("UPDATE spending_profiles SET deleted_at = now() WHERE deleted_at IS NULL")
    return connection


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lithics() -> AsyncIterator[tuple[LithicApi, SdkProgram]]:
    one = LithicApi()
    async with one.serving(), open_program(API_KEY, one.url) as program:
        yield one, program


@pytest.fixture
def api(lithics: tuple[LithicApi, SdkProgram]) -> LithicApi:
    """Which has nothing, and to which nothing happens."""
    lithics[0].begin()
    return lithics[0]


@pytest.fixture
def program(lithics: tuple[LithicApi, SdkProgram]) -> SdkProgram:
    """Asks it with the right key."""
    return lithics[1]


async def asked(
    program: SdkProgram, chart: PostgresChart, calls_max: int = 100, seconds_max: float = 20.0
) -> dict[str, Finding]:
    """What the doctor says, by check. Whatever it says, the key is not in it."""
    findings = await lithic.ask(lithic.Ask(program, calls_max, seconds_max), chart)
    assert API_KEY not in repr(findings)
    return {one.check.removesuffix(" at lithic"): one for one in findings}


async def add(database: asyncpg.Connection, *names: object, status: str = "active") -> list[int]:
    """Cards whose tokens are the UUIDs of these names; their ids."""
    rows = await database.fetch(
        "INSERT INTO cards (account_id, user_id, lithic_card_token, card_type, status)"
        " SELECT u.account_id, u.id, t.token, 'virtual', $2 FROM unnest($1::text[]) WITH ORDINALITY AS t (token, place),"
        " (SELECT id, account_id FROM users LIMIT 1) AS u ORDER BY t.place RETURNING id",
        [token_of(name) for name in names],
        status,
    )
    return [row["id"] for row in rows]


async def test_a_program_that_agrees_is_well_and_is_read_page_by_page(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    await add(database, *range(7))
    api.has(*(card(token_of(number)) for number in range(7)))
    api.has(card(token_of("nobody's, and closed"), "CLOSED"))
    api.rules["r"] = rule("r", include=[("CARD", token_of(1)), ("ACCOUNT", token_of("account"))])
    report = await asked(program, chart)
    assert [(name, one.state) for name, one in report.items()] == [(name, "ok") for name in CHECKS]
    assert "7 of its 8 are ours" in report["tokens"].finding
    assert report["auth stream"].finding == "enrolled: hooks.example.com is asked"
    assert api.asked.count("/v1/cards") == 3


async def test_a_token_that_lithic_does_not_know_fails_and_is_told_by_id(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    lost = await add(database, *range(8))
    await database.execute("UPDATE cards SET lithic_card_token = '../transactions' WHERE id = $1", lost[7])
    await add(database, "closed", status="closed")
    finding = (await asked(program, chart))["tokens"]
    assert finding.state == "failed"
    listed = ", ".join(map(str, lost[:5]))
    assert finding.finding == f"8 cards that Lithic does not know: id {listed} and 3 more"
    assert not [path for path in api.asked if "transactions" in path]


async def test_a_state_that_the_bridge_would_not_have_made_is_a_warning(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    alike = [
        ("active", "OPEN"),
        ("active", "PENDING_ACTIVATION"),
        ("inactive", "PAUSED"),
        ("pending", "PENDING_FULFILLMENT"),
        ("closed", "CLOSED"),
        ("inactive", "A_WORD_THAT_COMES_LATER"),
    ]
    for status, state in alike:
        await add(database, state, status=status)
        api.has(card(token_of(state), state))
    assert (await asked(program, chart))["card states"].finding == "6 cards agree"
    different = [
        ("active", "PAUSED"),
        ("active", "CLOSED"),
        ("inactive", "OPEN"),
        ("pending", "OPEN"),
        ("closed", "OPEN"),
    ]
    said_of_each = []
    for status, state in different:
        [number] = await add(database, status + state, status=status)
        api.has(card(token_of(status + state), state))
        said_of_each.append(f"id {number} is {status}, {state} at Lithic")
    finding = (await asked(program, chart))["card states"]
    assert (finding.state, finding.finding) == ("warning", f"5 cards differ: {', '.join(said_of_each)}")


async def test_what_changed_while_lithic_was_asked_is_no_finding(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    await add(database, "paused")
    api.has(card(token_of("paused"), "PAUSED"), card(token_of("imported")))

    async def meanwhile(path: str) -> None:
        if path.startswith("/v1/cards/"):
            await database.execute("UPDATE cards SET status = 'inactive' WHERE deleted_at IS NULL")
            await add(database, "imported")

    api.meanwhile = meanwhile
    report = await asked(program, chart)
    assert (report["card states"].state, report["cards only"].state) == ("ok", "ok")


async def test_cards_that_only_lithic_has_are_counted_and_a_few_are_named(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    api.has(*(card(token_of(f"stranger {number}"), "PAUSED") for number in range(9)))
    finding = (await asked(program, chart))["cards only"]
    assert (finding.state, finding.finding.startswith("9 that are not closed: ")) == ("warning", True)
    assert finding.finding.endswith(" and 4 more")
    assert f"{token_of('stranger 0')[:8]}…" in finding.finding
    assert token_of("stranger 0") not in finding.finding


async def test_rules_in_force_that_name_what_is_not_ours_are_found(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    await add(database, "ours")
    await database.execute("UPDATE accounts SET lithic_account_token = $1", token_of("a"))
    api.has(card(token_of("ours"), account_token=token_of("the cardholder's own")))
    gone = [("CARD", token_of("gone card")), ("ACCOUNT", token_of("gone account"))]
    fine = [("CARD", token_of("ours")), ("ACCOUNT", token_of("a")), ("ACCOUNT", token_of("the cardholder's own"))]
    for one in (
        rule("fine", include=fine),
        rule("asleep", include=gone, state="INACTIVE"),
        rule("lithics", include=gone, lithic_managed=True),
        rule("tagged", entities={"exclude": [], "include": [{"type": "CARD_TAG", "key": "k", "value": "v"}]}),
    ):
        api.rules[one.token] = one
    assert (await asked(program, chart))["auth rules"] == Finding(
        "auth rules at lithic", "ok", "4 there, and each names what is ours"
    )
    api.rules["strange"] = rule("strange", include=fine + gone, excluded_card_tokens=[token_of("older way")])
    finding = (await asked(program, chart))["auth rules"]
    assert finding.state == "warning"
    shown = ", ".join(sorted(f"{token_of(name)[:8]}…" for name in ("gone card", "gone account", "older way")))
    assert finding.finding == f"1 active rules of cards or accounts that are not ours: strange names {shown}"


async def test_a_profile_whose_rule_is_gone_at_lithic_fails(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    account_id = await database.fetchval("SELECT id FROM accounts LIMIT 1")
    kept, lost = await add_profile(database, account_id), await add_profile(database, account_id)
    for profile, token in ((kept, "kept"), (lost, "lost")):
        await database.execute("UPDATE spending_profiles SET lithic_auth_rule_token = $2 WHERE id = $1", profile, token)
    api.rules["kept"] = rule("kept")
    finding = (await asked(program, chart))["auth rules"]
    assert (finding.state, finding.finding) == ("failed", f"1 profiles whose rule Lithic does not have: id {lost}")


async def test_a_program_that_asks_nobody_fails(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    api.endpoint.enrolled = False
    assert (await asked(program, chart))["auth stream"].state == "failed"


async def test_a_key_that_lithic_refuses_is_one_finding_without_the_key(
    api: LithicApi, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    async with open_program("another-key", api.url) as program:
        report = await asked(program, chart)
    assert list(report) == ["tokens"]
    assert (report["tokens"].state, report["tokens"].finding) == ("failed", "Lithic refuses the API key")
    assert "another-key" not in repr(report)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_call_that_fails_once_is_made_again(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection, status: int
) -> None:
    api.faults.append(said(status))
    assert (await asked(program, chart))["tokens"].state == "ok"
    assert api.asked.count("/v1/cards") == 2


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (said(429), "warning: Lithic is asked too often with this key"),
        (said(500), "warning: Lithic answers 500, asked for cards"),
        (said(403), "failed: the API key may not read cards"),
        (Response("<html>", media_type="text/html"), NOT_UNDERSTOOD),
        (Response("[7]", media_type="application/json"), NOT_UNDERSTOOD),
        (Response('{"data": [{"token": 7}], "has_more": true}', media_type="application/json"), NOT_UNDERSTOOD),
    ],
)
async def test_a_lithic_that_fails_for_good_is_one_finding(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, fault: Response, verdict: str
) -> None:
    api.faults.extend([fault] * 3)
    assert [f"{one.state}: {one.finding}" for one in (await asked(program, chart)).values()] == [verdict]


async def test_a_lithic_that_does_not_answer_is_one_finding(
    api: LithicApi, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    api.faults.append(None)
    async with open_program(API_KEY, api.url, call_timeout_s=0.2, retries=0) as program:
        report = await asked(program, chart)
    assert [one.finding for one in report.values()] == ["Lithic did not answer in time, asked for cards"]


async def test_trouble_with_one_question_leaves_the_others(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    api.broken.add("/v1/responder_endpoints")
    report = await asked(program, chart)
    assert [(name, one.state) for name, one in report.items()] == [
        *((name, "ok") for name in CHECKS[:-1]),
        ("auth stream", "warning"),
    ]


async def test_nobody_there_is_one_finding(chart: PostgresChart) -> None:
    async with open_program(API_KEY, "http://127.0.0.1:9", retries=0) as program:
        [finding] = await lithic.ask(lithic.Ask(program, 10, 20.0), chart)
    assert (finding.state, finding.finding) == ("warning", "Lithic cannot be reached")


async def test_calls_are_bounded_and_what_was_not_looked_at_is_said_and_asked_for_by_sample(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    await add(database, *range(40))
    for number in range(40):
        api.has(card(token_of(number)))
        api.rules[f"r{number}"] = rule(f"r{number}")
    report = await asked(program, chart, calls_max=2)
    assert (api.asked.count("/v1/cards"), api.asked.count("/v2/auth_rules")) == (2, 2)
    assert (len(api.asked), report["tokens"].state) == (2 + 20 + 2 + 1, "warning")
    assert report["tokens"].finding.startswith("only 6 of Lithic's cards were looked at")
    assert (report["card states"].state, report["auth rules"].finding) == ("ok", "only the first 6 were looked at")
    api.cards.clear()
    await add(database, "surely gone")
    assert (await asked(program, chart, calls_max=1))["tokens"].state == "failed"


async def test_time_is_bounded(
    api: LithicApi, program: SdkProgram, chart: PostgresChart, database: asyncpg.Connection
) -> None:
    api.faults.append(None)
    finding = (await asked(program, chart, seconds_max=0.2))["tokens"]
    assert (finding.state, finding.finding.startswith("only 0 of Lithic's cards")) == ("warning", True)


class Commanded:
    """`authsvc doctor` as it is called, in a thread of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def set(self, **environment: object) -> None:
        for name, value in environment.items():
            self._monkeypatch.setenv(f"{PREFIX}{name}", str(value))

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        self._monkeypatch.setattr(sys, "argv", ["authsvc", "doctor", *arguments])
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(run)
        captured = self._capsys.readouterr()
        assert API_KEY not in captured.out + captured.err
        return int(ended.value.code or 0), captured.out or captured.err


@pytest_asyncio.fixture(loop_scope="module")
async def command(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Commanded:
    one = Commanded(monkeypatch, capsys)
    one.set(DATABASE_URL=urls[0], REDIS_URL=urls[1], DATA_DIR=tmp_path)
    return one


def told_by_lithic(out: str) -> list[tuple[str, str, str]]:
    """What was printed of what Lithic was asked for."""
    return [(one["state"], one["finding"], one["advice"]) for one in json.loads(out) if "at lithic" in one["check"]]


async def test_the_command_takes_the_key_from_a_file_and_writes_metrics(
    api: LithicApi, command: Commanded, database: asyncpg.Connection, tmp_path: Path
) -> None:
    [lost] = await add(database, "lost")
    (tmp_path / "key").write_text(f"{API_KEY}\n")
    command.set(LITHIC_API_KEY_FILE=tmp_path / "key", LITHIC_ENVIRONMENT=api.url)
    code, out = await command("--metrics", str(tmp_path / "doctor.prom"))
    assert (code, "Lithic does not know" in " ".join(out.split())) == (2, True)
    text = (tmp_path / "doctor.prom").read_text()
    assert 'authsvc_doctor_check{check="tokens at lithic",state="failed"} 1.0' in text
    assert 'authsvc_doctor_check{check="tokens at lithic",state="ok"} 0.0' in text
    assert API_KEY not in text
    assert [path.name for path in tmp_path.glob("doctor.prom*")] == ["doctor.prom"]
    await database.execute("UPDATE cards SET deleted_at = now() WHERE id = $1", lost)
    await command("--metrics", str(tmp_path / "doctor.prom"))
    assert 'authsvc_doctor_check{check="tokens at lithic",state="ok"} 1.0' in (tmp_path / "doctor.prom").read_text()
    code, out = await command("--metrics", str(tmp_path / "nowhere" / "doctor.prom"))
    assert (code, "--metrics" in out) == (1, True)


async def test_a_file_that_holds_no_key_is_refused_without_its_text(
    command: Commanded, database: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(f"{API_KEY} and more")
    command.set(LITHIC_API_KEY_FILE=tmp_path / "key")
    assert (await command())[0] == 1
    command.set(LITHIC_API_KEY_FILE=tmp_path / "none")
    assert (await command())[0] == 1


async def test_without_the_sdk_the_checks_are_skipped_and_the_others_run(
    command: Commanded, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "lithic":
            raise ModuleNotFoundError(name="lithic")
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "authsvc.doctor.lithic_sdk")
    command.set(LITHIC_API_KEY=API_KEY)
    _, out = await command("--json")
    advice = "pip install 'authsvc[lithic]' where the doctor runs."
    assert told_by_lithic(out) == [("skipped", "Lithic's SDK is not installed, or too old", advice)]
    assert len(json.loads(out)) > 10
