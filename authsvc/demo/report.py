"""What the demonstration prints: decisions by reason, latencies, explanations in words, the check of the books."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from authsvc.demo.books import Books
from authsvc.demo.replay import Outcome, percentile
from authsvc.demo.traffic import Fields
from rules.money import format_minor
from rules.reasons import Decision, Reason

WRONG_SHOWN: Final = 5
# What the columns before the example take; a narrower example would tell nothing.
FIGURES_CHARS: Final = 70
EXAMPLE_CHARS_MIN: Final = 30
_DECISION_STYLES: Final = {
    Decision.APPROVED: "green",
    Decision.PARTIALLY_APPROVED: "yellow",
    Decision.DECLINED: "red",
}
_LIMITS: Final = (Reason.CARD_LIMIT_EXCEEDED, Reason.PROFILE_LIMIT_EXCEEDED)
_MERCHANTS: Final = (Reason.MCC_BLOCKED, Reason.MCC_NOT_ALLOWED)


def print_decisions(out: Console, outcomes: Sequence[Outcome]) -> None:
    """A table with a row for each decision and reason, the most frequent approval first."""
    groups: dict[tuple[int, int], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.response is not None:
            groups[outcome.response.decision, outcome.response.reason].append(outcome)
    table = Table(box=box.SIMPLE_HEAD, title="Decisions by reason", title_justify="left")
    table.add_column("decision", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("count", no_wrap=True, justify="right")
    table.add_column("share", no_wrap=True, justify="right")
    wide = out.width >= FIGURES_CHARS + EXAMPLE_CHARS_MIN
    if wide:
        table.add_column("for example", no_wrap=True)
    for (decision, reason), members in sorted(groups.items()):
        style, name = _DECISION_STYLES[Decision(decision)], Decision(decision).name.replace("_", " ").lower()
        why = "" if reason == Reason.APPROVED else Reason(reason).name
        share = f"{len(members) / len(outcomes):.1%}"
        cells = [f"[{style}]{name}[/{style}]", why, f"{len(members):,}", share]
        if wide:
            cells.append(escape(_cropped(_example(members[0].fields), out.width - FIGURES_CHARS)))
        table.add_row(*cells)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        code = failed[0].error.code if failed[0].error is not None else ""
        table.add_row(
            "[bold red]no decision[/bold red]", code, f"{len(failed):,}", f"{len(failed) / len(outcomes):.1%}"
        )
    out.print(table)


def print_speed(out: Console, outcomes: Sequence[Outcome], elapsed_s: float, in_flight: int) -> None:
    """Latencies as the caller saw them, and how many requests were repetitions."""
    latencies = sorted(outcome.latency_ms for outcome in outcomes)
    replayed = sum(outcome.response is not None and outcome.response.replayed for outcome in outcomes)
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    out.print(
        f"[bold]p50 {p50:.1f} ms, p99 {p99:.1f} ms[/bold] as the client saw it, {in_flight} in flight; "
        f"{len(outcomes):,} requests in {elapsed_s:.1f} s, {len(outcomes) / max(elapsed_s, 1e-9):,.0f} a second"
    )
    if replayed:
        out.print(f"{replayed} of them were retries: each got the answer of the first, and counted once")


def print_explanations(out: Console, outcomes: Sequence[Outcome]) -> None:
    """Three decisions in words: a limit, a merchant category, and a partial approval or an empty account."""
    out.print("\n[bold]Three of them in words[/bold]")
    for wanted in (_limit_score, _merchant_score, _funds_score):
        best = max(outcomes, key=lambda outcome: _score(outcome, wanted), default=None)
        if best is None or _score(best, wanted) == 0:
            continue
        style = _DECISION_STYLES[Decision(best.response.decision)]
        out.print(f"  {escape(_purchase(best))}", soft_wrap=True)
        out.print(f"    [{style}]{escape(_explanation(best))}[/{style}]", soft_wrap=True)


def print_books(out: Console, books: Books) -> bool:
    """True when everything agrees."""
    out.print("\n[bold]The books[/bold]")
    for problems, good, bad in (
        (books.differing, "equal what PostgreSQL's rows sum up to", "differ from PostgreSQL's rows"),
        (books.overspent, "stay within their limits", "are above their limits"),
    ):
        if not problems:
            out.print(f"  [green]✓[/green] all {books.counters} counters {good}")
            continue
        out.print(f"  [red]✗ {len(problems)} of {books.counters} counters {bad}[/red]")
        for problem in problems[:WRONG_SHOWN]:
            out.print(f"    {escape(problem)}", soft_wrap=True)
    return not books.differing and not books.overspent


def _score(outcome: Outcome, wanted: Callable[[Any], int]) -> int:
    """What a replay says was said before."""
    return 0 if outcome.response is None or outcome.response.replayed else wanted(outcome.response)


def _limit_score(response: Any) -> int:
    """Best is a decline by the card's limit, with something left until a reset in a zone that is not UTC."""
    if response.decision != Decision.DECLINED or response.reason not in _LIMITS:
        return 0
    check = response.deciding_check
    in_a_zone, by_card = "America" in check.text, bool(response.reason == Reason.CARD_LIMIT_EXCEEDED)
    resets, has_room = bool(check.HasField("reset_time")), bool(check.remaining_minor > 0)
    return 1 + 8 * resets + 4 * has_room + 2 * in_a_zone + by_card


def _merchant_score(response: Any) -> int:
    return int(response.reason in _MERCHANTS) + int(response.reason == Reason.MCC_BLOCKED)


def _funds_score(response: Any) -> int:
    partial = int(response.decision == Decision.PARTIALLY_APPROVED)
    return 2 * partial + int(response.reason == Reason.INSUFFICIENT_FUNDS)


def _explanation(outcome: Outcome) -> str:
    response, fields = outcome.response, outcome.fields
    text = response.deciding_check.text
    if response.decision == Decision.DECLINED:
        return f"declined: {text}"
    asked = max(fields["amount_minor"], fields.get("hold_minor", 0))
    part, whole = (format_minor(minor, fields["currency"]) for minor in (response.approved_minor, asked))
    return f"approved in part ({part} of {whole}): {text}"


def _purchase(outcome: Outcome) -> str:
    merchant = outcome.fields["merchant"]
    amount, card = _amount(outcome.fields), outcome.fields["card_token"]
    return f"{amount} at {merchant['descriptor']} ({merchant['mcc']}) with {card}"


def _example(fields: Fields) -> str:
    return f"{_amount(fields)} {fields['merchant']['descriptor']}, {fields['card_token']}"


def _amount(fields: Fields) -> str:
    return format_minor(max(fields["amount_minor"], fields.get("hold_minor", 0)), fields["currency"])


def _cropped(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"
