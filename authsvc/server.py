"""The gRPC server: its options, its health, its reflection."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from authsvc import codec
from authsvc.settings import Settings
from authsvc.tls import server_credentials_of
from authsvc.v1 import authorization_pb2, history_pb2, identity_pb2, management_pb2, transactions_pb2

_AUTHORIZATION: Final = authorization_pb2.DESCRIPTOR.services_by_name["AuthorizationService"]
_TRANSACTIONS: Final = transactions_pb2.DESCRIPTOR.services_by_name["TransactionService"]
_HISTORY: Final = history_pb2.DESCRIPTOR.services_by_name["HistoryService"]
_IDENTITY: Final = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"]
AUTHORIZATION_SERVICE: Final = _AUTHORIZATION.full_name
TRANSACTION_SERVICE: Final = _TRANSACTIONS.full_name
HISTORY_SERVICE: Final = _HISTORY.full_name
IDENTITY_SERVICE: Final = _IDENTITY.full_name
_MANAGEMENT: Final = tuple(management_pb2.DESCRIPTOR.services_by_name.values())
_DESCRIPTORS: Final = {
    descriptor.full_name: descriptor
    for descriptor in (_AUTHORIZATION, _TRANSACTIONS, _HISTORY, _IDENTITY, *_MANAGEMENT)
}
# By whether the caller streams, and whether the server does.
_KINDS: Final = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
# The empty name stands for the server as a whole.
_HEALTH_NAMES: Final = ("", *_DESCRIPTORS)


class Server:
    """A server that is not serving until it is told so."""

    def __init__(
        self, settings: Settings, servicers: Mapping[str, object], extra: Iterable[grpc.GenericRpcHandler] = ()
    ) -> None:
        """`servicers` by the full names of their services; `extra` handlers run beside them, on the same stack.

        Raises StartupRefused when TLS cannot be had, or must not be done without.
        """
        self._credentials = server_credentials_of(settings)
        self._grpc = grpc.aio.server(
            options=[
                # Workers share the port; the kernel spreads connections over them.
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", settings.message_max_bytes),
                # What is recorded must also be told: an answer is larger than its question, but bounded by it.
                ("grpc.max_send_message_length", -1),
            ]
        )
        own = [
            grpc.method_handlers_generic_handler(name, _methods(_DESCRIPTORS[name], servicer))
            for name, servicer in servicers.items()
        ]
        self._grpc.add_generic_rpc_handlers((*own, *extra))
        self._health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        if settings.reflection:
            reflection.enable_server_reflection(
                (*_HEALTH_NAMES[1:], HEALTH_SERVICE, reflection.SERVICE_NAME), self._grpc
            )
        self._address = f"{settings.host}:{settings.port}"

    async def start(self) -> int:
        """Listen, not yet healthy. Returns the port."""
        if self._credentials is None:
            port = self._grpc.add_insecure_port(self._address)
        else:
            port = self._grpc.add_secure_port(self._address, self._credentials)
        await self.report(healthy=False)
        await self._grpc.start()
        return port

    async def report(self, *, healthy: bool) -> None:
        """What grpc.health.v1 says from now on."""
        status: Any = health_pb2.HealthCheckResponse.SERVING if healthy else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in _HEALTH_NAMES:
            await self._health.set(name, status)

    async def stop(self, grace_s: float) -> None:
        """Take no new calls; those under way have `grace_s` to end."""
        await self._health.enter_graceful_shutdown()
        await self._grpc.stop(grace_s)


def _methods(descriptor: ServiceDescriptor, servicer: object) -> dict[str, Any]:
    """The service's methods by name. The generated way in would answer unreadable bytes with the parser's own words."""
    methods: dict[str, Any] = {}
    for method in descriptor.methods:
        kind = _KINDS[method.client_streaming, method.server_streaming]
        asked, answered = (GetMessageClass(end) for end in (method.input_type, method.output_type))
        methods[method.name] = kind(getattr(servicer, method.name), codec.reader(asked), answered.SerializeToString)
    return methods
