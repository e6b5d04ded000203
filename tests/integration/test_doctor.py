"""`authsvc doctor`: each check finds what is broken, and --fix mends what is safe to mend."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from authsvc.cli import run
from authsvc.clock import SystemClock
from authsvc.doctor.checkup import Visit, examine
from authsvc.doctor.finding import Finding
from authsvc.embedded import Servers
from authsvc.embedded.places import Places
from authsvc.embedded.postgres import Postgres
from authsvc.ledger.privacy import enforce, work
from authsvc.settings import PREFIX
from tests.privacy import UNDER_KEYS
from tests.programs import add_account, add_card
from tests.serving import Running, held_back, request, serving_module, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOWHERE = "unix:///nowhere/redis.sock"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template) as one:
        await one.database.execute(
            "SELECT authsvc_create_partition((now() + n * interval '1 month')::date) FROM generate_series(0, 3) AS n"
        )
        yield one


async def examined(running: Running, *, fix: bool = False, **changes: Any) -> dict[str, Finding]:
    """The report by check."""
    settings = running.service.settings
    urls: dict[str, Any] = {"database_url": settings.database_url, "redis_url": settings.redis_url}
    visit = Visit(**(urls | changes), record_ttl_ms=settings.record_ttl_ms, sample=20, fix=fix, clock=SystemClock())
    return {one.check: one for one in await examine(visit)}


async def counters_of(running: Running, token: str) -> tuple[int, str]:
    """The account of a card, and the key of its counters."""
    account_id = await running.database.fetchval("SELECT account_id FROM cards WHERE lithic_card_token = $1", token)
    (key,) = [one for one in await running.counters() if f"{{{account_id}}}" in one]
    return account_id, key


async def test_a_sound_service_has_nothing_that_failed(running: Running) -> None:
    await running.authorize(request())
    report = await examined(running)
    assert {name: one for name, one in report.items() if one.state == "failed"} == {}
    for check in ("postgresql", "redis", "eviction", "clocks", "migrations", "partitions", "counters", "foreign keys"):
        assert report[check].state == "ok", report[check]
    assert report["replication"].state == report["slow joins"].state == report["tokens at lithic"].state == "skipped"
    assert "1 agree" in report["counters"].finding


async def test_a_counter_that_says_something_else_fails_and_fix_starts_the_account_afresh(running: Running) -> None:
    await running.authorize(request("card_demo_travel", 2_500))
    account_id, key = await counters_of(running, "card_demo_travel")
    await running.redis.hincrby(key, "h", 700)
    epoch = await running.database.fetchval("SELECT counter_epoch FROM accounts WHERE id = $1", account_id)
    broken = (await examined(running))["counters"]
    assert broken.state == "failed"
    assert f"account {account_id}: h is " in broken.finding
    mended = (await examined(running, fix=True))["counters"]
    assert (mended.state, "started afresh" in mended.finding) == ("warning", True)
    assert await running.database.fetchval("SELECT counter_epoch FROM accounts WHERE id = $1", account_id) > epoch
    await running.authorize(request("card_demo_travel", 100))
    assert (await examined(running))["counters"].state == "ok"
    held = await running.database.fetchval("SELECT sum(held_minor) FROM transactions WHERE account_id = $1", account_id)
    assert int((await running.counters())[key]["h"]) == held


async def test_counters_of_a_reservation_under_way_are_no_difference(running: Running) -> None:
    await running.authorize(request())
    account_id, _ = await counters_of(running, "card_demo_open")
    async with held_back(running, "card_demo_open"):
        under_way = asyncio.create_task(running.authorize(request(amount_minor=4_321)))

        async def reserved() -> bool:
            return any(str(account_id) in name for name in await running.reservations())

        await until(reserved)
        report = await examined(running)
    await under_way
    assert report["counters"].state == "ok"
    assert (await examined(running))["counters"].state == "ok"


async def test_counters_ahead_of_a_restored_database_fail_until_they_are_started_afresh(running: Running) -> None:
    await running.authorize(request("card_demo_zero", 0))
    await running.authorize(request())
    account_id, key = await counters_of(running, "card_demo_open")
    await running.redis.hincrby(key, "e", 5)
    assert "of a later epoch" in (await examined(running))["counters"].finding
    ahead = int((await running.counters())[key]["e"])
    assert (await examined(running, fix=True))["counters"].state == "warning"
    assert await running.database.fetchval("SELECT counter_epoch FROM accounts WHERE id = $1", account_id) == ahead + 1
    assert (await examined(running))["counters"].state == "ok"


async def test_a_missing_partition_is_found_and_made(running: Running) -> None:
    name = await running.database.fetchval("SELECT to_char(now() + interval '2 months', '\"transactions_\"YYYY_MM')")
    await running.database.execute(f"DROP TABLE {name}")
    missing = (await examined(running))["partitions"]
    assert (missing.state, missing.finding) == ("warning", f"missing: {name}")
    assert f"made {name}" in (await examined(running, fix=True))["partitions"].finding
    assert (await examined(running))["partitions"].state == "ok"


async def test_tokens_are_checked_and_never_shown(running: Running) -> None:
    account_id = await add_account(running.database)
    odd = await add_card(running.database, account_id)
    lost = await add_card(running.database, account_id)
    twin = await add_card(running.database, account_id)
    await running.database.execute("UPDATE cards SET lithic_card_token = 'not lithic''s' WHERE id = $1", odd.id)
    await running.database.execute("UPDATE cards SET lithic_card_token = NULL WHERE id = $1", lost.id)
    await running.database.execute(
        "UPDATE cards SET lithic_card_token = 'card_twin', deleted_at = now() WHERE id = $1", twin.id
    )
    fresh = await add_card(running.database, account_id)
    await running.database.execute("UPDATE cards SET lithic_card_token = 'card_twin' WHERE id = $1", fresh.id)
    finding = (await examined(running))["lithic tokens"]
    await running.database.execute("UPDATE cards SET deleted_at = now() WHERE account_id = $1", account_id)
    assert finding.state == "warning"
    assert f"1 cards active without a token (id {lost.id})" in finding.finding
    assert f"malformed (id {odd.id})" in finding.finding
    assert f"with the token of a deleted card (id {fresh.id})" in finding.finding
    assert "not lithic" not in finding.finding
    assert (await examined(running))["lithic tokens"].state == "ok"


@pytest.fixture
def statistician() -> Iterator[Postgres]:
    """A server of the test's own, which may be configured; without tables."""
    places = Places.claim(None)
    server = Postgres(places, durable=False)
    yield server
    server.stop()
    places.release()


async def test_statements_that_join_are_read_where_the_server_keeps_statistics(
    running: Running, statistician: Postgres
) -> None:
    async def joins(user: str = "postgres") -> Finding:
        return (await examined(running, database_url=statistician.url().replace("postgres@", f"{user}@")))["slow joins"]

    statistician.execute("CREATE EXTENSION pg_stat_statements")
    assert (await joins()).finding == "pg_stat_statements is not in shared_preload_libraries"
    statistician.execute("ALTER SYSTEM SET shared_preload_libraries = pg_stat_statements")
    statistician.restart()
    statistician.execute("CREATE TABLE owners (id INTEGER PRIMARY KEY)")
    statistician.execute("CREATE TABLE things (owner_id INTEGER REFERENCES owners (id))")
    statistician.execute("INSERT INTO owners VALUES (1)")
    statistician.execute("INSERT INTO things VALUES (1)")
    assert (await joins()).finding == "none takes 50 ms on average"
    # One row that takes its time is like many that are quick, on every machine.
    statement = "SELECT pg_sleep(0.06) FROM things JOIN owners ON owners.id = things.owner_id"
    connection = await asyncpg.connect(statistician.url())
    for _ in range(10):
        await connection.execute(statement)
    slow = await joins()
    await connection.execute("CREATE ROLE doctor_nobody LOGIN")
    await connection.close()
    assert (slow.state, slow.finding.partition(" ms ")[2]) == ("warning", f"x 10: {statement.replace('0.06', '$1')}")
    hidden = await joins("doctor_nobody")
    assert (hidden.state, "GRANT pg_read_all_stats" in hidden.finding) == ("skipped", True)


async def test_a_foreign_key_without_an_index_is_named(running: Running) -> None:
    await running.database.execute("CREATE TABLE strays (account_id INTEGER REFERENCES accounts (id))")
    finding = (await examined(running))["foreign keys"]
    await running.database.execute("DROP TABLE strays")
    assert "strays.strays_account_id_fkey" in finding.finding


async def test_rows_of_this_month_in_the_default_partition_are_a_warning(running: Running) -> None:
    name = await running.database.fetchval("SELECT to_char(now() + interval '3 months', '\"transactions_\"YYYY_MM')")
    await running.database.execute(f"DROP TABLE {name}")
    await running.database.execute(
        "INSERT INTO transactions (account_id, card_id, user_id, request_id, kind, transaction_type, status, amount,"
        " config_version, explanation, transaction_date) SELECT account_id, id, user_id, 'early', 'AUTHORIZATION',"
        " 'AUTHORIZATION', 'DECLINED', 1, 1, '[]', now() + interval '3 months' FROM cards WHERE deleted_at IS NULL LIMIT 1"
    )
    assert (await examined(running))["default partition"].state == "warning"
    mended = await examined(running, fix=True)
    assert mended["default partition"] == Finding("default partition", "ok", mended["default partition"].finding)


async def test_a_database_or_a_redis_that_is_away_fails_and_leaves_the_other_checks(running: Running) -> None:
    report = await examined(running, redis_url=NOWHERE)
    assert (report["redis"].state, report["counters"].state, report["postgresql"].state) == ("failed", "skipped", "ok")
    report = await examined(running, database_url="postgresql://nobody@/nothing?host=/nowhere")
    assert (report["postgresql"].state, report["redis"].state) == ("failed", "ok")


async def test_a_user_who_may_read_nothing_is_told_so_check_by_check(running: Running) -> None:
    await running.database.execute("CREATE ROLE doctor_nobody LOGIN")
    url = running.service.settings.database_url.replace("postgres@", "doctor_nobody@")
    report = await examined(running, database_url=url)
    await running.database.execute("DROP ROLE doctor_nobody")
    assert report["default partition"] == Finding("default partition", "skipped", "this database user may not read it")
    for check in ("lithic tokens", "counters", "archive"):
        assert (report[check].state, "does not see all rows" in report[check].finding) == ("skipped", True)
    assert report["clocks"].state == report["partitions"].state == "ok"


async def test_the_command_prints_a_table_keeps_the_figures_and_exits_with_the_worst(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = running.service.settings

    async def call(*arguments: str, redis_url: str | None = settings.redis_url) -> tuple[int, str]:
        monkeypatch.setenv(f"{PREFIX}DATABASE_URL", settings.database_url)
        monkeypatch.setenv(f"{PREFIX}REDIS_URL", redis_url)
        monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["authsvc", "doctor", *arguments])
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(run)
        return int(ended.value.code or 0), capsys.readouterr().out

    sealer = UNDER_KEYS.sealer()
    code, out = await call()
    assert code == 1 and "not sealed: accounts.owner_email" in out
    async for _ in work(running.database, sealer, sealer.version):
        pass
    await enforce(running.database, is_on=True)
    (tmp_path / "doctor.json").unlink(missing_ok=True)
    code, out = await call()
    assert (code, "nothing yet to compare it with" in out, "the database refuses what is not" in out) == (0, True, True)
    assert "transactions" in json.loads((tmp_path / "doctor.json").read_text())["bytes_by_table"]
    code, out = await call("--json", "--state", str(tmp_path / "doctor.json"))
    by_check = {one["check"]: one for one in json.loads(out)}
    assert (code, "in 0.0 days" in by_check["table growth"]["finding"]) == (0, True)
    assert (await call(redis_url=NOWHERE))[0] == 2


async def test_a_follower_is_seen_and_the_slot_that_it_leaves_behind_as_well(
    running: Running, servers: Servers, tmp_path: Path
) -> None:
    slot, url = "doctor_follower", running.service.settings.database_url
    await running.database.execute("SELECT pg_create_physical_replication_slot($1, true)", slot)
    receiver = servers.postgres._bin / "pg_receivewal"
    follower = await asyncio.create_subprocess_exec(
        *(receiver, "--directory", tmp_path, "--slot", slot, "--dbname", f"{url}&application_name={slot}"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:

        async def follows() -> bool:
            query = "SELECT count(*) FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'"
            return bool(await running.database.fetchval(query, slot))

        await until(follows)
        followed = (await examined(running))["replication"]
    finally:
        follower.kill()
        await follower.wait()

    async def left() -> bool:
        return not await running.database.fetchval("SELECT active FROM pg_replication_slots WHERE slot_name = $1", slot)

    await until(left)
    alone = (await examined(running))["replication"]
    await running.database.execute("SELECT pg_drop_replication_slot($1)", slot)
    assert (followed.state, f"{slot} streaming" in followed.finding) == ("ok", True)
    assert (alone.state, f"slots that nobody reads: {slot}" in alone.finding) == ("warning", True)
