"""What the client asks of the past, and how it goes on watching when a stream breaks."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, Final

from authsvc.client.failures import ClientError, translated
from authsvc.v1 import history_pb2 as pb

# Reading much takes longer than deciding.
READ_TIMEOUT_S: Final = 10.0


class HistoryCalls(ABC):
    """Those methods of `AuthorizationClient` that read what is recorded."""

    async def list_transactions(
        self, message: pb.ListTransactionsRequest | None = None, /, *, timeout_s: float = READ_TIMEOUT_S, **fields: Any
    ) -> pb.ListTransactionsResponse:
        """A page of transactions, newest first: give the message, or its fields, times as datetimes with a zone."""
        request = message if message is not None else pb.ListTransactionsRequest(**_zoned(fields))
        response: pb.ListTransactionsResponse = await self._unary("ListTransactions", request, timeout_s)
        return response

    async def explain_transaction(
        self, transaction_id: int = 0, *, request_id: str = "", timeout_s: float = READ_TIMEOUT_S
    ) -> pb.ExplainTransactionResponse:
        """What was answered to a request, with every check. NOT_FOUND for what nobody decided."""
        request = pb.ExplainTransactionRequest(transaction_id=transaction_id, request_id=request_id)
        response: pb.ExplainTransactionResponse = await self._unary("ExplainTransaction", request, timeout_s)
        return response

    async def spend_summary(
        self, message: pb.SpendSummaryRequest | None = None, /, *, timeout_s: float = READ_TIMEOUT_S, **fields: Any
    ) -> pb.SpendSummaryResponse:
        """What an account spent by day or month: as in `list_transactions`. NOT_FOUND for an unknown account."""
        request = message if message is not None else pb.SpendSummaryRequest(**_zoned(fields))
        response: pb.SpendSummaryResponse = await self._unary("SpendSummary", request, timeout_s)
        return response

    async def watch_transactions(
        self, *, account_id: int = 0, account_token: str = "", card_token: str = "", cursor: int | None = None
    ) -> AsyncIterator[pb.RecordedTransaction]:
        """Decisions as they are recorded, in the order of their ids, each once; never ends by itself.

        `cursor` is the id of the last one read (0: from the first on); None: from now on. A stream that breaks, or a
        service that is away, is taken up again where it was.
        """
        request = pb.WatchTransactionsRequest(
            account_id=account_id, account_token=account_token, card_token=card_token, cursor=cursor
        )
        pauses = self._pauses_s()
        while True:
            call = self._watching(request)
            try:
                with translated():
                    async for message in call:
                        pauses = self._pauses_s()
                        for row in message.transactions:
                            yield row
                        request.cursor = message.cursor
            except ClientError as error:
                if error.code != "UNAVAILABLE":
                    raise
            finally:
                call.cancel()
            await asyncio.sleep(next(pauses))

    @abstractmethod
    async def _unary(self, method: str, message: Any, timeout_s: float) -> Any:
        """One call, tried again while the service is away."""

    @abstractmethod
    def _watching(self, request: pb.WatchTransactionsRequest) -> Any:
        """A stream of messages."""

    @abstractmethod
    def _pauses_s(self) -> Iterator[float]:
        """What to wait before trying again."""


def _zoned(fields: dict[str, Any]) -> dict[str, Any]:
    for value in fields.values():
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
    return fields
