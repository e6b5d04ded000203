"""The gRPC methods of TransactionService."""

import asyncio
from collections.abc import Sequence
from typing import Any

from authsvc.clock import Clock
from authsvc.codec import BATCH_MAX
from authsvc.errors import AuthsvcError, InvalidRequest
from authsvc.guard import Context, Guarded, guarded, write_error
from authsvc.lifecycle import codec
from authsvc.lifecycle.apply import Lifecycle
from authsvc.lifecycle.funding import FundingLedger
from authsvc.lifecycle.increments import Increments
from authsvc.lifecycle.messages import Message
from authsvc.metrics import Metrics
from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1.transactions_pb2_grpc import TransactionServiceServicer

# Decided beside each other, but not so many that they fill the queue for everybody else.
_INCREMENTS_AT_ONCE = 64


class TransactionServicer(TransactionServiceServicer, Guarded):
    """Holds no state."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        increments: Increments,
        funding: FundingLedger,
        clock: Clock,
        metrics: Metrics,
        *,
        default_deadline_ms: int,
    ) -> None:
        """`default_deadline_ms` is for increments that bring no deadline."""
        self._lifecycle = lifecycle
        self._increments = increments
        self._funding = funding
        self._clock = clock
        self.metrics = metrics
        self._default_deadline_s = default_deadline_ms / 1000

    @guarded
    async def ApplyEvent(self, message: pb.ApplyEventRequest, context: Context) -> pb.ApplyEventResponse:  # noqa: N802 - gRPC's
        """One message."""
        response = pb.ApplyEventResponse()
        if codec.is_increment(message):
            await self._decide(message, response, self._deadline_s(context))
            return response
        (outcome,) = await self._lifecycle.apply([codec.message_of(message, self._clock.now_us())])
        if isinstance(outcome, AuthsvcError):
            raise outcome
        codec.write_applied(response, message.event_id, outcome)
        return response

    @guarded
    async def BatchApplyEvents(  # noqa: N802 - gRPC's
        self, message: pb.BatchApplyEventsRequest, context: Context
    ) -> pb.BatchApplyEventsResponse:
        """Up to 1,000 messages, one commit; each answer on its own, order kept. Increments are decided beside them."""
        if not 0 < len(message.events) <= BATCH_MAX:
            raise InvalidRequest("events", f"must hold 1 to {BATCH_MAX} messages")
        response = pb.BatchApplyEventsResponse()
        results = [response.results.add(event_id=event.event_id) for event in message.events]
        pairs = list(zip(message.events, results, strict=True))
        increments = [(event, result) for event, result in pairs if codec.is_increment(event)]
        await asyncio.gather(
            self._apply_all([(event, result) for event, result in pairs if not codec.is_increment(event)]),
            self._decide_all(increments, self._deadline_s(context)),
        )
        return response

    @guarded
    async def AdjustBalance(self, message: pb.AdjustBalanceRequest, _: Any) -> pb.AdjustBalanceResponse:  # noqa: N802 - gRPC's
        """Funding in, withdrawal out."""
        adjusted = await self._funding.adjust(codec.adjustment_of(message))
        return codec.adjusted_of(message.adjustment_id, adjusted)

    @guarded
    async def GetTransaction(self, message: pb.GetTransactionRequest, _: Any) -> pb.Transaction:  # noqa: N802 - gRPC's
        """What a transaction counts now."""
        return codec.transaction_of(await self._lifecycle.transaction(*codec.target_of(message)))

    # --- what they share ----------------------------------------------------------------------------------------

    async def _apply_all(self, pairs: Sequence[tuple[pb.ApplyEventRequest, pb.ApplyEventResult]]) -> None:
        now_us = self._clock.now_us()
        asked: list[tuple[Message, pb.ApplyEventResult]] = []
        for event, result in pairs:
            try:
                asked.append((codec.message_of(event, now_us), result))
            except AuthsvcError as error:
                self.metrics.refused(write_error(result.error, error))
        if not asked:
            return
        outcomes = await self._lifecycle.apply([message for message, _ in asked])
        for (_, result), outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, AuthsvcError):
                self.metrics.refused(write_error(result.error, outcome))
            else:
                codec.write_applied(result.response, result.event_id, outcome)

    async def _decide_all(
        self, pairs: Sequence[tuple[pb.ApplyEventRequest, pb.ApplyEventResult]], deadline_s: float
    ) -> None:
        turn = asyncio.Semaphore(_INCREMENTS_AT_ONCE)

        async def one(event: pb.ApplyEventRequest, result: pb.ApplyEventResult) -> None:
            async with turn:
                try:
                    await self._decide(event, result.response, deadline_s)
                except AuthsvcError as error:
                    self.metrics.refused(write_error(result.error, error))

        await asyncio.gather(*(one(event, result) for event, result in pairs))

    async def _decide(self, message: pb.ApplyEventRequest, response: pb.ApplyEventResponse, deadline_s: float) -> None:
        started_s = self._clock.monotonic_s()
        increment = codec.increment_of(message, self._clock.now_us())
        applied, answer = await self._increments.apply(increment, deadline_s)
        elapsed_s = self._clock.monotonic_s() - started_s
        self.metrics.decided(answer.decision, answer.reason, elapsed_s, replayed=answer.replayed)
        codec.write_decided(response, message.event_id, applied, answer)

    def _deadline_s(self, context: Context) -> float:
        remaining_s: float | None = context.time_remaining()
        return self._clock.monotonic_s() + (self._default_deadline_s if remaining_s is None else remaining_s)
