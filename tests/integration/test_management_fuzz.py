"""Every method of the management services with random messages: no INTERNAL, and no other account, whatever is sent."""

import random
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from authsvc.v1 import management_pb2 as pb
from tests.desk import CARD_NUMBER, Desk, account, user
from tests.network import Network
from tests.serving import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES: Final = sorted(set(pb.DESCRIPTOR.services_by_name) - {"BulkService"})
ROUNDS: Final = 25
TEXTS: Final = (
    "",
    " ",
    "Travel",
    "5812",
    "3000-3299",
    "x" * 300,
    "\x00",
    "\ud7ff\U0001f4b3",
    "'; DROP TABLE cards; --",
    "a@example.com",
    "USD",
    "US",
    "98101",
    "WA",
    "timezone",
    '"UTC"',
    "{",
    "[[[[",
    "null",
    "1e999",
    "created_at desc",
    CARD_NUMBER,
)
NUMBERS: Final = (0, 1, 2, 3, -1, 7, 100, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ids(network: Network) -> list[int]:
    """Ids that name something, so that messages get past the first check."""
    desk = Desk(network.running.channel)
    made = await desk.create(account())
    holder = await desk.create(user(made.id))
    profile = await desk.create(pb.SpendingProfile(account_id=made.id, name="Fuzz"))
    return [made.id, holder.id, profile.id]


def fill(message: Any, chance: random.Random, ids: list[int]) -> Any:
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.3:
            continue
        if field.message_type is not None:
            inner = getattr(message, field.name)
            fill(inner.add() if field.is_repeated else inner, chance, ids)
        elif field.is_repeated:
            names = [one.name for one in message.DESCRIPTOR.fields] if field.name == "paths" else TEXTS
            getattr(message, field.name).extend(chance.choices(names, k=chance.randrange(3)))
        else:
            setattr(message, field.name, value_of(field, chance, ids))
    return message


def value_of(field: FieldDescriptor, chance: random.Random, ids: list[int]) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return chance.choice(TEXTS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return chance.choice((0, 1, 2, 3, 4, 99))
    numbers = [*NUMBERS, *ids * 4]
    small = field.cpp_type == FieldDescriptor.CPPTYPE_INT32
    return chance.choice([one for one in numbers if not small or abs(one) <= 2**31 - 1])


async def outcome(call: Any) -> tuple[grpc.StatusCode, str]:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("service", SERVICES)
async def test_random_messages_are_answered_or_refused_with_a_reason(
    network: Network, ids: list[int], service: str
) -> None:
    chance = random.Random(service)
    stub = Desk(network.running.channel).stub(service.removesuffix("Service"))
    codes: set[grpc.StatusCode] = set()
    for method in pb.DESCRIPTOR.services_by_name[service].methods:
        for _ in range(ROUNDS):
            message = GetMessageClass(method.input_type)()
            if "Purge" in method.name:
                message.id = chance.choice(NUMBERS[1:7])
            else:
                fill(message, chance, ids)
            if "update_mask" in message.DESCRIPTOR.fields_by_name and chance.random() < 0.8:
                fields = message.DESCRIPTOR.fields[0].message_type.fields
                message.update_mask.paths[:] = [chance.choice(fields).name]
            code, text = await outcome(getattr(stub, method.name)(message, timeout=WAIT_S))
            assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (method.name, message)
            assert code is grpc.StatusCode.OK or (text and "relation" not in text)
            codes.add(code)
    assert grpc.StatusCode.INVALID_ARGUMENT in codes
