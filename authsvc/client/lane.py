"""One connection to the service, and the pauses before a request is tried again."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2_grpc

from authsvc.v1.authorization_pb2_grpc import AuthorizationServiceStub
from authsvc.v1.history_pb2_grpc import HistoryServiceStub
from authsvc.v1.transactions_pb2_grpc import TransactionServiceStub

_PAUSE_MIN_S: Final = 0.05
_PAUSE_MAX_S: Final = 2.0


def pauses_s(chance: Callable[[], float]) -> Iterator[float]:
    """Pauses that double up to a limit, each shortened by chance, so that clients do not come back in step."""
    pause_s = _PAUSE_MIN_S
    while True:
        yield pause_s * (0.5 + chance() / 2)
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)


class Lane:
    """A connection, which opens itself again whenever it breaks. `calls` are the authorizations under way on it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Starts connecting."""
        self.stub: Any = AuthorizationServiceStub(channel)  # type: ignore[no-untyped-call]
        self.transactions: Any = TransactionServiceStub(channel)  # type: ignore[no-untyped-call]
        self.history: Any = HistoryServiceStub(channel)  # type: ignore[no-untyped-call]
        self.health: Any = health_pb2_grpc.HealthStub(channel)
        self.calls = 0
        self._managing: dict[str, Any] = {}
        self._channel = channel
        self.is_connected()

    def method(self, name: str) -> Any:
        """The call of a method, whichever service it is of: their names are all different."""
        for stub in (self.stub, self.transactions, self.history):
            if hasattr(stub, name):
                return getattr(stub, name)
        return self._management(name)

    def _management(self, name: str) -> Any:
        # Sixty calls that a caller who only asks for decisions never needs.
        if not self._managing:
            from authsvc.v1 import management_pb2_grpc as generated  # noqa: PLC0415

            stubs = (getattr(generated, kind) for kind in dir(generated) if kind.endswith("ServiceStub"))
            for stub in stubs:
                self._managing |= vars(stub(self._channel))
        return self._managing[name]

    def is_connected(self) -> bool:
        """Starts connecting when it is not, and nobody has tried yet."""
        return self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY

    async def close(self) -> None:
        """Ends the calls that are open."""
        await self._channel.close()
