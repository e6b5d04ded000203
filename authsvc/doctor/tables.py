"""Checks on how the tables fare: growth, dead rows, indexes, slow joins, transactions that never end, open names."""

from collections.abc import Mapping, Sequence
from typing import Final

from authsvc.doctor.facts import IndexUse, LongTransaction, SlowStatement, TableSize
from authsvc.doctor.finding import Finding, some
from authsvc.ledger.privacy import Kept

GREW_BYTES: Final = 1024**3
GREW_SHARE: Final = 0.5
DEAD_SHARE: Final = 0.2
DEAD_ROWS_MIN: Final = 10_000
ROWS_WITHOUT_INDEX_MAX: Final = 10_000
UNUSED_BYTES: Final = 64 * 1024**2
SLOW_MS: Final = 50.0
LONG_FAILED_S: Final = 3_600
_DAY_US: Final = 24 * 3_600 * 1_000_000
_STATEMENT_CHARACTERS: Final = 80


def growth(sizes: Sequence[TableSize], before: Mapping[str, int], since_us: int | None) -> Finding:
    """Against the figures of last time (bytes by table), `since_us` ago."""
    total = sum(one.total_bytes for one in sizes)
    if since_us is None:
        return Finding("table growth", "ok", f"{_mb(total)} in all; there is nothing yet to compare it with")
    grown = {one.name: one.total_bytes - before.get(one.name, 0) for one in sizes}
    most = sorted((name for name, more in grown.items() if more > 0), key=lambda name: -grown[name])
    shown = some(f"{name} +{_mb(grown[name])}" for name in most) or "no table grew"
    said = f"{_mb(total)} in all; in {since_us / _DAY_US:.1f} days: {shown}"
    if any(grown[name] >= max(GREW_BYTES, GREW_SHARE * before.get(name, 0)) for name in most):
        return Finding("table growth", "warning", said, "See that the disk lasts, and that authsvc retention runs.")
    return Finding("table growth", "ok", said)


def dead_rows(sizes: Sequence[TableSize]) -> Finding:
    """Rows that vacuuming has yet to take away."""
    bad = [one for one in sizes if one.dead_rows > max(DEAD_ROWS_MIN, DEAD_SHARE * (one.rows + one.dead_rows))]
    if not bad:
        return Finding("dead rows", "ok", f"below {DEAD_SHARE:.0%} in every table")
    said = some(f"{one.name} {one.dead_rows / (one.rows + one.dead_rows):.0%}" for one in bad)
    return Finding("dead rows", "warning", said, "See that autovacuum runs and that no old transaction holds it up.")


def indexes(uses: Sequence[IndexUse]) -> Finding:
    """Invalid ones cost writes and help nobody; unused ones that are large are worth a thought."""
    invalid = [one.name for one in uses if not one.is_valid]
    if invalid:
        return Finding("indexes", "failed", f"invalid: {some(invalid)}", "REINDEX INDEX CONCURRENTLY each.")
    unused = [one for one in uses if not one.is_needed and not one.scans and one.total_bytes >= UNUSED_BYTES]
    if unused:
        said = some(f"{one.name} ({_mb(one.total_bytes)})" for one in unused)
        return Finding("indexes", "warning", f"never used: {said}", "If the standbys do not use it either, drop it.")
    return Finding("indexes", "ok", f"{len(uses)}, all valid")


def foreign_keys(rows_without_index: Mapping[str, int]) -> Finding:
    """A foreign key without an index: each delete of what it points at reads its whole table, which may be small."""
    large = [name for name, rows in rows_without_index.items() if rows >= ROWS_WITHOUT_INDEX_MAX]
    if large:
        return Finding("foreign keys", "warning", f"without an index: {some(large)}", "Create the index.")
    small = f", or its table is small: {some(rows_without_index)}" if rows_without_index else ""
    return Finding("foreign keys", "ok", f"each has an index{small}")


def joins(slow: Sequence[SlowStatement] | None) -> Finding:
    """None: the server does not keep such statistics."""
    if slow is None:
        return Finding("slow joins", "skipped", "the extension pg_stat_statements is not there")
    bad = [one for one in slow if one.mean_ms >= SLOW_MS]
    if not bad:
        return Finding("slow joins", "ok", f"none takes {SLOW_MS:.0f} ms on average")
    texts = [f"{one.mean_ms:.0f} ms x {one.calls}: {_short(one.text)}" for one in bad]
    return Finding("slow joins", "warning", some(texts), "EXPLAIN (ANALYZE, BUFFERS) it; look for a missing index.")


def long_transactions(open_now: Sequence[LongTransaction]) -> Finding:
    """They hold up vacuuming, and whoever waits for their locks."""
    if not open_now:
        return Finding("long transactions", "ok", "none")
    said = some(f"pid {one.pid} ({one.who}) {one.state} for {one.age_s} s" for one in open_now)
    is_bad = any(one.age_s >= LONG_FAILED_S for one in open_now)
    advice = "See what it does in pg_stat_activity; SELECT pg_terminate_backend(pid) ends it."
    return Finding("long transactions", "failed" if is_bad else "warning", said, advice)


def privacy(kept: Sequence[Kept], *, is_enforced: bool) -> Finding:
    """What is known of people and stands there for everybody to read, and what is left under older keys."""
    clear = [f"{one.table}.{one.column} {one.by_version[0]:,}" for one in kept if one.by_version.get(0)]
    if clear:
        advice = "authsvc privacy rotate, then authsvc privacy enforce."
        return Finding("privacy", "warning", f"not sealed: {some(clear)}", advice)
    versions = sorted({version for one in kept for version in one.by_version})
    under = (
        f"under {'key' if len(versions) == 1 else 'keys'} {', '.join(map(str, versions))}"
        if versions
        else "nothing yet"
    )
    if not is_enforced:
        return Finding(
            "privacy", "ok", f"sealed, {under}; the database would take what is not", "authsvc privacy enforce."
        )
    return Finding("privacy", "ok", f"sealed, {under}; the database refuses what is not")


def _mb(count: int) -> str:
    return f"{count / 1024**2:,.1f} MB"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _STATEMENT_CHARACTERS else line[: _STATEMENT_CHARACTERS - 1] + "…"
