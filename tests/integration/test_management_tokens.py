"""The table of rights cell by cell through the API: users who signed in, keys of programs, and callers without either."""

import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from authsvc.identity.shapes import ADMIN, ANALYST, OWNER, USER
from authsvc.management.permissions import MATRIX, Verb
from authsvc.management.resources import RESOURCES, Resource
from authsvc.v1 import management_pb2 as pb
from tests.desk import Desk, Program, account, example, made_program
from tests.identity import Entrance, bearing, open_entrance
from tests.random_messages import message_for
from tests.serving import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO: Final = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND}
VERBS: Final = (Verb.VIEW, Verb.CREATE, Verb.UPDATE, Verb.DELETE)


class House:
    """An account with somebody of every role, and one record of every resource that the plain user is the holder of."""

    def __init__(self, entrance: Entrance) -> None:
        self.entrance = entrance
        self.operator = Desk(entrance.running.channel)
        self.desks: dict[str, Desk] = {}
        self.records: dict[str, Any] = {}

    async def open(self) -> "House":
        program = await made_program(self.operator)
        for role in (OWNER, ADMIN, ANALYST, USER):
            person = await self.entrance.person(role, account_id=program.account.id)
            session = await self.entrance.sign_in(person)
            self.desks[role] = Desk(self.entrance.running.channel, bearing(session.access_token))
        self.program: Program = program._replace(user=await self.operator.get("User", person.id))
        for resource in RESOURCES:
            self.records[resource.name] = await self.operator.create(example(resource, self.program)[0])
        self.records |= {"Account": program.account, "User": self.program.user, "SpendingProfile": program.profile}
        return self


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def entrance(servers: Servers, template: str, tmp_path_factory: Any) -> AsyncIterator[Entrance]:
    async with open_entrance(
        servers, template, tmp_path_factory.mktemp("tokens"), management_calls_per_s=10_000
    ) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def houses(entrance: Entrance) -> tuple[House, House]:
    return await House(entrance).open(), await House(entrance).open()


async def outcome(desk: Desk, resource: Resource, verb: Verb, house: House) -> grpc.StatusCode:
    """What becomes of doing it to the house's record."""
    record = house.records[resource.name]
    message, change = example(resource, house.program)
    try:
        if verb is Verb.VIEW:
            await desk.get(resource.name, record.id)
        elif verb is Verb.CREATE:
            await desk.create(message)
        elif verb is Verb.UPDATE:
            await desk.update(type(record)(id=record.id, **change), *change)
        else:
            await desk.delete(resource.name, record.id)
            await desk.restore(resource.name, record.id)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("role", [OWNER, ADMIN, ANALYST, USER])
async def test_whoever_signed_in_may_do_what_the_table_says_and_nothing_next_door(
    houses: tuple[House, House], role: str
) -> None:
    mine, other = houses
    for resource, verb in itertools.product(RESOURCES, VERBS):
        if resource.name in ("Account", "User", "SpendingProfile") and verb is Verb.DELETE:
            continue  # the next cells need them; deleting is tried on what was made for it
        allowed = verb in MATRIX[resource.name].get(role, {})
        code = await outcome(mine.desks[role], resource, verb, mine)
        assert (code not in NO) is allowed, (role, resource.name, verb, code)
        if resource.tenant:
            elsewhere = await outcome(mine.desks[role], resource, verb, other)
            assert elsewhere in NO | {grpc.StatusCode.INVALID_ARGUMENT}, (role, resource.name, verb, elsewhere)


async def test_a_program_s_key_needs_the_scope_and_acts_within_its_account(houses: tuple[House, House]) -> None:
    mine, other = houses
    channel = mine.entrance.running.channel
    without = Desk(channel, bearing(await mine.entrance.key("history", account_id=mine.program.account.id)))
    assert await refused(without, "Card", mine.records["Card"].id) is grpc.StatusCode.PERMISSION_DENIED
    within = Desk(channel, bearing(await mine.entrance.key("manage", account_id=mine.program.account.id)))
    assert (await within.get("Card", mine.records["Card"].id)).id == mine.records["Card"].id
    assert await refused(within, "Card", other.records["Card"].id) is grpc.StatusCode.NOT_FOUND
    platform = Desk(channel, bearing(await mine.entrance.key("manage")))
    assert (await platform.create(account())).id and (await platform.get("Card", other.records["Card"].id)).id


@pytest.mark.parametrize("bearer", ["nothing", "authsvc_aaaa.bbbb", "a.b.c"])
async def test_credentials_that_are_none_are_refused_also_where_none_are_needed(
    houses: tuple[House, House], bearer: str
) -> None:
    desk = Desk(houses[0].entrance.running.channel, bearing(bearer))
    assert await refused(desk, "Card", 1) is grpc.StatusCode.UNAUTHENTICATED


async def test_what_somebody_changed_is_written_down_in_their_name(houses: tuple[House, House]) -> None:
    mine, _ = houses
    card = await mine.operator.create(example(next(one for one in RESOURCES if one.name == "Card"), mine.program)[0])
    await mine.desks[ADMIN].update(pb.Card(id=card.id, status=pb.CARD_STATUS_ACTIVE), "status")
    entry = await mine.entrance.database.fetchrow(
        "SELECT * FROM audit_logs WHERE entity_type = 'card' AND entity_id = $1 ORDER BY id DESC LIMIT 1", card.id
    )
    assert (entry["action"], entry["role"], entry["ip_address"]) == ("UPDATE", ADMIN, "127.0.0.1")
    assert entry["actor"] == f"user:{entry['user_id']}" and entry["account_id"] == mine.program.account.id


async def test_audit_logs_are_told_to_those_who_may_see_them_and_lead_from_a_version_to_its_change(
    houses: tuple[House, House],
) -> None:
    mine, other = houses
    card = mine.records["Card"]
    await mine.desks[OWNER].update(pb.Card(id=card.id, status=pb.CARD_STATUS_INACTIVE), "status")
    version = (await mine.operator.get("Account", mine.program.account.id)).config_version
    for role in (OWNER, ADMIN, ANALYST):
        page = await logs(mine.desks[role], config_version=version, entity_type="card")
        (entry,) = page.audit_logs
        assert (entry.entity_id, entry.action, entry.role) == (card.id, "UPDATE", OWNER)
        assert '"inactive"' in entry.new_values and '"inactive"' not in entry.old_values
        assert {one.account_id for one in (await logs(mine.desks[role])).audit_logs} == {mine.program.account.id}
        assert not (await logs(mine.desks[role], account_id=other.program.account.id)).audit_logs
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await logs(mine.desks[USER])
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    seen: list[int] = []
    token = ""
    while token or not seen:
        page = await logs(mine.operator, account_id=mine.program.account.id, page_size=3, page_token=token)
        seen += [one.id for one in page.audit_logs]
        token = page.next_page_token
    assert seen == sorted(set(seen), reverse=True) and len(seen) > 6


@pytest.mark.parametrize("role", [OWNER, ADMIN, USER])
async def test_random_messages_with_ids_of_next_door_tell_and_change_nothing_there(
    houses: tuple[House, House], role: str
) -> None:
    mine, other = houses
    chance = random.Random(role)
    ids = [record.id for record in other.records.values()] + [other.program.account.id]
    before = await everything_of(other)
    for name in sorted({resource.name for resource in RESOURCES if resource.tenant}):
        stub = mine.desks[role].stub(name)
        for method in pb.DESCRIPTOR.services_by_name[f"{name}Service"].methods:
            for _ in range(12):
                with contextlib.suppress(grpc.aio.AioRpcError):
                    told = await getattr(stub, method.name)(
                        message_for(method, chance, ids), timeout=WAIT_S, metadata=mine.desks[role].metadata
                    )
                    assert f"account_id: {other.program.account.id}\n" not in str(told), method.name
    assert await everything_of(other) == before


async def everything_of(house: House) -> list[Any]:
    """Every row of the house's account."""
    tables = ("users", "spending_profiles", "card_products", "cards", "addresses", "account_settings")
    wanted = [f"SELECT to_jsonb(t) AS row FROM {table} AS t WHERE account_id = $1" for table in tables]
    query = " UNION ALL ".join([*wanted, "SELECT to_jsonb(t) FROM accounts AS t WHERE id = $1"])
    rows = await house.entrance.database.fetch(
        f"SELECT row::TEXT FROM ({query}) AS s ORDER BY 1", house.program.account.id
    )
    return [row["row"] for row in rows]


async def logs(desk: Desk, **wanted: Any) -> pb.ListAuditLogsResponse:
    return await desk.page("Audit", "AuditLogs", **wanted)


async def refused(desk: Desk, name: str, record_id: int) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await desk.get(name, record_id)
    return error.value.code()
