"""The cards that are measured: many accounts, each card with a daily limit of its profile and a monthly one of its own.

Limits and balances are wide, so that nearly every decision moves counters and writes a row; one card in `NARROW_EVERY`
has a limit that it soon reaches, so that limits are at work too. The same cards exist for the service (its own tables)
and for the stored procedure (schema `plain`).
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import asyncpg

NARROW_EVERY: Final = 25
NARROW_MINOR: Final = 30_000
DAILY_MINOR: Final = 2_000_000_000
MONTHLY_MINOR: Final = 4_000_000_000
BALANCE_MINOR: Final = 9_000_000_000
BLOCKED: Final = ("7995", "5933")


@dataclass(frozen=True)
class Shape:
    """How many cards, in how many accounts. The hot cards are one account more."""

    accounts: int = 200
    cards_each: int = 50
    name: str = "bench"

    @property
    def spread(self) -> list[str]:
        """The tokens of all cards but the hot ones."""
        return [self.token(number) for number in range(self.accounts * self.cards_each)]

    @property
    def hot(self) -> list[str]:
        """The tokens of one account's cards."""
        first = self.accounts * self.cards_each
        return [self.token(number) for number in range(first, first + self.cards_each)]

    def token(self, number: int) -> str:
        """The token of a card, by its number."""
        return f"{self.name}-card-{number:07}"


_ACCOUNTS = """
INSERT INTO accounts (business_name, owner_email, balance)
SELECT $1::TEXT || ' ' || n, $1::TEXT || '-' || n || '@example.com', $3::BIGINT / 100.0
FROM generate_series(0, $2::INTEGER - 1) AS n
"""
_USERS = """
INSERT INTO users (account_id, email, first_name, last_name)
SELECT id, owner_email, 'Card', 'Holder' FROM accounts WHERE owner_email LIKE $1::TEXT || '-%@example.com'
"""
_PROFILES = """
INSERT INTO spending_profiles (account_id, name, spend_limit, spend_limit_duration, blocked_categories)
SELECT id, 'everyday', $2::BIGINT / 100.0, 'daily', to_jsonb($3::TEXT[]) FROM accounts
WHERE owner_email LIKE $1::TEXT || '-%@example.com'
"""
_CARDS = """
INSERT INTO cards (
    account_id, user_id, spending_profile_id, lithic_card_token, card_type, last_four, status,
    spend_limit, spend_limit_duration
)
SELECT a.id, u.id, p.id, $1::TEXT || '-card-' || lpad(n::TEXT, 7, '0'), 'virtual', lpad((n % 10000)::TEXT, 4, '0'),
    'active', (CASE WHEN n % $4::INTEGER = 0 THEN $5::BIGINT ELSE $6::BIGINT END) / 100.0, 'monthly'
FROM generate_series(0, $2::INTEGER * $3::INTEGER - 1) AS n
JOIN accounts AS a ON a.owner_email = $1::TEXT || '-' || n / $3 || '@example.com'
JOIN users AS u ON u.account_id = a.id
JOIN spending_profiles AS p ON p.account_id = a.id
"""


async def fill(connection: "asyncpg.Connection[asyncpg.Record]", shape: Shape) -> None:
    """Writes the accounts, users, profiles and cards into the service's tables (freshly migrated)."""
    accounts = shape.accounts + 1
    async with connection.transaction():
        await connection.execute(_ACCOUNTS, shape.name, accounts, BALANCE_MINOR)
        await connection.execute(_USERS, shape.name)
        await connection.execute(_PROFILES, shape.name, DAILY_MINOR, list(BLOCKED))
        sizes = (accounts, shape.cards_each, NARROW_EVERY, NARROW_MINOR, MONTHLY_MINOR)
        await connection.execute(_CARDS, shape.name, *sizes)
    await connection.execute("ANALYZE accounts, users, spending_profiles, cards")


async def fill_plain(connection: "asyncpg.Connection[asyncpg.Record]", shape: Shape) -> None:
    """Makes the schema `plain` anew, with the same cards."""
    accounts, each = shape.accounts + 1, shape.cards_each
    await connection.execute(files("bench").joinpath("procedure.sql").read_text(encoding="utf-8"))
    await connection.execute(
        "INSERT INTO plain.accounts (id, balance_minor) SELECT n, $2::BIGINT FROM generate_series(0, $1::INT - 1) n",
        accounts,
        BALANCE_MINOR,
    )
    await connection.execute(
        "INSERT INTO plain.profiles SELECT n, n, $2::TEXT[], $3::BIGINT FROM generate_series(0, $1::INTEGER - 1) AS n",
        accounts,
        list(BLOCKED),
        DAILY_MINOR,
    )
    await connection.execute(
        """
        INSERT INTO plain.cards (id, token, account_id, profile_id, monthly_limit_minor)
        SELECT n, $1::TEXT || '-card-' || lpad(n::TEXT, 7, '0'), n / $3, n / $3,
            CASE WHEN n % $4::INTEGER = 0 THEN $5::BIGINT ELSE $6::BIGINT END
        FROM generate_series(0, $2::INTEGER * $3::INTEGER - 1) AS n
        """,
        shape.name,
        accounts,
        each,
        NARROW_EVERY,
        NARROW_MINOR,
        MONTHLY_MINOR,
    )
    await connection.execute("ANALYZE plain.accounts, plain.profiles, plain.cards")
