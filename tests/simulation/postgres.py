"""A stand-in for PostgreSQL: the tables, the version triggers, the fenced commit and the notifications, in memory."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from authsvc.errors import OutcomeUnknown, RowRefused, Unavailable
from authsvc.ports import AuthorizationRequest, Fenced, Inserted, Loaded, Orphan, Row, Stored
from loader.records import CardRecord, Change, ProfileRecord, SourceUnavailable
from rules.mcc import compile_table
from rules.reasons import Level, Window
from rules.refunds import RefundPolicy
from rules.types import Counter, Limit
from tests.simulation.wire import AnswerLost, NotDelivered, Wire

T = TypeVar("T")
Outcome = Inserted | Stored | Fenced


@dataclass(frozen=True)
class AccountRow:
    id: int
    status: str
    timezone: str
    balance_check: bool
    balance_minor: int
    currency: str = "USD"
    refund_policy: str = "restore_lifetime"
    config_version: int = 1
    counter_epoch: int = 1


@dataclass(frozen=True)
class UserRow:
    id: int
    account_id: int
    status: str


@dataclass(frozen=True)
class ProfileRow:
    id: int
    account_id: int
    limit_minor: int | None
    window: Window | None
    shared: bool
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardRow:
    id: int
    account_id: int
    user_id: int
    profile_id: int | None
    token: str
    status: str
    limit_minor: int | None
    window: Window | None


@dataclass(frozen=True)
class TransactionRow:
    """One recorded decision. `serial` is for the checks only: the reservation that the committer owned."""

    id: int
    row: Row
    account_id: int
    card_id: int
    profile_id: int | None
    held_minor: int
    settled_minor: int
    transacted_at_us: int
    created_ms: int
    serial: int | None
    credited_minor: int = 0


@dataclass
class Listener:
    """One listening connection: changes arrive in the order of their commits, later."""

    hear: Callable[[Change], None]
    alive: bool = True
    queue: list[Change] = field(default_factory=list)


class PostgresServer:
    """The truth. Every method is one transaction. Fences can be taken out by name: see tests/simulation/breaks.py."""

    def __init__(self, now_ms: Callable[[], int], *, broken: str = "") -> None:
        self.now_ms = now_ms
        self.broken = broken
        self.accounts: dict[int, AccountRow] = {}
        self.users: dict[int, UserRow] = {}
        self.profiles: dict[int, ProfileRow] = {}
        self.cards: dict[str, CardRow] = {}
        self.keys: dict[str, tuple[bytes, int | None]] = {}
        self.transactions: dict[int, TransactionRow] = {}
        self.refuse: Callable[[Row], bool] = lambda _: False
        self.on_commit: Callable[[TransactionRow], None] = lambda _: None
        self.serial_of: Callable[[Row], int | None] = lambda _: None
        self.listeners: list[Listener] = []
        self.on_notify: Callable[[], None] = lambda: None

    # --- configuration, with the version triggers --------------------------------------------------------------------

    def change_account(self, account_id: int, **values: object) -> None:
        """`accounts` and its settings. A change of balance is money from outside."""
        old = self.accounts[account_id]
        new = replace(old, **values)  # type: ignore[arg-type]
        reshaped = _shape(old) != _shape(new)
        configured = reshaped or old.status != new.status
        self.accounts[account_id] = new
        if old.balance_minor != new.balance_minor and self.broken != "no_epoch_bump_on_funding":
            self._raise_epoch(account_id)
        if configured:
            self._bump(account_id, "account", account_id, reshaped=reshaped)

    def change_user(self, user_id: int, status: str) -> None:
        user = self.users[user_id]
        if user.status != status:
            self.users[user_id] = replace(user, status=status)
            self._bump(user.account_id, "user", user_id, reshaped=False)

    def change_profile(self, profile_id: int, **values: object) -> None:
        old = self.profiles[profile_id]
        new = self.profiles[profile_id] = replace(old, **values)  # type: ignore[arg-type]
        if old != new:
            shape = (old.limit_minor is None, old.window, old.shared) != (
                new.limit_minor is None,
                new.window,
                new.shared,
            )
            self._bump(old.account_id, "profile", profile_id, reshaped=shape)

    def change_card(self, token: str, **values: object) -> None:
        old = self.cards[token]
        new = self.cards[token] = replace(old, **values)  # type: ignore[arg-type]
        if old != new:
            before, after = ((c.limit_minor is None, c.window, c.profile_id) for c in (old, new))
            self._bump(old.account_id, "card", old.id, reshaped=before != after)

    def add_card(self, card: CardRow) -> None:
        """New cards bump nothing."""
        self.cards[card.token] = card
        self._notify(Change(card.account_id, None, "card", frozenset({card.id}), (card.token,)))

    def _bump(self, account_id: int, kind: str, entity_id: int, *, reshaped: bool) -> None:
        version = self.accounts[account_id].config_version + 1
        self.accounts[account_id] = replace(self.accounts[account_id], config_version=version)
        if reshaped and self.broken != "no_epoch_bump_on_reshape":
            self._raise_epoch(account_id)
        self._notify(Change(account_id, version, kind, frozenset({entity_id}), ()))

    def _raise_epoch(self, account_id: int, seen: int = 0) -> int:
        epoch = max(self.accounts[account_id].counter_epoch, seen) + 1
        self.accounts[account_id] = replace(self.accounts[account_id], counter_epoch=epoch)
        return epoch

    def _notify(self, change: Change) -> None:
        for listener in self.listeners:
            if listener.alive:
                listener.queue.append(change)
        self.on_notify()

    def card_records(self, cards: Iterable[CardRow]) -> list[CardRecord]:
        return [self._record_of(card) for card in cards]

    def _record_of(self, card: CardRow) -> CardRecord:
        account, user = self.accounts[card.account_id], self.users[card.user_id]
        profile = self.profiles[card.profile_id] if card.profile_id is not None else None
        return CardRecord(
            card.token,
            card.id,
            card.status,
            limit_of(card.limit_minor, card.window),
            account.id,
            account.status,
            account.currency,
            account.timezone,
            account.balance_check,
            account.config_version,
            user.id,
            user.status,
            None
            if profile is None
            else ProfileRecord(
                profile.id,
                limit_of(profile.limit_minor, profile.window),
                profile.shared,
                _table(profile.allowed, profile.blocked),
            ),
        )

    # --- the statements of authsvc/ledger -------------------------------------------------------------------------------

    def insert(self, rows: Sequence[Row]) -> dict[str, Outcome]:
        """`record`, and `post` where a row moves a balance: one transaction."""
        if any(self.refuse(row) for row in rows):
            raise RowRefused
        results: dict[str, Outcome] = {}
        credited: set[int] = set()
        for row in rows:
            account = self.accounts[row.card.account.id]
            if not self._is_current(row, account) or row.request.request_id in self.keys:
                results[row.request.request_id] = Fenced(account.config_version, account.counter_epoch)
                continue
            transaction_id = self._insert_one(row)
            if row.posted_minor:
                posted = replace(account, balance_minor=account.balance_minor - row.posted_minor)
                self.accounts[account.id] = posted
            if row.posted_minor < 0:
                credited.add(account.id)
            results[row.request.request_id] = Inserted(transaction_id, account.counter_epoch)
            self.on_commit(self.transactions[transaction_id])
        for account_id in sorted(credited):
            epoch = self._raise_epoch(account_id) if self.broken != "no_epoch_bump_on_credit" else 1
            for row in rows:
                result = results[row.request.request_id]
                if isinstance(result, Inserted) and row.card.account.id == account_id:
                    results[row.request.request_id] = Inserted(result.transaction_id, epoch)
        return results

    def _is_current(self, row: Row, account: AccountRow) -> bool:
        config = self.broken == "no_config_fence" or row.config_version == account.config_version
        epoch = self.broken == "no_epoch_fence" or row.counter_epoch in (None, account.counter_epoch)
        return config and epoch

    def _insert_one(self, row: Row) -> int:
        transaction_id = len(self.transactions) + 1
        card = row.card
        self.keys[row.request.request_id] = (row.request.fingerprint, transaction_id)
        self.transactions[transaction_id] = TransactionRow(
            transaction_id,
            row,
            card.account.id,
            card.id,
            card.profile.id if card.profile is not None else None,
            row.held_minor,
            row.settled_minor,
            row.request.transacted_at_us,
            self.now_ms(),
            self.serial_of(row),
            max(0, -row.posted_minor),
        )
        return transaction_id

    def insert_unknown(self, requests: Sequence[AuthorizationRequest]) -> dict[str, Outcome]:
        results: dict[str, Outcome] = {}
        for request in requests:
            results[request.request_id] = Fenced(0, 0)
            if request.card_token not in self.cards and request.request_id not in self.keys:
                self.keys[request.request_id] = (request.fingerprint, None)
                results[request.request_id] = Inserted(None, 0)
        return results

    def stored(self, request_ids: Iterable[str]) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        for request_id in request_ids if self.broken != "stored_beats_nothing" else ():
            if request_id in self.keys:
                fingerprint, transaction_id = self.keys[request_id]
                row = self.transactions[transaction_id].row if transaction_id is not None else None
                found[request_id] = Stored(
                    fingerprint,
                    transaction_id,
                    row.config_version if row is not None else 0,
                    row.counter_epoch if row is not None else None,
                    row.explanation if row is not None else None,
                )
        return found

    def bump_epoch(self, account_id: int, seen: int) -> int:
        if self.broken == "open_epoch_without_bump":
            return self.accounts[account_id].counter_epoch
        return self._raise_epoch(account_id, seen)

    def funds(self, account_id: int) -> tuple[int, int]:
        held = sum(row.held_minor for row in self.transactions.values() if row.account_id == account_id)
        return self.accounts[account_id].balance_minor, held

    def used(self, counter: Counter) -> tuple[int, int]:
        """What a counter has used, and of that, only holds."""
        start_us = counter.start_us if counter.start_us is not None else -(2**62)
        end_us = counter.end_us if counter.end_us is not None else 2**62
        used = held = 0
        for row in self.transactions.values():
            owner = row.profile_id if counter.level is Level.PROFILE else row.card_id
            if owner == counter.entity_id and start_us <= row.transacted_at_us < end_us:
                policy = RefundPolicy(self.accounts[row.account_id].refund_policy)
                back = row.credited_minor if policy.restores(is_lifetime=counter.end_us is None) else 0
                used += row.held_minor + row.settled_minor - back
                held += row.held_minor
        return used, held

    def remembers(self, orphan: Orphan, fresh_ms: int) -> bool:
        """`remembered`: a row holds money under that reservation's name and epoch, and is not from long before it."""
        fingerprint, config_version, request_id = orphan.name.split("/", 2)
        found = self.keys.get(request_id)
        if found is None or found[0].hex() != fingerprint or found[1] is None:
            return False
        row = self.transactions[found[1]]
        same = (row.row.config_version, row.row.counter_epoch) == (int(config_version), orphan.epoch)
        fresh = row.created_ms > self.now_ms() - fresh_ms
        return same and row.row.approved_minor > 0 and (fresh or self.broken == "remembers_for_ever")


def _shape(account: AccountRow) -> tuple[str, bool, str]:
    return account.timezone, account.balance_check, account.refund_policy


def limit_of(amount_minor: int | None, window: Window | None) -> Limit | None:
    return None if amount_minor is None or window is None else Limit(amount_minor, window)


_tables: dict[tuple[tuple[str, ...], tuple[str, ...]], bytes | None] = {}


def _table(allowed: tuple[str, ...], blocked: tuple[str, ...]) -> bytes | None:
    key = (allowed, blocked)
    if key not in _tables:
        _tables[key] = compile_table(allowed, blocked)
    return _tables[key]


class SimulatedLedger:
    """The `Ledger` port of one process."""

    def __init__(self, server: PostgresServer, wire: Wire, *, record_ttl_ms: int) -> None:
        self._server = server
        self._wire = wire
        self._fresh_ms = record_ttl_ms // 2

    async def record(self, rows: Sequence[Row]) -> list[Outcome]:
        posting = {row.card.account.id for row in rows if row.posted_minor}
        plain = [row for row in rows if row.card.account.id not in posting]
        moving = [row for row in rows if row.card.account.id in posting]
        results: dict[str, Outcome] = {}
        if plain:
            results |= await self._commit(lambda: self._server.insert(plain))
        try:
            if moving:
                results |= await self._commit(lambda: self._server.insert(moving))
            await self._look_up(results)
        except Unavailable as error:
            raise OutcomeUnknown("database") from error
        return [results[row.request.request_id] for row in rows]

    async def record_unknown(self, requests: Sequence[AuthorizationRequest]) -> list[Outcome]:
        results = await self._commit(lambda: self._server.insert_unknown(requests))
        await self._look_up(results)
        return [results[request.request_id] for request in requests]

    async def bump_epoch(self, account_id: int, seen: int) -> int:
        return await self._read(lambda: self._server.bump_epoch(account_id, seen))

    async def counter_epoch(self, account_id: int) -> int:
        return await self._read(lambda: self._server.accounts[account_id].counter_epoch)

    async def load(self, account_id: int, counters: Sequence[Counter]) -> Loaded:
        def snapshot() -> Loaded:
            used = [self._server.used(counter) for counter in counters]
            epoch = self._server.accounts[account_id].counter_epoch
            return Loaded(epoch, *self._server.funds(account_id), [one for one, _ in used], [held for _, held in used])

        return await self._read(snapshot)

    async def recorded(self, orphans: Sequence[Orphan]) -> list[bool]:
        return await self._read(lambda: [self._server.remembers(orphan, self._fresh_ms) for orphan in orphans])

    async def _look_up(self, results: dict[str, Outcome]) -> None:
        ids = [request_id for request_id, result in results.items() if not isinstance(result, Inserted)]
        if ids:
            results |= await self._read(lambda: self._server.stored(ids))

    async def _read(self, operation: Callable[[], T]) -> T:
        try:
            return await self._wire.call(operation)
        except (NotDelivered, AnswerLost) as error:
            raise Unavailable("database") from error

    async def _commit(self, operation: Callable[[], T]) -> T:
        try:
            return await self._wire.call(operation)
        except NotDelivered as error:
            raise Unavailable("database") from error
        except AnswerLost as error:
            if self._server.broken == "release_on_unknown_outcome":
                raise Unavailable("database") from error
            raise OutcomeUnknown("database") from error


class SimulatedSource:
    """The directory's source, of one process."""

    def __init__(self, server: PostgresServer, wire: Wire) -> None:
        self._server = server
        self._wire = wire

    async def cards(self, tokens: Sequence[str]) -> list[CardRecord]:
        cards = self._server.cards
        return await self._read(lambda: self._server.card_records(cards[token] for token in tokens if token in cards))

    async def all_cards(self, cards_max: int) -> AsyncIterator[list[CardRecord]]:
        yield await self._read(lambda: self._server.card_records(list(self._server.cards.values())[:cards_max]))

    async def versions(self, account_ids: Sequence[int]) -> dict[int, int]:
        accounts = self._server.accounts
        return await self._read(lambda: {i: accounts[i].config_version for i in account_ids if i in accounts})

    async def _read(self, operation: Callable[[], T]) -> T:
        try:
            return await self._wire.call(operation)
        except (NotDelivered, AnswerLost) as error:
            raise SourceUnavailable from error
