"""Writes docs/lifecycle-cases.md from tests/cases/lifecycle_*.json: every life that the tests live, step by step."""
# ruff: noqa: INP001 - a script beside the pages it makes

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = Path(__file__).with_name("lifecycle-cases.md")
_HEAD: Final = """# Lives of transactions

What a transaction counts after every message, in the order of arrival; minor units. "Happened" counts from the first
thing that happened, "balance" is what the balance has gained. [Lifecycle](lifecycle.md) says why.

This page is generated from [the cases](../tests/cases), `lifecycle_*.json`, by `make docs`. The tests hold
`rules/lifecycle.py` to each of them, in every rotation, backwards and with duplicates, and live each through the whole
service.
"""
_COLUMNS: Final = ("happened", "message", "amount", "held", "settled", "credited", "spend", "balance", "status")
_FIGURES: Final = ("held_minor", "settled_minor", "credited_minor", "spend_minor", "balance_minor")


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for path in sorted((ROOT / "tests" / "cases").glob("lifecycle_*.json")):
        parts.append(f"## {path.stem.removeprefix('lifecycle_').replace('_', ' ').capitalize()}\n")
        for life in json.loads(path.read_text(encoding="utf-8")):
            name = life["name"]
            parts.append(f"**{name[0].upper()}{name[1:]}.**\n\n" + "\n".join(table(life["steps"])) + "\n")
    return "\n".join(parts)


def table(steps: list[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of one life's table."""
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|" + "---|" * len(_COLUMNS)
    began = min(datetime.fromisoformat(step["at"]) for step in steps)
    for step in steps:
        minutes = int((datetime.fromisoformat(step["at"]) - began).total_seconds()) // 60
        when = f"{minutes // 1440} d {minutes // 60 % 24:02}:{minutes % 60:02}"
        then = step["then"]
        cells = [when, f"`{step['kind']}`", _amount(step), *(str(then[figure]) for figure in _FIGURES)]
        yield f"| {' | '.join(cells)} | `{then['status']}` |"


def _amount(step: Mapping[str, Any]) -> str:
    amount = "all" if step["amount_minor"] is None else str(step["amount_minor"])
    if step["kind"] == "SNAPSHOT":
        amount = f"hold {amount}, settled {step.get('settled_minor', 0)}"
    return amount + (", final" if step.get("is_final") else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {page().count('**') // 2} lives\n")
