"""Backups of a real server: taken, listed, verified, pruned, and restored to see whether they are any good."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil
import pytest

from authsvc.backups.plan import Policy
from authsvc.backups.shelf import Shelf
from authsvc.backups.take import Job, look
from authsvc.backups.tools import Tools
from authsvc.clock import SystemClock
from authsvc.embedded import Servers
from authsvc.embedded.places import wheel_bin
from authsvc.ledger.migrate import upgrade
from authsvc.settings import PREFIX
from tests.commands import Done, command, forget_settings
from tests.integration.conftest import PROGRAM_SQL

# Everything that the service's own triggers and constraints would refuse.
FAULTS_SQL = """
SET session_replication_role = replica;
ALTER TABLE accounts DROP CONSTRAINT accounts_balance_check;
ALTER TABLE transactions DROP CONSTRAINT transactions_held_minor_check;
UPDATE accounts SET balance = -1.00 WHERE id = 2;
UPDATE transactions SET held_minor = -5, settled_minor = 5, config_version = 99, card_id = 2001 WHERE id = 1;
UPDATE request_keys SET transaction_id = 7;
SELECT setval('transactions_id_seq', 1, false);
CREATE TABLE transactions_2026_04 (LIKE transactions);
SELECT authsvc_create_partition('2026-03-01'), authsvc_create_partition('2026-05-01');
CREATE FUNCTION doubled(INTEGER) RETURNS INTEGER IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE INDEX accounts_doubled_idx ON accounts (doubled(id));
CREATE OR REPLACE FUNCTION doubled(INTEGER) RETURNS INTEGER IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 3';
"""


class Taken(NamedTuple):
    """Three backups, each building on the one before; before the last one, faults were put in."""

    servers: Servers
    folder: Path
    full: str
    good: str
    bad: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs `authsvc backup …` in this process."""

    def call_it(*arguments: object, database_url: str = "postgresql://nobody@127.0.0.1:1/none") -> Done:
        forget_settings(monkeypatch)
        monkeypatch.setenv("AUTHSVC_DATABASE_URL", database_url)
        monkeypatch.setenv("AUTHSVC_REDIS_URL", "redis://127.0.0.1:1/0")
        return command(monkeypatch, capfd, "backup", *arguments)

    return call_it


@pytest.fixture(scope="module")
def source() -> Iterator[Servers]:
    """A server with the small program, that knows which blocks have changed. No backup of it must survive a crash."""
    with Servers.start(None, durable=False) as running:
        assert not asyncio.run(look(running.database_url)).source.has_summaries
        running.postgres.execute("ALTER SYSTEM SET summarize_wal = on")
        running.postgres.execute("SELECT pg_reload_conf()")
        asyncio.run(upgrade(running.database_url))
        asyncio.run(execute(running.database_url, PROGRAM_SQL))
        yield running


@pytest.fixture(scope="module")
def taken(source: Servers, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    folder = tmp_path_factory.mktemp("backups") / "of-the-test"
    names = []
    for sql in ("SELECT 1", "UPDATE accounts SET balance = 5.00 WHERE id = 3", FAULTS_SQL):
        asyncio.run(execute(source.database_url, sql))
        origin = asyncio.run(look(source.database_url))
        tools = Tools.find(origin.source.server_version, None, wheel_bin)
        job = Job(source.database_url, origin, Shelf(folder), tools, SystemClock(), print, lambda _done, _total: None)
        names.append(job.run(Policy(), full=False).name)
    return Taken(source, folder, *names)


def replace_file(path: Path, text: str) -> None:
    """Copies here are links: another file takes the name, and the original stays as it is."""
    path.unlink()
    path.write_text(text)


async def execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


def test_the_first_backup_is_full_and_each_later_one_builds_on_the_newest(
    taken: Taken, call: Callable[..., Done]
) -> None:
    listed = call("list", "--from", taken.folder, "--json").json
    assert [(one["name"], one["kind"], one["parent"]) for one in listed] == [
        (taken.full, "full", None),
        (taken.good, "incr", taken.full),
        (taken.bad, "incr", taken.good),
    ]
    assert listed[1]["size_bytes"] < listed[0]["size_bytes"]
    assert [one["chain_problem"] for one in listed] == [None] * 3
    (heading, _, *rows) = [
        line.split() for line in call("list", "--from", taken.folder).out.splitlines() if line.strip()
    ]
    assert heading == ["name", "kind", "parent", "age", "size", "verified"]
    assert [row[:3] for row in rows[:2]] == [[taken.bad, "incr", taken.good], [taken.good, "incr", taken.full]]


def test_a_restore_of_an_incremental_backup_holds_every_invariant_and_leaves_nothing(
    taken: Taken, call: Callable[..., Done], open_folder: Path
) -> None:
    done = call("restore-test", taken.good, "--from", taken.folder, "--scratch", open_folder, "--json")
    assert [check for check in done.json["checks"] if not check["ok"]] == []
    assert (done.code, done.json["backup"], len(done.json["checks"])) == (0, taken.good, 14)
    assert "3 accounts" in {check["looked_at"] for check in done.json["checks"]}
    assert list(open_folder.iterdir()) == []


def test_a_restore_names_every_fault_that_was_put_in(taken: Taken, call: Callable[..., Done]) -> None:
    done = call("restore-test", "--from", taken.folder, "--json")
    faults = {check["check"]: "\n".join(check["faults"]) for check in done.json["checks"] if check["faults"]}
    assert (done.code, done.json["backup"]) == (1, taken.bad)
    expected = {
        "no balance is below zero unless a posting said so": "account 2 has -1.00 USD and is not marked as overdrawn",
        "nothing held, settled or approved is below zero": "transaction 1 holds -5 and has settled 5",
        "every request key has its transaction": "request key request-1 names transaction 7, which is not there",
        "every decided transaction has its request key": "transaction 1 has no request key",
        "every transaction has its account, card and user": "transaction 1 names card 2001 and user 11 of account 1",
        "no transaction knows a version that its account has not reached": "transaction 1 was made under versions 99/1",
        "no partition of transactions is missing between others": "partition transactions_2026_04 is not attached",
        "the next transaction gets an id of its own": "the next transaction would get the id 1, but there is 1",
        "counters can be loaded and equal the rows": "card 2001 is loaded as",
        "every page of tables and indexes is sound": "accounts_doubled_idx",
    }
    assert [name for name in faults if name not in expected] == []
    assert [name for name, text in expected.items() if text not in faults.get(name, "")] == []


def test_verification_finds_a_file_that_changed_and_what_builds_on_it(
    taken: Taken, call: Callable[..., Done], tmp_path: Path
) -> None:
    shutil.copytree(taken.folder, tmp_path / "copy", copy_function=os.link)
    replace_file(tmp_path / "copy" / taken.good / "data" / "PG_VERSION", "17\n")
    done = call("verify", "--from", tmp_path / "copy", "--json")
    problems = {one["name"]: one["problem"] for one in done.json}
    assert (done.code, problems[taken.full]) == (1, None)
    assert "PG_VERSION" in problems[taken.good]
    assert problems[taken.bad] == problems[taken.good]
    assert call("list", "--from", tmp_path / "copy").out.count("is damaged") == 2
    assert call("restore-test", taken.bad, "--from", tmp_path / "copy").code == 1
    assert call("verify", taken.full, "--from", tmp_path / "copy").code == 0


def test_pruning_says_what_it_would_remove_and_removes_it_when_told(
    taken: Taken, call: Callable[..., Done], tmp_path: Path
) -> None:
    for name, month in ((taken.full, "01"), (taken.good, "02")):  # the same backups, made to look old
        old = tmp_path / name.replace(name[4:6], month, 1)
        old.mkdir()
        manifest = json.loads((taken.folder / name / "backup.json").read_bytes())
        parent = None if manifest["parent"] is None else manifest["parent"].replace(name[4:6], "01", 1)
        facts = {"name": old.name, "parent": parent, "started_us": int(month), "ended_us": int(month)}
        (old / "backup.json").write_text(json.dumps(manifest | facts))
    everything = sorted(path.name for path in tmp_path.iterdir())
    assert call("prune", "--from", tmp_path, "--keep-weeks", 4).out == "nothing to remove\n"
    shutil.copytree(taken.folder / taken.full, tmp_path / taken.full, copy_function=os.link)
    dry = call("prune", "--from", tmp_path, "--keep-weeks", 4)
    assert (dry.code, dry.out.count("would remove")) == (0, 2)
    assert sorted(path.name for path in tmp_path.glob("[0-9]*")) == sorted([*everything, taken.full])
    done = call("prune", "--from", tmp_path, "--keep-weeks", 4, "--yes", "--json").json
    assert (done["removed"], sorted(done["names"])) == (True, everything)
    assert [path.name for path in tmp_path.glob("[0-9]*")] == [taken.full]


def test_a_role_that_may_not_copy_the_server_is_told_so(
    source: Servers, call: Callable[..., Done], tmp_path: Path
) -> None:
    source.postgres.execute("CREATE ROLE plain LOGIN")
    done = call("run", "--to", tmp_path, database_url=source.database_url.replace("postgres@", "plain@"))
    assert (done.code, done.out, list(tmp_path.iterdir())) == (1, "", [])
    assert "the role plain may not copy the server: ALTER ROLE plain REPLICATION" in done.err


def test_a_backup_of_a_damaged_server_fails_and_leaves_nothing(
    source: Servers, call: Callable[..., Done], tmp_path: Path
) -> None:
    source.postgres.execute("CREATE TABLE damaged AS SELECT generate_series(1, 1000)")
    source.postgres.execute("CHECKPOINT")
    places = (
        source.postgres.execute("SHOW data_directory"),
        source.postgres.execute("SELECT pg_relation_filepath('damaged')"),
    )
    with Path(*places).open("r+b") as file:
        file.seek(8_000)
        file.write(b"damage")
    done = call("run", "--to", tmp_path, database_url=source.database_url)
    source.postgres.execute("DROP TABLE damaged")
    assert done.code == 1
    assert "checksum" in done.err
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_full_backup_is_taken_where_an_incremental_one_fails(
    taken: Taken, call: Callable[..., Done], tmp_path: Path
) -> None:
    shutil.copytree(taken.folder, tmp_path / "copy", copy_function=os.link)
    # As if the server had forgotten which blocks have changed since.
    manifest = tmp_path / "copy" / taken.bad / "data" / "backup_manifest"
    replace_file(manifest, manifest.read_text().replace('"System-Identifier": ', '"System-Identifier": 1'))
    done = call("run", "--to", tmp_path / "copy", "--json", database_url=taken.servers.database_url)
    assert (done.code, done.json["kind"], done.json["parent"]) == (0, "full", None)
    assert "taking a full backup instead" in done.err


def test_an_interrupted_restore_leaves_neither_files_nor_a_server(taken: Taken, open_folder: Path) -> None:
    arguments = ["restore-test", taken.good, "--from", str(taken.folder), "--scratch", str(open_folder)]
    command = [sys.executable, "-m", "authsvc", "backup", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "looking at it" not in process.stderr.readline():
            assert process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert children
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert list(open_folder.iterdir()) == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, with a short path; pytest's own tmp_path is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="authsvc-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
