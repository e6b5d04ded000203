"""What the use case asks of its store, and what it gets."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from authsvc.audit.shapes import Entry, Filter
from authsvc.identity.shapes import Caller
from authsvc.management.resources import Resource

T = TypeVar("T")

# A record by the names of its fields, beside `id`, `row_version`, `created_at`, `updated_at` and `deleted_at`. Money is
# in minor units, words are in lower case.
Record = dict[str, Any]


class Problem(NamedTuple):
    """Something about a field, as the rest of a sentence about it."""

    field: str
    problem: str


class Told(NamedTuple):
    """A record, and what about it looks like a mistake."""

    record: Record
    warnings: tuple[Problem, ...] = ()


class Order(NamedTuple):
    """By a field, then by id."""

    field: str
    descending: bool


class Listing(NamedTuple):
    """Which records, in which order, behind which one. `account_id` None is any that the caller sees."""

    wanted: Mapping[str, Any]
    account_id: int | None
    order: Order
    after: tuple[Any, int] | None
    size: int
    show_deleted: bool


class SettingKey(NamedTuple):
    """A key of the registry of settings."""

    key: str
    value_type: str
    default_value: Any
    minimum: int | None
    maximum: int | None
    choices: Sequence[str]
    description: str


class Session(Protocol):
    """One transaction in the name of a caller: the database lets it see and change what the caller may.

    Every method raises `Unavailable`; those that write also `InvalidRequest` with the field, `AlreadyExists`,
    `NotPossible` and `PermissionDenied`.
    """

    async def create(self, resource: Resource, values: Mapping[str, Any]) -> Record:
        """A new record."""

    async def find(self, resource: Resource, record_id: int, *, lock: bool = False) -> Record | None:
        """The record, deleted ones too; None when there is none that the caller sees."""

    async def page(self, resource: Resource, listing: Listing) -> list[Record]:
        """Records in order."""

    async def change(self, resource: Resource, record_id: int, values: Mapping[str, Any]) -> Record | None:
        """The record with other values. `deleted_at` as a value is whether it is deleted."""

    async def purge(self, resource: Resource, record_id: int) -> None:
        """Remove a record for good."""

    async def setting_keys(self) -> list[SettingKey]:
        """The registry."""

    async def setting(self, account_id: int, key: str) -> Any:
        """What holds for an account: its own value, else the default."""

    async def rules_of(self, profile_id: int) -> list[tuple[str, str]]:
        """The rules of a profile: its type, and the name of the category or the group."""

    async def open_cards(self, account_id: int, user_ids: Sequence[int]) -> dict[int, int]:
        """How many cards of each user are not closed; users who are not there are left out.

        They are locked: nobody else counts meanwhile.
        """

    async def create_many(self, resource: Resource, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """The ids of new records, all with the same fields, in their order."""

    async def move_cards(
        self, card_ids: Sequence[int], from_profile_id: int | None, to_profile_id: int | None
    ) -> list[int]:
        """The cards that have another profile now: those of `card_ids`, or all of a profile, but closed ones."""

    async def audit_page(self, wanted: Filter, before: int | None, count: int) -> Sequence[Entry]:
        """See `AuditLog.page`; what the caller may not see is not there."""

    def attempt(self) -> AbstractAsyncContextManager[None]:
        """A part of the transaction: what is raised in it undoes it alone."""


class Store(Protocol):
    """Where records are kept."""

    def session(self, caller: Caller) -> AbstractAsyncContextManager[Session]:
        """A transaction: committed at the end, unless something is raised."""

    async def read(self, caller: Caller, work: Callable[[Session], Awaitable[T]]) -> T:
        """What `work` finds in a session that changes nothing. It may be a moment old, and `work` may run twice."""
