"""The network's later messages as a load: of each transaction, most of the hold is cleared and the rest reversed."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from authsvc.v1 import transactions_pb2 as tx
from bench.lanes import Tally
from bench.traffic import DIGITS

APPLIED: Final = 1
_APPROVED = """
SELECT lithic_transaction_token, held_minor FROM transactions WHERE starts_with(request_id, $1) AND held_minor > 1
ORDER BY account_id, id
"""


async def approved(database_url: str, prefix: str) -> list[tuple[str, int]]:
    """The transactions of a run that hold something, by account: the network's token, and the hold in minor units."""
    connection = await asyncpg.connect(database_url)
    try:
        return [tuple(record) for record in await connection.fetch(_APPROVED, prefix)]
    finally:
        await connection.close()


def serialised(transactions: Sequence[tuple[str, int]], run: str, transacted_at_us: int) -> list[bytes]:
    """ApplyEventRequests: first the clearings, then the reversals; the ids are `run` and the place in the list."""
    messages: list[bytes] = []
    for later_us, kind in ((1_000, tx.EVENT_KIND_CLEARING), (2_000, tx.EVENT_KIND_REVERSAL)):
        for token, held_minor in transactions:
            message = tx.ApplyEventRequest(
                event_id=f"{run}-{len(messages):0{DIGITS}}", kind=kind, transaction_token=token, currency="USD"
            )
            if kind == tx.EVENT_KIND_CLEARING:
                message.amount_minor = max(1, held_minor * 3 // 4)
            message.occurred_at.FromMicroseconds(transacted_at_us + later_us)
            messages.append(message.SerializeToString())
    return messages


def read_response(data: bytes, start: int, stop: int, tally: Tally) -> None:
    """Counts an ApplyEventResponse. A message that was applied before would measure nothing: an error."""
    _count(tx.ApplyEventResponse.FromString(data[start:stop]), tally)


def read_results(data: bytes, start: int, stop: int, tally: Tally) -> None:
    """Counts every ApplyEventResult of a BatchApplyEventsResponse."""
    for result in tx.BatchApplyEventsResponse.FromString(data[start:stop]).results:
        if result.HasField("error"):
            tally.errors[f"status {result.error.code} {result.error.message}"] += 1
        else:
            _count(result.response, tally)


def _count(response: tx.ApplyEventResponse, tally: Tally) -> None:
    if response.replayed:
        tally.errors["applied before"] += 1
    else:
        tally.decisions[APPLIED] += 1
