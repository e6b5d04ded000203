"""The gRPC method of AuditService."""

from typing import Any, Final

from authsvc import codec as wire
from authsvc.audit.shapes import ACTIONS, ENTITY_TYPES, Entry, Filter
from authsvc.errors import InvalidRequest
from authsvc.guard import Context, Guarded, guarded
from authsvc.management.codec import PAGE_SIZE, PAGE_SIZE_MAX
from authsvc.management.permissions import Reach, Verb, demand
from authsvc.management.servicer import Callers
from authsvc.management.shapes import Store
from authsvc.metrics import Metrics
from authsvc.v1 import management_pb2 as pb

_ACTOR_MAX: Final = 255
_TOKEN_DIGITS_MAX: Final = 18
_OPTIONAL: Final = (
    "account_id",
    "user_id",
    "old_values",
    "new_values",
    "role",
    "ip_address",
    "user_agent",
    "request_id",
    "config_version",
)


class AuditServicer(Guarded):
    """Who changed what."""

    def __init__(self, store: Store, callers: Callers, metrics: Metrics) -> None:
        """Where it is kept, who calls, and whom errors are told."""
        self.metrics = metrics
        self._store = store
        self._callers = callers

    @guarded
    async def ListAuditLogs(  # noqa: N802 - gRPC's
        self, message: pb.ListAuditLogsRequest, context: Context
    ) -> pb.ListAuditLogsResponse:
        """A page."""
        caller = await self._callers.caller_of(context)
        reach = demand(caller, "AuditLog", Verb.VIEW)
        wanted, before = _filter_of(message), _before_of(message)
        size = _size_of(message)
        if reach is not Reach.EVERYWHERE:
            if wanted.account_id not in (None, caller.account_id):
                return pb.ListAuditLogsResponse()
            wanted = wanted._replace(account_id=caller.account_id)
        entries = await self._store.read(caller, lambda session: session.audit_page(wanted, before, size + 1))
        token = str(entries[size - 1].id) if len(entries) > size else ""
        return pb.ListAuditLogsResponse(audit_logs=map(_told, entries[:size]), next_page_token=token)


def _filter_of(message: pb.ListAuditLogsRequest) -> Filter:
    for name, known in (("entity_type", ENTITY_TYPES), ("action", ACTIONS)):
        if getattr(message, name) and getattr(message, name) not in known:
            raise InvalidRequest(name, f"must be one of {', '.join(known)}")
    if len(message.actor) > _ACTOR_MAX or "\x00" in message.actor:
        raise InvalidRequest("actor", f"must be at most {_ACTOR_MAX} characters")
    for name in ("account_id", "entity_id", "config_version"):
        if getattr(message, name) < 0:
            raise InvalidRequest(name, "must not be negative")
    return Filter(
        account_id=message.account_id or None,
        entity_type=message.entity_type,
        entity_id=message.entity_id or None,
        action=message.action,
        actor=message.actor,
        config_version=message.config_version or None,
        since_us=_instant(message, "start_time"),
        until_us=_instant(message, "end_time"),
    )


def _instant(message: pb.ListAuditLogsRequest, name: str) -> int | None:
    return wire.instant_us_of(name, getattr(message, name)) if message.HasField(name) else None


def _before_of(message: pb.ListAuditLogsRequest) -> int | None:
    token = message.page_token
    if not token:
        return None
    if not (token.isascii() and token.isdigit() and len(token) <= _TOKEN_DIGITS_MAX):
        raise InvalidRequest("page_token", "is not one that this service gave out")
    return int(token)


def _size_of(message: pb.ListAuditLogsRequest) -> int:
    if not 0 <= message.page_size <= PAGE_SIZE_MAX:
        raise InvalidRequest("page_size", f"must be from 0 to {PAGE_SIZE_MAX:,}")
    return message.page_size or PAGE_SIZE


def _told(entry: Entry) -> pb.AuditLog:
    given: dict[str, Any] = {name: getattr(entry, name) for name in _OPTIONAL if getattr(entry, name) is not None}
    told = pb.AuditLog(
        id=entry.id,
        action=entry.action,
        entity_type=entry.entity_type,
        entity_id=entry.entity_id,
        actor=entry.actor,
        **given,
    )
    wire.set_timestamp(told.created_at, entry.created_us)
    return told
