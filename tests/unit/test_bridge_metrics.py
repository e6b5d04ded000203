"""The bridge's metrics: each is told of where people look for it."""

import json
import re
from pathlib import Path

from authsvc.bridge.metrics import BridgeMetrics

DOCS = Path(__file__).parents[2] / "docs"
NAMES = {family.name for family in BridgeMetrics().registry.collect() if family.name.startswith("authsvc_")}


def test_the_page_about_lithic_lists_every_metric_of_the_bridge() -> None:
    text = (DOCS / "lithic.md").read_text(encoding="utf-8")
    assert {name for name in NAMES if not re.search(rf"`{name}(_total)?`", text)} == set()


def test_every_metric_of_webhooks_is_on_the_dashboard() -> None:
    shown = json.dumps(json.loads((DOCS / "grafana" / "authsvc.json").read_text(encoding="utf-8")))
    names = {name for name in NAMES if "_webhooks_" in name}
    assert len(names) == 7
    assert {name for name in names if name not in shown} == set()
