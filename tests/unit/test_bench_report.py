"""What is said about a measurement: ratios, verdicts, CPU."""

import os
import subprocess
import sys

import pytest

from bench import cpu, rules_speed
from bench.generator import Outcome
from bench.phases import Results
from bench.report import BRIDGE, CONSTANT, EVENTS, HOT_PAIR, Target, as_json, targets, write
from bench.rules_speed import Speed


def outcome(requests: int, **changes) -> Outcome:
    plain = {
        "requests": requests,
        "seconds": 2.0,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "cpu_s": {"service": 1.0},
        "decisions": {},
        "errors": {},
        "exhausted": False,
    }
    return Outcome(**(plain | changes))


def results() -> Results:
    found = Results()
    found.outcomes["echo"] = [outcome(1_000), outcome(4_000), outcome(2_000)]
    found.outcomes["Authorize"] = [outcome(500), outcome(3_000), outcome(1_200)]
    for name in ("Authorize, hot", "AuthorizeStream", "AuthorizeStream, hot", HOT_PAIR, "procedure", "procedure, hot"):
        found.outcomes[name] = [outcome(600), outcome(600), outcome(600)]
    return found


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    assert results().ratio("Authorize", "echo") == pytest.approx(0.6)


def test_rates_and_cpu_are_a_second_and_a_request() -> None:
    one = outcome(1_000)
    assert (one.per_second, one.cpu_us("service"), one.cpu_us("nobody")) == (500.0, 1_000.0, 0.0)


def test_errors_are_added_up_over_the_rounds() -> None:
    found = results()
    found.outcomes["Authorize"] = [outcome(1, errors={"status 8": 2}), outcome(1, errors={"status 8": 3})]
    assert found.errors == {"Authorize": {"status 8": 5}}


@pytest.mark.parametrize(
    ("value", "at_most", "verdict"),
    [
        (0.54, False, "missed"),
        (0.55, False, "reached"),
        (0.80, False, "goal"),
        (0.54, True, "goal"),
        (0.55, True, "goal"),
        (0.80, True, "reached"),
        (0.81, True, "missed"),
    ],
)
def test_a_verdict_holds_from_the_bound_on(value: float, verdict: str, *, at_most: bool) -> None:
    must, goal = (0.8, 0.55) if at_most else (0.55, 0.8)
    assert Target("x", value, must, goal, at_most=at_most).verdict == verdict


def test_the_json_holds_every_phase_with_its_ratio(tmp_path) -> None:
    content = as_json(results(), Speed(1.0, 2.0), None, [], {"run": "r"})
    write(tmp_path / "new" / "latest.json", content)
    assert content["phases"]["Authorize"]["ratio_to_echo"] == pytest.approx(0.6)
    assert content["phases"]["Authorize"]["rounds"] == [250, 1_500, 600]
    assert (tmp_path / "new" / "latest.json").read_text().startswith("{")


def test_only_what_was_measured_has_a_target() -> None:
    found = Results()
    found.outcomes[CONSTANT] = [outcome(1_000), outcome(4_000), outcome(2_000)]
    found.outcomes[BRIDGE] = [outcome(400), outcome(2_000), outcome(900)]
    found.outcomes[EVENTS] = [outcome(12_000)]
    told = {target.name: (target.value, target.verdict) for target in targets(found, Speed(1.0, 2.0))}
    assert told == {
        "rules.evaluate": (1.0, "goal"),
        "bridge / constant": (pytest.approx(0.45), "reached"),
        "events in batches": (6_000.0, "reached"),
    }
    assert as_json(found, Speed(1.0, 2.0), None, [], {})["phases"][BRIDGE]["ratio_to_constant"] == pytest.approx(0.45)


def test_cpu_of_a_process_counts_its_children() -> None:
    child = "n = 0\nfor n in range(3_000_000): pass\nprint('done', flush=True)\ninput()"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        tree = cpu.sample({"both": [process.pid]})["both"]
        process.communicate("\n")
    assert len(tree) == 2
    assert max(seconds for pid, seconds in tree.items() if pid != process.pid) > 0


def test_cpu_used_is_the_difference_and_newcomers_count_whole() -> None:
    used = cpu.used_s({"g": {1: 1.0, 2: 5.0}}, {"g": {1: 1.5, 3: 0.25}})
    assert used == {"g": 0.75}


def test_a_process_that_is_gone_has_used_nothing() -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    assert cpu.sample({"gone": [int(gone.stdout)], "me": [os.getpid()]})["gone"] == {}


def test_the_rules_are_timed_on_a_card_that_passes_every_check() -> None:
    speed = rules_speed.measure(repeats=1, calls=10)
    assert speed.evaluate_us > 0
    assert speed.settle_us > 0
