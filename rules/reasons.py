"""The vocabulary of a decision. Numbers are those of protos/authsvc/v1/types.proto; order is precedence."""

from enum import IntEnum


class Kind(IntEnum):
    """What the network asks."""

    AUTHORIZATION = 1
    FINANCIAL_AUTHORIZATION = 2
    CREDIT_AUTHORIZATION = 3
    FINANCIAL_CREDIT_AUTHORIZATION = 4
    BALANCE_INQUIRY = 5


class Decision(IntEnum):
    """The answer."""

    APPROVED = 1
    PARTIALLY_APPROVED = 2
    DECLINED = 3


class Reason(IntEnum):
    """The first check that failed, in order of precedence; APPROVED when none did."""

    APPROVED = 1
    UNKNOWN_CARD = 2
    ACCOUNT_NOT_ACTIVE = 3
    USER_NOT_ACTIVE = 4
    CARD_PENDING = 5
    CARD_INACTIVE = 6
    CARD_CLOSED = 7
    MCC_BLOCKED = 8
    MCC_NOT_ALLOWED = 9
    INSUFFICIENT_FUNDS = 10
    PROFILE_LIMIT_EXCEEDED = 11
    CARD_LIMIT_EXCEEDED = 12


class Level(IntEnum):
    """Where in the hierarchy a check lives."""

    UNSPECIFIED = 0
    ACCOUNT = 1
    USER = 2
    CARD = 3
    PROFILE = 4


class Window(IntEnum):
    """The span over which a limit counts; calendar windows are in the account's time zone."""

    UNSPECIFIED = 0
    TRANSACTION = 1
    DAILY = 2
    WEEKLY = 3
    MONTHLY = 4
    YEARLY = 5
    LIFETIME = 6


class CheckName(IntEnum):
    """The checks in the order in which they are made."""

    CARD_KNOWN = 1
    ACCOUNT_ACTIVE = 2
    USER_ACTIVE = 3
    CARD_ACTIVE = 4
    MCC_NOT_BLOCKED = 5
    MCC_ALLOWED = 6
    FUNDS = 7
    PROFILE_LIMIT = 8
    CARD_LIMIT = 9


class CheckResult(IntEnum):
    """What became of a check."""

    PASSED = 1
    FAILED = 2
    SKIPPED = 3


CHECK_OF_REASON = {
    Reason.UNKNOWN_CARD: CheckName.CARD_KNOWN,
    Reason.ACCOUNT_NOT_ACTIVE: CheckName.ACCOUNT_ACTIVE,
    Reason.USER_NOT_ACTIVE: CheckName.USER_ACTIVE,
    Reason.CARD_PENDING: CheckName.CARD_ACTIVE,
    Reason.CARD_INACTIVE: CheckName.CARD_ACTIVE,
    Reason.CARD_CLOSED: CheckName.CARD_ACTIVE,
    Reason.MCC_BLOCKED: CheckName.MCC_NOT_BLOCKED,
    Reason.MCC_NOT_ALLOWED: CheckName.MCC_ALLOWED,
    Reason.INSUFFICIENT_FUNDS: CheckName.FUNDS,
    Reason.PROFILE_LIMIT_EXCEEDED: CheckName.PROFILE_LIMIT,
    Reason.CARD_LIMIT_EXCEEDED: CheckName.CARD_LIMIT,
}

REASON_OF_LIMIT_CHECK = {
    CheckName.FUNDS: Reason.INSUFFICIENT_FUNDS,
    CheckName.PROFILE_LIMIT: Reason.PROFILE_LIMIT_EXCEEDED,
    CheckName.CARD_LIMIT: Reason.CARD_LIMIT_EXCEEDED,
}

LEVEL_OF_CHECK = {
    CheckName.CARD_KNOWN: Level.CARD,
    CheckName.ACCOUNT_ACTIVE: Level.ACCOUNT,
    CheckName.USER_ACTIVE: Level.USER,
    CheckName.CARD_ACTIVE: Level.CARD,
    CheckName.MCC_NOT_BLOCKED: Level.PROFILE,
    CheckName.MCC_ALLOWED: Level.PROFILE,
    CheckName.FUNDS: Level.ACCOUNT,
    CheckName.PROFILE_LIMIT: Level.PROFILE,
    CheckName.CARD_LIMIT: Level.CARD,
}

LEVEL_OF_REASON = {Reason.APPROVED: Level.UNSPECIFIED} | {
    reason: LEVEL_OF_CHECK[check] for reason, check in CHECK_OF_REASON.items()
}
