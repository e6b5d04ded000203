"""The promises, asked of the servers themselves: PostgreSQL against the answers, against the limits, and against Redis.

The SQL here is written anew and plainly, so that a mistake of the service's own queries shows.
"""

from collections.abc import Collection, Sequence
from typing import Final

import asyncpg
import redis.asyncio

from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests.traffic import told

_UNITS: Final = {"d": "day", "w": "week", "m": "month", "y": "year"}
_STATUS: Final = {
    types.DECISION_APPROVED: ("APPROVED", "SETTLED"),
    types.DECISION_PARTIALLY_APPROVED: ("APPROVED", "SETTLED"),
    types.DECISION_DECLINED: ("DECLINED",),
}

_ZONED: Final = """
SELECT t.*, held_minor + settled_minor AS spent_minor, coalesce((
    SELECT value #>> '{}' FROM account_settings s WHERE s.account_id = t.account_id AND key = 'timezone' AND deleted_at IS NULL
), 'UTC') AS zone, coalesce((
    SELECT value #>> '{}' FROM account_settings s
    WHERE s.account_id = t.account_id AND key = 'refund_policy' AND deleted_at IS NULL
), 'restore_lifetime') AS refund_policy
FROM transactions t
"""
_OVERSPENT: Final = f"""
WITH zoned AS ({_ZONED}), limits AS (
    SELECT 'card ' || id AS owner, id AS card_id, NULL::int AS profile_id, spend_limit, spend_limit_duration AS span FROM cards
    UNION ALL
    SELECT 'profile ' || p.id || ' on card ' || c.id, c.id, NULL, p.spend_limit, p.spend_limit_duration
    FROM spending_profiles p JOIN cards c ON c.spending_profile_id = p.id WHERE p.limit_scope = 'card'
    UNION ALL
    SELECT 'profile ' || id, NULL, id, spend_limit, spend_limit_duration FROM spending_profiles WHERE limit_scope = 'shared'
), spent AS (
    SELECT owner, spend_limit, span, sum(spent_minor - CASE
        WHEN refund_policy = 'restore_window' OR refund_policy = 'restore_lifetime' AND span = 'lifetime'
        THEN credited_minor ELSE 0
    END) AS minor, CASE span
        WHEN 'transaction' THEN z.id::text
        WHEN 'daily' THEN date_trunc('day', transaction_date, zone)::text
        WHEN 'weekly' THEN date_trunc('week', transaction_date, zone)::text
        WHEN 'monthly' THEN date_trunc('month', transaction_date, zone)::text
        WHEN 'yearly' THEN date_trunc('year', transaction_date, zone)::text
    END AS span_start
    FROM limits l JOIN zoned z ON z.card_id = l.card_id OR z.spending_profile_id = l.profile_id
    WHERE l.spend_limit IS NOT NULL AND span IS NOT NULL
    GROUP BY owner, spend_limit, span, span_start
)
SELECT owner || ' spent ' || minor || ' of ' || spend_limit * 100 || ' ' || span FROM spent WHERE minor > spend_limit * 100
UNION ALL
SELECT 'account ' || a.id || ' has ' || a.balance || ' and holds ' || sum(t.held_minor)
FROM accounts a JOIN transactions t ON t.account_id = a.id
GROUP BY a.id HAVING sum(t.held_minor) > a.balance * 100
"""
_USED: Final = f"""
SELECT coalesce(sum(spent_minor - CASE
    WHEN refund_policy = 'restore_window' OR refund_policy = 'restore_lifetime' AND $3::text IS NULL
    THEN credited_minor ELSE 0
END), 0)::bigint FROM ({_ZONED}) z
WHERE CASE $1::text WHEN 'c' THEN card_id ELSE spending_profile_id END = $2::int
AND ($3::text IS NULL OR date_trunc($3, transaction_date, zone) = to_timestamp($4::bigint))
"""

_ROWS: Final = """
SELECT id, request_id, status, approved_minor, config_version FROM transactions WHERE account_id = ANY($1)
"""


async def unlike_answers(
    connection: asyncpg.Connection,
    account_ids: Collection[int],
    messages: Sequence[pb.AuthorizeRequest],
    answers: Sequence[pb.AuthorizeResponse],
) -> list[str]:
    """Where the rows of these accounts are not exactly what the callers were told: lost, doubled, other amounts.

    Nobody else may have used the accounts.
    """
    found = []
    first: dict[str, pb.AuthorizeResponse] = {}
    for answer in answers:
        known = first.setdefault(answer.request_id, answer)
        if told(known) != told(answer):
            found.append(f"{answer.request_id} was told {told(known)} and {told(answer)}")
    rows = await connection.fetch(_ROWS, list(account_ids))
    asked = {message.request_id for message in messages}
    keys = await connection.fetch("SELECT request_id FROM request_keys WHERE request_id = ANY($1)", list(asked))
    by_id = {row["request_id"]: row for row in rows}
    if len(by_id) != len(rows) or {key["request_id"] for key in keys} != asked or set(first) != asked:
        found.append(
            f"{len(asked)} requests, {len(first)} answers, {len(rows)} rows of {len(by_id)} requests, {len(keys)} keys"
        )
    for request_id, answer in first.items():
        row = by_id.get(request_id)
        is_so = (
            row is not None
            and row["status"] in _STATUS[answer.decision]
            and (row["id"], row["approved_minor"], row["config_version"])
            == (answer.transaction_id, answer.approved_minor, answer.config_version)
        )
        if not is_so:
            found.append(f"{request_id} was told {told(answer)}, recorded is {row}")
    return found


async def overspent(connection: asyncpg.Connection) -> list[str]:
    """Every limit and balance, as they are now, that recorded transactions go beyond."""
    return [str(record[0]) for record in await connection.fetch(_OVERSPENT)]


async def run_of(counters: "redis.asyncio.Redis") -> str:
    """What stands for the server process in the names of keys."""
    server, replication = await counters.info("server"), await counters.info("replication")
    return f"{str(server['run_id'])[:12]}-{str(replication['master_replid'])[:12]}"


async def counters_of(counters: "redis.asyncio.Redis", account_id: int) -> dict[str, int]:
    """An account's counters of this server process, by their names; empty when there are none."""
    fields = await counters.hgetall(f"authsvc:{{{account_id}}}:{await run_of(counters)}")
    return {name.decode(): int(value) for name, value in fields.items()}


async def drift(
    connection: asyncpg.Connection,
    counters: "redis.asyncio.Redis",
    *,
    current: Collection[int] = (),
    only: Collection[int] | None = None,
) -> list[str]:
    """Where counters differ from PostgreSQL, and reservations that are still pending: of all accounts, or `only` some.

    Counters of an epoch that is over cannot become a decision and are left alone, except for the `current` accounts,
    which must have counters of their current epoch.
    """
    found = []
    run = await run_of(counters)
    for account in await connection.fetch("SELECT id, counter_epoch, balance FROM accounts ORDER BY id"):
        account_id = account["id"]
        if only is not None and account_id not in only:
            continue
        left = await counters.zrange(f"authsvc:{{{account_id}}}:{run}:p", 0, -1)
        if left:
            found.append(f"account {account_id} has {len(left)} pending reservations")
        fields = await counters_of(counters, account_id)
        if fields.get("e") == account["counter_epoch"]:
            found += await _drift_of(connection, account_id, fields)
        elif account_id in current or fields.get("e", 0) > account["counter_epoch"]:
            found.append(
                f"account {account_id} is at epoch {account['counter_epoch']}, its counters at {fields.get('e')}"
            )
    return found


async def _drift_of(connection: asyncpg.Connection, account_id: int, fields: dict[str, int]) -> list[str]:
    found = []
    for name, value in fields.items():
        true = await _truth(connection, account_id, name)
        if true is not None and value != true:
            found.append(f"account {account_id}: {name} is {value}, true is {true}")
    return found


async def _truth(connection: asyncpg.Connection, account_id: int, name: str) -> int | None:
    if name in ("e", "g"):
        return None
    if name == "b":
        return int(await connection.fetchval("SELECT (balance * 100)::bigint FROM accounts WHERE id = $1", account_id))
    if name == "h":
        held = "SELECT coalesce(sum(held_minor), 0)::bigint FROM transactions WHERE account_id = $1"
        return int(await connection.fetchval(held, account_id))
    owner, letter, *start = name.split(":")
    start_s = int(start[0]) if start else None
    return int(await connection.fetchval(_USED, owner[0], int(owner[1:]), _UNITS.get(letter), start_s))
