"""Checks on the schema: its revision, the partitions, and what was archived."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from authsvc.doctor.finding import Finding, some

MONTHS_AHEAD: Final = 3


def migrations(revisions: Sequence[tuple[str, str, bool]]) -> Finding:
    """`revisions` of this release: name, title, and whether the database has it."""
    missing = [name for name, _, applied in revisions if not applied]
    if missing:
        return Finding("migrations", "failed", f"not applied: {some(missing)}", "authsvc db migrate")
    return Finding("migrations", "ok", f"at {revisions[-1][0]}")


def partition_names(today: date, months: int = MONTHS_AHEAD) -> list[str]:
    """Those of this month and of `months` after it."""
    names = []
    for ahead in range(months + 1):
        years, month_index = divmod(today.month - 1 + ahead, 12)
        names.append(f"transactions_{today.year + years}_{month_index + 1:02d}")
    return names


def partitions(there: Sequence[str], today: date) -> Finding:
    """Are those there that decisions of the next months go to?"""
    wanted = partition_names(today)
    missing = [name for name in wanted if name not in there]
    if not missing:
        return Finding("partitions", "ok", f"{len(there)} there, up to {max(set(there) & set(wanted))}")
    finding = f"missing: {some(missing)}"
    advice = "authsvc db partitions, or authsvc doctor --fix; and authsvc retention --yes every night"
    return Finding("partitions", "failed" if wanted[0] in missing else "warning", finding, advice)


def default_rows(count: int, today: date, months: Sequence[str]) -> Finding:
    """Rows that lie in no month's partition: nothing is lost, but they cost the next partition of that month a copy."""
    if not count:
        return Finding("default partition", "ok", "empty")
    finding = f"{count} rows, of {some(months)}"
    if any(month >= f"{today.year}-{today.month:02d}" for month in months):
        return Finding("default partition", "warning", finding, "authsvc db partitions moves them.")
    # Decisions that are told late, or years late, have nowhere else to go.
    return Finding("default partition", "ok", finding)


def archive(tables: Sequence[str], missed: Sequence[str]) -> Finding:
    """`missed`: archived partitions with spending that some limit may count again."""
    if not tables:
        return Finding("archive", "skipped", "nothing was archived")
    if missed:
        advice = "Attach them again (docs/operating.md, Retention), or delete the profile or close the card."
        return Finding("archive", "failed", f"limits would count spending in {some(missed)}", advice)
    return Finding("archive", "ok", f"{len(tables)} partitions, none of which a limit counts")
