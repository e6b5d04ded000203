"""The client itself: what can be asked, when it is tried again, when its caller is told to give up."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from random import SystemRandom
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2

from authsvc.client.departures import Departures
from authsvc.client.failures import ClientError, DeadlineExceeded, error_of, translated
from authsvc.client.history import HistoryCalls
from authsvc.client.lane import Lane, pauses_s
from authsvc.clock import Clock, SystemClock
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import history_pb2
from authsvc.v1 import transactions_pb2 as tx

SERVICE: Final = "authsvc.v1.AuthorizationService"
REQUEST_BYTES_MAX: Final = 1_048_576
TIMEOUT_S: Final = 2.0
_CHANCE: Final = SystemRandom().random
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S: Final = 86_400
_OPTIONS: Final = (
    # Each lane has a connection of its own: workers that share a port are given connections, not calls.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class AuthorizationClient(HistoryCalls):
    """Use it as an asynchronous context manager, in one event loop. All methods may be called concurrently.

    Every method raises `ClientError`, and its kind `DeadlineExceeded` when `timeout_s` seconds have passed. UNAVAILABLE
    is tried again until then; every other status is told at once.
    """

    def __init__(  # noqa: PLR0913 - whom it asks, what it presents, and what it is not to take from the machine
        self,
        target: str,
        *,
        connections: int = 4,
        channel_credentials: grpc.ChannelCredentials | None = None,
        metadata: Sequence[tuple[str, str]] = (),
        server_name: str = "",
        clock: Clock | None = None,
        chance: Callable[[], float] = _CHANCE,
    ) -> None:
        """`target` is HOST:PORT. Without `channel_credentials` the connection is plain. `metadata` goes with each call.

        `server_name` is the name in the service's certificate, where it is not the host of `target`.
        `clock` dates requests that bring no `transacted_at`; `chance` (0 to 1) spreads out reconnections.
        """
        self._target = target
        self._credentials = channel_credentials
        self._options = (*_OPTIONS, ("grpc.ssl_target_name_override", server_name)) if server_name else _OPTIONS
        self._metadata = tuple(metadata)
        self._clock = clock or SystemClock()
        self._chance = chance
        self._connections = connections
        self._lanes: list[Lane] = []
        self._departures = Departures((), ())

    async def __aenter__(self) -> Self:
        """Starts connecting; does not wait for it."""
        self._lanes = [self._new_lane() for _ in range(self._connections)]
        self._departures = Departures(self._lanes, self._metadata)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes every connection. Who still waits for an answer is not told before the timeout."""
        await self._departures.close()
        await asyncio.gather(*(lane.close() for lane in self._lanes))

    async def authorize(
        self, message: pb.AuthorizeRequest | None = None, /, *, timeout_s: float = TIMEOUT_S, **fields: Any
    ) -> pb.AuthorizeResponse:
        """One decision: give the message, or its fields (see `request`). An answer that comes too late is dropped."""
        request = message if message is not None else self.request(**fields)
        size = request.ByteSize()
        if size > REQUEST_BYTES_MAX:
            raise ClientError("RESOURCE_EXHAUSTED", "the request is larger than 1 MiB")
        until_s = asyncio.get_running_loop().time() + timeout_s
        try:
            return await self._departures.ask(request, size, until_s)
        except (ClientError, TimeoutError) as error:
            response: pb.AuthorizeResponse = await self._tried_again(
                lambda: self._departures.ask(request, size, until_s), timeout_s, until_s, error
            )
            return response

    async def simulate(
        self, message: pb.AuthorizeRequest | None = None, /, *, timeout_s: float = TIMEOUT_S, **fields: Any
    ) -> pb.AuthorizeResponse:
        """What `authorize` would answer now, with every check; nothing is reserved or recorded."""
        request = message if message is not None else self.request(**fields)
        response: pb.AuthorizeResponse = await self._unary("Simulate", request, timeout_s)
        return response

    async def batch(
        self, messages: Sequence[pb.AuthorizeRequest], *, timeout_s: float = TIMEOUT_S
    ) -> list[pb.AuthorizeResponse | ClientError]:
        """Up to 1,000 decisions in one call, in the order of the requests; an error stands in its request's place."""
        answer = await self._unary("BatchAuthorize", pb.BatchAuthorizeRequest(requests=messages), timeout_s)
        return [result.response if result.HasField("response") else error_of(result.error) for result in answer.results]

    async def spending_power(
        self, card_token: str, *, at: datetime | None = None, timeout_s: float = TIMEOUT_S
    ) -> pb.GetSpendingPowerResponse:
        """What the card may still spend in the windows that hold `at` (default: now). NOT_FOUND for an unknown card."""
        request = pb.GetSpendingPowerRequest(card_token=card_token, at=None if at is None else _timestamp(at))
        response: pb.GetSpendingPowerResponse = await self._unary("GetSpendingPower", request, timeout_s)
        return response

    async def apply_event(
        self, message: tx.ApplyEventRequest | None = None, /, *, timeout_s: float = TIMEOUT_S, **fields: Any
    ) -> tx.ApplyEventResponse:
        """Tell what the network said about a transaction: give the message, or its fields (see `event`)."""
        request = message if message is not None else self.event(**fields)
        response: tx.ApplyEventResponse = await self._unary("ApplyEvent", request, timeout_s)
        return response

    async def apply_events(
        self, messages: Sequence[tx.ApplyEventRequest], *, timeout_s: float = TIMEOUT_S
    ) -> list[tx.ApplyEventResponse | ClientError]:
        """Up to 1,000 messages in one call, in their order; an error stands in its message's place."""
        answer = await self._unary("BatchApplyEvents", tx.BatchApplyEventsRequest(events=messages), timeout_s)
        return [result.response if result.HasField("response") else error_of(result.error) for result in answer.results]

    async def adjust_balance(self, *, timeout_s: float = TIMEOUT_S, **fields: Any) -> tx.AdjustBalanceResponse:
        """Money in or out of an account, by the fields of the message.

        Left out: `adjustment_id` is a new UUID, `currency` is USD. FAILED_PRECONDITION for a withdrawal that the
        available balance does not cover.
        """
        request = tx.AdjustBalanceRequest(**{"adjustment_id": str(uuid.uuid4()), "currency": "USD"} | fields)
        response: tx.AdjustBalanceResponse = await self._unary("AdjustBalance", request, timeout_s)
        return response

    async def transaction(
        self, transaction_id: int = 0, *, transaction_token: str = "", timeout_s: float = TIMEOUT_S
    ) -> tx.Transaction:
        """What a transaction counts now, by its id or by the network's token. NOT_FOUND for an unknown one."""
        request = tx.GetTransactionRequest(transaction_id=transaction_id, transaction_token=transaction_token)
        response: tx.Transaction = await self._unary("GetTransaction", request, timeout_s)
        return response

    async def manage(self, method: str, message: Message, *, timeout_s: float = TIMEOUT_S) -> Any:
        """A call of one of the management services, by the name of its method: `manage("GetCard", …)`.

        Those that create are tried once only: UNAVAILABLE may mean that it was done.
        """
        if method.startswith("Create"):
            until_s = asyncio.get_running_loop().time() + timeout_s
            return await self._call_once(method, message, until_s)
        return await self._unary(method, message, timeout_s)

    async def manage_stream(self, method: str, asked: Any, *, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Any]:
        """As `manage`, for methods that answer with a stream; `asked` may be one as well. Tried once only."""
        lane = self._least_busy(self._lanes)
        with translated():
            async for told in lane.method(method)(asked, timeout=timeout_s, metadata=self._metadata):
                yield told

    async def health(self, service: str = SERVICE, *, timeout_s: float = TIMEOUT_S) -> str:
        """What grpc.health.v1 says of the service: SERVING or NOT_SERVING. Asked once: a refusal is told at once."""
        with translated():
            answer = await self._least_busy(self._lanes).health.Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout_s, metadata=self._metadata
            )
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def request(self, **fields: Any) -> pb.AuthorizeRequest:
        """A message from its fields, nested ones as dictionaries, values of enumerations by name or number.

        Left out: `request_id` is a new UUID, `transacted_at` (a datetime with a zone, or a timestamp's fields) is now,
        `kind` is KIND_AUTHORIZATION, `currency` is USD.
        """
        at = fields.get("transacted_at")
        if at is None or isinstance(at, datetime):
            fields["transacted_at"] = self._stamp(at)
        if "request_id" not in fields:
            fields["request_id"] = str(uuid.uuid4())
        fields.setdefault("kind", "KIND_AUTHORIZATION")
        fields.setdefault("currency", "USD")
        return pb.AuthorizeRequest(**fields)

    def event(self, **fields: Any) -> tx.ApplyEventRequest:
        """A message about a transaction from its fields, as in `request`.

        Left out: `event_id` is a new UUID, `occurred_at` (a datetime with a zone) is now, `currency` is USD.
        """
        stamp = self._stamp(fields.pop("occurred_at", None))
        return tx.ApplyEventRequest(occurred_at=stamp, **{"event_id": str(uuid.uuid4()), "currency": "USD"} | fields)

    def request_from_json(self, text: str | bytes) -> pb.AuthorizeRequest:
        """A message from its JSON form (protobuf's mapping); what is left out is as in `request`."""
        try:
            return json_format.Parse(text, self.request())
        except json_format.ParseError as error:
            raise ClientError("INVALID_ARGUMENT", str(error)) from error

    def _stamp(self, at: datetime | None) -> Timestamp:
        if at is not None:
            return _timestamp(at)
        stamp = Timestamp()
        stamp.FromMicroseconds(self._clock.now_us())
        return stamp

    def _new_lane(self) -> "Lane":
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(self._target, self._options)
        else:
            channel = grpc.aio.secure_channel(self._target, self._credentials, self._options)
        return Lane(channel)

    async def _unary(self, method: str, message: Message, timeout_s: float) -> Any:
        until_s = asyncio.get_running_loop().time() + timeout_s
        try:
            return await self._call_once(method, message, until_s)
        except (ClientError, TimeoutError) as error:
            return await self._tried_again(lambda: self._call_once(method, message, until_s), timeout_s, until_s, error)

    async def _tried_again(
        self, attempt: Callable[[], Awaitable[Any]], timeout_s: float, until_s: float, error: ClientError | TimeoutError
    ) -> Any:
        """Attempts after the first, which failed so, one after the other until one gets an answer or the time is over.

        An attempt raises TimeoutError at `until_s`, by the loop's clock.
        """
        last: ClientError | None = None
        pauses = pauses_s(self._chance)
        while not isinstance(error, TimeoutError):
            if error.code != "UNAVAILABLE":
                raise error
            last = error
            try:
                async with asyncio.timeout_at(until_s):
                    await asyncio.sleep(next(pauses))
                return await attempt()
            except (ClientError, TimeoutError) as again:
                error = again
        before = f"; before that, {last}" if last is not None else ""
        raise DeadlineExceeded(f"no answer from {self._target} within {timeout_s:g} s{before}") from last

    async def _call_once(self, method: str, message: Message, until_s: float) -> Any:
        lane = self._least_busy(self._lanes)
        left_s = until_s - asyncio.get_running_loop().time()
        async with asyncio.timeout_at(until_s):
            with translated():
                return await lane.method(method)(message, timeout=left_s, metadata=self._metadata)

    def _watching(self, request: history_pb2.WatchTransactionsRequest) -> Any:
        return self._least_busy(self._lanes).history.WatchTransactions(request, metadata=self._metadata)

    def _pauses_s(self) -> Iterator[float]:
        return pauses_s(self._chance)

    @staticmethod
    def _least_busy(lanes: "Sequence[Lane]") -> "Lane":
        return min(lanes, key=lambda lane: lane.calls)


def to_dict(message: Message) -> dict[str, Any]:
    """A message as JSON-ready values, fields named as in the contract; those that are not set are left out."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _timestamp(at: datetime) -> Timestamp:
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    since = at - _EPOCH
    return Timestamp(seconds=since.days * _DAY_S + since.seconds, nanos=since.microseconds * 1_000)
