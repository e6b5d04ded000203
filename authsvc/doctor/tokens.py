"""Checks on the tokens by which Lithic knows our rows: against the database, and (by somebody else) against Lithic."""

from collections.abc import Awaitable, Callable, Sequence

from authsvc.doctor.facts import TokenProblem
from authsvc.doctor.finding import Finding, some

# Who asks Lithic itself whether it knows the tokens. The doctor runs without: there is nobody yet who does.
AskLithic = Callable[[], Awaitable[Sequence[Finding]]]


def tokens(problems: Sequence[TokenProblem]) -> Finding:
    """Told by the ids of rows: a token is nobody's business who reads a report."""
    if not problems:
        return Finding("lithic tokens", "ok", "every active card has one, and all look like Lithic's")
    said = some(f"{one.rows} {one.table} {one.problem} (id {some(one.ids)})" for one in problems)
    advice = "Look each up in Lithic's dashboard and correct it; without a token no swipe reaches the card."
    return Finding("lithic tokens", "warning", said, advice)


async def at_lithic(ask: AskLithic | None) -> list[Finding]:
    """What Lithic says of them; skipped without somebody who asks."""
    if ask is None:
        return [Finding("tokens at lithic", "skipped", "no Lithic API key was given")]
    return list(await ask())
