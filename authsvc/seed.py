"""A sample card program to try things on: accounts, users of every role, profiles, cards in every status.

Its cards are recognised by their tokens, `card_demo_` and a word, and each is there for a purpose, below.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from authsvc.errors import NotPossible
from authsvc.privacy.columns import opened
from authsvc.privacy.sealing import WITHOUT_KEYS, Sealer
from loader import categories

if TYPE_CHECKING:
    from asyncpg import Connection, Record
    from asyncpg.pool import PoolConnectionProxy

_SQL: Final = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

PURPOSES: Final[dict[str, str]] = {
    "card_demo_travel": "travel merchants only; 1,000.00 a month under a profile of 2,500.00 a month",
    "card_demo_open": "no profile and no limit",
    "card_demo_daily": "anything but gambling and bars; 200.00 a day",
    "card_demo_lunch_uma": "food only; shares 400.00 a day with card_demo_lunch_anna",
    "card_demo_lunch_anna": "food only; shares 400.00 a day with card_demo_lunch_uma",
    "card_demo_office": "office merchants only; 500.00 a purchase",
    "card_demo_zero": "a limit of 0.00: nothing may be spent",
    "card_demo_pending": "a card that is not active yet",
    "card_demo_inactive": "a card that is paused",
    "card_demo_closed": "a card that is closed for good",
    "card_demo_suspended_user": "an active card of a suspended user",
    "card_demo_inactive_user": "an active card of an inactive user",
    "card_demo_new_york": "1,000.00 a month in New York time",
    "card_demo_kitchen_1": "food wholesale; shares 5,000.00 a week with card_demo_kitchen_2",
    "card_demo_kitchen_2": "800.00 a week within the shared 5,000.00 of card_demo_kitchen_1",
    "card_demo_driver": "fuel, tolls, parking and repairs; 300.00 a day",
    "card_demo_yearly": "12,000.00 a year",
    "card_demo_software": "software only; 2,000.00 a month; the account's balance is not checked",
    "card_demo_lifetime": "500.00 ever; the account's balance is not checked",
    "card_demo_suspended_account": "an active card of a suspended account",
    "card_demo_small_balance": "no limit, but the account has 150.00 only",
}


class SeedCard(NamedTuple):
    """One card of the program. `time_zone` is the account's, the one its windows are cut in."""

    token: str
    card_id: int
    account_id: int
    account_name: str
    time_zone: str
    cardholder: str
    profile_name: str | None
    status: str
    purpose: str


class SeedReport(NamedTuple):
    """What there is now; `created` counts the cards that this call made (0: all were there already)."""

    created: int
    accounts: int
    users: int
    profiles: int
    cards: tuple[SeedCard, ...]


async def seed(
    connection: "Connection[Record] | PoolConnectionProxy[Record]", sealer: Sealer = WITHOUT_KEYS
) -> SeedReport:
    """Make the sample program and fill the catalogue of categories, in one transaction.

    What is already there stays as it is, spent, edited or closed as it may be.
    """
    async with connection.transaction():
        await categories.fill(connection)
        before = await _cards(connection, sealer)
        # Accounts and users are recognised by their addresses: those that were sealed since would be made again.
        if not await connection.fetchval(_IS_SEALED_SQL, list(PURPOSES)):
            await connection.execute(_SQL)
        cards = await _cards(connection, sealer)
    account_ids = sorted({card.account_id for card in cards})
    counts = await connection.fetchrow(_COUNTS_SQL, account_ids)
    assert counts is not None
    return SeedReport(len(cards) - len(before), len(account_ids), counts["users"], counts["profiles"], cards)


_COUNTS_SQL: Final = """
SELECT
    (SELECT count(*) FROM users WHERE account_id = ANY ($1::INTEGER[]) AND deleted_at IS NULL) AS users,
    (SELECT count(*) FROM spending_profiles WHERE account_id = ANY ($1::INTEGER[]) AND deleted_at IS NULL) AS profiles
"""

_CARDS_SQL: Final = """
SELECT
    c.lithic_card_token AS token, c.id AS card_id, c.account_id, a.business_name AS account_name,
    coalesce(tz.value #>> '{}', 'UTC') AS time_zone,
    u.id AS user_id, u.first_name, u.last_name, p.name AS profile_name, c.status
FROM cards AS c
JOIN accounts AS a ON a.id = c.account_id
JOIN users AS u ON u.id = c.user_id
LEFT JOIN spending_profiles AS p ON p.id = c.spending_profile_id
LEFT JOIN account_settings AS tz ON tz.account_id = a.id AND tz.key = 'timezone' AND tz.deleted_at IS NULL
WHERE c.lithic_card_token = ANY ($1::TEXT[]) AND c.deleted_at IS NULL
ORDER BY c.id
"""


_IS_SEALED_SQL: Final = """
SELECT EXISTS (
    SELECT FROM cards AS c JOIN users AS u ON u.id = c.user_id
    WHERE c.lithic_card_token = ANY ($1::TEXT[]) AND u.email LIKE 'sealed:%'
)
"""


async def _cards(
    connection: "Connection[Record] | PoolConnectionProxy[Record]", sealer: Sealer
) -> tuple[SeedCard, ...]:
    return tuple(_card(dict(record), sealer) for record in await connection.fetch(_CARDS_SQL, list(PURPOSES)))


def _card(row: dict[str, Any], sealer: Sealer) -> SeedCard:
    user_id, names = row.pop("user_id"), {name: row.pop(name) for name in ("first_name", "last_name")}
    try:
        cardholder = " ".join(opened(sealer, "users", user_id, names)[name] for name in names)
    except NotPossible:
        cardholder = "(sealed)"
    return SeedCard(**row, cardholder=cardholder, purpose=PURPOSES[row["token"]])
