"""The alert rules ask for metrics that there are, and each alert has its entry in the runbook."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from authsvc.bridge.metrics import BridgeMetrics
from authsvc.doctor.metrics import DoctorMetrics
from authsvc.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "docs/prometheus/alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
# What is left of an expression when texts are taken out: metrics, labels, and these.
WORDS = {
    *("absent", "and", "by", "histogram_quantile", "increase", "max", "min", "or", "rate", "sum", "time"),
    "up",  # Prometheus' own: whether it reaches a target
}
SAMPLE = re.compile(r"_(total|bucket|sum|count)$")


def labels_by_metric() -> dict[str, set[str]]:
    """Every metric of the service, of the bridge and of the doctor."""
    found: dict[str, set[str]] = {}
    registries: tuple[CollectorRegistry, ...] = tuple(one().registry for one in (Metrics, BridgeMetrics, DoctorMetrics))
    for registry in registries:
        for family in registry.collect():
            collector = registry._names_to_collectors.get(family.name)
            found[family.name] = set(getattr(collector, "_labelnames", ())) | {
                label for sample in family.samples for label in sample.labels
            }
    # What the composition root reads of others when it is asked.
    for node in ast.walk(ast.parse((ROOT / "authsvc/app.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("watch", "count"):
            name = node.args[0]
            if isinstance(name, ast.Constant) and str(name.value).startswith("authsvc_"):
                found[str(name.value)] = set()
    return found


LABELS = labels_by_metric()


def asked(expression: str) -> list[tuple[str, str]]:
    """The metrics of an expression, each with what stands in its braces."""
    return [(name, said) for name, said in re.findall(r"\b(authsvc_\w+)(?:\{([^}]*)\})?", expression)]


def by_name(rule: dict[str, Any]) -> str:
    return str(rule["alert"])


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_an_alert_asks_for_metrics_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    metrics = asked(rule["expr"])
    assert {SAMPLE.sub("", name) for name, _ in metrics} <= {*LABELS}
    for name, said in metrics:
        assert set(re.findall(r"(\w+)\s*=", said)) <= LABELS[SAMPLE.sub("", name)] | {"instance", "job"}
    bare = re.sub(r"\{[^}]*\}|\[\w+\]|\b(by|on)\s*\([^)]*\)|\bauthsvc_\w+", " ", rule["expr"])
    assert set(re.findall(r"[a-z_]+", bare)) <= WORDS


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_an_alert_says_how_bad_it_is_what_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_every_alert_has_one_entry_in_the_runbook_and_the_other_way_round() -> None:
    entries = re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)
    assert sorted(entries) == sorted(by_name(rule) for rule in RULES)
    assert len(entries) == len(set(entries))


def test_every_entry_says_what_it_means_where_to_look_what_to_do_and_whom_to_wake() -> None:
    for entry in RUNBOOK.split("\n### ")[1:]:
        assert re.findall(r"^- \*\*(.+?)\*\*:", entry, re.MULTILINE) == ["Means", "Look", "Do", "Wake somebody"], entry


def test_the_runbook_names_no_metric_that_there_is_not() -> None:
    assert {SAMPLE.sub("", name) for name, _ in asked(RUNBOOK)} <= {*LABELS}


def test_the_commands_of_the_runbook_exist() -> None:
    from typer.main import get_command  # noqa: PLC0415 - the command line is slow to import

    from authsvc.cli import app  # noqa: PLC0415

    commands: Any = get_command(app)
    told = re.findall(r"`authsvc ([a-z]+)(?: ([a-z]+))?[^`]*`", RUNBOOK)
    assert told
    for first, second in told:
        command = commands.commands[first]
        assert not second or second in getattr(command, "commands", {second: None})
