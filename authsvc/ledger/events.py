"""The `EventLedger` port on PostgreSQL: messages, the states they add up to, and the money they move, in one commit."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import asyncpg

from authsvc.errors import AuthsvcError, EventIdReused, InvalidRequest, NotFound
from authsvc.ledger.queries import EVENTS_SQL
from authsvc.ledger.store import (
    FIELD_SEPARATOR,
    ROW_SEPARATOR,
    Connection,
    PostgresLedger,
    datetime_of,
    instant_us,
)
from authsvc.lifecycle.messages import Application, Applied, Message, Opened, Origin, Overdue, Told
from authsvc.lifecycle.transaction import CardTransaction, Part, Terms, decision_of
from authsvc.ports import Turn
from rules.lifecycle import Event, EventKind, State, Status
from rules.money import divisor
from rules.refunds import RefundPolicy

_CREDITS: Final = frozenset(
    {
        EventKind.REFUND,
        EventKind.CORRECTION_CREDIT,
        EventKind.CREDIT_AUTHORIZATION_ADVICE,
        EventKind.FINANCIAL_CREDIT_AUTHORIZATION_ADVICE,
    }
)
_REQUEST_ID_MAX: Final = 128
_STATUSES: Final = {status.value: status for status in Status}
_EVENT_KINDS: Final = {kind.name: kind for kind in EventKind}


class PostgresEventLedger:
    """Keeps what the network says."""

    def __init__(self, ledger: PostgresLedger) -> None:
        """On the connections of the ledger of decisions."""
        self._ledger = ledger

    async def apply(self, messages: Sequence[Message]) -> Application:
        """See `EventLedger.apply`."""
        async with self._ledger.posting() as connection, connection.transaction():
            return await _Batch(connection).apply(messages)

    async def restate(self, transaction_ids: Sequence[int]) -> Application:
        """See `EventLedger.restate`."""
        async with self._ledger.posting() as connection, connection.transaction():
            return await _Batch(connection).restate(transaction_ids)

    async def transaction(self, transaction_id: int, transaction_token: str) -> Told | None:
        """See `EventLedger.transaction`."""
        async with self._ledger.reading() as connection:
            tokens = [transaction_token] if transaction_token else []
            found = await _transactions(connection, [transaction_id], tokens, None)
        if not found:
            return None
        one = found[0]
        return Told(
            one.lead.id,
            one.token,
            one.card_token,
            one.currency,
            sum(part.approved_minor for part in one.parts),
            one.lead.transacted_us,
            one.stored(),
            sorted(one.events, key=lambda event: (event.occurred_us, event.identity)),
        )

    async def opened(self, transaction_id: int, transaction_token: str) -> Opened | None:
        """See `EventLedger.opened`."""
        async with self._ledger.posting() as connection:
            tokens = [transaction_token] if transaction_token else []
            found = await _transactions(connection, [transaction_id], tokens, None)
            if not found:
                return None
            lead = found[0].lead
            record = await connection.fetchrow(EVENTS_SQL["opened"], lead.id, datetime_of(lead.transacted_us))
        origin = Origin(
            found[0].card_token,
            lead.transacted_us,
            record["merchant_category_code"] or "",
            record["merchant_id"] or "",
            record["merchant_name"] or "",
            record["merchant_city"] or "",
            record["merchant_state"] or "",
            record["merchant_country"] or "",
        )
        return Opened(lead.id, record["token"], found[0].currency, origin)

    async def overtaken(self, count_max: int) -> list[int]:
        """See `EventLedger.overtaken`."""
        async with self._ledger.reading() as connection:
            return [record["transaction_id"] for record in await connection.fetch(EVENTS_SQL["overtaken"], count_max)]

    async def overdue(self, now_us: int, days: int, count_max: int) -> list[Overdue]:
        """See `EventLedger.overdue`."""
        async with self._ledger.reading() as connection:
            records = await connection.fetch(EVENTS_SQL["overdue_holds"], datetime_of(now_us), days, count_max)
        return [Overdue(record["id"], record["currency"], instant_us(record["due_at"])) for record in records]


class _Batch:
    """Messages on their way into one commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._accounts: dict[int, Any] = {}
        self._by_id: dict[int, CardTransaction] = {}
        self._by_token: dict[str, list[CardTransaction]] = {}
        self._cards: dict[str, Any] = {}
        self._known: dict[str, tuple[bytes, Applied]] = {}
        self._inserts: list[tuple[str, ...]] = []
        # By the ids of their first decisions: the transactions that change, and to what.
        self._touched: dict[int, tuple[CardTransaction, State]] = {}

    async def apply(self, messages: Sequence[Message]) -> Application:
        ids = [message.transaction_id for message in messages if message.transaction_id]
        tokens = [message.transaction_token for message in messages if message.transaction_token]
        cards = [message.origin.card_token for message in messages if message.origin is not None]
        identities = [message.event.identity for message in messages]
        await self._read(ids, tokens, cards, identities)
        outcomes = [await self._apply_one(message) for message in messages]
        if self._inserts:
            await self._connection.execute(EVENTS_SQL["insert_events"], _lines(self._inserts))
        return Application(outcomes, await self._write_states())

    async def restate(self, transaction_ids: Sequence[int]) -> Application:
        """What decisions and messages add up to is written, with no new message."""
        await self._read(transaction_ids, [], [], [])
        outcomes: list[Applied | AuthsvcError] = []
        for transaction_id in transaction_ids:
            one = self._by_id.get(transaction_id)
            if one is None:
                outcomes.append(NotFound("no such transaction"))
                continue
            state = one.state()
            self._touched[one.lead.id] = one, state
            outcomes.append(Applied(one.lead.id, state, is_replay=False))
        await self._connection.execute(EVENTS_SQL["caught_up"], [*transaction_ids, *self._by_id])
        return Application(outcomes, await self._write_states())

    async def _read(
        self, ids: Sequence[int], tokens: Sequence[str], cards: Sequence[str], identities: Sequence[str]
    ) -> None:
        """Everything the messages touch, under the locks of their accounts."""
        fetch = self._connection.fetch
        await self._connection.execute(EVENTS_SQL["plan_by_index"])
        locked = await fetch(EVENTS_SQL["lock_accounts"], ids, tokens, cards)
        # What the locks waited for is seen by later statements only.
        self._accounts = {
            record["id"]: record for record in await fetch(EVENTS_SQL["accounts"], [r["id"] for r in locked])
        }
        if identities:
            for record in await fetch(EVENTS_SQL["applied"], identities):
                self._known[record["event_id"]] = record["fingerprint"], _applied(record)
        for one in await _transactions(self._connection, ids, tokens, list(self._accounts)):
            self._remember(one)
        if cards:
            records = await fetch(EVENTS_SQL["cards_of"], cards)
            self._cards = {record["card_token"]: record for record in records}

    def _remember(self, one: CardTransaction) -> None:
        self._by_id |= {part.id: one for part in one.parts}
        if one.token:
            self._by_token.setdefault(one.token, []).append(one)

    async def _apply_one(self, message: Message) -> Applied | AuthsvcError:
        event = message.event
        known = self._known.get(event.identity)
        if known is not None:
            return known[1]._replace(is_replay=True) if known[0] == message.fingerprint else EventIdReused()
        try:
            one = self._find(message) or await self._create(message)
        except AuthsvcError as error:
            return error
        if one.currency != message.currency:
            return InvalidRequest("currency", "is not the transaction's")
        one.events.append(event)
        state, lead = one.state(), one.lead
        self._touched[lead.id] = one, state
        amount = "" if event.amount_minor is None else str(event.amount_minor)
        self._inserts.append(
            (
                event.identity,
                message.fingerprint.hex(),
                str(one.account_id),
                str(lead.id),
                str(lead.transacted_us),
                event.kind.name,
                amount,
                str(event.settled_minor),
                "t" if event.is_final else "f",
                str(event.occurred_us),
                *_texts(state),
                one.token,
            )
        )
        applied = Applied(lead.id, state, is_replay=False)
        self._known[event.identity] = message.fingerprint, applied
        return applied

    def _find(self, message: Message) -> CardTransaction | None:
        if message.transaction_id:
            return self._by_id.get(message.transaction_id)
        named = self._by_token.get(message.transaction_token, [])
        if message.origin is not None:
            named = [one for one in named if one.card_token == message.origin.card_token]
        return named[0] if named else None

    async def _create(self, message: Message) -> CardTransaction:
        """A transaction that the network made without us: a force post, a refund, a stand-in approval."""
        origin, event = message.origin, message.event
        if origin is None or message.transaction_id:
            raise NotFound("no such transaction")
        card = self._cards.get(origin.card_token)
        account = self._accounts.get(card["account_id"]) if card is not None else None
        if card is None or account is None:
            raise NotFound("no card has this token")
        if account["currency"] != message.currency:
            raise InvalidRequest("currency", "is not the account's")
        is_credit = event.kind in _CREDITS or event.settled_minor < 0
        amount_minor = max(event.amount_minor or 0, abs(event.settled_minor))
        transaction_id = await self._connection.fetchval(
            EVENTS_SQL["create"],
            card["account_id"],
            card["id"],
            card["user_id"],
            card["spending_profile_id"],
            f"event:{event.identity}"[:_REQUEST_ID_MAX],
            message.transaction_token or None,
            "CREDIT_AUTHORIZATION" if is_credit else "AUTHORIZATION",
            "REFUND" if is_credit else "CLEARING" if event.kind is EventKind.CLEARING else "AUTHORIZATION",
            Decimal(amount_minor) / divisor(message.currency),
            message.currency,
            origin.merchant_id or None,
            origin.merchant_name or None,
            origin.mcc or None,
            origin.merchant_city or None,
            origin.merchant_state or None,
            origin.merchant_country or None,
            account["config_version"],
            datetime_of(origin.transacted_at_us),
        )
        one = CardTransaction(
            card["account_id"], card["id"], origin.card_token, message.transaction_token, message.currency
        )
        nothing = State(0, 0, 0, Status.PENDING)
        one.parts.append(Part(transaction_id, origin.transacted_at_us, 0, nothing, None, card["spending_profile_id"]))
        self._remember(one)
        return one

    async def _write_states(self) -> list[Turn]:
        """Contributions by the difference: rows, balances, and a new epoch where counters would tell the old ones."""
        rows: list[tuple[str, ...]] = []
        moves: dict[int, dict[str, int]] = {}
        for one, whole in self._touched.values():
            for part, state in zip(one.parts, one.part_states(whole), strict=True):
                if state == part.state:
                    continue
                rows.append((str(part.id), str(part.transacted_us), *_texts(state)))
                if state[:3] != part.state[:3]:
                    terms = _terms(self._accounts[one.account_id])
                    one.moved(part, state, terms, moves.setdefault(one.account_id, {}))
        if rows:
            await self._connection.execute(EVENTS_SQL["set_states"], _lines(rows))
        if not moves:
            return []
        units = [divisor(self._accounts[account_id]["currency"]) for account_id in moves]
        arriving = [changes["b"] for changes in moves.values()]
        records = await self._connection.fetch(EVENTS_SQL["move_money"], list(moves), arriving, units)
        epochs = {record["id"]: record["counter_epoch"] for record in records}
        return [Turn(one, epochs[one] - 1, epochs[one], changes) for one, changes in moves.items()]


def _texts(state: State) -> tuple[str, str, str, str]:
    return state.status.value, str(state.held_minor), str(state.settled_minor), str(state.credited_minor)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    """Rows as one text: an array for every column costs the driver far more. No field holds control characters."""
    return ROW_SEPARATOR.join([FIELD_SEPARATOR.join(row) for row in rows])


def _terms(account: asyncpg.Record) -> Terms:
    return Terms(account["timezone"] or "UTC", RefundPolicy(account["refund_policy"] or "restore_lifetime"))


async def _transactions(
    connection: Connection, ids: Sequence[int], tokens: Sequence[str], account_ids: Sequence[int] | None
) -> list[CardTransaction]:
    """Whole transactions of these accounts (None: of any), in the order of their first decisions."""
    found: dict[tuple[int, str | int], CardTransaction] = {}
    by_part: dict[int, CardTransaction] = {}
    for record in await connection.fetch(EVENTS_SQL["groups"], ids, tokens, account_ids):
        account_id, card_id, card_token, token, currency, transaction_id = record[:6]
        key = card_id, token or transaction_id
        one = found.get(key)
        if one is None:
            one = found[key] = CardTransaction(account_id, card_id, card_token, token or "", currency)
        one.parts.append(_part(record))
        by_part[transaction_id] = one
    if by_part:
        for record in await connection.fetch(EVENTS_SQL["events_of"], list(by_part)):
            by_part[record["transaction_id"]].events.append(_event(record))
    return _arranged(found.values())


def _arranged(found: Iterable[CardTransaction]) -> list[CardTransaction]:
    arranged = list(found)
    for one in arranged:
        one.arrange()
    return arranged


def _event(record: asyncpg.Record) -> Event:
    return Event(
        _EVENT_KINDS[record["kind"]],
        instant_us(record["occurred_at"]),
        record["event_id"],
        record["amount_minor"],
        record["is_final"],
        record["settled_minor"],
    )


def _part(record: asyncpg.Record) -> Part:
    (
        transaction_id,
        at,
        kind,
        declined_reason,
        is_decided,
        happened_at,
        profile_id,
        approved_minor,
        held_minor,
        settled_minor,
        credited_minor,
        status,
    ) = record[5:]
    transacted_us = instant_us(at)
    decision: Event | None = None
    if is_decided:
        happened_us = transacted_us if happened_at is None else instant_us(happened_at)
        is_declined = declined_reason is not None and not approved_minor
        decision = decision_of(transaction_id, kind, approved_minor, happened_us, is_declined=is_declined)
    state = State(held_minor, settled_minor, credited_minor, _STATUSES[status])
    return Part(transaction_id, transacted_us, approved_minor, state, decision, profile_id)


def _applied(record: asyncpg.Record) -> Applied:
    state = State(
        record["held_after_minor"],
        record["settled_after_minor"],
        record["credited_after_minor"],
        Status(record["status_after"]),
    )
    return Applied(record["transaction_id"], state, is_replay=True)
