"""The use case: may the caller do it, is it right, then one transaction. Decisions obey it from its commit on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from authsvc.clock import Clock
from authsvc.errors import Conflict, InvalidRequest, NotFound, NotPossible, PermissionDenied
from authsvc.identity.shapes import OPERATOR, OWNER, Caller
from authsvc.management import checks
from authsvc.management.describe import Described
from authsvc.management.permissions import Reach, Verb, demand, reach_of
from authsvc.management.resources import (
    ACCOUNT,
    ADDRESS,
    CARD,
    CARD_PRODUCT,
    CATEGORY_RULE,
    SETTING,
    SPENDING_PROFILE,
    USER,
    Field,
    Resource,
    Shape,
)
from authsvc.management.settings import check_setting, value_type_of
from authsvc.management.shapes import Listing, Record, Session, SettingKey, Store, Told

# A card's field, and the product's default for it.
_DEFAULTS: Final = {
    "card_type": "card_type",
    "spend_limit_minor": "default_spend_limit_minor",
    "spend_limit_duration": "default_spend_limit_duration",
    "spending_profile_id": "default_spending_profile_id",
}
_FLAGS: Final = {"virtual": "enable_virtual_cards", "physical": "enable_physical_cards"}


class Management:
    """Creates, tells, lists, changes, deletes, restores and purges records in the name of callers.

    Besides what its methods name, each raises `PermissionDenied` and `Unavailable`. What a caller may not see is
    `NotFound`.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        """Where records are kept, and what day it is."""
        self._store = store
        self._clock = clock

    async def create(self, caller: Caller, resource: Resource, given: Mapping[str, Any]) -> Told:
        """A new record. Raises `InvalidRequest` with the field, `AlreadyExists`, `NotPossible`."""
        demand(caller, resource.name, Verb.CREATE)
        async with self._store.session(caller) as session:
            record = await self.create_in(session, caller, resource, given)
            return await self._told(session, caller, resource, record)

    async def create_in(self, session: Session, caller: Caller, resource: Resource, given: Mapping[str, Any]) -> Record:
        """As `create`, in a transaction that may hold more. The caller's right was looked at before."""
        values = {name: value for name, value in given.items() if not resource.by_name[name].read_only}
        if resource is CARD:
            await _from_product(session, values)
        if resource is SETTING:
            values["value_type"] = value_type_of(await session.setting_keys(), values.get("key"))
        values = _complete(resource, values)
        _check_tenant(caller, resource, values)
        await self._check_rules(session, caller, resource, {}, values)
        return await session.create(resource, values)

    async def check_card_type(self, session: Session, card: Mapping[str, Any]) -> None:
        """Raises `InvalidRequest` when the account's settings turn such cards off."""
        await _check_card_type(session, card)

    async def get(self, caller: Caller, resource: Resource, record_id: int, *, show_deleted: bool = False) -> Told:
        """A record. Raises `NotFound`."""
        demand(caller, resource.name, Verb.VIEW)
        async with self._store.session(caller) as session:
            record = await _found(session, resource, record_id, show_deleted=show_deleted)
            return await self._told(session, caller, resource, record)

    async def page(self, caller: Caller, resource: Resource, listing: Listing) -> list[Record]:
        """Records in order. Another account's are not there."""
        reach = demand(caller, resource.name, Verb.VIEW)
        if reach is not Reach.EVERYWHERE:
            if listing.account_id not in (None, caller.account_id):
                return []
            # The policies say the same; said here, an index finds them.
            listing = listing._replace(account_id=caller.account_id)
        records = await self._store.read(caller, lambda session: session.page(resource, listing))
        return [_seen(caller, resource, record) for record in records]

    async def update(
        self, caller: Caller, resource: Resource, record_id: int, given: Mapping[str, Any], row_version: int | None
    ) -> Told:
        """The record with other values. Raises `NotFound`, `Conflict`, and as `create`."""
        demand(caller, resource.name, Verb.UPDATE)
        async with self._store.session(caller) as session:
            before = await _found(session, resource, record_id, lock=True)
            _check_version(before, row_version)
            values = {name: checks.check_value(_changeable(resource, name), value) for name, value in given.items()}
            await self._check_rules(session, caller, resource, before, values)
            if resource is CARD:
                await _note_overrides(session, before, values)
            # Sealed again, what stays as it is would look like a change.
            changed = {name: value for name, value in values.items() if value != before[name]}
            record = await _written(session, resource, record_id, changed) if changed else before
            return await self._told(session, caller, resource, record)

    async def delete(self, caller: Caller, resource: Resource, record_id: int, row_version: int | None) -> Told:
        """Out of use from now on. Raises `NotFound`, `Conflict`, `NotPossible`."""
        demand(caller, resource.name, Verb.DELETE)
        async with self._store.session(caller) as session:
            before = await _found(session, resource, record_id, lock=True)
            _check_version(before, row_version)
            _check_owners(caller, resource, before, {})
            record = await _written(session, resource, record_id, {"deleted_at": True})
            return Told(_seen(caller, resource, record))

    async def restore(self, caller: Caller, resource: Resource, record_id: int) -> Told:
        """In use again. Raises `NotFound`, `AlreadyExists` when its name was taken meanwhile, `NotPossible`."""
        demand(caller, resource.name, Verb.DELETE)
        async with self._store.session(caller) as session:
            before = await _found(session, resource, record_id, lock=True, show_deleted=True)
            if before["deleted_at"] is None:
                raise NotPossible("it is not deleted")
            _check_owners(caller, resource, before, {})
            record = await _written(session, resource, record_id, {"deleted_at": False})
            return Told(_seen(caller, resource, record))

    async def purge(self, caller: Caller, resource: Resource, record_id: int) -> None:
        """Gone for good. Raises `NotFound`, `NotPossible` unless it is deleted and nothing needs it."""
        demand(caller, resource.name, Verb.PURGE)
        async with self._store.session(caller) as session:
            before = await _found(session, resource, record_id, lock=True, show_deleted=True)
            if before["deleted_at"] is None:
                raise NotPossible("only what is deleted can be purged")
            await session.purge(resource, record_id)

    async def setting_keys(self, caller: Caller) -> list[SettingKey]:
        """The registry of settings."""
        demand(caller, "Setting", Verb.VIEW)
        async with self._store.session(caller) as session:
            return await session.setting_keys()

    async def profile_in_full(self, caller: Caller, record_id: int) -> Described:
        """A profile with its rules and what its account adds. Raises `NotFound`."""
        demand(caller, SPENDING_PROFILE.name, Verb.VIEW)
        async with self._store.session(caller) as session:
            record = await _found(session, SPENDING_PROFILE, record_id)
            account = await _found(session, ACCOUNT, record["account_id"])
            rules = await session.rules_of(record_id)
            timezone = await session.setting(record["account_id"], "timezone")
            told = await self._told(session, caller, SPENDING_PROFILE, record)
            return Described(told, account["currency"], timezone, rules)

    async def _told(self, session: Session, caller: Caller, resource: Resource, record: Record) -> Told:
        if resource is SPENDING_PROFILE:
            return Told(record, tuple(checks.profile_warnings(record)))
        if resource is CARD:
            profile_id = record["spending_profile_id"]
            profile = await session.find(SPENDING_PROFILE, profile_id) if profile_id is not None else None
            return Told(record, tuple(checks.card_warnings(record, profile)))
        return Told(_seen(caller, resource, record))

    async def _check_rules(
        self, session: Session, caller: Caller, resource: Resource, before: Mapping[str, Any], values: dict[str, Any]
    ) -> None:
        """What the values say together with those that stay, and with other records."""
        after = {**before, **values}
        checks.check_record(resource, after)
        if "account_id" in after and any(resource.by_name[name].shape is Shape.MONEY for name in values):
            account = await session.find(ACCOUNT, after["account_id"])
            if account is not None:
                checks.check_money(resource, values, account["currency"])
        today = datetime.fromtimestamp(self._clock.now_us() / 1_000_000, UTC).date()
        if resource is USER and (after["date_of_birth"] or "") > today.isoformat():
            raise InvalidRequest("date_of_birth", "must be in the past")
        _check_owners(caller, resource, before, values)
        if resource is SETTING:
            check_setting(await session.setting_keys(), after["key"], after["value"])
        if resource is CARD:
            await _check_card(session, before, after)
        if not before:
            await _check_parent(session, resource, after)
        if resource is ACCOUNT and before and values.get("currency", before["currency"]) != before["currency"]:
            raise InvalidRequest("update_mask", "names currency, which never changes")


async def _found(
    session: Session, resource: Resource, record_id: int, *, lock: bool = False, show_deleted: bool = False
) -> Record:
    record = await session.find(resource, record_id, lock=lock)
    if record is None and lock and await session.find(resource, record_id) is not None:
        # It is seen, but the policies let nobody of this role touch it.
        raise PermissionDenied
    if record is None or (record["deleted_at"] is not None and not show_deleted):
        raise NotFound(f"no such {resource.name}")
    return record


async def _written(session: Session, resource: Resource, record_id: int, values: Mapping[str, Any]) -> Record:
    record = await session.change(resource, record_id, values)
    if record is None:
        raise PermissionDenied
    return record


def _seen(caller: Caller, resource: Resource, record: Record) -> Record:
    """What of it the caller is told: guarded fields only to those who may change it."""
    guarded = [field.name for field in resource.fields if field.guarded]
    if not guarded or reach_of(caller, resource.name, Verb.UPDATE) is not None:
        return record
    return record | dict.fromkeys(guarded)


def _check_version(record: Record, row_version: int | None) -> None:
    if row_version is not None and row_version != record["row_version"]:
        raise Conflict


def _changeable(resource: Resource, name: str) -> Field:
    field = resource.by_name.get(name)
    if field is None:
        raise InvalidRequest("update_mask", f"names {name}, which a {resource.name} does not have")
    if field.read_only or field.fixed:
        raise InvalidRequest("update_mask", f"names {name}, which never changes")
    return field


def _complete(resource: Resource, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every field that is written, checked; of read-only ones those that the service itself has filled in."""
    values: dict[str, Any] = {}
    for field in resource.fields:
        if field.read_only and field.name not in given:
            continue
        value = given.get(field.name)
        if value is None or (field.shape is Shape.TEXT and value == ""):
            value = field.default
        if value is None and not field.required:
            values[field.name] = None
            continue
        values[field.name] = checks.check_value(field, value)
    return values


def _check_tenant(caller: Caller, resource: Resource, values: Mapping[str, Any]) -> None:
    """Nobody makes anything in another account; row-level security would refuse it with fewer words."""
    if caller.role != OPERATOR and "account_id" in resource.by_name and values["account_id"] != caller.account_id:
        raise PermissionDenied("that is another account")


def _check_owners(caller: Caller, resource: Resource, before: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Owners are made and touched by owners: nobody raises themselves."""
    if resource is USER and caller.role not in (OPERATOR, OWNER) and OWNER in (before.get("role"), values.get("role")):
        raise PermissionDenied("only an owner may do that to an owner")


async def _check_parent(session: Session, resource: Resource, record: Mapping[str, Any]) -> None:
    """What a new record belongs to: constraints know it by columns that nobody sees, or refuse it without a word."""
    if resource is ADDRESS and record["addressable_type"] == "user":
        owner = await session.find(USER, record["addressable_id"])
        if owner is None or owner["account_id"] != record["account_id"]:
            raise InvalidRequest("addressable_id", "names no user of this account")
    if resource is CATEGORY_RULE and await session.find(SPENDING_PROFILE, record["spending_profile_id"]) is None:
        raise InvalidRequest("spending_profile_id", "names nothing of this account that is there")


async def _check_card(session: Session, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """What the account's settings say about cards."""
    if after["card_type"] != before.get("card_type"):
        await _check_card_type(session, after)
    opens = before.get("user_id") != after["user_id"] and after["status"] != "closed"
    if opens:
        cards_max = await session.setting(after["account_id"], "max_cards_per_user")
        open_cards = await session.open_cards(after["account_id"], [after["user_id"]])
        if open_cards.get(after["user_id"], 0) >= cards_max:
            raise InvalidRequest("user_id", f"has {cards_max} cards already (setting max_cards_per_user)")


async def _check_card_type(session: Session, card: Mapping[str, Any]) -> None:
    flag = _FLAGS.get(card["card_type"])
    if flag is not None and not await session.setting(card["account_id"], flag):
        raise InvalidRequest("card_type", f"is turned off by the account's setting {flag}")


async def product_for(session: Session, product_id: int) -> Record:
    """A product that cards can be made from. Raises `InvalidRequest`."""
    product = await session.find(CARD_PRODUCT, product_id)
    if product is None or product["deleted_at"] is not None:
        raise InvalidRequest("card_product_id", "names nothing of this account that is there")
    if not product["is_active"]:
        raise InvalidRequest("card_product_id", "is not active: no cards are made from it")
    return product


async def _from_product(session: Session, values: dict[str, Any]) -> None:
    """The product's defaults for what was not said, and the names of what was said otherwise."""
    product_id = values.get("card_product_id")
    if product_id is None:
        return
    product = await product_for(session, product_id)
    if values.get("account_id") is None:
        values["account_id"] = product["account_id"]
    overridden = []
    for name, default in _DEFAULTS.items():
        if values.get(name) is None:
            values[name] = product[default]
        elif values[name] != product[default]:
            overridden.append(name.removesuffix("_minor"))
    values["overridden_fields"] = overridden


async def _note_overrides(session: Session, before: Mapping[str, Any], values: dict[str, Any]) -> None:
    product_id = before["card_product_id"]
    touched = [name for name in _DEFAULTS if name in values]
    if product_id is None or not touched:
        return
    product = await session.find(CARD_PRODUCT, product_id)
    assert product is not None
    names = set(before["overridden_fields"])
    for name in touched:
        column = name.removesuffix("_minor")
        names = names - {column} if values[name] == product[_DEFAULTS[name]] else names | {column}
    values["overridden_fields"] = sorted(names)
