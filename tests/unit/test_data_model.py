"""The table of docs/data-model.md that leads from each line of the schema documents to its proof."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What may stand in place of a test, with a word about it in the column before.
NO_TEST = ("not yet", "advice")


def rows() -> list[tuple[str, str, str]]:
    """(line, where it lives, proof) of the part that is written by hand."""
    _, _, by_hand = (ROOT / "docs" / "data-model.md").read_text(encoding="utf-8").partition(": end -->")
    cells = [line.strip("| ").split(" | ") for line in by_hand.splitlines() if line.startswith("| ")]
    assert {len(row) for row in cells} == {3}
    return [(line, where, proof) for line, where, proof in cells if line != "line"]


@cache
def names_in(path: str) -> frozenset[str]:
    text = (ROOT / "tests" / path).read_text(encoding="utf-8")
    return frozenset(re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE))


def test_every_test_that_the_data_model_page_names_exists() -> None:
    named = [(path, name) for *_, proof in rows() for path, name in re.findall(r"`(\w+/\w+\.py)::(\w+)`", proof)]
    assert len(named) > 200
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_every_line_of_the_schema_documents_has_a_place_and_a_proof_or_says_that_it_has_none() -> None:
    assert [row for row in rows() if not all(row)] == []
    assert [row for row in rows() if "::test_" not in row[2] and not row[2].startswith(NO_TEST)] == []
