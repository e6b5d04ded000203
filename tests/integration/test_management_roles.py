"""Who may do what: the table of rights cell by cell, and row-level security, which must say the same without it."""

import itertools
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import asyncpg
import pytest
import pytest_asyncio

from authsvc.clock import SystemClock
from authsvc.embedded import Servers
from authsvc.errors import AuthsvcError, InvalidRequest, NotFound, PermissionDenied
from authsvc.identity.shapes import ADMIN, ANALYST, OPERATOR, OWNER, ROLES, USER, Caller
from authsvc.ledger.management import PostgresStore
from authsvc.management.manage import Management
from authsvc.management.permissions import MATRIX, Reach, Verb, reach_of
from authsvc.management.resources import RESOURCES, SETTING, Resource
from authsvc.management.resources import USER as USERS
from authsvc.management.shapes import Listing, Order
from tests.privacy import UNDER_KEYS
from tests.serving import own_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL: Final = Listing({}, None, Order("id", descending=False), None, 1_001, show_deleted=True)
TENANT_TABLES: Final = (
    "accounts",
    "users",
    "spending_profiles",
    "card_products",
    "cards",
    "addresses",
    "account_settings",
    "profile_categories",
)
_numbers = itertools.count(1)


class Side(NamedTuple):
    """One of two accounts, with one record of each resource. `user_id` is the cardholder who has the card."""

    account_id: int
    user_id: int
    records: dict[str, int]

    def caller(self, role: str) -> Caller:
        return Caller(f"user:{self.user_id}", role, self.account_id, self.user_id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_url(servers: Servers, template: str) -> AsyncIterator[str]:
    """A database for all of these tests: none of them needs an empty one."""
    async with own_database(servers, template) as (url, _):
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def management(module_url: str) -> AsyncIterator[Management]:
    async with asyncpg.create_pool(module_url, min_size=1, max_size=2) as pool:
        yield Management(PostgresStore(pool, privacy=UNDER_KEYS, acquire_timeout_ms=5_000), SystemClock())


@pytest_asyncio.fixture(loop_scope="module")
async def connection(module_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(module_url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sides(management: Management) -> tuple[Side, Side]:
    return await made_side(management), await made_side(management)


async def made_side(management: Management) -> Side:
    operator = Caller("test", OPERATOR)
    records: dict[str, int] = {}

    async def make(resource: Resource, **values: Any) -> int:
        told = await management.create(operator, resource, values)
        records[resource.name] = told.record["id"]
        return records[resource.name]

    by_name = {one.name: one for one in RESOURCES}
    number = next(_numbers)
    account = await make(by_name["Account"], business_name="Bakery", owner_email=f"o{number}@example.com")
    user = await make(
        by_name["User"], account_id=account, email=f"u{number}@example.com", first_name="Ada", last_name="Baker"
    )
    profile = await make(by_name["SpendingProfile"], account_id=account, name="Travel")
    await make(by_name["CategoryRule"], spending_profile_id=profile, category_group="Airlines", rule_type="allowed")
    await make(by_name["CardProduct"], account_id=account, name="Blue", card_type="virtual")
    await make(by_name["Card"], account_id=account, user_id=user, card_type="virtual")
    await make(
        by_name["Address"],
        account_id=account,
        addressable_type="user",
        addressable_id=user,
        address_type="billing",
        street_line1="12 Harbour Street",
        city="Seattle",
        state="WA",
        postal_code="98101",
    )
    await make(by_name["Setting"], account_id=account, key="hold_days", value=9)
    await make(by_name["Category"], mcc_code=f"{9000 + number % 1000}", category_name="Things")
    return Side(account, user, records)


CHANGES: Final[dict[str, dict[str, Any]]] = {
    "Account": {"business_name": "Other"},
    "User": {"first_name": "Eve"},
    "SpendingProfile": {"name": "Other"},
    "CategoryRule": {"rule_type": "blocked"},
    "CardProduct": {"name": "Other"},
    "Card": {"status": "active"},
    "Address": {"city": "Tacoma"},
    "Setting": {"value": 10},
    "Category": {"category_name": "Other"},
}


async def attempt(management: Management, caller: Caller, resource: Resource, verb: Verb, side: Side) -> bool:
    """Whether the caller could do it to the side's record."""
    record_id = side.records[resource.name]
    try:
        if verb is Verb.VIEW:
            await management.get(caller, resource, record_id)
        elif verb is Verb.CREATE:
            await management.create(caller, resource, another(resource, side))
        elif verb is Verb.UPDATE:
            await management.update(caller, resource, record_id, CHANGES[resource.name], None)
        elif verb is Verb.DELETE:
            await management.delete(caller, resource, record_id, None)
            await management.restore(caller, resource, record_id)
    except (PermissionDenied, NotFound):
        return False
    except InvalidRequest as error:
        # What another account has cannot be referred to either.
        return error.field.endswith("_id") is False
    return True


def another(resource: Resource, side: Side) -> dict[str, Any]:
    number = next(_numbers)
    mine = {"account_id": side.account_id}
    return {
        "Account": {"business_name": "New", "owner_email": f"new{number}@example.com"},
        "User": mine | {"email": f"new{number}@example.com", "first_name": "New", "last_name": "One"},
        "SpendingProfile": mine | {"name": f"New {number}"},
        "CategoryRule": {
            "spending_profile_id": side.records["SpendingProfile"],
            "category_group": f"Group {number}",
            "rule_type": "blocked",
        },
        "CardProduct": mine | {"name": f"New {number}", "card_type": "debit"},
        "Card": mine | {"user_id": side.user_id, "card_type": "debit"},
        "Address": mine
        | {
            "addressable_type": "user",
            "addressable_id": side.user_id,
            "address_type": "shipping",
            "street_line1": "1 Mill Lane",
            "city": "Leeds",
            "country": "GB",
            "postal_code": "LS1 4AP",
        },
        "Setting": mine | {"key": "timezone", "value": "Europe/Berlin"},
        "Category": {"mcc_code": f"{8000 + number % 1000}", "category_name": "New"},
    }[resource.name]


@pytest.mark.parametrize("role", ROLES)
async def test_the_api_allows_what_the_table_of_rights_says_and_nothing_in_another_account(
    management: Management, role: str
) -> None:
    mine, other = await made_side(management), await made_side(management)
    caller = mine.caller(role) if role != OPERATOR else Caller("test", OPERATOR)
    for resource, verb in itertools.product(RESOURCES, (Verb.VIEW, Verb.CREATE, Verb.UPDATE, Verb.DELETE)):
        reach = reach_of(caller, resource.name, verb)
        done = await attempt(management, caller, resource, verb, mine)
        assert done is (reach is not None), (role, resource.name, verb)
        elsewhere = await attempt(management, caller, resource, verb, other)
        assert elsewhere is (reach is Reach.EVERYWHERE), (role, resource.name, verb)


async def test_a_cardholder_sees_the_own_cards_addresses_and_record_only(
    management: Management,
) -> None:
    mine = await made_side(management)
    operator = Caller("test", OPERATOR)
    colleague = await management.create(operator, USERS, another(USERS, mine))
    by_name = {one.name: one for one in RESOURCES}
    for name in ("Card", "Address"):
        values = another(by_name[name], mine)
        values |= {"user_id": colleague.record["id"]} if name == "Card" else {"addressable_id": colleague.record["id"]}
        await management.create(operator, by_name[name], values)
    caller = mine.caller(USER)
    for name in ("User", "Card", "Address"):
        seen = await management.page(caller, by_name[name], ALL)
        assert [record["id"] for record in seen] == [mine.records[name]]
        assert len(await management.page(mine.caller(ANALYST), by_name[name], ALL)) == 2
    assert await attempt(management, caller, by_name["Address"], Verb.UPDATE, mine)


async def test_lists_hold_nothing_of_another_account_whatever_they_ask_for(
    management: Management, sides: tuple[Side, Side]
) -> None:
    mine, other = sides
    for role, resource in itertools.product((OWNER, ADMIN, ANALYST, USER), RESOURCES):
        if not resource.tenant or resource is SETTING:
            continue
        assert await management.page(mine.caller(role), resource, ALL._replace(account_id=other.account_id)) == []
        seen = {record["id"] for record in await management.page(mine.caller(role), resource, ALL)}
        assert mine.records[resource.name] in seen and other.records[resource.name] not in seen


async def test_only_an_owner_makes_changes_or_deletes_an_owner(
    management: Management, sides: tuple[Side, Side]
) -> None:
    mine, _ = sides
    boss = await management.create(mine.caller(OWNER), USERS, another(USERS, mine) | {"role": "owner"})
    admin = mine.caller(ADMIN)
    with pytest.raises(PermissionDenied):
        await management.create(admin, USERS, another(USERS, mine) | {"role": "owner"})
    with pytest.raises(PermissionDenied):
        await management.update(admin, USERS, mine.user_id, {"role": "owner"}, None)
    with pytest.raises(PermissionDenied):
        await management.update(admin, USERS, boss.record["id"], {"role": "user"}, None)
    with pytest.raises(PermissionDenied):
        await management.delete(admin, USERS, boss.record["id"], None)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Card", {"status": "active"}),
        ("Card", {"spending_profile_id": None}),
        ("User", {"status": "inactive"}),
        ("SpendingProfile", {"blocked_categories": ["7995"]}),
        ("CategoryRule", {"rule_type": "blocked"}),
    ],
)
async def test_an_admin_who_may_not_touch_the_account_raises_its_version_all_the_same(
    management: Management, name: str, change: dict[str, Any]
) -> None:
    mine = await made_side(management)
    operator, by_name = Caller("test", OPERATOR), {one.name: one for one in RESOURCES}
    before = await management.get(operator, by_name["Account"], mine.account_id)
    if change == {"spending_profile_id": None}:
        first = {"spending_profile_id": mine.records["SpendingProfile"]}
        await management.update(operator, by_name["Card"], mine.records["Card"], first, None)
    await management.update(mine.caller(ADMIN), by_name[name], mine.records[name], change, None)
    after = await management.get(operator, by_name["Account"], mine.account_id)
    assert after.record["config_version"] > before.record["config_version"]


async def test_every_resource_has_a_row_in_the_table_and_nobody_but_operators_may_purge() -> None:
    assert set(MATRIX) == {resource.name for resource in RESOURCES} | {"AuditLog"}
    assert all(Verb.PURGE not in verbs for roles in MATRIX.values() for verbs in roles.values())


# --- the database without the table of rights ----------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def as_management(connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """A connection that is what a caller's transaction is, without any caller yet."""
    await connection.execute("SET ROLE authsvc_management")
    yield connection
    await connection.execute("RESET ROLE")


async def act_as(connection: asyncpg.Connection, caller: Caller) -> None:
    for name in ("account_id", "user_id", "role"):
        value = getattr(caller, name)
        await connection.execute("SELECT set_config($1, $2, false)", f"authsvc.{name}", str(value or ""))


async def test_every_table_enforces_row_level_security_on_its_owner_too(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    assert {row["relname"] for row in rows if not row["forced"]} == {"alembic_version"}


@pytest.mark.parametrize("table", TENANT_TABLES)
@pytest.mark.parametrize("role", [OWNER, ADMIN, ANALYST, USER, "nobody", ""])
async def test_a_table_hides_other_accounts_rows_from_every_statement(
    sides: tuple[Side, Side], as_management: asyncpg.Connection, table: str, role: str
) -> None:
    mine, other = sides
    await act_as(as_management, mine.caller(role))
    key = {"accounts": "id"}.get(table, "account_id")
    theirs = f"{key} = {other.account_id}"
    if table == "profile_categories":
        theirs = f"spending_profile_id = {other.records['SpendingProfile']}"
    assert await as_management.fetchval(f"SELECT count(*) FROM {table} WHERE {theirs}") == 0
    assert await as_management.execute(f"UPDATE {table} SET deleted_at = now() WHERE {theirs}") == "UPDATE 0"
    assert await as_management.execute(f"DELETE FROM {table} WHERE {theirs}") == "DELETE 0"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO accounts (business_name, owner_email) VALUES ('Theirs', 'x@example.com')",
        "INSERT INTO users (account_id, email, first_name, last_name) VALUES ({account_id}, 'x@example.com', 'X', 'Y')",
        "INSERT INTO spending_profiles (account_id, name) VALUES ({account_id}, 'X')",
        "INSERT INTO card_products (account_id, name, card_type) VALUES ({account_id}, 'X', 'debit')",
        "INSERT INTO cards (account_id, user_id, card_type) VALUES ({account_id}, {user_id}, 'debit')",
        """INSERT INTO addresses (account_id, addressable_type, addressable_id, address_type, street_line1, city)
        VALUES ({account_id}, 'user', {user_id}, 'billing', 'X', 'Y')""",
        "INSERT INTO account_settings (account_id, key, value, value_type) VALUES ({account_id}, 'hold_days', '3', 'number')",
        """INSERT INTO profile_categories (spending_profile_id, category_group, rule_type)
        VALUES ({profile_id}, 'X', 'allowed')""",
        "INSERT INTO spending_categories (mcc_code, category_name) VALUES ('1234', 'X')",
        "UPDATE cards SET account_id = {account_id}, user_id = {user_id} WHERE account_id = authsvc_caller_account()",
        "UPDATE spending_profiles SET account_id = {account_id} WHERE account_id = authsvc_caller_account()",
    ],
)
async def test_nobody_writes_a_row_into_another_account(
    sides: tuple[Side, Side], as_management: asyncpg.Connection, statement: str
) -> None:
    mine, other = sides
    await act_as(as_management, mine.caller(OWNER))
    filled = statement.format(
        account_id=other.account_id, user_id=other.user_id, profile_id=other.records["SpendingProfile"]
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_management.execute(filled)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM request_keys",
        "SELECT * FROM transactions",
        "SELECT * FROM webhooks",
        "UPDATE accounts SET balance = 1000",
        "UPDATE accounts SET counter_epoch = 1000",
        "UPDATE setting_keys SET maximum = 1000",
        "INSERT INTO transactions DEFAULT VALUES",
    ],
)
async def test_whoever_edits_records_has_no_business_with_what_the_engine_keeps(
    as_management: asyncpg.Connection, statement: str
) -> None:
    await act_as(as_management, Caller("test", OPERATOR))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_management.execute(statement)


@pytest.mark.parametrize("table", [*TENANT_TABLES, "transactions", "transaction_events", "balance_adjustments"])
async def test_reporting_reads_one_account_and_writes_nothing(
    sides: tuple[Side, Side], connection: asyncpg.Connection, table: str
) -> None:
    mine, other = sides
    await connection.execute("SET ROLE authsvc_reporting")
    await act_as(connection, mine.caller(ANALYST))
    column = {"accounts": "id", "profile_categories": "spending_profile_id"}.get(table, "account_id")
    seen = {row[0] for row in await connection.fetch(f"SELECT {column} FROM {table}")}
    assert seen <= {mine.account_id, mine.records["SpendingProfile"]} - {other.account_id}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(f"DELETE FROM {table}")


async def test_a_connection_that_another_account_has_just_used_knows_nothing_of_it(
    module_url: str, sides: tuple[Side, Side]
) -> None:
    mine, other = sides
    by_name = {one.name: one for one in RESOURCES}
    async with asyncpg.create_pool(module_url, min_size=1, max_size=1) as single:
        narrow = Management(PostgresStore(single, privacy=UNDER_KEYS, acquire_timeout_ms=5_000), SystemClock())
        for side in (mine, other, mine):
            seen = await narrow.page(side.caller(OWNER), by_name["Card"], ALL)
            assert [record["id"] for record in seen] == [side.records["Card"]]
            with pytest.raises(AuthsvcError):
                await narrow.update(side.caller(OWNER), by_name["Card"], side.records["Card"], {"nothing": 1}, None)
        async with PostgresStore(single, privacy=UNDER_KEYS, acquire_timeout_ms=5_000).session(
            mine.caller(OWNER)
        ) as session:
            idle = "SELECT current_setting('idle_in_transaction_session_timeout')"
            assert await session._connection.fetchval(idle) == "10s"
        async with single.acquire() as left:
            assert await left.fetchval(idle) == "0"
            assert await left.fetchval("SELECT current_setting('authsvc.account_id', true)") in (None, "")
            assert await left.fetchval("SELECT current_user = session_user")
