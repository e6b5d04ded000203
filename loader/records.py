"""What the directory is given: a card with everything above it, as of one version of its account; and who gives it."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from rules.types import Limit


class SourceUnavailable(Exception):
    """The configuration cannot be read now."""


class ProfileRecord(NamedTuple):
    """A spending profile; `mcc_table` as rules.mcc compiles it."""

    id: int
    limit: Limit | None
    shared: bool
    mcc_table: bytes | None


class CardRecord(NamedTuple):
    """Row and version in one snapshot."""

    token: str
    card_id: int
    card_status: str
    card_limit: Limit | None
    account_id: int
    account_status: str
    currency: str
    timezone: str
    balance_check: bool
    config_version: int
    user_id: int
    user_status: str
    profile: ProfileRecord | None


class Change(NamedTuple):
    """What a notification says. `version` None: new cards, which bump nothing. `ids` None: all of that kind.

    `tokens`: card tokens that appeared, disappeared or moved; None when there may be any, empty when there are none.
    """

    account_id: int
    version: int | None
    kind: str
    ids: frozenset[int] | None
    tokens: tuple[str, ...] | None


class Source(Protocol):
    """Where the configuration comes from. Errors are `SourceUnavailable`."""

    async def cards(self, tokens: Sequence[str]) -> list[CardRecord]:
        """The cards that exist among these, each as of its account's version."""
        ...

    def all_cards(self, cards_max: int) -> AsyncIterator[list[CardRecord]]:
        """Cards in chunks, account by account."""
        ...

    async def versions(self, account_ids: Sequence[int]) -> dict[int, int]:
        """The current configuration versions."""
        ...
