"""The configuration in memory: cards with everything above them, and the version at which all of it is current."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache, TTLCache

from loader.records import CardRecord, Change, Source
from rules.types import Account, Card, Profile, User

_FETCH_MAX: Final = 500


@dataclass(slots=True)
class _Entry:
    """The parts of one account that are in memory; all of them are current as of `account.config_version`."""

    account: Account
    tokens: set[str] = field(default_factory=set)
    users: dict[int, User] = field(default_factory=dict)
    profiles: dict[int, Profile] = field(default_factory=dict)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class _Cards(LRUCache[str, Card]):
    """Least recently used goes first; tells who went."""

    def __init__(self, cards_max: int, dropped: Callable[[Card], None]) -> None:
        super().__init__(maxsize=cards_max)
        self._dropped = dropped

    def popitem(self) -> tuple[str, Card]:
        token, card = super().popitem()
        self._dropped(card)
        return token, card


@dataclass(slots=True)
class DirectoryCounts:
    """What the directory did since it was made."""

    hits: int = 0
    misses: int = 0
    unknown_hits: int = 0
    loads: int = 0
    resyncs: int = 0


class Directory:
    """Bounded, kept fresh by notifications, filled on a miss: once, however many ask.

    Nothing here has to be right for a decision to be right, as the ledger's fence refuses what was decided on an old
    view. It has to be right for a decision to be fast.
    """

    def __init__(
        self,
        source: Source,
        monotonic_s: Callable[[], float],
        *,
        cards_max: int,
        unknown_max: int,
        unknown_ttl_s: float,
        notification_wait_s: float,
    ) -> None:
        """`notification_wait_s`: how long to wait for the notification of a change that the fence has told of."""
        self._source = source
        self._cards = _Cards(cards_max, self._evicted)
        self._accounts: dict[int, _Entry] = {}
        self._unknown: TTLCache[str, bool] = TTLCache(unknown_max, unknown_ttl_s, timer=monotonic_s)
        self._notification_wait_s = notification_wait_s
        self._wanted: dict[str, asyncio.Future[Card | None]] = {}
        self._fetching: asyncio.Task[None] | None = None
        self.listening = False
        self.counts = DirectoryCounts()

    def __len__(self) -> int:
        """Cards in memory."""
        return len(self._cards)

    # --- reading ------------------------------------------------------------------------------------------------

    def peek(self, token: str) -> Card | None:
        """The card, if it is in memory and current."""
        card = self._cards.get(token)
        if card is None:
            self.counts.misses += 1
        else:
            self.counts.hits += 1
        return card

    def is_unknown(self, token: str) -> bool:
        """Was the token looked up a moment ago, and found to name no card?"""
        unknown = token in self._unknown
        self.counts.unknown_hits += unknown
        return unknown

    async def fetch(self, token: str) -> Card | None:
        """From the source, unless a query just brought it. Tokens asked for while one is under way share the next."""
        card = self._cards.get(token)
        if card is not None:
            return card
        wanted = self._wanted.get(token)
        if wanted is None:
            wanted = self._wanted[token] = asyncio.get_running_loop().create_future()
            if self._fetching is None:
                self._fetching = asyncio.get_running_loop().create_task(self._fetch_wanted())
        # One who gives up must not take the answer away from the others.
        return await asyncio.shield(wanted)

    async def _fetch_wanted(self) -> None:
        try:
            while self._wanted:
                tokens = list(self._wanted)[:_FETCH_MAX]
                try:
                    records = {record.token: record for record in await self._source.cards(tokens)}
                except Exception as error:  # noqa: BLE001 - belongs to those who wait
                    self._refuse(tokens, error)
                    continue
                self.counts.loads += len(tokens)
                for token in tokens:
                    self._serve(token, records.get(token))
        finally:
            self._fetching = None

    def _serve(self, token: str, record: CardRecord | None) -> None:
        if record is None:
            self._unknown[token] = True
            self._answer(token, None)
            return
        card = self.install(record)
        # Read before a change that has been notified since: it stays wanted, and is read again.
        if card is not None:
            self._answer(token, card)

    def _answer(self, token: str, card: Card | None) -> None:
        wanted = self._wanted.pop(token)
        if not wanted.done():
            wanted.set_result(card)

    def _refuse(self, tokens: Sequence[str], error: Exception) -> None:
        for token in tokens:
            wanted = self._wanted.pop(token)
            if not wanted.done():
                wanted.set_exception(error)
                # Nobody may be waiting any more.
                wanted.exception()

    # --- filling ------------------------------------------------------------------------------------------------

    async def warm(self, progress: Callable[[int], None]) -> int:
        """Fill the memory at start, as far as it goes. Returns how many cards it holds."""
        async for records in self._source.all_cards(int(self._cards.maxsize)):
            for record in records:
                self.install(record)
            progress(len(self._cards))
        return len(self._cards)

    def install(self, record: CardRecord) -> Card | None:
        """Take a card in. None if the record is older than what is known of its account."""
        entry = self._accounts.get(record.account_id)
        if entry is not None and record.config_version < entry.account.config_version:
            return None
        if entry is not None and record.config_version > entry.account.config_version:
            # Changes were missed, nobody knows of which parts.
            self._forget_account(entry)
            entry = None
        if entry is None:
            entry = self._accounts[record.account_id] = _Entry(_account(record))
        user = entry.users.get(record.user_id)
        if user is None:
            user = entry.users[record.user_id] = User(record.user_id, record.user_status)
        profile = self._profile(entry, record)
        known = self._cards.pop(record.token, None)
        if known is not None and known.account is not entry.account:
            # The token has moved from a card of another account.
            self._evicted(known)
        entry.tokens.add(record.token)
        card = Card(record.card_id, record.token, record.card_status, entry.account, user, profile, record.card_limit)
        self._cards[record.token] = card
        return card

    @staticmethod
    def _profile(entry: _Entry, record: CardRecord) -> Profile | None:
        if record.profile is None:
            return None
        profile = entry.profiles.get(record.profile.id)
        if profile is None:
            profile = entry.profiles[record.profile.id] = Profile(*record.profile)
        return profile

    # --- changes ------------------------------------------------------------------------------------------------

    def notified(self, change: Change) -> None:
        """A committed change. The parts it does not name move forward to its version together."""
        self._forget_unknown(change.tokens)
        entry = self._accounts.get(change.account_id)
        if entry is None or change.version is None or change.version <= entry.account.config_version:
            return
        if change.version == entry.account.config_version + 1 and change.kind != "account":
            self._forget_parts(entry, change)
            entry.account.config_version = change.version
            self._wake(entry)
        else:
            self._forget_account(entry)

    async def advance(self, account_id: int, config_version: int) -> None:
        """The database is at this version. Its notification is on its way; if it does not come, forget the account."""
        entry = self._accounts.get(account_id)
        if entry is None or entry.account.config_version >= config_version:
            return
        if self.listening and entry.account.config_version == config_version - 1:
            moved = asyncio.get_running_loop().create_future()
            entry.waiting.append(moved)
            await asyncio.wait([moved], timeout=self._notification_wait_s)
        if self._accounts.get(account_id) is entry and entry.account.config_version < config_version:
            self._forget_account(entry)

    def forget_unknown(self, token: str) -> None:
        """The token exists after all."""
        self._unknown.pop(token, None)

    async def resync(self) -> int:
        """After a time without notifications: forget every account that has changed meanwhile. Returns how many."""
        self._unknown.clear()
        self.counts.resyncs += 1
        known = {account_id: entry.account.config_version for account_id, entry in self._accounts.items()}
        current = await self._source.versions(list(known))
        changed = [account_id for account_id, version in known.items() if current.get(account_id) != version]
        for account_id in changed:
            entry = self._accounts.get(account_id)
            if entry is not None:
                self._forget_account(entry)
        return len(changed)

    def _forget_unknown(self, tokens: Sequence[str] | None) -> None:
        if tokens is None:
            self._unknown.clear()
        else:
            for token in tokens:
                self._unknown.pop(token, None)

    def _forget_parts(self, entry: _Entry, change: Change) -> None:
        ids = change.ids
        if change.kind == "user":
            gone = [user for key, user in entry.users.items() if ids is None or key in ids]
            for user in gone:
                del entry.users[user.id]
            self._drop_where(entry, lambda card: card.user in gone)
        elif change.kind == "profile":
            stale = [profile for key, profile in entry.profiles.items() if ids is None or key in ids]
            for profile in stale:
                del entry.profiles[profile.id]
            self._drop_where(entry, lambda card: card.profile is not None and card.profile in stale)
        else:
            self._drop_where(entry, lambda card: ids is None or card.id in ids)

    def _drop_where(self, entry: _Entry, concerned: Callable[[Card], bool]) -> None:
        for token in list(entry.tokens):
            card = self._cards.get(token)
            if card is not None and concerned(card):
                del self._cards[token]
                entry.tokens.discard(token)
        if not entry.tokens:
            self._forget_account(entry)

    def _forget_account(self, entry: _Entry) -> None:
        for token in entry.tokens:
            self._cards.pop(token, None)
        if self._accounts.get(entry.account.id) is entry:
            del self._accounts[entry.account.id]
        self._wake(entry)

    def _evicted(self, card: Card) -> None:
        entry = self._accounts.get(card.account.id)
        if entry is None or entry.account is not card.account:
            return
        entry.tokens.discard(card.token)
        if not entry.tokens:
            self._forget_account(entry)

    @staticmethod
    def _wake(entry: _Entry) -> None:
        for moved in entry.waiting:
            if not moved.done():
                moved.set_result(None)
        entry.waiting.clear()


def _account(record: CardRecord) -> Account:
    return Account(
        record.account_id,
        record.account_status,
        record.currency,
        record.timezone,
        record.balance_check,
        record.config_version,
    )
