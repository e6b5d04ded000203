"""Many records at once: all of a call, or nothing of it."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from authsvc.errors import AlreadyExists, InvalidRequest, NotFound, NotPossible, PermissionDenied
from authsvc.identity.shapes import Caller
from authsvc.management import checks
from authsvc.management.manage import Management, product_for
from authsvc.management.permissions import Verb, demand
from authsvc.management.resources import CARD, SPENDING_PROFILE, Resource
from authsvc.management.shapes import Problem, Session, Store

CARDS_MAX: Final = 10_000
CHUNK: Final = 500
_BAD_MAX: Final = 10_000


class Batch(NamedTuple):
    """Lines of an import: their numbers, and what each says, or why it cannot be read."""

    lines: Sequence[tuple[int, Mapping[str, Any] | Problem]]


class Imported(NamedTuple):
    """How far an import is. `bad` are the lines of the last batch."""

    read: int
    good: int
    bad: list[tuple[int, Problem]]
    is_committed: bool = False


class NothingImported(Exception):
    """Ends the transaction without a trace."""


class Bulk:
    """Makes and moves many records in the name of callers."""

    def __init__(self, store: Store, management: Management) -> None:
        """Where records are kept, and who knows what makes one right."""
        self._store = store
        self._management = management

    async def create_cards(
        self, caller: Caller, product_id: int, seeds: Sequence[Mapping[str, Any]], status: str
    ) -> AsyncGenerator[list[int], None]:
        """Cards of a product; yields the ids of each chunk. They are committed when it ends.

        Raises `InvalidRequest` with the place in `seeds`, and as `Management.create`.
        """
        demand(caller, CARD.name, Verb.CREATE)
        if not 0 < len(seeds) <= CARDS_MAX:
            raise InvalidRequest("cards", f"must be from 1 to {CARDS_MAX:,}")
        async with self._store.session(caller) as session:
            product = await product_for(session, product_id)
            own = [_seed(position, seed) for position, seed in enumerate(seeds)]
            await self._check_cardholders(session, product["account_id"], own)
            common = {
                "account_id": product["account_id"],
                "card_product_id": product_id,
                "card_type": product["card_type"],
                "status": status,
                "spend_limit_minor": product["default_spend_limit_minor"],
                "spend_limit_duration": product["default_spend_limit_duration"],
                "spending_profile_id": product["default_spending_profile_id"],
            }
            await self._management.check_card_type(session, common)
            rows = [common | one for one in own]
            for start in range(0, len(rows), CHUNK):
                yield await session.create_many(CARD, rows[start : start + CHUNK])

    async def move_cards(
        self, caller: Caller, card_ids: Sequence[int], from_profile_id: int | None, to_profile_id: int | None
    ) -> int:
        """Cards with another profile now. Raises `InvalidRequest` when one of them is not there, or the profile."""
        demand(caller, CARD.name, Verb.UPDATE)
        if bool(card_ids) == (from_profile_id is not None):
            raise InvalidRequest("card_ids", "are required, or from_profile_id, but not both")
        async with self._store.session(caller) as session:
            if to_profile_id is not None:
                profile = await session.find(SPENDING_PROFILE, to_profile_id)
                if profile is None or profile["deleted_at"] is not None:
                    raise InvalidRequest("to_profile_id", "names nothing of this account that is there")
            moved = await session.move_cards(card_ids, from_profile_id, to_profile_id)
            missing = sorted(set(card_ids) - set(moved))
            if missing:
                raise InvalidRequest("card_ids", f"names {missing[0]}, which is not there or closed")
            return len(moved)

    async def import_records(
        self, caller: Caller, resource: Resource, batches: AsyncIterator[Batch], *, skip_bad: bool, check_only: bool
    ) -> AsyncGenerator[Imported, None]:
        """Records from lines. Without `skip_bad` one bad line is enough for nothing to be made; all are told."""
        demand(caller, resource.name, Verb.CREATE)
        read = good = bad_count = 0
        try:
            async with self._store.session(caller) as session:
                async for batch in batches:
                    bad = [problem async for problem in self._lines(session, caller, resource, batch.lines)]
                    read += len(batch.lines)
                    bad_count += len(bad)
                    good = read - bad_count
                    if bad_count > _BAD_MAX:
                        raise InvalidRequest("lines", f"has more than {_BAD_MAX:,} bad ones")
                    yield Imported(read, good, bad)
                if check_only or (bad_count and not skip_bad):
                    raise NothingImported  # noqa: TRY301 - the way out of the transaction
        except NothingImported:
            yield Imported(read, good, [])
        else:
            yield Imported(read, good, [], is_committed=True)

    async def _lines(
        self,
        session: Session,
        caller: Caller,
        resource: Resource,
        lines: Iterable[tuple[int, Mapping[str, Any] | Problem]],
    ) -> AsyncIterator[tuple[int, Problem]]:
        for number, said in lines:
            if isinstance(said, Problem):
                yield number, said
                continue
            try:
                async with session.attempt():
                    await self._management.create_in(session, caller, resource, said)
            except InvalidRequest as error:
                yield number, Problem(error.field, error.problem)
            except (AlreadyExists, NotFound, NotPossible, PermissionDenied) as error:
                field, colon, problem = str(error).partition(": ")
                yield number, Problem(field if colon else "", problem if colon else str(error))

    async def _check_cardholders(self, session: Session, account_id: int, seeds: Sequence[Mapping[str, Any]]) -> None:
        wanted: dict[int, int] = {}
        for seed in seeds:
            wanted[seed["user_id"]] = wanted.get(seed["user_id"], 0) + 1
        open_cards = await session.open_cards(account_id, sorted(wanted))
        cards_max = await session.setting(account_id, "max_cards_per_user")
        for position, seed in enumerate(seeds):
            user_id = seed["user_id"]
            if user_id not in open_cards:
                raise InvalidRequest(f"cards[{position}].user_id", "names no user of the product's account")
            if open_cards[user_id] + wanted[user_id] > cards_max:
                text = f"would have more than {cards_max} cards (setting max_cards_per_user)"
                raise InvalidRequest(f"cards[{position}].user_id", text)


def _seed(position: int, seed: Mapping[str, Any]) -> dict[str, Any]:
    """What one card has of its own, checked."""
    try:
        own = {
            name: checks.check_value(CARD.by_name[name], seed.get(name))
            for name in ("user_id", "lithic_card_token", "last_four")
        }
        checks.check_record(CARD, own)
    except InvalidRequest as error:
        raise InvalidRequest(f"cards[{position}].{error.field}", error.problem) from None
    return own
