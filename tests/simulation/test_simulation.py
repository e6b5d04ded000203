"""The real use case over simulated servers: it keeps every promise, and breaks one as soon as a fence is taken out.

Explore further with `python -m tests.simulation.explore --runs N`; a failing seed replays with `--seed S --runs 1`.
"""

import asyncio
import os
import random
import subprocess
import sys
from contextvars import copy_context

import pytest

from tests.simulation.breaks import BREAKS
from tests.simulation.explore import first_failure, run_seed
from tests.simulation.loop import PROCESS, SimulatedLoop
from tests.simulation.program import THEMES

SCHEDULES_PER_THEME = 185
BREAK_SEEDS_MAX = 400


@pytest.mark.parametrize("theme", THEMES)
def test_every_promise_holds_in_every_schedule(theme: str) -> None:
    outcomes = [run_seed(seed, "", theme) for seed in range(10_000, 10_000 + SCHEDULES_PER_THEME)]
    assert [outcome for outcome in outcomes if outcome.violations] == []
    # A run that decides nothing would keep every promise too.
    assert sum(outcome.rows for outcome in outcomes) > 10 * SCHEDULES_PER_THEME
    assert sum(outcome.answered for outcome in outcomes) > 10 * SCHEDULES_PER_THEME


def test_the_suite_explores_two_thousand_schedules() -> None:
    assert SCHEDULES_PER_THEME * len(THEMES) >= 2_000


@pytest.mark.parametrize("name", BREAKS)
def test_taking_out_a_fence_breaks_a_promise(name: str) -> None:
    failure = first_failure(range(BREAK_SEEDS_MAX), name, BREAKS[name].theme)
    assert failure is not None, f"{BREAKS[name].what}, and nobody notices"
    assert run_seed(failure.seed, "", BREAKS[name].theme).violations == ()


def test_a_seed_replays_exactly() -> None:
    assert run_seed(4_711) == run_seed(4_711)


def test_two_seeds_take_different_turns() -> None:
    assert run_seed(1).trace != run_seed(2).trace


def test_a_failing_seed_prints_itself_and_replays_in_another_process() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.simulation.explore",
        "--runs",
        "60",
        "--break",
        "no_epoch_fence",
        "--theme",
        "faults",
    ]
    printed = [
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=False,
        )
        for hash_seed in ("1", "2")
    ]
    assert [one.returncode for one in printed] == [1, 1], printed[0].stderr
    assert "(trace " in printed[0].stdout
    assert printed[0].stdout == printed[1].stdout


# --- the loop itself ------------------------------------------------------------------------------------------------------


def _spawn(loop: SimulatedLoop, process: str, coroutine_function: object, *args: object) -> None:
    def start() -> None:
        asyncio.get_running_loop().create_task(coroutine_function(*args))  # type: ignore[operator]

    loop.in_process(process, start)


def test_a_crash_runs_none_of_the_code_of_its_process() -> None:
    loop, ran = SimulatedLoop(random.Random(1)), []

    async def waits(name: str) -> None:
        try:
            await asyncio.sleep(1)
            ran.append(f"{name} went on")
        finally:
            ran.append(f"{name} cleaned up")

    _spawn(loop, "dies", waits, "dies")
    _spawn(loop, "lives", waits, "lives")
    loop.run(lambda: loop.time() > 0 or loop.steps == 4, 100)
    loop.crash("dies")
    loop.run(lambda: False, 100)
    assert ran == ["lives went on", "lives cleaned up"]
    loop.close()


def test_time_passes_only_when_nobody_can_move() -> None:
    loop, seen = SimulatedLoop(random.Random(1)), []

    async def sleeper() -> None:
        seen.append(loop.time())
        await asyncio.sleep(3_600)
        seen.append(loop.time())

    _spawn(loop, "one", sleeper)
    loop.run(lambda: False, 100)
    assert seen == [0.0, 3_600.0]
    loop.close()


def test_a_process_keeps_its_own_order() -> None:
    for seed in range(20):
        loop, seen = SimulatedLoop(random.Random(seed)), []
        for number in range(10):
            loop.in_process(f"process-{number % 2}", seen.append, number)
        loop.run(lambda: False, 100)
        assert [number for number in seen if number % 2] == [1, 3, 5, 7, 9]
        assert [number for number in seen if not number % 2] == [0, 2, 4, 6, 8]


def test_what_a_task_starts_belongs_to_its_process() -> None:
    loop, seen = SimulatedLoop(random.Random(1)), []

    async def child() -> None:
        seen.append(copy_context().get(PROCESS))

    async def parent() -> None:
        await asyncio.get_running_loop().create_task(child())

    _spawn(loop, "family", parent)
    loop.run(lambda: False, 100)
    assert seen == ["family"]
    loop.close()
