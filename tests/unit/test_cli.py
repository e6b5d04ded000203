"""The command line without any server: help, settings, wrong usage, and what it says when nobody answers."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from authsvc.cli import ask
from authsvc.settings import PREFIX, Settings
from tests.commands import Done, command, forget_settings

COMMANDS = (
    "serve",
    "bridge",
    "demo",
    "health",
    "config",
    "authorize",
    "event",
    "fund",
    "withdraw",
    "tx",
    "seed",
    "doctor",
    "retention",
    "db",
    "webhooks",
    "audit",
    "key",
    "signing-key",
    "privacy",
    "backup",
    "bench",
    "lithic",
    "account",
    "user",
    "profile",
    "product",
    "address",
    "setting",
    "category",
    "rule",
    "card",
)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs a command in this process, where the environment has no settings."""
    forget_settings(monkeypatch)

    def call_it(*arguments: str) -> Done:
        return command(monkeypatch, capsys, *arguments)

    return call_it


def test_help_lists_every_command_but_the_hidden_one(call: Callable[..., Done]) -> None:
    done = call("--help")
    assert done.code == 0
    assert re.findall(r"^│ ([a-z][a-z-]*) ", done.out, re.MULTILINE) == [*COMMANDS]


@pytest.mark.parametrize(
    "command",
    [
        *((name,) for name in COMMANDS),
        ("db", "migrate"),
        ("db", "status"),
        ("db", "rollback"),
        ("db", "partitions"),
        ("audit", "list"),
        ("audit", "show"),
        ("audit", "verify"),
        ("audit", "heads"),
        ("retention", "notice"),
        ("privacy", "status"),
        ("privacy", "new-key"),
        ("privacy", "use-key"),
        ("privacy", "rotate"),
        ("privacy", "enforce"),
        ("privacy", "open"),
        ("backup", "run"),
        ("backup", "list"),
        ("backup", "verify"),
        ("backup", "prune"),
        ("backup", "restore-test"),
        ("lithic", "simulate"),
        ("tx", "show"),
        ("tx", "list"),
        ("tx", "explain"),
        ("tx", "summary"),
        ("tx", "watch"),
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(call: Callable[..., Done], command: tuple[str, ...]) -> None:
    done = call(*command, "--help")
    assert done.code == 0
    assert f"Usage: authsvc {' '.join(command)}" in done.out


def test_no_arguments_show_the_help(call: Callable[..., Done]) -> None:
    done = call()
    assert "Usage: authsvc" in done.out + done.err


def test_config_shows_every_setting_and_no_secret(call: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHSVC_DATABASE_URL", "postgresql://app:s3cret@db/authsvc")
    monkeypatch.setenv("AUTHSVC_REDIS_URL", "redis://:hunter2@cache:6379/0")
    table, as_json = call("config"), call("config", "--json")
    assert (table.code, as_json.code) == (0, 0)
    assert [name for name in Settings.model_fields if PREFIX + name.upper() not in table.out] == []
    assert json.loads(as_json.out)["database_url"] == "postgresql://***@db/authsvc"
    assert "s3cret" not in table.out + as_json.out
    assert "hunter2" not in table.out + as_json.out


def test_config_lists_every_problem_and_exits_with_1(
    call: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHSVC_PORT", "many")
    monkeypatch.setenv("AUTHSVC_REDIS_URL", "redis://cache")
    done = call("config")
    assert (done.code, done.out) == (1, "")
    assert "AUTHSVC_PORT=many" in done.err
    assert "belong together" in done.err


def test_health_says_what_to_start_when_nobody_answers(call: Callable[..., Done]) -> None:
    done = call("health", "--address", "127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "error: no service answers at 127.0.0.1:1: start one with `authsvc serve`, or name another with --address\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("card_demo_open",),
        ("card_demo_open", "12.505"),
        ("card_demo_open", "twelve"),
        ("card_demo_open", "NaN"),
        ("card_demo_open", "1e999999999"),
        ("card_demo_open", "12", "--currency", "XXX"),
        ("card_demo_open", "12", "--kind", "theft"),
        ("card_demo_open", "12", "--json-file", "-"),
        ("--json-file", "no-such-file.json"),
        ("card_demo_open", "12", "--at", "yesterday"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(call: Callable[..., Done], arguments: tuple[str, ...]) -> None:
    done = call("authorize", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        ("12.50",       "USD",        1_250),
        ("0",           "USD",            0),
        ("0.07",        "USD",            7),
        ("1,234.56",    "EUR",      123_456),
        ("1000",        "JPY",        1_000),
        ("1.234",       "BHD",        1_234),
        ("-3",          "USD",         -300),
        ("99999999.99", "USD", 9_999_999_999),
    ],
)  # fmt: skip
def test_amounts_are_read_in_units_of_their_currency(written: str, currency: str, minor: int) -> None:
    assert ask.minor_of(written, currency, "AMOUNT") == minor


def test_an_amount_with_too_many_decimals_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="JPY has 0 decimals"):
        ask.minor_of("1.5", "JPY", "AMOUNT")


def test_without_any_database_the_commands_that_need_one_say_so(
    call: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHSVC_DATA_DIR", str(tmp_path))
    done = call("db", "status")
    assert done.code == 1
    assert "set AUTHSVC_DATABASE_URL" in done.err


def test_the_command_line_starts_without_the_parts_that_only_serving_needs() -> None:
    script = "import sys, authsvc.cli; print(*sorted({'grpc', 'asyncpg', 'sqlalchemy', 'redis'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
