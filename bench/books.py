"""After the load: does what was recorded agree with what was answered, and is every limit kept?"""

from collections.abc import Mapping

import asyncpg

from bench.dataset import BALANCE_MINOR

_APPROVED, _PARTIALLY, _DECLINED = "1", "2", "3"

_RECORDED = """
SELECT count(*) FILTER (WHERE status <> 'DECLINED') AS approved, count(*) FILTER (WHERE status = 'DECLINED') AS declined
FROM transactions WHERE starts_with(request_id, $1)
"""
_KEYS = "SELECT count(*) FROM request_keys WHERE starts_with(request_id, $1)"

# The whole load carries one instant, therefore each card has spent within one day and one month.
_OVERSPENT_CARDS = """
SELECT count(*) FROM (
    SELECT c.id FROM transactions AS t
    JOIN cards AS c ON c.id = t.card_id
    JOIN spending_profiles AS p ON p.id = c.spending_profile_id
    GROUP BY c.id, p.id
    HAVING sum(t.held_minor + t.settled_minor) > least(c.spend_limit, p.spend_limit) * 100
) AS overspent
"""
_OVERSPENT_ACCOUNTS = """
SELECT count(*) FROM (
    SELECT a.id FROM transactions AS t JOIN accounts AS a ON a.id = t.account_id
    GROUP BY a.id HAVING sum(t.held_minor) > a.balance * 100
) AS overspent
"""
_EVENTS = "SELECT count(*) FROM transaction_events WHERE starts_with(event_id, $1)"
# Each account began with the same balance.
_UNBALANCED = """
SELECT count(*) FROM (
    SELECT a.id FROM accounts AS a LEFT JOIN transactions AS t ON t.account_id = a.id
    GROUP BY a.id HAVING a.balance * 100 + coalesce(sum(t.settled_minor), 0) <> $1
) AS unbalanced
"""
_OVERSPENT_PLAIN = """
SELECT count(*) FROM plain.cards AS c
JOIN plain.profiles AS p ON p.id = c.profile_id
JOIN plain.accounts AS a ON a.id = c.account_id
JOIN LATERAL (
    SELECT sum(amount_minor) AS spent FROM plain.transactions AS t WHERE t.card_id = c.id AND t.decision = 1
) AS total ON true
WHERE total.spent > least(c.monthly_limit_minor, p.daily_limit_minor) OR a.held_minor > a.balance_minor
"""


async def problems(
    connection: "asyncpg.Connection[asyncpg.Record]", decisions: Mapping[str, Mapping[str, int]], errors: int
) -> list[str]:
    """What does not agree, in words; nothing when the books are right.

    `decisions` are the answers of each run, by the prefix of its request ids. With errors there may be rows whose
    answer was lost on the way, so that only too few rows are wrong then.
    """
    found = []
    for prefix, counts in decisions.items():
        answered = counts.get(_APPROVED, 0) + counts.get(_PARTIALLY, 0), counts.get(_DECLINED, 0)
        row = await connection.fetchrow(_RECORDED, prefix)
        assert row is not None
        recorded, keys = (row["approved"], row["declined"]), await connection.fetchval(_KEYS, prefix)
        lost = any(have < want for have, want in zip(recorded, answered, strict=True))
        if lost or (errors == 0 and (recorded != answered or keys != sum(answered))):
            found.append(
                f"{prefix}: answered {answered}, recorded {recorded}, {keys} request keys (approved, declined)"
            )
    for name, query in (("cards", _OVERSPENT_CARDS), ("accounts", _OVERSPENT_ACCOUNTS)):
        overspent = await connection.fetchval(query)
        if overspent:
            found.append(f"{overspent} {name} spent more than their limits")
    return found


async def event_problems(connection: "asyncpg.Connection[asyncpg.Record]", applied: Mapping[str, int]) -> list[str]:
    """Messages that were said to be applied and are not there, by the prefix of their ids; or more than were said."""
    found = []
    for prefix, count in applied.items():
        kept = await connection.fetchval(_EVENTS, prefix)
        if kept != count:
            found.append(f"{prefix}: {count} events applied, {kept} kept")
    unbalanced = await connection.fetchval(_UNBALANCED, BALANCE_MINOR) if applied else 0
    return [*found, *([f"{unbalanced} balances do not show what was settled"] if unbalanced else [])]


async def plain_problems(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """The same question to the stored procedure: a comparison with something that is wrong would be worth nothing."""
    overspent = await connection.fetchval(_OVERSPENT_PLAIN)
    return [f"the stored procedure overspent {overspent} cards"] if overspent else []
