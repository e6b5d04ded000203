"""Every method of the management services with random messages: none of them is answered with INTERNAL."""

import random
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from authsvc.v1 import management_pb2 as pb
from tests.desk import Desk, account, user
from tests.network import Network
from tests.random_messages import message_for
from tests.serving import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES: Final = sorted(set(pb.DESCRIPTOR.services_by_name) - {"BulkService"})
ROUNDS: Final = 25


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ids(network: Network) -> list[int]:
    """Ids that name something, so that messages get past the first check."""
    desk = Desk(network.running.channel)
    made = await desk.create(account())
    holder = await desk.create(user(made.id))
    profile = await desk.create(pb.SpendingProfile(account_id=made.id, name="Fuzz"))
    return [made.id, holder.id, profile.id]


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
            message = message_for(method, chance, ids)
            code, text = await outcome(getattr(stub, method.name)(message, timeout=WAIT_S))
            assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (method.name, message)
            assert code is grpc.StatusCode.OK or (text and "relation" not in text)
            codes.add(code)
    assert grpc.StatusCode.INVALID_ARGUMENT in codes
