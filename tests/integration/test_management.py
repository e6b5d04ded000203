"""The management services as an operator on loopback uses them, over gRPC, on real servers."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import grpc
import pytest
import pytest_asyncio

from authsvc.management.codec import snake
from authsvc.management.resources import RESOURCES, Resource
from authsvc.v1 import management_pb2 as pb
from authsvc.v1 import management_pb2_grpc, types_pb2
from tests.network import Network
from tests.serving import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

CODE: Final = grpc.StatusCode
_numbers = itertools.count(1)


class Desk:
    """Calls a resource's service by verbs."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def stub(self, resource: str) -> Any:
        return getattr(management_pb2_grpc, f"{resource}ServiceStub")(self._channel)

    async def create(self, message: Any) -> Any:
        name = message.DESCRIPTOR.name
        request = getattr(pb, f"Create{name}Request")(**{snake(name): message})
        return await getattr(self.stub(name), f"Create{name}")(request, timeout=WAIT_S)

    async def get(self, name: str, record_id: int, **more: Any) -> Any:
        return await getattr(self.stub(name), f"Get{name}")(pb.GetResourceRequest(id=record_id, **more), timeout=WAIT_S)

    async def update(self, message: Any, *paths: str) -> Any:
        name = message.DESCRIPTOR.name
        request = getattr(pb, f"Update{name}Request")(**{snake(name): message})
        request.update_mask.paths.extend(paths)
        return await getattr(self.stub(name), f"Update{name}")(request, timeout=WAIT_S)

    async def delete(self, name: str, record_id: int, etag: str = "") -> Any:
        return await getattr(self.stub(name), f"Delete{name}")(
            pb.DeleteResourceRequest(id=record_id, etag=etag), timeout=WAIT_S
        )

    async def restore(self, name: str, record_id: int) -> Any:
        return await getattr(self.stub(name), f"Restore{name}")(pb.RestoreResourceRequest(id=record_id), timeout=WAIT_S)

    async def purge(self, name: str, record_id: int) -> Any:
        return await getattr(self.stub(name), f"Purge{name}")(pb.PurgeResourceRequest(id=record_id), timeout=WAIT_S)

    async def page(self, resource: str, plural: str, **wanted: Any) -> Any:
        request = getattr(pb, f"List{plural}Request")(**wanted)
        return await getattr(self.stub(resource), f"List{plural}")(request, timeout=WAIT_S)


class Program(NamedTuple):
    """An account with a user, a profile and a product."""

    account: pb.Account
    user: pb.User
    profile: pb.SpendingProfile
    product: pb.CardProduct


@pytest.fixture
def desk(network: Network) -> Desk:
    return Desk(network.running.channel)


def account() -> pb.Account:
    number = next(_numbers)
    return pb.Account(business_name=f"Bakery {number}", owner_email=f"owner-{number}@example.com")


def user(account_id: int, **more: Any) -> pb.User:
    given = {"email": f"user-{next(_numbers)}@example.com", "first_name": "Ada", "last_name": "Baker"} | more
    return pb.User(account_id=account_id, **given)


@pytest_asyncio.fixture(loop_scope="module")
async def program(desk: Desk) -> Program:
    made = await desk.create(account())
    profile = await desk.create(
        pb.SpendingProfile(
            account_id=made.id,
            name="Travel",
            spend_limit_minor=250_000,
            spend_limit_duration=types_pb2.WINDOW_MONTHLY,
            allowed_categories=["3000-3299", "5812"],
        )
    )
    product = await desk.create(
        pb.CardProduct(
            account_id=made.id,
            name="Travel card",
            card_type=pb.CARD_TYPE_VIRTUAL,
            default_spend_limit_minor=100_000,
            default_spend_limit_duration=types_pb2.WINDOW_MONTHLY,
            default_spending_profile_id=profile.id,
        )
    )
    return Program(made, await desk.create(user(made.id)), profile, product)


def example(resource: Resource, program: Program) -> Any:
    """Something that can be made, and a field of it with another value."""
    mine = program.account.id
    number = next(_numbers)
    return {
        "Account": (account(), {"business_name": "Another name"}),
        "User": (user(mine), {"role": pb.ROLE_ADMIN}),
        "SpendingProfile": (
            pb.SpendingProfile(account_id=mine, name=f"P{number}", blocked_categories=["7995"]),
            {"limit_scope": pb.LIMIT_SCOPE_SHARED},
        ),
        "CardProduct": (
            pb.CardProduct(account_id=mine, name=f"C{number}", card_type=pb.CARD_TYPE_DEBIT),
            {"card_design": "blue"},
        ),
        "Card": (
            pb.Card(account_id=mine, user_id=program.user.id, card_type=pb.CARD_TYPE_DEBIT),
            {"status": pb.CARD_STATUS_ACTIVE},
        ),
        "Address": (
            pb.Address(
                account_id=mine,
                addressable_type=pb.OWNER_TYPE_USER,
                addressable_id=program.user.id,
                address_type=pb.ADDRESS_TYPE_BILLING,
                street_line1="12 Harbour Street",
                city="Seattle",
                state="WA",
                postal_code="98101",
            ),
            {"postal_code": "98101-1234"},
        ),
        "Setting": (pb.Setting(account_id=mine, key="hold_days", value="9"), {"value": "10"}),
        "Category": (
            pb.Category(mcc_code=f"{number % 1000 + 9000:04}", category_name="Things"),
            {"is_high_risk": True},
        ),
        "CategoryRule": (
            pb.CategoryRule(
                spending_profile_id=program.profile.id, category_group=f"Group {number}", rule_type=pb.RULE_TYPE_BLOCKED
            ),
            {"rule_type": pb.RULE_TYPE_ALLOWED},
        ),
    }[resource.name]


async def refused(call: Callable[[], Awaitable[Any]]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call()
    return error.value.code(), str(error.value.details())


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.name)
async def test_a_record_is_made_told_listed_changed_deleted_and_restored(
    desk: Desk, program: Program, resource: Resource
) -> None:
    message, change = example(resource, program)
    name = resource.name
    made = await desk.create(message)
    assert await desk.get(name, made.id) == made
    (path, value), *_ = change.items()
    changed = await desk.update(type(made)(id=made.id, etag=made.etag, **change), path)
    assert getattr(changed, path) == value and int(changed.etag) > int(made.etag)
    listed = await desk.page(name, resource.plural, order_by="created_at desc", page_size=1)
    assert [one.id for one in getattr(listed, snake(resource.plural))] == [made.id]
    assert await refused(lambda: desk.delete(name, made.id, made.etag)) == (
        CODE.ABORTED,
        "Somebody else changed it meanwhile: read it again.",
    )
    deleted = await desk.delete(name, made.id, changed.etag)
    assert deleted.HasField("deleted_at")
    assert (await refused(lambda: desk.get(name, made.id)))[0] is CODE.NOT_FOUND
    assert (await desk.get(name, made.id, show_deleted=True)).id == made.id
    restored = await desk.restore(name, made.id)
    assert not restored.HasField("deleted_at") and getattr(restored, path) == value
    assert (await refused(lambda: desk.restore(name, made.id)))[0] is CODE.FAILED_PRECONDITION
