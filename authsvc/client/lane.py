"""One stream to the service, and the requests that wait for their answers on it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2_grpc

from authsvc.client.failures import ClientError, translated
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1.authorization_pb2_grpc import AuthorizationServiceStub
from authsvc.v1.history_pb2_grpc import HistoryServiceStub
from authsvc.v1.transactions_pb2_grpc import TransactionServiceStub

# The server will say the same the next time: nothing is gained by trying again.
_LASTING: Final = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"})
_PAUSE_MIN_S: Final = 0.05
_PAUSE_MAX_S: Final = 2.0


def pauses_s(chance: Callable[[], float]) -> Iterator[float]:
    """Pauses that double up to a limit, each shortened by chance, so that clients do not come back in step."""
    pause_s = _PAUSE_MIN_S
    while True:
        yield pause_s * (0.5 + chance() / 2)
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)


class Lane:
    """One connection with one stream on it, opened again whenever it breaks."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        metadata: Sequence[tuple[str, str]],
        chance: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called after `is_open` has changed."""
        self.stub: Any = AuthorizationServiceStub(channel)  # type: ignore[no-untyped-call]
        self.transactions: Any = TransactionServiceStub(channel)  # type: ignore[no-untyped-call]
        self.history: Any = HistoryServiceStub(channel)  # type: ignore[no-untyped-call]
        self.health: Any = health_pb2_grpc.HealthStub(channel)
        self.is_open = False
        # An entry whose caller has given up stays until its answer comes, so that nobody else is given that answer.
        self.waiting: dict[str, asyncio.Future[pb.AuthorizeResult]] = {}
        self._channel = channel
        self._metadata = metadata
        self._chance = chance
        self._pauses = pauses_s(chance)
        self._changed = changed
        self._outbox: asyncio.Queue[tuple[pb.AuthorizeRequest, asyncio.Future[pb.AuthorizeResult]]] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._keep_open())

    async def ask(self, request: pb.AuthorizeRequest) -> pb.AuthorizeResult:
        """Raises ClientError UNAVAILABLE when the stream breaks: the request may have been decided or not."""
        future: asyncio.Future[pb.AuthorizeResult] = asyncio.get_running_loop().create_future()
        self.waiting[request.request_id] = future
        self._outbox.put_nowait((request, future))
        return await future

    async def close(self) -> None:
        """Close the connection."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._channel.close()

    async def _keep_open(self) -> None:
        while True:
            # The channel connects by itself, again and again, with growing pauses.
            await self._channel.channel_ready()
            call = self.stub.AuthorizeStream(metadata=self._metadata)
            writer = self._open(call)
            error = ClientError("UNAVAILABLE", "the server ended the stream")
            try:
                with translated():
                    await self._read(call)
            except ClientError as broken:
                error = broken if broken.code in _LASTING else ClientError("UNAVAILABLE", str(broken))
            finally:
                writer.cancel()
                call.cancel()
                await asyncio.gather(writer, return_exceptions=True)
                self._give_up(error)
            await asyncio.sleep(next(self._pauses))

    def _open(self, call: Any) -> asyncio.Task[None]:
        self._outbox = asyncio.Queue()
        self.is_open = True
        self._changed()
        return asyncio.get_running_loop().create_task(self._write(call))

    def _give_up(self, error: ClientError) -> None:
        self.is_open = False
        self._changed()
        waiting, self.waiting = self.waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(ClientError(error.code, error.message))

    async def _write(self, call: Any) -> None:
        outbox = self._outbox
        while True:
            request, future = await outbox.get()
            if future.done():
                # Its caller has given up before it was sent.
                del self.waiting[request.request_id]
            else:
                await call.write(request)

    async def _read(self, call: Any) -> None:
        """Until the stream ends in order."""
        first = True
        while (answers := await call.read()) is not grpc.aio.EOF:
            if first:
                self._pauses, first = pauses_s(self._chance), False
            for result in answers.results:
                future = self.waiting.pop(result.request_id, None)
                if future is not None and not future.done():
                    future.set_result(result)
