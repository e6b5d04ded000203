"""The gRPC methods of the management services. All resources are served alike."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from google.protobuf.message import Message

from authsvc.guard import Context, Guarded, guarded
from authsvc.identity.shapes import Caller
from authsvc.management import codec
from authsvc.management.describe import describe
from authsvc.management.manage import Management
from authsvc.management.resources import RESOURCES, Resource
from authsvc.metrics import Metrics
from authsvc.v1 import management_pb2 as pb


class Callers(Protocol):
    """Finds out who calls."""

    def caller_of(self, context: Context) -> Awaitable[Caller]:
        """Raises `Unauthenticated`."""


class ResourceServicer(Guarded):
    """One resource's service: CreateCard, GetCard, ListCards and so on."""

    def __init__(self, resource: Resource, management: Management, callers: Callers, metrics: Metrics) -> None:
        """What is served, the use case, who calls, and whom errors are told."""
        self.metrics = metrics
        self._resource = resource
        self._management = management
        self._callers = callers
        name = resource.name
        self.__dict__ |= {
            f"Create{name}": self.create,
            f"Get{name}": self.get,
            f"List{resource.plural}": self.page,
            f"Update{name}": self.update,
            f"Delete{name}": self.delete,
            f"Restore{name}": self.restore,
            f"Purge{name}": self.purge,
        }

    @guarded
    async def create(self, message: Any, context: Context) -> Message:
        """A new one."""
        caller = await self._callers.caller_of(context)
        values = codec.created_of(self._resource, message)
        return codec.told_of(self._resource, await self._management.create(caller, self._resource, values))

    @guarded
    async def get(self, message: pb.GetResourceRequest, context: Context) -> Message:
        """One."""
        caller = await self._callers.caller_of(context)
        record_id = codec.record_id_of(message)
        told = await self._management.get(caller, self._resource, record_id, show_deleted=message.show_deleted)
        return codec.told_of(self._resource, told)

    @guarded
    async def page(self, message: Any, context: Context) -> Message:
        """Some of them."""
        caller = await self._callers.caller_of(context)
        listing = codec.listing_of(self._resource, message)
        return codec.page_of(self._resource, listing, await self._management.page(caller, self._resource, listing))

    @guarded
    async def update(self, message: Any, context: Context) -> Message:
        """Another state of one."""
        caller = await self._callers.caller_of(context)
        record_id, values, row_version = codec.changed_of(self._resource, message)
        told = await self._management.update(caller, self._resource, record_id, values, row_version)
        return codec.told_of(self._resource, told)

    @guarded
    async def delete(self, message: pb.DeleteResourceRequest, context: Context) -> Message:
        """Out of use."""
        caller = await self._callers.caller_of(context)
        record_id, row_version = codec.record_id_of(message), codec.row_version_of(message.etag)
        return codec.told_of(
            self._resource, await self._management.delete(caller, self._resource, record_id, row_version)
        )

    @guarded
    async def restore(self, message: pb.RestoreResourceRequest, context: Context) -> Message:
        """In use again."""
        caller = await self._callers.caller_of(context)
        told = await self._management.restore(caller, self._resource, codec.record_id_of(message))
        return codec.told_of(self._resource, told)

    @guarded
    async def purge(self, message: pb.PurgeResourceRequest, context: Context) -> pb.PurgeResourceResponse:
        """Gone."""
        caller = await self._callers.caller_of(context)
        await self._management.purge(caller, self._resource, codec.record_id_of(message))
        return pb.PurgeResourceResponse()

    @guarded
    async def ListSettingKeys(  # noqa: N802 - gRPC's
        self, _: pb.ListSettingKeysRequest, context: Context
    ) -> pb.ListSettingKeysResponse:
        """The registry of settings."""
        caller = await self._callers.caller_of(context)
        return codec.setting_keys_of(await self._management.setting_keys(caller))

    @guarded
    async def DescribeProfile(  # noqa: N802 - gRPC's
        self, message: pb.GetResourceRequest, context: Context
    ) -> pb.DescribeProfileResponse:
        """A profile in words."""
        caller = await self._callers.caller_of(context)
        described = await self._management.profile_in_full(caller, codec.record_id_of(message))
        return pb.DescribeProfileResponse(
            sentences=describe(described), warnings=codec.problems_of(described.told.warnings)
        )


def resource_servicers(management: Management, callers: Callers, metrics: Metrics) -> Mapping[str, object]:
    """All of them, by the full names of their services."""
    services = pb.DESCRIPTOR.services_by_name
    return {
        services[f"{resource.name}Service"].full_name: ResourceServicer(resource, management, callers, metrics)
        for resource in RESOURCES
    }
