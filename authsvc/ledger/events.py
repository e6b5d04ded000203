"""The `EventLedger` port on PostgreSQL: messages, the states they add up to, and the money they move, in one commit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import asyncpg

from authsvc.errors import AuthsvcError, EventIdReused, InvalidRequest, NotFound
from authsvc.ledger.queries import EVENTS_SQL
from authsvc.ledger.store import Connection, PostgresLedger, datetime_of, instant_us
from authsvc.lifecycle.messages import Application, Applied, Message, Overdue, Told
from rules.lifecycle import Event, EventKind, State, Status, spread, state_of
from rules.money import divisor

_CREDITS: Final = frozenset({EventKind.REFUND, EventKind.CORRECTION_CREDIT})
_CLOSED: Final = frozenset({Status.SETTLED, Status.VOIDED, Status.EXPIRED})


@dataclass(slots=True)
class _Row:
    """One decision of a transaction, as it is stored."""

    id: int
    date: datetime
    approved_minor: int
    state: State
    decision: Event | None

    def is_declined(self) -> bool:
        """True for a decision that opened nothing."""
        return self.decision is not None and self.decision.kind is EventKind.DECLINE

    def opened_minor(self) -> int:
        """The hold that the decision placed."""
        return self.approved_minor if self.decision and self.decision.kind is EventKind.AUTHORIZATION else 0


@dataclass(slots=True)
class _Group:
    """A transaction: the decisions that share card and token, and the messages. Its first row stands for it."""

    account_id: int
    card_token: str
    token: str
    currency: str
    rows: list[_Row] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def state(self) -> State:
        return state_of([*(row.decision for row in self.rows if row.decision is not None), *self.events])

    def row_states(self) -> list[State]:
        """The state over its rows: what is settled belongs to the first, each holds of its own what is left."""
        whole = self.state()
        held = spread(whole.held_minor, [row.opened_minor() for row in self.rows])
        states = [State(held[0], whole.settled_minor, whole.credited_minor, whole.status)]
        for row, share in zip(self.rows[1:], held[1:], strict=True):
            status = whole.status if whole.status in _CLOSED else Status.APPROVED
            states.append(State(share, 0, 0, Status.DECLINED if row.is_declined() else status))
        return states


class PostgresEventLedger:
    """Keeps what the network says."""

    def __init__(self, ledger: PostgresLedger) -> None:
        """On the connections of the ledger of decisions."""
        self._ledger = ledger

    async def apply(self, messages: Sequence[Message]) -> Application:
        """See `EventLedger.apply`."""
        async with self._ledger.posting() as connection, connection.transaction():
            return await _Batch(connection, messages).apply()

    async def transaction(self, transaction_id: int, transaction_token: str) -> Told | None:
        """See `EventLedger.transaction`."""
        async with self._ledger.reading() as connection:
            groups = await _groups(connection, [transaction_id], [transaction_token] if transaction_token else [], None)
            if not groups:
                return None
            group = groups[0]
        lead = group.rows[0]
        return Told(
            lead.id,
            group.token,
            group.card_token,
            group.currency,
            sum(row.approved_minor for row in group.rows),
            instant_us(lead.date),
            _stored_state(group),
            sorted(group.events, key=lambda event: (event.occurred_us, event.identity)),
        )

    async def overdue(self, now_us: int, days: int, count_max: int) -> list[Overdue]:
        """See `EventLedger.overdue`."""
        async with self._ledger.reading() as connection:
            records = await connection.fetch(EVENTS_SQL["overdue_holds"], datetime_of(now_us), days, count_max)
        return [Overdue(record["id"], record["currency"], instant_us(record["due_at"])) for record in records]


class _Batch:
    """Messages on their way into one commit."""

    def __init__(self, connection: Connection, messages: Sequence[Message]) -> None:
        self._connection = connection
        self._messages = messages
        self._accounts: dict[int, Any] = {}
        self._by_id: dict[int, _Group] = {}
        self._by_token: dict[str, list[_Group]] = {}
        self._cards: dict[str, Any] = {}
        self._known: dict[str, tuple[bytes, Applied]] = {}
        self._inserts: list[tuple[Any, ...]] = []
        self._touched: dict[int, _Group] = {}

    async def apply(self) -> Application:
        await self._read()
        outcomes = [await self._apply_one(message) for message in self._messages]
        if self._inserts:
            await self._connection.execute(EVENTS_SQL["insert_events"], *map(list, zip(*self._inserts, strict=True)))
        return Application(outcomes, await self._write_states())

    async def _read(self) -> None:
        """Everything the messages touch, under the locks of their accounts."""
        ids = [message.transaction_id for message in self._messages if message.transaction_id]
        tokens = [message.transaction_token for message in self._messages if message.transaction_token]
        cards = [message.origin.card_token for message in self._messages if message.origin is not None]
        fetch = self._connection.fetch
        accounts = [record["account_id"] for record in await fetch(EVENTS_SQL["accounts_of"], ids, tokens, cards)]
        locked = await fetch(EVENTS_SQL["lock_accounts"], accounts)
        self._accounts = {record["id"]: record for record in locked}
        identities = [message.event.identity for message in self._messages]
        for record in await fetch(EVENTS_SQL["applied"], identities):
            self._known[record["event_id"]] = record["fingerprint"], _applied(record)
        for group in await _groups(self._connection, ids, tokens, list(self._accounts)):
            self._remember(group)
        if cards:
            records = await fetch(EVENTS_SQL["cards_of"], cards)
            self._cards = {record["card_token"]: record for record in records}

    def _remember(self, group: _Group) -> None:
        self._by_id |= {row.id: group for row in group.rows}
        if group.token:
            self._by_token.setdefault(group.token, []).append(group)

    async def _apply_one(self, message: Message) -> Applied | AuthsvcError:
        event = message.event
        known = self._known.get(event.identity)
        if known is not None:
            return known[1]._replace(is_replay=True) if known[0] == message.fingerprint else EventIdReused()
        try:
            group = self._find(message) or await self._create(message)
        except AuthsvcError as error:
            return error
        if group.currency != message.currency:
            return InvalidRequest("currency", "is not the transaction's")
        group.events.append(event)
        state, lead = group.state(), group.rows[0]
        self._touched[lead.id] = group
        self._inserts.append(
            (
                event.identity,
                message.fingerprint,
                group.account_id,
                lead.id,
                lead.date,
                event.kind.name,
                event.amount_minor,
                event.settled_minor,
                event.is_final,
                datetime_of(event.occurred_us),
                state.status.value,
                state.held_minor,
                state.settled_minor,
                state.credited_minor,
            )
        )
        applied = Applied(lead.id, state, is_replay=False)
        self._known[event.identity] = message.fingerprint, applied
        return applied

    def _find(self, message: Message) -> _Group | None:
        if message.transaction_id:
            return self._by_id.get(message.transaction_id)
        groups = self._by_token.get(message.transaction_token, [])
        if message.origin is not None:
            groups = [group for group in groups if group.card_token == message.origin.card_token]
        return groups[0] if groups else None

    async def _create(self, message: Message) -> _Group:
        """A transaction that the network made without us: a force post, a refund, a stand-in approval."""
        origin, event = message.origin, message.event
        if origin is None or message.transaction_id:
            raise NotFound("no such transaction")
        card = self._cards.get(origin.card_token)
        if card is None:
            raise NotFound("no card has this token")
        account = self._accounts.get(card["account_id"])
        if account is None:
            raise NotFound("no card has this token")
        if account["currency"] != message.currency:
            raise InvalidRequest("currency", "is not the account's")
        is_credit = event.kind in _CREDITS or event.settled_minor < 0
        date = datetime_of(origin.transacted_at_us)
        amount_minor = max(event.amount_minor or 0, abs(event.settled_minor))
        transaction_id = await self._connection.fetchval(
            EVENTS_SQL["create"],
            card["account_id"],
            card["id"],
            card["user_id"],
            card["spending_profile_id"],
            f"event:{event.identity}"[:128],
            message.transaction_token or None,
            "CREDIT_AUTHORIZATION" if is_credit else "AUTHORIZATION",
            "REFUND" if is_credit else "CLEARING" if event.kind is EventKind.CLEARING else "AUTHORIZATION",
            _major(amount_minor, message.currency),
            message.currency,
            origin.merchant_id or None,
            origin.merchant_name or None,
            origin.mcc or None,
            origin.merchant_city or None,
            origin.merchant_state or None,
            origin.merchant_country or None,
            account["config_version"],
            date,
        )
        group = _Group(card["account_id"], origin.card_token, message.transaction_token, message.currency)
        group.rows.append(_Row(transaction_id, date, 0, State(0, 0, 0, Status.PENDING), None))
        self._remember(group)
        return group

    async def _write_states(self) -> dict[int, int]:
        """Contributions by the difference: rows, balances, and a new epoch where counters would tell the old ones."""
        changes: list[tuple[Any, ...]] = []
        leaving: dict[int, int] = {}
        for group in self._touched.values():
            for row, state in zip(group.rows, group.row_states(), strict=True):
                if state == row.state:
                    continue
                changes.append((row.id, row.date, *state[:3], state.status.value))
                if state[:3] != row.state[:3]:
                    minor = (state.settled_minor - row.state.settled_minor) - (
                        state.credited_minor - row.state.credited_minor
                    )
                    leaving[group.account_id] = leaving.get(group.account_id, 0) + minor
        if changes:
            await self._connection.execute(EVENTS_SQL["set_states"], *map(list, zip(*changes, strict=True)))
        if not leaving:
            return {}
        units = [divisor(self._accounts[account_id]["currency"]) for account_id in leaving]
        records = await self._connection.fetch(EVENTS_SQL["move_money"], list(leaving), list(leaving.values()), units)
        return {record["id"]: record["counter_epoch"] for record in records}


async def _groups(
    connection: Connection, ids: Sequence[int], tokens: Sequence[str], account_ids: Sequence[int] | None
) -> list[_Group]:
    """Whole transactions of these accounts (None: of any), in the order of their first decisions."""
    groups: dict[tuple[int, str | int], _Group] = {}
    by_row: dict[int, _Group] = {}
    for record in await connection.fetch(EVENTS_SQL["groups"], ids, tokens, account_ids):
        token = record["token"] or ""
        group = groups.setdefault(
            (record["card_id"], token or record["id"]),
            _Group(record["account_id"], record["card_token"], token, record["currency"]),
        )
        group.rows.append(_row(record))
        by_row[record["id"]] = group
    for record in await connection.fetch(EVENTS_SQL["events_of"], list(by_row)):
        by_row[record["transaction_id"]].events.append(
            Event(
                EventKind[record["kind"]],
                instant_us(record["occurred_at"]),
                record["event_id"],
                record["amount_minor"],
                record["is_final"],
                record["settled_minor"],
            )
        )
    for group in groups.values():
        # A decline opens nothing: where another request of the same transaction was approved, that one stands for it.
        group.rows.sort(key=lambda row: (row.is_declined(), row.id))
    return list(groups.values())


def _row(record: asyncpg.Record) -> _Row:
    state = State(record["held_minor"], record["settled_minor"], record["credited_minor"], Status(record["status"]))
    decision: Event | None = None
    if record["is_decided"]:
        is_declined = record["declined_reason"] is not None and not record["approved_minor"]
        kind = EventKind.DECLINE if is_declined else EventKind[_decision_kind(record["kind"])]
        decision = Event(kind, instant_us(record["transaction_date"]), f"{record['id']:020}", record["approved_minor"])
    return _Row(record["id"], record["transaction_date"], record["approved_minor"], state, decision)


def _decision_kind(kind: str) -> str:
    return "AUTHORIZATION" if kind == "BALANCE_INQUIRY" else kind


def _stored_state(group: _Group) -> State:
    lead = group.rows[0].state
    return lead._replace(held_minor=sum(row.state.held_minor for row in group.rows))


def _applied(record: asyncpg.Record) -> Applied:
    state = State(
        record["held_after_minor"],
        record["settled_after_minor"],
        record["credited_after_minor"],
        Status(record["status_after"]),
    )
    return Applied(record["transaction_id"], state, is_replay=True)


def _major(amount_minor: int, currency: str) -> Decimal:
    return Decimal(amount_minor) / divisor(currency)
