"""The check of the books: what the counters say beside what PostgreSQL says, and no limit overspent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from authsvc.client import AuthorizationClient
from authsvc.demo.traffic import DAYS
from authsvc.ledger.books import Entry, spent_minor
from authsvc.ledger.session import session
from rules.reasons import CheckName, CheckResult, Window

_COUNTED = (CheckName.FUNDS, CheckName.PROFILE_LIMIT, CheckName.CARD_LIMIT)


class Books(NamedTuple):
    """`counters` were compared; a list holds one line for each that is wrong."""

    counters: int
    differing: list[str]
    overspent: list[str]


async def check_books(
    client: AuthorizationClient, database_url: str, card_tokens: Sequence[str], now: datetime
) -> Books:
    """Every limit and balance of the cards, in every window that the traffic touched.

    The counters are read through Simulate, which evaluates on them; the rows are summed by SQL of their own.
    """
    counters: dict[Entry, tuple[int, int | None]] = {}
    for token in card_tokens:
        for days in range(DAYS + 2):
            for check in await _counted(client, token, now - timedelta(days=days)):
                enforced = check.result != CheckResult.SKIPPED
                counters[_entry(token, check)] = (check.used_minor, check.limit_minor if enforced else None)
    async with session(database_url) as connection:
        sums = await spent_minor(connection, list(counters))
    differing, overspent = [], []
    for (entry, (used, limit)), spent in zip(counters.items(), sums, strict=True):
        if used != spent:
            differing.append(f"{_words(entry)}: the counter says {used}, the rows say {spent}")
        if limit is not None and spent > limit:
            overspent.append(f"{_words(entry)}: {spent} of {limit}")
    return Books(len(counters), differing, overspent)


async def _counted(client: AuthorizationClient, token: str, at: datetime) -> list[Any]:
    answer = await client.simulate(card_token=token, amount_minor=1, merchant={"mcc": "5812"}, transacted_at=at)
    return [check for check in answer.checks if _is_counted(check)]


def _is_counted(check: Any) -> bool:
    """Whether the check read a counter: each transaction alone has none."""
    in_a_window = check.name in _COUNTED and check.window != Window.TRANSACTION
    return in_a_window and bool(check.HasField("used_minor"))


def _entry(token: str, check: Any) -> Entry:
    if check.name == CheckName.FUNDS:
        return Entry("account", token, None, None)
    calendar = check.HasField("window_start")
    return Entry(
        "profile" if check.shared else "card",
        token,
        check.window_start.ToDatetime(UTC) if calendar else None,
        check.reset_time.ToDatetime(UTC) if calendar else None,
    )


def _words(entry: Entry) -> str:
    since = "for ever" if entry.start is None else f"from {entry.start:%d %b %H:%M} UTC"
    return f"{entry.scope} of {entry.card_token} {since}"
