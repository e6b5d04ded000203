"""Backups without a server: which one comes next, what may go, and where a password is never seen."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.backups.plan import (
    DAY_US,
    WEEK_US,
    Backup,
    Policy,
    Source,
    chain,
    chain_problem,
    next_backup,
    prunable,
)
from authsvc.backups.shelf import Shelf, name_of
from authsvc.backups.take import refusals
from authsvc.backups.tools import Tools, _without_password
from authsvc.errors import NotFound, StartupRefused

SOURCE = Source(180006, "7000", 1, has_summaries=True)
MONDAY_US = 1_767_571_200_000_000


def backup(name: str, parent: str | None = None, days: float = 0, **other: object) -> Backup:
    """A backup that began `days` after Monday."""
    at_us = MONDAY_US + int(days * DAY_US)
    made = Backup(
        name=name, kind="incr" if parent else "full", parent=parent, started_us=at_us, ended_us=at_us + 60_000_000,
        server_version=180006, system_identifier="7000", timeline=1, start_lsn="0/2000028", end_lsn="0/2000120",
        size_bytes=1, database="authsvc", superuser="postgres", verified_us=at_us,
    )  # fmt: skip
    return replace(made, **other)


WEEK = [backup("full"), backup("one", "full", 1), backup("two", "one", 2)]


@pytest.mark.parametrize(
    ("existing", "source", "days", "expected", "why"),
    [
        ([],                                        SOURCE,                              0,    ("full", None),   "none yet"),
        (WEEK[:1],                                  SOURCE,                              1,    ("incr", "full"), "since full"),
        (WEEK,                                      SOURCE,                              3,    ("incr", "two"),  "since two"),
        (WEEK,                                      SOURCE,                              6.9,  ("incr", "two"),  "since two"),
        (WEEK,                                      SOURCE,                              6.99, ("full", None),   "7.0 days old"),
        (WEEK,                                      replace(SOURCE, has_summaries=False), 3,   ("full", None),   "summarize_wal"),
        ([*WEEK[:1], WEEK[2]],                      SOURCE,                              3,    ("full", None),   "lacks its parent one"),
        ([replace(WEEK[0], problem="x"), WEEK[1]],  SOURCE,                              3,    ("full", None),   "full is damaged: x"),
        (WEEK,                                      replace(SOURCE, system_identifier="8"), 3, ("full", None),   "another server"),
        (WEEK,                                      replace(SOURCE, timeline=2),         3,    ("full", None),   "timeline 1"),
        (WEEK,                                      replace(SOURCE, server_version=190001), 3, ("full", None),   "PostgreSQL 18"),
    ],
)  # fmt: skip
def test_the_next_backup_is_full_when_an_incremental_one_could_not_be_restored_or_a_week_has_passed(
    existing: list[Backup], source: Source, days: float, expected: tuple[str, str | None], why: str
) -> None:
    chosen = next_backup(existing, source, MONDAY_US + int(days * DAY_US), Policy())
    assert (chosen.kind, chosen.parent and chosen.parent.name) == expected
    assert why in chosen.reason


def test_whoever_asks_for_a_full_backup_gets_one() -> None:
    assert next_backup(WEEK, SOURCE, MONDAY_US + 3 * DAY_US, Policy(), full=True).kind == "full"


def test_a_chain_begins_with_its_full_backup_and_ends_even_if_it_goes_in_circles() -> None:
    assert [link.name for link in chain(WEEK[2], WEEK)] == ["full", "one", "two"]
    circle = [backup("a", "b"), backup("b", "a")]
    assert [link.name for link in chain(circle[0], circle)] == ["b", "a"]
    assert chain_problem(circle[0], circle) == "b lacks its parent a"


def test_a_backup_of_another_server_breaks_a_chain() -> None:
    mixed = [WEEK[0], replace(WEEK[1], system_identifier="8")]
    assert chain_problem(mixed[1], mixed) == "one is of another server than full"


def test_pruning_takes_whole_chains_that_are_old_and_the_youngest_first() -> None:
    existing = [*WEEK, backup("next", days=7), backup("then", "next", 8)]
    assert [one.name for one in prunable(existing, MONDAY_US + 17 * DAY_US, 2)] == ["two", "one", "full"]


def test_pruning_keeps_what_a_young_backup_builds_on() -> None:
    assert prunable(WEEK, MONDAY_US + 15 * DAY_US, 2) == []


def test_pruning_keeps_the_last_whole_full_backup_however_old_it_is() -> None:
    existing = [backup("old", days=-7), *WEEK, backup("bad", days=7, problem="x")]
    assert [one.name for one in prunable(existing, MONDAY_US + 100 * WEEK_US, 1)] == ["bad", "old"]


@st.composite
def histories(draw: st.DrawFn) -> list[Backup]:
    """Backups of some weeks; some are damaged, and some are missing."""
    made: list[Backup] = []
    for day in range(draw(st.integers(1, 25))):
        builds_on = made[-1].name if made and draw(st.booleans()) else None
        problem = "x" if draw(st.integers(0, 9)) == 0 else None
        made.append(backup(f"day-{day:02}", builds_on, day, problem=problem))
    return [one for one in made if draw(st.integers(0, 9))]


@given(histories(), st.integers(0, 60), st.integers(1, 4))
def test_pruning_never_breaks_what_it_keeps(existing: list[Backup], days: int, weeks: int) -> None:
    now_us = MONDAY_US + days * DAY_US
    gone = prunable(existing, now_us, weeks)
    kept = [one for one in existing if one not in gone]
    assert [chain_problem(one, kept) for one in kept] == [chain_problem(one, existing) for one in kept]
    assert all(one.ended_us < now_us - weeks * WEEK_US for one in gone)
    whole = [one for one in existing if one.kind == "full" and one.problem is None]
    assert whole[-1:] == [one for one in kept if one in whole[-1:]]
    for index, one in enumerate(gone):  # interrupted after any of them, nothing lacks a parent that it had
        assert one.name not in {later.parent for later in [*kept, *gone[index + 1 :]]}


def test_half_a_backup_is_no_backup_and_the_next_one_sweeps_it_away(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "backups")
    with shelf.locked(), shelf.unfinished("20260105T000000Z-full") as folder:
        shelf.finish(folder, backup("20260105T000000Z-full"))
    left = shelf.folder / ".unfinished-20260106T000000Z-incr"
    left.mkdir()
    (left / "backup.json").write_bytes((shelf.folder / "20260105T000000Z-full" / "backup.json").read_bytes())
    assert [one.name for one in shelf.backups()] == ["20260105T000000Z-full"]
    with shelf.locked():
        assert not left.exists()
    with pytest.raises(NotFound, match="no backup 20260106T000000Z-incr"):
        shelf.find("20260106T000000Z-incr")


def test_a_folder_without_a_manifest_is_told_and_never_built_upon(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for name, manifest in (("20260105T000000Z-full", "{"), ("20260106T000000Z-incr", '{"kind": "full"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "backup.json").write_text(manifest)
    (tmp_path / "20260107T000000Z-full").mkdir()
    assert shelf.backups() == []
    assert shelf.unreadable() == ["20260105T000000Z-full", "20260106T000000Z-incr", "20260107T000000Z-full"]


def test_only_one_at_a_time_adds_or_removes_backups(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with shelf.locked(), pytest.raises(StartupRefused, match="another backup works in"), shelf.locked():
        pass


def test_names_sort_by_time() -> None:
    assert name_of("full", MONDAY_US) == "20260105T000000Z-full"
    assert name_of("full", MONDAY_US) < name_of("incr", MONDAY_US + 1_000_000)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s3%3Acret@db.example:5432/authsvc?sslmode=verify-full",
        "postgresql://app@/authsvc?host=/run/postgresql&password=s3:cret",
    ],
)
def test_a_password_is_handed_over_in_a_file_that_is_gone_afterwards(url: str) -> None:
    with _without_password(url) as address:
        assert "cret" not in address
        parts = urlsplit(address)
        query = parse_qs(parts.query)
        (passfile,) = query.pop("passfile")
        assert (parts.username, parts.path) == ("app", "/authsvc")
        assert query in ({"sslmode": ["verify-full"]}, {"host": ["/run/postgresql"]})
        assert Path(passfile).read_text() == "*:*:*:*:s3\\:cret\n"
        assert Path(passfile).stat().st_mode & 0o777 == 0o600
    assert not Path(passfile).exists()


def test_programs_of_another_version_are_refused_by_name(tmp_path: Path) -> None:
    program = tmp_path / "pg_basebackup"
    program.write_text("#!/bin/sh\necho 'pg_basebackup (PostgreSQL) 15.7 (Debian 15.7-0)'\n")
    program.chmod(0o755)
    with pytest.raises(StartupRefused, match=rf"PostgreSQL 18 are not here.*; {tmp_path} has those of 15"):
        Tools.find(180006, tmp_path, lambda: tmp_path)
    assert Tools.find(150007, tmp_path, lambda: tmp_path) == Tools(tmp_path, 15)


def test_everything_that_keeps_a_server_from_being_backed_up_is_told_at_once() -> None:
    fine = {"may_replicate": True, "role": "plain", "wal_level": "replica", "wal_senders_max": 10, "tablespaces": 0}
    assert refusals(fine) == []
    assert [said.split()[0] for said in refusals({**fine, "wal_level": "minimal", "wal_senders_max": 0})] == [
        "wal_level", "max_wal_senders",
    ]  # fmt: skip
    assert "ALTER ROLE plain REPLICATION" in refusals({**fine, "may_replicate": False, "tablespaces": 1})[0]
    assert "tablespaces" in refusals({**fine, "tablespaces": 1})[0]
