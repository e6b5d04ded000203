"""What the card network says after a decision, and the cards that tests of it need."""

import itertools
from datetime import timedelta
from typing import Any

import asyncpg

from authsvc.v1 import authorization_pb2 as auth
from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1 import types_pb2 as types
from authsvc.v1.transactions_pb2_grpc import TransactionServiceStub
from tests import books
from tests.programs import Card, add_account, add_card, add_profile
from tests.serving import NOON, WAIT_S, Running, request

_numbers = itertools.count(1)
ADVICE, REVERSAL, EXPIRY = pb.EVENT_KIND_ADVICE, pb.EVENT_KIND_REVERSAL, pb.EVENT_KIND_EXPIRY
CLEARING, REFUND, SNAPSHOT = pb.EVENT_KIND_CLEARING, pb.EVENT_KIND_REFUND, pb.EVENT_KIND_SNAPSHOT
PENDING, APPROVED = pb.TRANSACTION_STATUS_PENDING, pb.TRANSACTION_STATUS_APPROVED
DECLINED, SETTLED = pb.TRANSACTION_STATUS_DECLINED, pb.TRANSACTION_STATUS_SETTLED
VOIDED, EXPIRED = pb.TRANSACTION_STATUS_VOIDED, pb.TRANSACTION_STATUS_EXPIRED
RESTAURANT = types.Merchant(mcc="5812", descriptor="A restaurant", country="USA")


class Network:
    """Sends what the card network would."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.stub: Any = TransactionServiceStub(running.channel)

    async def swipe(self, card: Card, amount_minor: int, **changes: Any) -> auth.AuthorizeResponse:
        changes = {"transaction_token": f"txn-{next(_numbers)}", **changes}
        return await self.running.authorize(request(card.token, amount_minor, **changes))

    async def say(self, message: pb.ApplyEventRequest) -> pb.ApplyEventResponse:
        return await self.stub.ApplyEvent(message, timeout=WAIT_S)

    async def say_all(self, *messages: pb.ApplyEventRequest) -> list[pb.ApplyEventResult]:
        answer = await self.stub.BatchApplyEvents(pb.BatchApplyEventsRequest(events=messages), timeout=WAIT_S)
        return list(answer.results)

    async def adjust(self, message: pb.AdjustBalanceRequest) -> pb.AdjustBalanceResponse:
        return await self.stub.AdjustBalance(message, timeout=WAIT_S)

    async def known(self, transaction_id: int) -> pb.Transaction:
        return await self.stub.GetTransaction(pb.GetTransactionRequest(transaction_id=transaction_id), timeout=WAIT_S)

    async def balance_minor(self, card: Card) -> int:
        balance = await self.running.database.fetchval("SELECT balance FROM accounts WHERE id = $1", card.account_id)
        return int(balance * 100)

    def rebuilds(self) -> float:
        """How often counters were started afresh."""
        return self.running.service.metrics.registry.get_sample_value("authsvc_rebuilds_total") or 0.0

    async def drift(self) -> list[str]:
        """Where counters differ from PostgreSQL, once the last reservations are confirmed (with the next batch)."""
        await self.running.authorize(request(amount_minor=0, kind=types.KIND_BALANCE_INQUIRY))
        found = await books.drift(self.running.database, self.running.redis)
        # Reservations of an epoch that is over stay listed until somebody starts the counters afresh.
        return [line for line in found if "pending" not in line]


async def make_card(database: asyncpg.Connection, limit: str = "100.00", balance: str = "1000.00") -> Card:
    account_id = await add_account(database, balance)
    profile_id = await add_profile(database, account_id, limit, "monthly")
    return await add_card(database, account_id, profile_id=profile_id)


def event(
    kind: int, of: auth.AuthorizeResponse | None, amount_minor: int | None = None, **changes: Any
) -> pb.ApplyEventRequest:
    """A message about a transaction, a minute after the last one."""
    number = next(_numbers)
    fields: dict[str, Any] = {
        "event_id": f"event-{number}",
        "kind": kind,
        "amount_minor": amount_minor,
        "currency": "USD",
        "occurred_at": NOON + timedelta(minutes=number),
    }
    if of is not None:
        fields["transaction_id"] = of.transaction_id
    return pb.ApplyEventRequest(**(fields | changes))


def counts(answer: pb.ApplyEventResponse | pb.Transaction) -> tuple[int, int, int, int]:
    return answer.held_minor, answer.settled_minor, answer.credited_minor, answer.status
