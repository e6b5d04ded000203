"""The decision cases of tests/cases as data. Each is complete in itself, so that the same case also runs against a whole server."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

CASES_DIR = Path(__file__).parent / "cases"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AccountCase:
    """The business; `balance_minor` is `accounts.balance` at the time of the request."""

    status: str
    currency: str
    timezone: str
    balance_minor: int
    balance_check: bool


@dataclass(frozen=True)
class ProfileCase:
    """The spending profile; `scope` is "card" or "shared". A limit with None as amount or duration is no limit."""

    limit_minor: int | None
    duration: str | None
    scope: str
    allowed: tuple[str, ...]
    blocked: tuple[str, ...]


@dataclass(frozen=True)
class CardCase:
    """The card; when it is not `known`, the request names a token that no card has."""

    known: bool
    status: str
    limit_minor: int | None
    duration: str | None


@dataclass(frozen=True)
class HistoryRow:
    """An earlier transaction and what it counts now; `card` is "same" or "other" (of the same profile and account)."""

    card: str
    transacted_at: datetime
    held_minor: int
    settled_minor: int


@dataclass(frozen=True)
class RequestCase:
    """The authorization asked for; what must be covered is the larger of amount and hold."""

    kind: str
    amount_minor: int
    hold_minor: int
    mcc: str
    transacted_at: datetime
    partial: bool


@dataclass(frozen=True)
class CheckCase:
    """The figures of the deciding check; `start` and `reset` in the account's zone, None where the limit has no such moment."""

    limit_minor: int
    used_minor: int
    remaining_minor: int
    start: datetime | None
    reset: datetime | None


@dataclass(frozen=True)
class Expected:
    """The answer. `checks` has one letter for each of the nine checks: Passed, Failed, Skipped."""

    decision: str
    reason: str
    level: str
    approved_minor: int
    checks: str
    check: CheckCase | None
    explanation: str


@dataclass(frozen=True)
class Case:
    """One decision. `id` is "file: name"."""

    id: str
    account: AccountCase
    user_status: str
    profile: ProfileCase | None
    card: CardCase
    history: tuple[HistoryRow, ...]
    request: RequestCase
    expect: Expected


def load_cases(directory: Path = CASES_DIR) -> list[Case]:
    """Every case of every file, in order of file name. An unknown or a missing field is a TypeError or a KeyError."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [
        _case(path.stem, raw)
        for path in sorted(directory.glob("*.yaml"))
        for raw in yaml.load(path.read_text(encoding="utf-8"), loader)  # a safe loader either way
    ]


def unix_us(instant: datetime) -> int:
    """Unix microseconds, the engine's instants."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _case(stem: str, raw: Mapping[str, Any]) -> Case:
    profile = raw["profile"]
    if profile is not None:
        profile = profile | {"allowed": tuple(profile["allowed"]), "blocked": tuple(profile["blocked"])}
    return Case(
        id=f"{stem}: {raw['name']}",
        account=AccountCase(**raw["account"]),
        user_status=raw["user"]["status"],
        profile=None if profile is None else ProfileCase(**profile),
        card=CardCase(**raw["card"]),
        history=tuple(HistoryRow(**_moments(row, "transacted_at")) for row in raw["history"]),
        request=RequestCase(**_moments(raw["request"], "transacted_at")),
        expect=_expected(raw["expect"]),
    )


def _expected(raw: Mapping[str, Any]) -> Expected:
    check = raw["check"]
    return Expected(
        **raw["answer"],
        check=None if check is None else CheckCase(**_moments(check, "start", "reset")),
        explanation=raw["explanation"],
    )


def _moments(raw: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The same mapping with ISO 8601 texts, which carry their offset, as datetimes."""
    return {
        key: datetime.fromisoformat(value) if key in names and value is not None else value
        for key, value in raw.items()
    }
