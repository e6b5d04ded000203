"""API keys of programs, what they may do, and the commands that look after keys and passwords."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import grpc
import pytest
import pytest_asyncio
from click.testing import Result
from typer.testing import CliRunner

from authsvc import cli
from authsvc.embedded import Servers
from authsvc.errors import AlreadyExists
from authsvc.ledger.identity import revoke_key
from authsvc.v1 import management_pb2, management_pb2_grpc
from tests.identity import PASSWORD, UNAUTHENTICATED, Entrance, bearing, open_entrance
from tests.serving import WAIT_S, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENDED = (UNAUTHENTICATED, "the session is over: sign in again")
ANOTHER = "a heron waits by the lock"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Entrance]:
    async with open_entrance(servers, template, tmp_path_factory.mktemp("identity")) as entrance:
        yield entrance


@pytest.fixture
def entrance(opened: Entrance) -> Entrance:
    """Nobody has tried to sign in for a minute, and nothing is remembered of any credentials."""
    opened.clock.pass_s(61)
    return opened


@pytest.fixture
def command(entrance: Entrance, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Result]]:
    """Runs `authsvc …` on the database of the service."""
    settings = entrance.running.service.settings
    monkeypatch.setenv("AUTHSVC_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("AUTHSVC_REDIS_URL", settings.redis_url)

    async def run(*arguments: str, given: str = "") -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli.app, arguments, input=given)

    return run


# --- keys of programs -------------------------------------------------------------------------------------------------


async def test_a_key_is_known_by_its_name_and_scopes_until_it_is_revoked_or_expires(entrance: Entrance) -> None:
    key = await entrance.key("authorize", "events", name="bridge")
    who = await entrance.who(key)
    assert (who.actor, who.role, who.account_id, who.user_id, list(who.scopes)) == (
        "key:bridge", "operator", 0, 0, ["authorize", "events"],
    )  # fmt: skip
    entrance.clock.pass_s(86_400)
    assert (await refusal(entrance.who(key)))[0] == UNAUTHENTICATED
    another = await entrance.key("history", name="reports")
    await entrance.who(another)
    assert await revoke_key(entrance.database, "reports", entrance.clock.now_us())
    entrance.clock.pass_s(6)
    assert (await refusal(entrance.who(another)))[0] == UNAUTHENTICATED


async def test_a_key_of_an_account_is_refused_with_its_account(entrance: Entrance) -> None:
    person = await entrance.person()
    key = await entrance.key("manage", account_id=person.account_id)
    who = await entrance.who(key)
    assert (who.role, who.account_id) == ("admin", person.account_id)
    await entrance.database.execute("UPDATE accounts SET status = 'suspended' WHERE id = $1", person.account_id)
    entrance.clock.pass_s(6)
    assert (await refusal(entrance.who(key)))[0] == UNAUTHENTICATED


async def test_the_last_use_of_a_key_is_kept_to_the_minute(entrance: Entrance) -> None:
    key = await entrance.key("all", name="minutes")
    used = []
    for pause_s in (0, 20, 20, 30):
        entrance.clock.pass_s(pause_s)
        await entrance.who(key)
        used.append(await entrance.database.fetchval("SELECT last_used_at FROM api_keys WHERE name = 'minutes'"))
    assert used[0] is not None
    assert used[0] == used[1] == used[2] < used[3]


async def test_a_key_is_kept_as_a_hash_and_a_name_is_taken_once(entrance: Entrance) -> None:
    key = await entrance.key("all", name="once")
    row = await entrance.database.fetchrow("SELECT k::text AS text, prefix FROM api_keys k WHERE name = 'once'")
    assert key not in row["text"] and key.removeprefix(row["prefix"] + "_") not in row["text"]
    with pytest.raises(AlreadyExists):
        await entrance.key("all", name="once")
    await revoke_key(entrance.database, row["prefix"], entrance.clock.now_us())
    await entrance.key("all", name="once")


async def test_a_key_whose_scope_is_another_manages_nothing(entrance: Entrance) -> None:
    accounts = management_pb2_grpc.AccountServiceStub(entrance.running.channel)
    asked = management_pb2.ListAccountsRequest()
    for scope, code in (("authorize", grpc.StatusCode.PERMISSION_DENIED), ("manage", None)):
        call = accounts.ListAccounts(asked, metadata=bearing(await entrance.key(scope)), timeout=WAIT_S)
        if code is None:
            assert (await call).accounts
        else:
            assert (await refusal(call))[0] == code


async def test_an_access_token_manages_the_own_account_and_sees_no_other(entrance: Entrance) -> None:
    person, _ = await entrance.person("owner"), await entrance.person("owner")
    session = await entrance.sign_in(person)
    accounts = management_pb2_grpc.AccountServiceStub(entrance.running.channel)
    answer = await accounts.ListAccounts(
        management_pb2.ListAccountsRequest(), metadata=bearing(session.access_token), timeout=WAIT_S
    )
    assert [account.id for account in answer.accounts] == [person.account_id]


async def test_bad_credentials_are_refused_even_on_loopback(entrance: Entrance) -> None:
    accounts = management_pb2_grpc.AccountServiceStub(entrance.running.channel)
    for metadata in (bearing("nonsense"), bearing("authsvc_nobody_knows_this"), (("authorization", "Basic YTpi"),)):
        call = accounts.ListAccounts(management_pb2.ListAccountsRequest(), metadata=metadata, timeout=WAIT_S)
        assert (await refusal(call))[0] == UNAUTHENTICATED


async def test_the_database_refuses_a_password_that_is_not_hashed(entrance: Entrance) -> None:
    person = await entrance.person()
    with pytest.raises(asyncpg.CheckViolationError, match="users_password_hash_check"):
        await entrance.database.execute("UPDATE users SET password_hash = 'secret' WHERE id = $1", person.id)


async def test_the_role_is_the_one_of_now_whatever_the_token_says(entrance: Entrance) -> None:
    person = await entrance.person("owner")
    session = await entrance.sign_in(person)
    await entrance.database.execute("UPDATE users SET role = 'analyst' WHERE id = $1", person.id)
    assert (await entrance.who(session.access_token)).role == "analyst"


async def test_a_reset_sent_to_an_address_is_void_once_the_user_has_another(entrance: Entrance) -> None:
    person = await entrance.person()
    await entrance.request_reset(person.email)
    before = await entrance.row(person)
    assert before["password_reset_token_hash"] is not None
    await entrance.database.execute("UPDATE users SET email = 'new-' || email WHERE id = $1", person.id)
    after = await entrance.row(person)
    assert (after["password_reset_token_hash"], after["password_reset_expires"]) == (None, None)
    assert after["row_version"] == before["row_version"] + 1


async def test_a_changed_password_is_told_by_the_audit_log_with_its_user_and_without_any_hash(
    entrance: Entrance,
) -> None:
    person = await entrance.person()
    session = await entrance.sign_in(person)
    await entrance.change(session.access_token, PASSWORD, ANOTHER)
    query = "SELECT * FROM audit_logs WHERE entity_type = 'user' AND entity_id = $1 ORDER BY id DESC LIMIT 1"
    entry = await entrance.database.fetchrow(query, person.id)
    assert (entry["actor"], entry["user_id"], entry["ip_address"]) == (f"user:{person.id}", person.id, "127.0.0.1")
    assert json.loads(entry["new_values"])["password_hash"] == "***"
    token = await entrance.database.fetchrow("SELECT * FROM refresh_tokens WHERE user_id = $1", person.id)
    assert (token["ip_address"], token["user_agent"].startswith("grpc-python")) == ("127.0.0.1", True)


# --- commands ---------------------------------------------------------------------------------------------------------


async def test_a_key_is_made_listed_and_revoked_by_commands(
    entrance: Entrance, command: Callable[..., Awaitable[Result]]
) -> None:
    made = await command("key", "create", "ledger-export", "--scope", "history", "--scope", "events", "--days", "3650")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    assert list((await entrance.who(key)).scopes) == ["events", "history"]
    [listed] = [
        one for one in json.loads((await command("key", "list", "--json")).stdout) if one["name"] == "ledger-export"
    ]
    assert key.startswith(listed["prefix"]) and listed["last_used_at"] is not None
    assert key not in json.dumps(listed)
    assert (await command("key", "revoke", "ledger-export", "--yes")).exit_code == 0
    entrance.clock.pass_s(6)
    assert (await refusal(entrance.who(key)))[0] == UNAUTHENTICATED
    assert "ledger-export" not in (await command("key", "list")).stdout
    assert "revoked" in (await command("key", "list", "--all")).stdout


async def test_an_operator_sets_a_password_which_ends_locks_and_sessions(
    entrance: Entrance, command: Callable[..., Awaitable[Result]]
) -> None:
    person = await entrance.person()
    session = await entrance.sign_in(person)
    await entrance.database.execute(
        "UPDATE users SET locked_until = now() + interval '10 years', login_attempts = 9 WHERE id = $1", person.id
    )
    refused = await command("user", "set-password", person.email, given="short\n")
    assert (refused.exit_code, "12 to 128" in refused.output) == (1, True)
    done = await command("user", "set-password", str(person.id), given=f"{ANOTHER}\n")
    assert done.exit_code == 0, done.output
    assert ANOTHER not in done.output
    assert await refusal(entrance.refresh(session.refresh_token)) == ENDED
    await entrance.sign_in(person, ANOTHER)


async def test_signing_keys_are_rotated_and_listed_by_commands(
    command: Callable[..., Awaitable[Result]], tmp_path: Path
) -> None:
    file = str(tmp_path / "keys.json")
    made = await command("signing-key", "rotate", "--file", file)
    assert made.exit_code == 0, made.output
    await command("signing-key", "rotate", "--file", file, "--signs-in", "600")
    listed = json.loads((await command("signing-key", "list", "--file", file, "--json")).stdout)
    assert [key["signs"] for key in listed] == [True, False]
    assert (tmp_path / "keys.json").read_text().count('"d"') == 2
    refused = await command("signing-key", "rotate", "--file", file, "--signs-in", "600")
    assert (refused.exit_code, "no key would sign" in refused.output) == (1, True)
    (tmp_path / "keys.json").write_text("{}")
    assert (await command("signing-key", "list", "--file", file)).exit_code == 1
    assert "AUTHSVC_SIGNING_KEYS_FILE" in str((await command("signing-key", "list")).exception)
