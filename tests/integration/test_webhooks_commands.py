"""`authsvc webhooks`: what it prints, and what it changes."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from authsvc.embedded import Servers
from authsvc.settings import PREFIX
from tests.commands import Done, command, forget_settings

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def module_url(servers: Servers, template: str) -> Iterator[str]:
    """A migrated database for all tests here."""
    servers.postgres.execute(f"CREATE DATABASE webhook_commands TEMPLATE {template}")
    yield servers.postgres.url("webhook_commands")
    servers.postgres.execute("DROP DATABASE webhook_commands WITH (FORCE)")


@pytest.fixture
def ask(module_url: str) -> Callable[..., list[dict[str, Any]]]:
    """Runs a statement on the test's database."""

    async def fetch(query: str, *arguments: Any) -> list[dict[str, Any]]:
        connection = await asyncpg.connect(module_url)
        try:
            return [dict(record) for record in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    return lambda query, *arguments: asyncio.run(fetch(query, *arguments))


@pytest.fixture
def call(
    module_url: str,
    ask: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Done]:
    """Runs a command on three webhooks, one in each status, a day apart."""
    ask("TRUNCATE webhooks")
    for number, status in enumerate(("processed", "pending", "failed")):
        ask(
            "INSERT INTO webhooks (webhook_id, event_type, payload, status, sent_at, received_at, next_attempt_at,"
            ' processed_at, error_message, retry_count) VALUES ($1, $2, \'{"memo": "kept"}\', $3, $4, $4, $4, $5, $6, $7)',
            f"msg_{status}",
            "card.updated" if status == "failed" else "card_transaction.updated",
            status,
            NOW - timedelta(days=10 - number),
            NOW if status == "processed" else None,
            "no card has this [token]" if status == "failed" else None,
            16 if status == "failed" else 0,
        )
    forget_settings(monkeypatch)
    monkeypatch.setenv(f"{PREFIX}BRIDGE_DATABASE_URL", module_url)

    def call_it(*arguments: str) -> Done:
        return command(monkeypatch, capsys, "webhooks", *arguments)

    return call_it


def statuses(ask: Callable[..., list[dict[str, Any]]]) -> dict[str, str]:
    return {row["webhook_id"]: row["status"] for row in ask("SELECT webhook_id, status FROM webhooks")}


def test_a_list_shows_the_newest_first_with_what_went_wrong(call: Callable[..., Done]) -> None:
    done = call("list")
    assert done.code == 0
    rows = [line for line in done.out.splitlines() if "card" in line]
    assert [word in row for word, row in zip(("failed", "pending", "processed"), rows, strict=True)] == [True] * 3
    assert rows[0].rstrip().endswith("no card has this [token]")
    assert [row["webhook_id"] for row in json.loads(call("list", "--json").out)] == [
        "msg_failed",
        "msg_pending",
        "msg_processed",
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--status", "failed"],                       ["msg_failed"]),
        (["--type", "card_transaction.updated"],       ["msg_pending", "msg_processed"]),
        (["--limit", "1"],                             ["msg_failed"]),
        (["--type", "card.updated", "--status", "pending"], []),
    ],
)  # fmt: skip
def test_a_list_can_be_narrowed(call: Callable[..., Done], options: list[str], names: list[str]) -> None:
    assert [row["webhook_id"] for row in json.loads(call("list", *options, "--json").out)] == names


def test_an_empty_list_says_so(call: Callable[..., Done]) -> None:
    assert call("list", "--type", "card.created").out == "no webhooks\n"


def test_one_is_shown_with_its_body_by_either_name(call: Callable[..., Done]) -> None:
    by_name = json.loads(call("show", "msg_failed", "--json").out)
    assert (by_name["payload"], by_name["retry_count"]) == ({"memo": "kept"}, 16)
    assert json.loads(call("show", str(by_name["id"]), "--json").out) == by_name
    shown = call("show", "msg_pending").out
    assert "next try" in shown and '"memo": "kept"' in shown


@pytest.mark.parametrize("command", ["show", "retry"])
@pytest.mark.parametrize("name", ["msg_nobody", "999999", "9" * 30])
def test_one_that_is_not_there_is_said_to_be_missing(call: Callable[..., Done], command: str, name: str) -> None:
    assert call(command, name) == (1, "", f"error: there is no webhook {name}\n")


@pytest.mark.parametrize("name", ["msg_failed", "--failed"])
def test_a_failed_one_is_tried_again_as_if_it_had_just_come(
    call: Callable[..., Done], ask: Callable[..., Any], name: str
) -> None:
    assert json.loads(call("retry", name, "--json").out) == {"pending": 1}
    [row] = ask("SELECT status, retry_count, next_attempt_at FROM webhooks WHERE webhook_id = 'msg_failed'")
    assert (row["status"], row["retry_count"]) == ("pending", 0)
    assert row["next_attempt_at"] >= NOW


def test_one_that_was_processed_may_be_processed_again(call: Callable[..., Done], ask: Callable[..., Any]) -> None:
    assert call("retry", "msg_processed").out == "1 will be tried again: a bridge takes it within a second\n"
    assert statuses(ask)["msg_processed"] == "pending"


@pytest.mark.parametrize("arguments", [(), ("msg_failed", "--failed")])
def test_what_to_retry_must_be_said_in_one_way(call: Callable[..., Done], arguments: tuple[str, ...]) -> None:
    assert call("retry", *arguments).code == 2


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--older-than", "5"],              ["msg_failed", "msg_pending"]),
        (["--older-than", "5", "--failed"],  ["msg_pending"]),
        (["--older-than", "11", "--failed"], ["msg_failed", "msg_pending", "msg_processed"]),
    ],
)  # fmt: skip
def test_a_purge_takes_old_ones_and_never_a_pending_one(
    call: Callable[..., Done], ask: Callable[..., Any], options: list[str], left: list[str]
) -> None:
    assert json.loads(call("purge", *options, "--yes", "--json").out) == {"deleted": 3 - len(left)}
    assert sorted(statuses(ask)) == left


def test_a_purge_asks_before_it_deletes(
    call: Callable[..., Done], ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.confirm", lambda text, **_: asked.append(text))
    asked: list[str] = []
    assert call("purge", "--older-than", "5").out == "1 deleted\n"
    assert asked == ["Delete 1 webhooks (processed, older than 5 days)?"]


def test_without_the_table_it_says_what_to_run(
    call: Callable[..., Done], empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}BRIDGE_DATABASE_URL", empty_database_url)
    done = call("list")
    assert (done.code, done.out) == (1, "")
    assert "authsvc db migrate" in done.err
