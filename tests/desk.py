"""The management services as tests use them: a call a verb, and records that can be made."""

import itertools
from typing import Any, Final, NamedTuple

import grpc

from authsvc.management.codec import snake
from authsvc.management.resources import Resource
from authsvc.v1 import management_pb2 as pb
from authsvc.v1 import management_pb2_grpc, types_pb2
from tests.serving import WAIT_S

# The number that schemes publish for tests, put together here so that no file holds one.
CARD_NUMBER: Final = "4" + 15 * "1"
_numbers = itertools.count(1)


class Desk:
    """Calls a resource's service by verbs."""

    def __init__(self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._channel = channel
        self.metadata = metadata

    def stub(self, resource: str) -> Any:
        return getattr(management_pb2_grpc, f"{resource}ServiceStub")(self._channel)

    async def create(self, message: Any) -> Any:
        name = message.DESCRIPTOR.name
        request = getattr(pb, f"Create{name}Request")(**{snake(name): message})
        return await getattr(self.stub(name), f"Create{name}")(request, timeout=WAIT_S, metadata=self.metadata)

    async def get(self, name: str, record_id: int, **more: Any) -> Any:
        return await getattr(self.stub(name), f"Get{name}")(
            pb.GetResourceRequest(id=record_id, **more), timeout=WAIT_S, metadata=self.metadata
        )

    async def update(self, message: Any, *paths: str) -> Any:
        name = message.DESCRIPTOR.name
        request = getattr(pb, f"Update{name}Request")(**{snake(name): message})
        request.update_mask.paths.extend(paths)
        return await getattr(self.stub(name), f"Update{name}")(request, timeout=WAIT_S, metadata=self.metadata)

    async def delete(self, name: str, record_id: int, etag: str = "") -> Any:
        return await getattr(self.stub(name), f"Delete{name}")(
            pb.DeleteResourceRequest(id=record_id, etag=etag), timeout=WAIT_S, metadata=self.metadata
        )

    async def restore(self, name: str, record_id: int) -> Any:
        return await getattr(self.stub(name), f"Restore{name}")(
            pb.RestoreResourceRequest(id=record_id), timeout=WAIT_S, metadata=self.metadata
        )

    async def purge(self, name: str, record_id: int) -> Any:
        return await getattr(self.stub(name), f"Purge{name}")(
            pb.PurgeResourceRequest(id=record_id), timeout=WAIT_S, metadata=self.metadata
        )

    async def page(self, resource: str, plural: str, **wanted: Any) -> Any:
        request = getattr(pb, f"List{plural}Request")(**wanted)
        return await getattr(self.stub(resource), f"List{plural}")(request, timeout=WAIT_S, metadata=self.metadata)


def account() -> pb.Account:
    number = next(_numbers)
    return pb.Account(business_name=f"Bakery {number}", owner_email=f"owner-{number}@example.com")


def user(account_id: int, **more: Any) -> pb.User:
    given = {"email": f"user-{next(_numbers)}@example.com", "first_name": "Ada", "last_name": "Baker"} | more
    return pb.User(account_id=account_id, **given)


class Program(NamedTuple):
    """An account with a user, a profile and a product."""

    account: pb.Account
    user: pb.User
    profile: pb.SpendingProfile
    product: pb.CardProduct


async def made_program(desk: Desk) -> Program:
    """A new one."""
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
        "User": (user(mine), {"last_name": "Miller"}),
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
