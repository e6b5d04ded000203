"""What a decision must be, written as slowly and plainly as possible, on the tables themselves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from authsvc.ports import AuthorizationRequest
from rules.reasons import Decision, Kind, Reason, Window
from tests.simulation.postgres import CardRow, PostgresServer, ProfileRow, TransactionRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CREDITS = (Kind.CREDIT_AUTHORIZATION, Kind.FINANCIAL_CREDIT_AUTHORIZATION)
_STATUS_REASON = {"pending": Reason.CARD_PENDING, "inactive": Reason.CARD_INACTIVE, "closed": Reason.CARD_CLOSED}


class Spending(NamedTuple):
    """One limit that holds for a card: how much, whose, and what it has used."""

    reason: Reason
    limit_minor: int
    used_minor: int


@dataclass(frozen=True)
class Judgement:
    decision: Decision
    reason: Reason
    approved_minor: int


@lru_cache(maxsize=4_096)
def window_key(window: Window, instant_us: int, timezone: str) -> tuple[int, ...]:
    """Two instants are in the same window when their keys are equal. Only for zones that keep their midnights."""
    local = (_EPOCH + timedelta(microseconds=instant_us)).astimezone(ZoneInfo(timezone))
    iso_year, iso_week, _ = local.isocalendar()
    match window:
        case Window.DAILY:
            return local.year, local.month, local.day
        case Window.WEEKLY:
            return iso_year, iso_week
        case Window.MONTHLY:
            return local.year, local.month
        case Window.YEARLY:
            return (local.year,)
        case _:
            return ()


def static_reason(server: PostgresServer, request: AuthorizationRequest) -> Reason:
    """What configuration alone says: the first reason that applies."""
    card = server.cards.get(request.card_token)
    if card is None:
        return Reason.UNKNOWN_CARD
    profile = server.profiles[card.profile_id] if card.profile_id is not None else None
    listed = profile is not None and request.kind not in CREDITS
    reasons = {
        Reason.ACCOUNT_NOT_ACTIVE: server.accounts[card.account_id].status != "active",
        Reason.USER_NOT_ACTIVE: server.users[card.user_id].status != "active",
        _STATUS_REASON.get(card.status, Reason.APPROVED): card.status != "active",
        Reason.MCC_BLOCKED: listed and profile is not None and _is_listed(request.mcc, profile.blocked),
        Reason.MCC_NOT_ALLOWED: listed
        and profile is not None
        and bool(profile.allowed)
        and not _is_listed(request.mcc, profile.allowed),
    }
    return next((reason for reason, applies in reasons.items() if applies), Reason.APPROVED)


def _is_listed(mcc: str, entries: tuple[str, ...]) -> bool:
    return any(entry[:4] <= mcc <= entry[-4:] for entry in entries)


def is_free(request: AuthorizationRequest) -> bool:
    """No money is asked for: checks 7 to 9 do not apply."""
    return request.kind in CREDITS or (request.amount_minor == 0 and request.kind is not Kind.BALANCE_INQUIRY)


def spendings(server: PostgresServer, card: CardRow, instant_us: int, without_id: int | None = None) -> list[Spending]:
    """Every limit of a card, in order of precedence, with what is committed in its window."""
    found = []
    profile = server.profiles[card.profile_id] if card.profile_id is not None else None
    if profile is not None and profile.limit_minor is not None and profile.window is not None:
        found.append(_spending(server, card, profile, instant_us, without_id))
    if card.limit_minor is not None and card.window is not None:
        found.append(_spending(server, card, None, instant_us, without_id))
    return found


def _spending(
    server: PostgresServer, card: CardRow, profile: ProfileRow | None, instant_us: int, without_id: int | None
) -> Spending:
    source = profile if profile is not None else card
    reason = Reason.PROFILE_LIMIT_EXCEEDED if profile is not None else Reason.CARD_LIMIT_EXCEEDED
    assert source.limit_minor is not None and source.window is not None
    used = 0
    if source.window is not Window.TRANSACTION:
        timezone = server.accounts[card.account_id].timezone
        key = window_key(source.window, instant_us, timezone)
        for row in server.transactions.values():
            if row.id == without_id or window_key(source.window, row.transacted_at_us, timezone) != key:
                continue
            is_its = row.profile_id == profile.id if profile is not None and profile.shared else row.card_id == card.id
            used += contribution(row) - _given_back(server, row, source.window) if is_its else 0
    return Spending(reason, source.limit_minor, used)


def contribution(row: TransactionRow) -> int:
    return row.held_minor + row.settled_minor


def _given_back(server: PostgresServer, row: TransactionRow, window: Window) -> int:
    """What a credit takes off a limit of this window."""
    policy = server.accounts[row.account_id].refund_policy
    lifetime = policy == "restore_lifetime" and window is Window.LIFETIME
    return row.credited_minor if lifetime or policy == "restore_window" else 0


def judge(
    server: PostgresServer, request: AuthorizationRequest, funds: tuple[int, int], limits: list[Spending]
) -> Judgement:
    """The decision for given balance and holds, and given uses of the limits."""
    reason = static_reason(server, request)
    if reason is not Reason.APPROVED:
        return Judgement(Decision.DECLINED, reason, 0)
    if request.kind is Kind.BALANCE_INQUIRY:
        return Judgement(Decision.APPROVED, Reason.APPROVED, 0)
    if is_free(request):
        return Judgement(Decision.APPROVED, Reason.APPROVED, request.amount_minor)
    account = server.accounts[server.cards[request.card_token].account_id]
    rooms = [(Reason.INSUFFICIENT_FUNDS, funds[0] - funds[1])] if account.balance_check else []
    rooms += [(limit.reason, limit.limit_minor - limit.used_minor) for limit in limits]
    short = [reason for reason, room in rooms if room < request.amount_minor]
    if not short:
        return Judgement(Decision.APPROVED, Reason.APPROVED, request.amount_minor)
    least = min(room for _, room in rooms)
    if least > 0 and request.partial_approval_capable:
        return Judgement(Decision.PARTIALLY_APPROVED, short[0], least)
    return Judgement(Decision.DECLINED, short[0], 0)
