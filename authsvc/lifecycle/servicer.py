"""The gRPC methods of TransactionService."""

from typing import Any

from authsvc.clock import Clock
from authsvc.codec import BATCH_MAX
from authsvc.errors import AuthsvcError, InvalidRequest
from authsvc.guard import Guarded, guarded, write_error
from authsvc.lifecycle import codec
from authsvc.lifecycle.apply import Lifecycle
from authsvc.lifecycle.messages import Applied, Message
from authsvc.metrics import Metrics
from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1.transactions_pb2_grpc import TransactionServiceServicer


class TransactionServicer(TransactionServiceServicer, Guarded):
    """Holds no state."""

    def __init__(self, lifecycle: Lifecycle, clock: Clock, metrics: Metrics) -> None:
        """The use case, the time, and whom errors are told."""
        self._lifecycle = lifecycle
        self._clock = clock
        self.metrics = metrics

    @guarded
    async def ApplyEvent(self, message: pb.ApplyEventRequest, _: Any) -> pb.ApplyEventResponse:  # noqa: N802 - gRPC's
        """One message."""
        asked = codec.message_of(message, self._clock.now_us())
        (outcome,) = await self._lifecycle.apply([asked])
        if isinstance(outcome, AuthsvcError):
            raise outcome
        response = pb.ApplyEventResponse()
        codec.write_applied(response, message.event_id, outcome)
        return response

    @guarded
    async def BatchApplyEvents(  # noqa: N802 - gRPC's
        self, message: pb.BatchApplyEventsRequest, _: Any
    ) -> pb.BatchApplyEventsResponse:
        """Up to 1,000 messages, one commit; each answer on its own, order kept."""
        if not 0 < len(message.events) <= BATCH_MAX:
            raise InvalidRequest("events", f"must hold 1 to {BATCH_MAX} messages")
        now_us = self._clock.now_us()
        asked: list[Message | AuthsvcError] = [_read(event, now_us) for event in message.events]
        outcomes = iter(await self._lifecycle.apply([one for one in asked if isinstance(one, Message)]))
        response = pb.BatchApplyEventsResponse()
        for event, one in zip(message.events, asked, strict=True):
            outcome: Applied | AuthsvcError = one if isinstance(one, AuthsvcError) else next(outcomes)
            result = response.results.add(event_id=event.event_id)
            if isinstance(outcome, Applied):
                codec.write_applied(result.response, event.event_id, outcome)
            else:
                self.metrics.refused(write_error(result.error, outcome))
        return response

    @guarded
    async def GetTransaction(self, message: pb.GetTransactionRequest, _: Any) -> pb.Transaction:  # noqa: N802 - gRPC's
        """What a transaction counts now."""
        return codec.transaction_of(await self._lifecycle.transaction(*codec.target_of(message)))


def _read(message: pb.ApplyEventRequest, now_us: int) -> Message | AuthsvcError:
    try:
        return codec.message_of(message, now_us)
    except AuthsvcError as error:
        return error
