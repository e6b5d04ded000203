"""Webhooks as they are kept and processed, and the port behind which they are kept."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Webhook(NamedTuple):
    """A delivered message of the event subscription. `webhook_id` is Lithic's name of it, the same in every delivery.

    `payload` is JSON without anything that may not be stored. `sent_us` is when Lithic made it, as well as can be told.
    """

    webhook_id: str
    event_type: str
    payload: str
    sent_us: int
    received_us: int


class Claimed(NamedTuple):
    """A webhook that a worker has taken. `retry_count` is how often it was tried in vain."""

    id: int
    event_type: str
    payload: bytes
    sent_us: int
    received_us: int
    retry_count: int


class Again(NamedTuple):
    """What could not be processed yet. `is_counted` false: it was not the message's fault."""

    id: int
    why: str
    next_attempt_us: int
    is_counted: bool


class Backlog(NamedTuple):
    """How much waits, how much has failed, and since when the oldest waits (None: nothing does)."""

    pending: int
    failed: int
    oldest_received_us: int | None


class WebhookStore(Protocol):
    """Truth. Every method raises `Unavailable` when the database is down; asking again is always safe."""

    async def keep(self, webhooks: Sequence[Webhook]) -> set[str]:
        """One commit for all; each `webhook_id` once, ever. Returns those that were not kept before."""
        ...

    async def claim(self, now_us: int, lease_ms: int, count_max: int) -> list[Claimed]:
        """Pending ones that are due, and that nobody else holds, oldest first; they are due again after the lease."""
        ...

    async def processed(self, ids: Sequence[int], now_us: int) -> None:
        """They are done, whatever else was said about them."""
        ...

    async def again(self, attempts: Sequence[Again]) -> None:
        """They stay pending, unless somebody else has finished them."""
        ...

    async def failed(self, reasons: Sequence[tuple[int, str]]) -> None:
        """They are given up, with why, unless somebody else has finished them."""
        ...

    async def set_card_status(self, card_token: str, status: str, at_us: int) -> bool:
        """The card's status as of an instant; older news changes nothing. False when no card has this token."""
        ...

    async def backlog(self) -> Backlog:
        """What is left to do."""
        ...
