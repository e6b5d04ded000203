"""`authsvc demo`: what it prints, what it leaves (nothing), and that it can be repeated and interrupted."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from authsvc.embedded import Servers

GONE_TIMEOUT_S = 30


@dataclass
class Run:
    """A demonstration under way. `family` is every process it was ever seen to have started."""

    process: subprocess.Popen[str]
    family: set[psutil.Process] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)

    def read(self, until: str) -> None:
        """Read what it prints up to a line that holds `until` (or to the end), counting its family at each line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if self.process.poll() is None:
                self.family |= set(psutil.Process(self.process.pid).children(recursive=True))
            if until and until in line:
                return

    def end(self) -> int:
        self.read(until="")
        return self.process.wait(timeout=60)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def port(self) -> int:
        found = re.search(r"ready on 127\.0\.0\.1:(\d+)", self.text)
        assert found, self.text
        return int(found[1])


def run_demo(temporary: Path, environment: dict[str, str] | None = None) -> Run:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")}
    return Run(
        subprocess.Popen(
            [sys.executable, "-m", "authsvc", "demo", "--requests", "300"],
            env=mine | {"TMPDIR": str(temporary)} | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=temporary,
            start_new_session=True,
        )
    )


def assert_nothing_is_left(run: Run, temporary: Path) -> None:
    gone, alive = psutil.wait_procs(run.family, timeout=GONE_TIMEOUT_S)
    assert alive == []
    assert len(gone) >= 1
    assert list(temporary.iterdir()) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", run.port())) != 0


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    # PostgreSQL does not run as root: another user must be able to reach it.
    for part in (folder, folder.parent, folder.parent.parent):
        part.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def finished(temporary: Path) -> Iterator[tuple[Run, int]]:
    """A whole demonstration on servers of its own, and its exit code."""
    run = run_demo(temporary)
    yield run, run.end()
    assert run.process.stdout is not None
    run.process.stdout.close()


def test_the_demonstration_succeeds_and_leaves_nothing_behind(finished: tuple[Run, int], temporary: Path) -> None:
    run, code = finished
    assert code == 0, run.text
    names = {Path(process.name()).name for process in run.family if process.is_running()}
    assert names == set()
    assert_nothing_is_left(run, temporary)


def test_it_prints_decisions_by_reason_that_add_up(finished: tuple[Run, int]) -> None:
    run, _ = finished
    rows = re.findall(
        r"^  (approved|partially approved|declined) +([A-Z_]*) +([\d,]+) +[\d.]+%", run.text, re.MULTILINE
    )
    assert sum(int(count.replace(",", "")) for _, _, count in rows) == 300
    reasons = {reason for _, reason, _ in rows}
    assert {
        "",
        "MCC_BLOCKED",
        "INSUFFICIENT_FUNDS",
        "CARD_LIMIT_EXCEEDED",
        "ACCOUNT_NOT_ACTIVE",
        "CARD_CLOSED",
    } <= reasons


def test_it_tells_latencies_explanations_the_books_and_what_to_type_next(finished: tuple[Run, int]) -> None:
    run, _ = finished
    assert re.search(r"p50 [\d.]+ ms, p99 [\d.]+ ms", run.text)
    assert re.search(r"declined: the card may spend .* is used, .* is left until .*", run.text)
    assert "is blocked by the profile" in run.text
    assert re.search(r"all \d+ counters equal what PostgreSQL's rows sum up to", run.text)
    assert re.search(r"all \d+ counters stay within their limits", run.text)
    assert re.search(
        r"swipe, approved +approved +40\.00 +0\.00 .*\n.*\n +cleared, with a tip +settled +0\.00 +36\.00", run.text
    )
    assert "What to type next" in run.text


def test_lithic_calls_over_http_and_the_limit_moves_with_the_clearing(finished: tuple[Run, int]) -> None:
    run, _ = finished
    asked, cleared = (
        re.search(rf"{step} +{figures} +([\d,.]+) +([\d,.]+) *$", run.text, re.MULTILINE)
        for step, figures in (
            ("swipe, answered APPROVED", r"approved +52\.00 +0\.00"),
            ("webhook: cleared, with a tip", r"settled +0\.00 +61\.50"),
        )
    )
    assert asked and cleared, run.text
    used, left = ([round(float(row[at].replace(",", "")) * 100) for row in (asked, cleared)] for at in (1, 2))
    assert (used[1] - used[0], left[1] - left[0]) == (950, -950)
    assert re.search(r"all \d+ transactions hold, and have settled, what Lithic told of them", run.text)


def test_in_a_pipe_it_prints_no_control_characters(finished: tuple[Run, int]) -> None:
    run, _ = finished
    assert [character for character in run.text if not (character.isprintable() or character == "\n")] == []


@pytest.mark.parametrize(
    ("number", "code", "after"),
    [(signal.SIGINT, 130, "ready on"), (signal.SIGTERM, 143, "✓ traffic")],
    ids=["Ctrl-C", "SIGTERM, with the bridge"],
)
def test_interrupted_it_cleans_up(
    number: signal.Signals, code: int, after: str, temporary: Path, database_url: str, redis_url: str
) -> None:
    run = run_demo(temporary, {"AUTHSVC_DATABASE_URL": database_url, "AUTHSVC_REDIS_URL": redis_url})
    run.read(until=after)
    run.process.send_signal(number)
    assert run.end() == code, run.text
    assert run.process.stdout is not None
    run.process.stdout.close()
    assert_nothing_is_left(run, temporary)


def test_on_servers_of_your_own_it_works_again_and_again(
    servers: Servers, temporary: Path, database_url: str, redis_url: str
) -> None:
    for _ in range(2):
        run = run_demo(temporary, {"AUTHSVC_DATABASE_URL": database_url, "AUTHSVC_REDIS_URL": redis_url})
        assert run.end() == 0, run.text
        assert "✓ servers" not in run.text
        assert run.process.stdout is not None
        run.process.stdout.close()
        assert_nothing_is_left(run, temporary)
    assert servers.postgres.pid is not None
