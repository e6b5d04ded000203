"""The catalogue of categories and the sample program."""

import asyncpg
import pytest

from authsvc import seed
from authsvc.ledger.privacy import work
from loader import categories
from tests.privacy import UNDER_KEYS


def test_the_catalogue_holds_every_known_code_once_with_a_name_and_a_group() -> None:
    rows = categories.catalogue()
    codes = [row.mcc_code for row in rows]
    assert len(rows) > 900
    assert codes == sorted(set(codes))
    assert [row for row in rows if not row.category_name or not row.category_group] == []
    assert [row for row in rows if "StopIteration" in row.category_name] == []


@pytest.mark.parametrize(
    ("mcc_code", "group", "risk"),
    [
        ("0742", "Health", "low"),
        ("3000", "Airlines", "low"),
        ("3357", "Car Rental", "low"),
        ("3501", "Lodging", "low"),
        ("3999", "Lodging", "low"),
        ("4111", "Transportation", "low"),
        ("4511", "Airlines", "low"),
        ("4829", "Cash & Money Transfer", "high"),
        ("5300", "Groceries", "low"),
        ("5411", "Groceries", "low"),
        ("5541", "Fuel", "low"),
        ("5552", "Fuel", "low"),
        ("5734", "Retail", "low"),
        ("5812", "Food & Dining", "low"),
        ("5912", "Health", "low"),
        ("5933", "Cash & Money Transfer", "high"),
        ("5967", "Direct Marketing", "high"),
        ("6011", "Cash & Money Transfer", "high"),
        ("6051", "Cash & Money Transfer", "high"),
        ("6211", "Cash & Money Transfer", "high"),
        ("6300", "Insurance & Real Estate", "low"),
        ("7011", "Lodging", "low"),
        ("7273", "Personal Services", "high"),
        ("7995", "Gambling", "high"),
        ("8111", "Professional Services", "low"),
        ("8220", "Education", "low"),
        ("9311", "Government", "low"),
        ("9406", "Gambling", "high"),
        ("9950", "Other", "low"),
    ],
)
def test_a_code_has_the_group_and_the_risk_that_people_expect(mcc_code: str, group: str, risk: str) -> None:
    assert categories.group_of(mcc_code) == group
    assert (mcc_code in categories.HIGH_RISK) == (risk == "high")


def test_every_code_that_a_merchant_may_send_has_a_group() -> None:
    groups = {categories.group_of(f"{code:04}") for code in range(10_000)}
    assert groups == {group for _, _, group in categories.GROUP_RANGES}


def test_every_high_risk_code_is_in_the_catalogue() -> None:
    assert categories.HIGH_RISK.issubset(row.mcc_code for row in categories.catalogue())


async def test_filling_writes_the_catalogue_once_and_repairs_what_differs(connection: asyncpg.Connection) -> None:
    rows = categories.catalogue()
    assert await categories.fill(connection) == len(rows)
    assert await categories.fill(connection) == 0
    await connection.execute("UPDATE spending_categories SET category_group = 'Own' WHERE mcc_code IN ('5812', '7995')")
    await connection.execute("INSERT INTO spending_categories (mcc_code, category_name) VALUES ('0001', 'Own')")
    assert await categories.fill(connection) == 2
    stored = await connection.fetch(
        "SELECT mcc_code, category_name, category_group, is_high_risk FROM spending_categories WHERE mcc_code <> '0001'"
        " ORDER BY mcc_code"
    )
    assert [categories.Category(**row) for row in stored] == rows


async def test_filling_again_raises_no_version(connection: asyncpg.Connection) -> None:
    await seed.seed(connection)
    versions = "SELECT id, config_version, counter_epoch FROM accounts ORDER BY id"
    before = await connection.fetch(versions)
    await categories.fill(connection)
    assert await connection.fetch(versions) == before


async def test_the_sample_program_has_every_card_of_the_list_and_is_made_once(connection: asyncpg.Connection) -> None:
    first = await seed.seed(connection)
    versions = "SELECT id, config_version, counter_epoch FROM accounts ORDER BY id"
    before = await connection.fetch(versions)
    again = await seed.seed(connection)
    assert {card.token for card in first.cards} == set(seed.PURPOSES)
    assert (first.created, again.created) == (len(seed.PURPOSES), 0)
    assert (first.accounts, first.users, first.profiles, first.cards) == again[1:]
    assert await connection.fetch(versions) == before


async def test_the_sample_program_keeps_what_was_changed(connection: asyncpg.Connection) -> None:
    await seed.seed(connection)
    await connection.execute("UPDATE cards SET status = 'closed' WHERE lithic_card_token = 'card_demo_open'")
    await connection.execute("UPDATE accounts SET balance = 1 WHERE owner_email = 'olivia@northwind.example'")
    report = await seed.seed(connection)
    assert {card.status for card in report.cards if card.token == "card_demo_open"} == {"closed"}
    balance = await connection.fetchval("SELECT balance FROM accounts WHERE owner_email = 'olivia@northwind.example'")
    assert balance == 1


async def test_the_sample_program_shows_every_kind_of_row(connection: asyncpg.Connection) -> None:
    await seed.seed(connection)
    shown = await connection.fetchrow("""
        SELECT
            (SELECT array_agg(DISTINCT status ORDER BY status) FROM cards) AS card_statuses,
            (SELECT array_agg(DISTINCT role ORDER BY role) FROM users) AS roles,
            (SELECT array_agg(DISTINCT status ORDER BY status) FROM users) AS user_statuses,
            (SELECT array_agg(DISTINCT status ORDER BY status) FROM accounts) AS account_statuses,
            (SELECT array_agg(DISTINCT limit_scope ORDER BY limit_scope) FROM spending_profiles) AS scopes,
            (
                SELECT array_agg(DISTINCT d ORDER BY d) FROM (
                    SELECT spend_limit_duration FROM cards UNION SELECT spend_limit_duration FROM spending_profiles
                ) AS durations (d) WHERE d IS NOT NULL
            ) AS durations
    """)
    assert dict(shown) == {
        "card_statuses": ["active", "closed", "inactive", "pending"],
        "roles": ["admin", "analyst", "owner", "user"],
        "user_statuses": ["active", "inactive", "suspended"],
        "account_statuses": ["active", "suspended"],
        "scopes": ["card", "shared"],
        "durations": ["daily", "lifetime", "monthly", "transaction", "weekly", "yearly"],
    }


async def test_every_category_group_of_the_sample_program_exists(connection: asyncpg.Connection) -> None:
    await seed.seed(connection)
    unknown = await connection.fetch("""
        SELECT category_group FROM profile_categories WHERE category_group IS NOT NULL
        EXCEPT SELECT category_group FROM spending_categories
    """)
    assert unknown == []


async def test_a_program_that_was_sealed_is_not_made_again_and_is_read_with_its_keys(
    connection: asyncpg.Connection,
) -> None:
    first, sealer = await seed.seed(connection), UNDER_KEYS.sealer()
    async for _ in work(connection, sealer, sealer.version):
        pass
    again = await seed.seed(connection, sealer)
    assert (again.created, again.cards) == (0, first.cards)
    assert {card.cardholder for card in (await seed.seed(connection)).cards} == {"(sealed)"}
