"""Card programs, row by row: what a test needs of accounts, profiles and cards, and nothing else."""

import itertools
from typing import Any, Final, NamedTuple

import asyncpg
import orjson

_numbers: Final = itertools.count(1)


class Card(NamedTuple):
    """A card, its cardholder and its account."""

    token: str
    id: int
    user_id: int
    account_id: int


async def add_account(connection: asyncpg.Connection, balance: str = "1000000.00", **settings: str) -> int:
    """An active account in US dollars with settings like `timezone` or `balance_check`. Returns its id."""
    number = next(_numbers)
    account_id: int = await connection.fetchval(
        "INSERT INTO accounts (business_name, owner_email, balance) VALUES ($1, $2, $3::text::numeric) RETURNING id",
        f"Company {number}",
        f"owner-{number}@example.com",
        balance,
    )
    for key, value in settings.items():
        await set_setting(connection, account_id, key, value)
    return account_id


async def set_setting(connection: asyncpg.Connection, account_id: int, key: str, value: str) -> None:
    """A setting that is a text; it must not be there yet."""
    await connection.execute(
        "INSERT INTO account_settings (account_id, key, value, value_type) VALUES ($1, $2, $3, 'string')",
        account_id,
        key,
        orjson.dumps(value).decode(),
    )


async def add_profile(
    connection: asyncpg.Connection,
    account_id: int,
    limit: str | None = None,
    window: str | None = None,
    scope: str = "card",
) -> int:
    """A profile that allows every category. Returns its id."""
    profile_id: int = await connection.fetchval(
        "INSERT INTO spending_profiles (account_id, name, spend_limit, spend_limit_duration, limit_scope)"
        " VALUES ($1, $2, $3::text::numeric, $4, $5) RETURNING id",
        account_id,
        f"profile {next(_numbers)}",
        limit,
        window,
        scope,
    )
    return profile_id


async def add_card(
    connection: asyncpg.Connection,
    account_id: int,
    limit: str | None = None,
    window: str | None = None,
    profile_id: int | None = None,
    **columns: Any,
) -> Card:
    """An active card of a new cardholder. `columns` override what the card would have."""
    number = next(_numbers)
    user_id: int = await connection.fetchval(
        "INSERT INTO users (account_id, email, first_name, last_name) VALUES ($1, $2, 'Card', 'Holder') RETURNING id",
        account_id,
        f"holder-{number}@example.com",
    )
    token = columns.get("token", f"card-{number}")
    card_id: int = await connection.fetchval(
        "INSERT INTO cards (account_id, user_id, spending_profile_id, lithic_card_token, card_type, status, spend_limit,"
        " spend_limit_duration) VALUES ($1, $2, $3, $4, 'virtual', 'active', $5::text::numeric, $6) RETURNING id",
        account_id,
        user_id,
        profile_id,
        token,
        limit,
        window,
    )
    return Card(token, card_id, user_id, account_id)


async def add_cards(connection: asyncpg.Connection, count: int, account_id: int, *terms: Any) -> list[Card]:
    """Several cards of the same terms."""
    return [await add_card(connection, account_id, *terms) for _ in range(count)]
