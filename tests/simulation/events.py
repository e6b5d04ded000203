"""A stand-in for what PostgreSQL keeps of the network's messages: `authsvc/ledger/events.py`, in memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from authsvc.errors import AuthsvcError, EventIdReused, NotFound, OutcomeUnknown, Unavailable
from authsvc.lifecycle.messages import Application, Applied, Message, Opened, Overdue, Told
from authsvc.lifecycle.transaction import CardTransaction, Part, Terms, decision_of
from authsvc.ports import Turn
from rules.lifecycle import Event, State, Status
from rules.refunds import RefundPolicy
from tests.simulation.postgres import PostgresServer, TransactionRow
from tests.simulation.wire import AnswerLost, NotDelivered, Wire

T = TypeVar("T")


class EventTables:
    """The messages of one server. Every method is one transaction."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.known: dict[str, tuple[bytes, Applied]] = {}
        self.events: dict[int, list[Event]] = {}

    def apply(self, messages: Sequence[Message]) -> Application:
        moves: dict[int, dict[str, int]] = {}
        outcomes = [self._apply_one(message, moves) for message in messages]
        return Application(outcomes, [self._turn(account_id, changes) for account_id, changes in moves.items()])

    def _apply_one(self, message: Message, moves: dict[int, dict[str, int]]) -> Applied | AuthsvcError:
        event, transaction_id = message.event, message.transaction_id
        known = self.known.get(event.identity)
        if known is not None:
            return known[1]._replace(is_replay=True) if known[0] == message.fingerprint else EventIdReused()
        row = self.server.transactions.get(transaction_id)
        if row is None:
            return NotFound("no such transaction")
        one = self._transaction(row)
        one.events.append(event)
        state = one.state()
        account = self.server.accounts[row.account_id]
        if state[:3] != one.lead.state[:3]:
            terms = Terms(account.timezone, RefundPolicy(account.refund_policy))
            one.moved(one.lead, state, terms, moves.setdefault(row.account_id, {}))
        self.server.transactions[transaction_id] = replace(
            row,
            held_minor=state.held_minor,
            settled_minor=state.settled_minor,
            credited_minor=state.credited_minor,
        )
        applied = Applied(transaction_id, state, is_replay=False)
        self.known[event.identity] = message.fingerprint, applied
        return applied

    def _transaction(self, row: TransactionRow) -> CardTransaction:
        request, approved = row.row.request, row.row.approved_minor
        is_declined = not approved and row.row.reason != "APPROVED"
        decision = decision_of(row.id, request.kind.name, approved, row.transacted_at_us, is_declined=is_declined)
        state = State(row.held_minor, row.settled_minor, row.credited_minor, Status.APPROVED)
        one = CardTransaction(row.account_id, row.card_id, request.card_token, "", request.currency)
        one.parts.append(Part(row.id, row.transacted_at_us, approved, state, decision, row.profile_id))
        one.events = self.events.setdefault(row.id, [])
        return one

    def _turn(self, account_id: int, changes: dict[str, int]) -> Turn:
        account = self.server.accounts[account_id]
        self.server.accounts[account_id] = replace(account, balance_minor=account.balance_minor + changes["b"])
        if self.server.broken == "no_epoch_bump_on_event":
            return Turn(account_id, account.counter_epoch, account.counter_epoch, changes)
        epoch = self.server.bump_epoch(account_id, 0)
        return Turn(account_id, epoch - 1, epoch, changes)


class SimulatedEvents:
    """The `EventLedger` port of one process, as far as the simulation goes: no unknown transactions, no increments."""

    def __init__(self, tables: EventTables, wire: Wire) -> None:
        self._tables = tables
        self._wire = wire

    async def apply(self, messages: Sequence[Message]) -> Application:
        return await self._commit(lambda: self._tables.apply(messages))

    async def restate(self, transaction_ids: Sequence[int]) -> Application:
        raise NotImplementedError

    async def opened(self, transaction_id: int, transaction_token: str) -> Opened | None:
        raise NotImplementedError

    async def transaction(self, transaction_id: int, transaction_token: str) -> Told | None:
        raise NotImplementedError

    async def overtaken(self, count_max: int) -> list[int]:
        raise NotImplementedError

    async def overdue(self, now_us: int, days: int, count_max: int) -> list[Overdue]:
        raise NotImplementedError

    async def _commit(self, operation: Callable[[], T]) -> T:
        try:
            return await self._wire.call(operation)
        except NotDelivered as error:
            raise Unavailable("database") from error
        except AnswerLost as error:
            raise OutcomeUnknown("database") from error
