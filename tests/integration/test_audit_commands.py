"""`authsvc audit`: what it prints, and its exit codes."""

import asyncio
import json
from collections.abc import Callable, Iterator

import asyncpg
import pytest

from authsvc.embedded import Servers
from tests.commands import Done, command, forget_settings
from tests.integration.conftest import PROGRAM_SQL


@pytest.fixture(scope="module")
def module_url(servers: Servers, template: str) -> Iterator[str]:
    """The small program, and one change by a user of it: entry 20."""
    servers.postgres.execute(f"CREATE DATABASE audit_commands TEMPLATE {template}")
    url = servers.postgres.url("audit_commands")
    execute(url, PROGRAM_SQL)
    execute(
        url,
        "BEGIN; SET LOCAL authsvc.actor = 'user:11'; SET LOCAL authsvc.role = 'owner';"
        " SET LOCAL authsvc.ip_address = '192.0.2.7';"
        " UPDATE cards SET status = 'active', spend_limit = 25.50 WHERE id = 1002; COMMIT",
    )
    yield url
    servers.postgres.execute("DROP DATABASE audit_commands WITH (FORCE)")


def execute(url: str, statements: str) -> None:
    async def once() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statements)
        await connection.close()

    asyncio.run(once())


@pytest.fixture
def call(module_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs a command on the module's database."""
    forget_settings(monkeypatch)
    monkeypatch.setenv("AUTHSVC_DATABASE_URL", module_url)
    monkeypatch.setenv("AUTHSVC_REDIS_URL", "redis://unused")

    def call_it(*arguments: str) -> Done:
        return command(monkeypatch, capsys, "audit", *arguments)

    return call_it


def test_a_list_tells_what_changed_newest_first(call: Callable[..., Done]) -> None:
    done = call("list", "--account", "1", "--entity-type", "card", "--entity-id", "1002")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert "spend_limit: none → 25.50" in done.out and "status: inactive → active" in done.out
    assert [line.split()[0] for line in lines if " card 1002 " in line] == ["20", "9"]


def test_a_list_says_where_the_next_page_begins(call: Callable[..., Done]) -> None:
    first = call("list", "--limit", "2")
    assert "go on with --before 19" in first.out
    second = json.loads(call("list", "--limit", "2", "--before", "19", "--json").out)
    assert [one["id"] for one in second] == [18, 17]
    assert "no entries" in call("list", "--before", "1").out


def test_a_list_in_json_keeps_amounts_as_they_are_stored(call: Callable[..., Done]) -> None:
    done = call("list", "--actor", "user:11", "--since", "2000-01-01", "--json")
    assert '"spend_limit": 25.50' in done.out
    [one] = json.loads(done.out)
    assert (one["id"], one["role"], one["config_version"], len(one["hash"])) == (20, "owner", 4, 64)


def test_a_version_that_no_entry_made_is_explained(call: Callable[..., Done]) -> None:
    assert [one["id"] for one in json.loads(call("list", "--config-version", "4", "--json").out)] == [20]
    assert "no entry left an account at version 77" in call("list", "--account", "1", "--config-version", "77").out


def test_an_entry_is_shown_with_who_and_what(call: Callable[..., Done]) -> None:
    done = call("show", "20")
    for part in (
        "update card 1002",
        "by user:11",
        "role owner",
        "from 192.0.2.7",
        "inactive",
        "25.50",
        "configuration 4",
    ):
        assert part in done.out
    missing = call("show", "77")
    assert (missing.code, "there is no entry 77" in missing.err) == (1, True)


def test_heads_tell_where_each_chain_ends(call: Callable[..., Done]) -> None:
    told = json.loads(call("heads", "--json").out)
    assert [(one["account_id"], one["entries"], one["last_id"]) for one in told] == [
        (0, 2, 19), (1, 13, 20), (2, 4, 16), (3, 1, 17),
    ]  # fmt: skip
    assert told[1]["last_hash"] in call("heads", "--account", "1").out


def test_verify_ends_with_1_and_names_the_first_broken_entry(call: Callable[..., Done], module_url: str) -> None:
    intact = call("verify")
    assert (intact.code, "20 entries in 4 chains: all intact" in intact.out) == (0, True)
    switched_off = "SET session_replication_role = replica; UPDATE audit_logs SET actor = '{}' WHERE id = 13"
    execute(module_url, switched_off.format("user:1"))
    try:
        found = call("verify")
        assert (found.code, "broken account 2: entry 13: it was changed" in found.out) == (1, True)
        told = json.loads(call("verify", "--account", "2", "--json").out)
        assert (told["is_intact"], told["chains"][0]["broken_id"]) == (False, 13)
        assert call("verify", "--account", "1").code == 0
    finally:
        execute(module_url, switched_off.format("database:postgres"))


def test_a_database_without_audit_logs_is_told_what_to_run(
    call: Callable[..., Done], empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHSVC_DATABASE_URL", empty_database_url)
    done = call("list")
    assert (done.code, "authsvc db migrate" in done.err) == (1, True)
