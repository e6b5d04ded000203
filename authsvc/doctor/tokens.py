"""A check on the tokens by which Lithic knows our rows, against the database alone; Lithic is asked by others."""

from collections.abc import Sequence

from authsvc.doctor.facts import TokenProblem
from authsvc.doctor.finding import Finding, some


def tokens(problems: Sequence[TokenProblem]) -> Finding:
    """Told by the ids of rows: a token is nobody's business who reads a report."""
    if not problems:
        return Finding("lithic tokens", "ok", "every active card has one, and all look like Lithic's")
    said = some(f"{one.rows} {one.table} {one.problem} (id {some(one.ids)})" for one in problems)
    advice = "Look each up in Lithic's dashboard and correct it; without a token no swipe reaches the card."
    return Finding("lithic tokens", "warning", said, advice)
