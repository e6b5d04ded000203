"""Callers of the service, as careful ones are: whoever gets no answer asks again with the same request id."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authsvc.client import AuthorizationClient, ClientError
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from authsvc.v1.authorization_pb2_grpc import AuthorizationServiceStub
from tests.service import Service
from tests.waiting import pause, until_clear

AT: Final = datetime(2025, 3, 15, 12, 0, tzinfo=UTC)
GIVE_UP_S: Final = 60.0
_CALL_TIMEOUT_S: Final = 5.0
_RETRY_PAUSE_S: Final = 0.05
_CONNECTIONS_MAX: Final = 64
_RETRIED: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"})
_OPTIONS: Final = (
    # A connection for each channel: otherwise all of them would share one, and with it one worker.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)
_numbers: Final = itertools.count(1)


def request(
    card_token: str, amount_minor: int, *, at: datetime = AT, mcc: str = "5812", **fields: Any
) -> pb.AuthorizeRequest:
    """A purchase with a request id of its own."""
    stamp = Timestamp()
    stamp.FromDatetime(at)
    given = {"request_id": f"request-{next(_numbers)}", "kind": types.KIND_AUTHORIZATION, "currency": "USD"} | fields
    return pb.AuthorizeRequest(
        card_token=card_token,
        amount_minor=amount_minor,
        transacted_at=stamp,
        merchant=types.Merchant(mcc=mcc),
        **given,
    )


class Callers:
    """Connections to every worker of a service, and a streaming client beside them."""

    def __init__(self, service: Service) -> None:
        """`service` runs."""
        self._service = service
        self._stack = AsyncExitStack()
        self._channels: list[grpc.aio.Channel] = []
        self.stubs: list[Any] = []
        self.health_stubs: list[Any] = []
        self._client: AuthorizationClient | None = None
        self.retries = 0

    async def __aenter__(self) -> Self:
        """Connects until every worker has two connections; the kernel chooses who gets which."""
        while not self._every_worker_is_connected():
            assert len(self._channels) < _CONNECTIONS_MAX, "the kernel gives one worker all the connections"
            channel = await self._stack.enter_async_context(grpc.aio.insecure_channel(self._service.address, _OPTIONS))
            await channel.channel_ready()
            self._channels.append(channel)
            self.stubs.append(AuthorizationServiceStub(channel))
            self.health_stubs.append(health_pb2_grpc.HealthStub(channel))
        self._client = await self._stack.enter_async_context(AuthorizationClient(self._service.address))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes everything."""
        await self._stack.aclose()

    def _every_worker_is_connected(self) -> bool:
        if len(self._channels) < 4:
            return False
        return all(self._service.connections_of(worker) >= 2 for worker in self._service.workers())

    async def ask(self, message: pb.AuthorizeRequest, lane: int = 0) -> pb.AuthorizeResponse:
        """The answer, however often one has to ask. Odd lanes are streams. Fails on any status but "try again"."""
        async with asyncio.timeout(GIVE_UP_S):
            for attempt in itertools.count(lane):
                code, answer = await (self._stream(message) if lane % 2 else self._unary(message, attempt // 2))
                if answer is not None:
                    return answer
                assert code in _RETRIED, f"{message.request_id} got {code}"
                self.retries += 1
                await pause(_RETRY_PAUSE_S)
        raise AssertionError("unreachable")

    async def _unary(self, message: pb.AuthorizeRequest, lane: int) -> tuple[str, pb.AuthorizeResponse | None]:
        stub = self.stubs[lane % len(self.stubs)]
        try:
            return "OK", await stub.Authorize(message, timeout=_CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return error.code().name, None

    async def _stream(self, message: pb.AuthorizeRequest) -> tuple[str, pb.AuthorizeResponse | None]:
        assert self._client is not None
        try:
            return "OK", await self._client.authorize(message, timeout_s=_CALL_TIMEOUT_S)
        except ClientError as error:
            return error.code, None

    async def at_once(self, messages: Sequence[pb.AuthorizeRequest]) -> list[pb.AuthorizeResponse]:
        """All of them at the same time, spread over the connections. Answers in the order of the requests."""
        return list(await asyncio.gather(*(self.ask(message, lane) for lane, message in enumerate(messages))))

    async def load(
        self,
        messages: Iterable[pb.AuthorizeRequest],
        happens: Mapping[int, Callable[[], Awaitable[None]]],
        *,
        concurrent: int = 48,
    ) -> list[pb.AuthorizeResponse]:
        """Sends everything, `concurrent` at a time. After so many answers a thing `happens`, while the load goes on.

        One thing after the other: the next one waits until the one before it is over.
        """
        answers: dict[int, pb.AuthorizeResponse] = {}
        waiting = iter(enumerate(messages))
        answered = 0
        turn = asyncio.Lock()

        async def happen(thing: Callable[[], Awaitable[None]]) -> None:
            async with turn:
                await thing()

        async with asyncio.TaskGroup() as group:

            async def caller(lane: int) -> None:
                nonlocal answered
                for position, message in waiting:
                    answers[position] = await self.ask(message, lane)
                    answered += 1
                    if answered in happens:
                        group.create_task(happen(happens[answered]))

            for lane in range(concurrent):
                group.create_task(caller(lane))
        return [answer for _, answer in sorted(answers.items())]

    async def until_health_is(self, name: str, within_s: float = 30.0) -> None:
        """Waits until every worker says so."""

        async def others() -> list[str]:
            said = [await self._health(stub) for stub in self.health_stubs]
            return [status for status in said if status != name]

        await until_clear(others, within_s)

    @staticmethod
    async def _health(stub: Any) -> str:
        try:
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(service="authsvc.v1.AuthorizationService"), timeout=5.0
            )
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def told(answer: pb.AuthorizeResponse) -> tuple[object, ...]:
    """What an answer says, apart from how it came about."""
    return (
        answer.decision,
        answer.reason,
        answer.approved_minor,
        answer.transaction_id,
        answer.balance_minor,
        answer.available_balance_minor,
        answer.config_version,
    )
