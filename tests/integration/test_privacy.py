"""What is known of people: sealed in the database, read by those who may, and in no dump of it."""

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import grpc
import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from authsvc.embedded.places import wheel_bin
from authsvc.embedded.process import run
from authsvc.errors import NotPossible
from authsvc.identity.shapes import ADMIN, ANALYST, USER
from authsvc.identity.shapes import OWNER as OWNER_ROLE
from authsvc.ledger.persons import erase, export
from authsvc.privacy.columns import SEALED
from authsvc.privacy.keys import Privacy
from authsvc.v1 import management_pb2 as pb
from tests.desk import Desk, Program, account, made_program, user
from tests.identity import PASSWORD, Entrance, bearing, open_entrance
from tests.privacy import UNDER_KEYS
from tests.serving import refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")
CODE: Final = grpc.StatusCode
# Words that stand nowhere else; none is a part of another.
PERSON: Final = {
    "email": "zq@marmalade.example",
    "first_name": "Zebrawood",
    "last_name": "Quillfeather",
    "phone": "+14155550177",
    "date_of_birth": "1987-03-29",
    "tax_id": "78-7654329",
}
HOME: Final = {
    "street_line1": "77 Lanternfish Row",
    "street_line2": "Belfry",
    "city": "Porridgetown",
    "postal_code": "98177-4433",
}
OWNER: Final = {"owner_email": "till@gherkin.example", "tax_id": "GB-999-8877-66"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def entrance(
    servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Entrance]:
    async with open_entrance(servers, template, tmp_path_factory.mktemp("privacy")) as opened:
        yield opened


@pytest.fixture(scope="module")
def desk(entrance: Entrance) -> Desk:
    return Desk(entrance.running.channel)


@pytest_asyncio.fixture(loop_scope="module")
async def program(desk: Desk) -> Program:
    return await made_program(desk)


def home(of: pb.User, **more: Any) -> pb.Address:
    return pb.Address(
        account_id=of.account_id,
        addressable_type=pb.OWNER_TYPE_USER,
        addressable_id=of.id,
        address_type=pb.ADDRESS_TYPE_BILLING,
        **({"state": "WA"} | HOME | more),
    )


async def kept(entrance: Entrance, table: str, row_id: int) -> asyncpg.Record:
    return await entrance.database.fetchrow(f"SELECT * FROM {table} WHERE id = $1", row_id)


async def test_every_private_field_is_sealed_in_the_database_and_read_back(entrance: Entrance, desk: Desk) -> None:
    business = await desk.create(pb.Account(business_name="Orchard", **OWNER))
    someone = await desk.create(user(business.id, **PERSON))
    lives = await desk.create(home(someone))
    told = {"accounts": (business, OWNER), "users": (someone, PERSON), "addresses": (lives, HOME)}
    assert {table: set(columns) for table, columns in SEALED.items()} == {t: set(v) for t, (_, v) in told.items()}
    for table, (message, values) in told.items():
        row = await kept(entrance, table, message.id)
        for column, value in values.items():
            assert row[column].startswith("sealed:1:") and value not in row[column]
            assert getattr(message, column) == value
        name = type(message).__name__
        assert await desk.get(name, message.id) == message
    changed = pb.User(id=someone.id, last_name="Featherquill", phone="")
    assert (await desk.update(changed, "last_name", "phone")).last_name == "Featherquill"
    row = await kept(entrance, "users", someone.id)
    assert row["last_name"].startswith("sealed:1:") and row["phone"] is None


async def test_what_an_audit_entry_masks_is_what_is_sealed(entrance: Entrance) -> None:
    columns = await entrance.database.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_name = ANY ($1) AND table_schema ="
        " 'public' AND authsvc_audit_is_private(table_name, column_name) AND column_name !~ '_hash$'",
        list(SEALED),
    )
    assert {tuple(row) for row in columns} == {(table, name) for table, names in SEALED.items() for name in names}


async def test_an_address_is_found_and_is_unique_however_it_is_written(desk: Desk, program: Program) -> None:
    made = await desk.create(user(program.account.id, email="Iris.Loom@Example.com"))
    found = await desk.page("User", "Users", email="iris.loom@EXAMPLE.com")
    assert [one.id for one in found.users] == [made.id]
    taken = await refusal(desk.create(user(program.account.id, email="IRIS.loom@example.com")))
    assert taken == (CODE.ALREADY_EXISTS, "email: is taken")
    owned = await refusal(
        desk.create(pb.Account(business_name="Copy", owner_email=program.account.owner_email.upper()))
    )
    assert owned == (CODE.ALREADY_EXISTS, "owner_email: is taken")
    await desk.delete("User", made.id)
    await desk.create(user(program.account.id, email="IRIS.loom@example.com"))
    assert (await refusal(desk.restore("User", made.id)))[0] is CODE.ALREADY_EXISTS


async def test_an_address_that_was_never_sealed_is_found_as_well(entrance: Entrance, desk: Desk) -> None:
    person = await entrance.person()
    assert (await kept(entrance, "users", person.id))["email"] == person.email
    found = await desk.page("User", "Users", email=person.email.upper())
    assert [(one.id, one.email, one.last_name) for one in found.users] == [(person.id, person.email, "Person")]
    assert (await desk.update(pb.User(id=person.id, first_name="Ida"), "first_name")).first_name == "Ida"
    row = await kept(entrance, "users", person.id)
    assert row["first_name"].startswith("sealed:1:") and row["last_name"] == "Person"


async def test_a_value_moved_to_another_row_is_told_of_and_not_read(entrance: Entrance, desk: Desk) -> None:
    business = await desk.create(account())
    one, other = [await desk.create(user(business.id, first_name=name)) for name in ("Una", "Vera")]
    await entrance.database.execute(
        "UPDATE users SET first_name = (SELECT first_name FROM users WHERE id = $1) WHERE id = $2", one.id, other.id
    )
    code, said = await refusal(desk.get("User", other.id))
    assert code is CODE.FAILED_PRECONDITION
    assert said == f"first_name of users {other.id} cannot be opened: it was sealed elsewhere, or changed"
    assert (await desk.get("User", one.id)).first_name == "Una"


async def test_what_is_written_again_unchanged_is_no_change(entrance: Entrance, desk: Desk, program: Program) -> None:
    before = await kept(entrance, "users", program.user.id)
    entries = "SELECT count(*) FROM audit_logs WHERE entity_type = 'user' AND entity_id = $1"
    count = await entrance.database.fetchval(entries, program.user.id)
    same = pb.User(id=program.user.id, first_name=program.user.first_name, email=program.user.email)
    assert await desk.update(same, "first_name", "email") == program.user
    assert await kept(entrance, "users", program.user.id) == before
    assert await entrance.database.fetchval(entries, program.user.id) == count


@pytest.mark.parametrize("role", [OWNER_ROLE, ADMIN, ANALYST, USER])
async def test_numbers_of_authorities_are_told_to_those_who_may_change_them(
    entrance: Entrance, desk: Desk, program: Program, role: str
) -> None:
    given = {"tax_id": "123-45-6789", "date_of_birth": "1990-01-02", "phone": "+4915112345678"}
    someone = await desk.create(user(program.account.id, **given))
    await desk.update(pb.Account(id=program.account.id, tax_id="98-7654321"), "tax_id")
    person = await entrance.person(role, account_id=program.account.id)
    signed_in = await entrance.sign_in(person)
    mine = Desk(entrance.running.channel, bearing(signed_in.access_token))
    business = await mine.get("Account", program.account.id)
    assert business.HasField("tax_id") == (role == "owner")
    for listed in ((await mine.page("User", "Users")).users, (await mine.page("User", "Users", page_size=1)).users):
        assert any(one.HasField("tax_id") for one in listed) <= (role in ("owner", "admin"))
    if role != "user":
        seen = await mine.get("User", someone.id)
        assert seen.phone == given["phone"]
        assert seen.HasField("tax_id") == seen.HasField("date_of_birth") == (role in ("owner", "admin"))


BAD: Final = [
    ("phone", "4155550100"),
    ("phone", "+1 415 555 0100"),
    ("phone", "+0155550100"),
    ("phone", "+" + "3" * 15),
    ("date_of_birth", "1990-02-30"),
    ("date_of_birth", "19900102"),
    ("date_of_birth", "1899-12-31"),
    ("date_of_birth", "2999-01-01"),
    ("tax_id", "12"),
    ("tax_id", "12_3456789"),
    ("tax_id", "-123456789"),
]


@pytest.mark.parametrize(("field", "value"), BAD)
async def test_a_private_field_that_is_wrong_is_named_and_not_told(
    desk: Desk, program: Program, field: str, value: str
) -> None:
    code, said = await refusal(desk.create(user(program.account.id, **{field: value})))
    assert code is CODE.INVALID_ARGUMENT and said.startswith(f"{field}: ") and value not in said


async def test_a_user_signs_in_and_resets_by_a_sealed_address(entrance: Entrance, desk: Desk, program: Program) -> None:
    someone = await desk.create(user(program.account.id, email="Gale.Force@example.com"))
    # As the migration of an older system would.
    await entrance.database.execute(
        "UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE id = $1) WHERE id = $2",
        (await entrance.person()).id,
        someone.id,
    )
    signed_in = await entrance.sign_in("gale.force@EXAMPLE.com", PASSWORD)
    assert (await entrance.who(signed_in.access_token)).user_id == someone.id
    await entrance.request_reset("GALE.force@example.com")
    planned = "SELECT password_reset_token_hash IS NOT NULL FROM users WHERE id = $1"
    assert await entrance.database.fetchval(planned, someone.id)
    await desk.update(pb.User(id=someone.id, email="gale.force@example.com", last_name="Wind"), "email", "last_name")
    assert await entrance.database.fetchval(planned, someone.id)
    await desk.update(pb.User(id=someone.id, email="gale@example.com"), "email")
    assert not await entrance.database.fetchval(planned, someone.id)


async def test_one_person_is_exported_in_clear_and_erased_from_the_index(entrance: Entrance, desk: Desk) -> None:
    business = await desk.create(account())
    someone = await desk.create(user(business.id, **(PERSON | {"email": "erase.me@marmalade.example"})))
    await desk.create(home(someone))
    document = await export(entrance.database, someone.id, UNDER_KEYS.sealer())
    assert all(
        value in document for value in (*HOME.values(), *list(PERSON.values())[1:], "erase.me@marmalade.example")
    )
    assert "sealed:" not in document and "email_index" not in document
    await erase(entrance.database, someone.id, "test")
    row = await kept(entrance, "users", someone.id)
    assert (row["first_name"], row["phone"], row["tax_id"], row["email_index"]) == ("Erased", None, None, None)
    assert not (await desk.page("User", "Users", email="erase.me@marmalade.example", show_deleted=True)).users


async def test_without_its_key_nothing_is_exported(entrance: Entrance, program: Program) -> None:
    with pytest.raises(NotPossible, match="privacy key 1 is not here"):
        await export(entrance.database, program.user.id, Privacy(None, "", os.urandom).sealer())


async def test_no_dump_holds_what_is_known_of_people(
    servers: Servers, entrance: Entrance, desk: Desk, program: Program, tmp_path: Path
) -> None:
    someone = await desk.create(user(program.account.id, **(PERSON | {"email": "dump@marmalade.example"})))
    await desk.create(home(someone))
    await desk.update(
        pb.Account(id=program.account.id, tax_id=OWNER["tax_id"], business_name="Visible Ltd"),
        "tax_id",
        "business_name",
    )
    await desk.delete("User", someone.id)
    name = await entrance.database.fetchval("SELECT current_database()")
    done = run([wheel_bin() / "pg_dump", "--inserts", servers.postgres.url(name)], None)
    assert done.returncode == 0, done.stderr
    dump = done.stdout
    assert "Visible Ltd" in dump and "sealed:1:" in dump
    secrets = [*PERSON.values(), *HOME.values(), *OWNER.values(), "dump@marmalade.example", program.account.owner_email]
    for secret in secrets:
        raw = secret.encode()
        for form in (secret, raw.hex(), base64.b64encode(raw).decode().rstrip("=")[:-1]):
            assert form.lower() not in dump.lower(), secret
