"""The gRPC methods of HistoryService."""

import asyncio
from typing import Any

from authsvc.clock import Clock
from authsvc.errors import InvalidRequest, NotFound
from authsvc.guard import Context, Guarded, guarded
from authsvc.history import codec
from authsvc.history.shapes import History, Page, Span
from authsvc.history.watch import Watch
from authsvc.metrics import Metrics
from authsvc.v1 import history_pb2 as pb
from authsvc.v1.history_pb2_grpc import HistoryServiceServicer


class HistoryServicer(HistoryServiceServicer, Guarded):
    """Holds no state but who watches."""

    def __init__(self, history: History, clock: Clock, metrics: Metrics, *, watchers_max: int) -> None:
        """What is read, the time, and whom errors are told."""
        self._history = history
        self._clock = clock
        self.metrics = metrics
        self._watch = Watch(history, metrics.failed, watchers_max=watchers_max)

    @guarded
    async def ListTransactions(  # noqa: N802 - gRPC's
        self, message: pb.ListTransactionsRequest, _: Any
    ) -> pb.ListTransactionsResponse:
        """A page."""
        asked = codec.listing_of(message, self._clock.now_us())
        return codec.page_of(asked, await self._history.page(asked.wanted, asked.after, asked.size + 1))

    @guarded
    async def ExplainTransaction(  # noqa: N802 - gRPC's
        self, message: pb.ExplainTransactionRequest, _: Any
    ) -> pb.ExplainTransactionResponse:
        """What was answered."""
        remembered = await self._history.remembered(*codec.decision_of(message))
        if remembered is None:
            raise NotFound("no such transaction")
        return codec.explanation_of(remembered)

    @guarded
    async def SpendSummary(self, message: pb.SpendSummaryRequest, _: Any) -> pb.SpendSummaryResponse:  # noqa: N802 - gRPC's
        """What it adds up to."""
        asked = codec.summing_of(message, self._clock.now_us())
        holder = await self._history.holder(asked.account_id, asked.account_token)
        if holder is None:
            raise NotFound("no such account")
        # Ten thousand days take half a second to find: decisions must not wait for it.
        starts_us = await asyncio.to_thread(codec.buckets_of, asked, holder.timezone)
        span = Span(holder.account_id, asked.start_us, asked.end_us)
        sums = await self._history.sums(span, starts_us, asked.by, codec.SUMS_MAX + 1)
        if len(sums) > codec.SUMS_MAX:
            raise InvalidRequest("start_time", f"asks for more than {codec.SUMS_MAX:,} rows: ask for a smaller span")
        return codec.summary_of(holder, starts_us, sums)

    @guarded
    async def WatchTransactions(self, message: pb.WatchTransactionsRequest, context: Context) -> None:  # noqa: N802 - gRPC's
        """Decisions as they are recorded."""
        cursor = codec.cursor_of(message)
        scope = await self._history.scope(codec.whose_of(message))

        async def tell(page: Page) -> None:
            await context.write(codec.told_of(page))

        await self._watch.serve(scope, cursor, tell)

    def drain(self) -> None:
        """Streams end."""
        self._watch.drain()
