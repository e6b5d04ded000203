"""What audit logs hold, and the port behind which they are kept."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

# The account of what belongs to nobody: the catalogue of categories, the registry of settings.
NOBODY: Final = 0
ENTITY_TYPES: Final = (
    "account",
    "user",
    "spending_profile",
    "card",
    "card_product",
    "address",
    "account_setting",
    "profile_category",
    "spending_category",
    "setting_key",
    "api_key",
)
ACTIONS: Final = ("CREATE", "UPDATE", "DELETE", "RESTORE", "PURGE")


class Entry(NamedTuple):
    """One change of one row. `account_id` is None for what belongs to nobody.

    `old_values` and `new_values` are JSON exactly as the database writes it, since they are hashed: only the columns
    that changed, all of them for a row that came or went. `config_version` is the account's after the change.
    """

    id: int
    account_id: int | None
    user_id: int | None
    action: str
    entity_type: str
    entity_id: int
    old_values: str | None
    new_values: str | None
    actor: str
    role: str | None
    ip_address: str | None
    user_agent: str | None
    request_id: str | None
    config_version: int | None
    created_us: int
    previous_hash: bytes
    hash: bytes


class Filter(NamedTuple):
    """Which entries to list; None or empty is any. `account_id` NOBODY: those of no account."""

    account_id: int | None = None
    entity_type: str = ""
    entity_id: int | None = None
    action: str = ""
    actor: str = ""
    user_id: int | None = None
    config_version: int | None = None
    since_us: int | None = None
    until_us: int | None = None


class Head(NamedTuple):
    """Where a chain ends, as the database remembers it beside the entries. `account_id` may be NOBODY."""

    account_id: int
    entries: int
    last_id: int | None
    last_hash: bytes


class AuditLog(Protocol):
    """Reads what was written; nobody but the database's triggers writes."""

    async def page(self, wanted: Filter, before: int | None, count: int) -> Sequence[Entry]:
        """The newest entries that are older than `before` (an entry's id; None: the newest of all), newest first."""

    async def entry(self, entry_id: int) -> Entry | None:
        """One entry, of whatever account: the caller's right to see it is the asker's business."""
