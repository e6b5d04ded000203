"""A spending profile in words: what somebody would read out who explains it to a cardholder."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from authsvc.management.shapes import Told
from rules.money import format_minor

_EACH: Final = {
    "transaction": "on one purchase",
    "daily": "a day",
    "weekly": "a week, from Monday",
    "monthly": "a month",
    "yearly": "a year",
    "lifetime": "for ever",
}


class Described(NamedTuple):
    """A profile with what its account and its rules add. `rules` are (rule_type, name) of categories and of groups."""

    told: Told
    currency: str
    timezone: str
    rules: list[tuple[str, str]]


def describe(profile: Described) -> list[str]:
    """Sentences."""
    return [*_limit(profile), *_merchants(profile)]


def _limit(profile: Described) -> Iterator[str]:
    record: Mapping[str, Any] = profile.told.record
    limit, duration = record["spend_limit_minor"], record["spend_limit_duration"]
    if limit is None or duration is None:
        yield "There is no limit on spending."
        return
    who = "All its cards together may" if record["limit_scope"] == "shared" else "Each card may"
    amount = f"{format_minor(limit, profile.currency)} {profile.currency}"
    where = "" if duration in ("transaction", "lifetime") else f" ({profile.timezone} time)"
    yield f"{who} spend up to {amount} {_EACH[duration]}{where}."


def _merchants(profile: Described) -> Iterator[str]:
    record = profile.told.record
    allowed = [*(record["allowed_categories"] or ()), *_named(profile.rules, "allowed")]
    blocked = [*(record["blocked_categories"] or ()), *_named(profile.rules, "blocked")]
    if allowed:
        yield f"Only these merchants are allowed: {_listed(allowed)}."
    else:
        yield "Every merchant is allowed" + (", but for those that are blocked." if blocked else ".")
    if blocked:
        yield f"These are blocked, whatever else is said: {_listed(blocked)}."


def _named(rules: Iterable[tuple[str, str]], kind: str) -> Iterator[str]:
    return (name for rule_type, name in rules if rule_type == kind)


def _listed(entries: Iterable[str]) -> str:
    return ", ".join(entry.replace("-", " to ") if entry[:1].isdigit() else entry for entry in entries)
