import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    KIND_AUTHORIZATION: _ClassVar[Kind]
    KIND_FINANCIAL_AUTHORIZATION: _ClassVar[Kind]
    KIND_CREDIT_AUTHORIZATION: _ClassVar[Kind]
    KIND_FINANCIAL_CREDIT_AUTHORIZATION: _ClassVar[Kind]
    KIND_BALANCE_INQUIRY: _ClassVar[Kind]

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_APPROVED: _ClassVar[Decision]
    DECISION_PARTIALLY_APPROVED: _ClassVar[Decision]
    DECISION_DECLINED: _ClassVar[Decision]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_APPROVED: _ClassVar[Reason]
    REASON_UNKNOWN_CARD: _ClassVar[Reason]
    REASON_ACCOUNT_NOT_ACTIVE: _ClassVar[Reason]
    REASON_USER_NOT_ACTIVE: _ClassVar[Reason]
    REASON_CARD_PENDING: _ClassVar[Reason]
    REASON_CARD_INACTIVE: _ClassVar[Reason]
    REASON_CARD_CLOSED: _ClassVar[Reason]
    REASON_MCC_BLOCKED: _ClassVar[Reason]
    REASON_MCC_NOT_ALLOWED: _ClassVar[Reason]
    REASON_INSUFFICIENT_FUNDS: _ClassVar[Reason]
    REASON_PROFILE_LIMIT_EXCEEDED: _ClassVar[Reason]
    REASON_CARD_LIMIT_EXCEEDED: _ClassVar[Reason]

class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEVEL_UNSPECIFIED: _ClassVar[Level]
    LEVEL_ACCOUNT: _ClassVar[Level]
    LEVEL_USER: _ClassVar[Level]
    LEVEL_CARD: _ClassVar[Level]
    LEVEL_PROFILE: _ClassVar[Level]

class Window(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WINDOW_UNSPECIFIED: _ClassVar[Window]
    WINDOW_TRANSACTION: _ClassVar[Window]
    WINDOW_DAILY: _ClassVar[Window]
    WINDOW_WEEKLY: _ClassVar[Window]
    WINDOW_MONTHLY: _ClassVar[Window]
    WINDOW_YEARLY: _ClassVar[Window]
    WINDOW_LIFETIME: _ClassVar[Window]

class CheckName(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECK_NAME_UNSPECIFIED: _ClassVar[CheckName]
    CHECK_NAME_CARD_KNOWN: _ClassVar[CheckName]
    CHECK_NAME_ACCOUNT_ACTIVE: _ClassVar[CheckName]
    CHECK_NAME_USER_ACTIVE: _ClassVar[CheckName]
    CHECK_NAME_CARD_ACTIVE: _ClassVar[CheckName]
    CHECK_NAME_MCC_NOT_BLOCKED: _ClassVar[CheckName]
    CHECK_NAME_MCC_ALLOWED: _ClassVar[CheckName]
    CHECK_NAME_FUNDS: _ClassVar[CheckName]
    CHECK_NAME_PROFILE_LIMIT: _ClassVar[CheckName]
    CHECK_NAME_CARD_LIMIT: _ClassVar[CheckName]

class CheckResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECK_RESULT_UNSPECIFIED: _ClassVar[CheckResult]
    CHECK_RESULT_PASSED: _ClassVar[CheckResult]
    CHECK_RESULT_FAILED: _ClassVar[CheckResult]
    CHECK_RESULT_SKIPPED: _ClassVar[CheckResult]

class EntryMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_MODE_UNSPECIFIED: _ClassVar[EntryMode]
    ENTRY_MODE_CHIP: _ClassVar[EntryMode]
    ENTRY_MODE_MAGNETIC_STRIPE: _ClassVar[EntryMode]
    ENTRY_MODE_CONTACTLESS: _ClassVar[EntryMode]
    ENTRY_MODE_MANUAL: _ClassVar[EntryMode]
    ENTRY_MODE_ECOMMERCE: _ClassVar[EntryMode]
    ENTRY_MODE_CREDENTIAL_ON_FILE: _ClassVar[EntryMode]
    ENTRY_MODE_OTHER: _ClassVar[EntryMode]

class Network(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NETWORK_UNSPECIFIED: _ClassVar[Network]
    NETWORK_AMEX: _ClassVar[Network]
    NETWORK_INTERLINK: _ClassVar[Network]
    NETWORK_MAESTRO: _ClassVar[Network]
    NETWORK_MASTERCARD: _ClassVar[Network]
    NETWORK_VISA: _ClassVar[Network]
    NETWORK_OTHER: _ClassVar[Network]
KIND_UNSPECIFIED: Kind
KIND_AUTHORIZATION: Kind
KIND_FINANCIAL_AUTHORIZATION: Kind
KIND_CREDIT_AUTHORIZATION: Kind
KIND_FINANCIAL_CREDIT_AUTHORIZATION: Kind
KIND_BALANCE_INQUIRY: Kind
DECISION_UNSPECIFIED: Decision
DECISION_APPROVED: Decision
DECISION_PARTIALLY_APPROVED: Decision
DECISION_DECLINED: Decision
REASON_UNSPECIFIED: Reason
REASON_APPROVED: Reason
REASON_UNKNOWN_CARD: Reason
REASON_ACCOUNT_NOT_ACTIVE: Reason
REASON_USER_NOT_ACTIVE: Reason
REASON_CARD_PENDING: Reason
REASON_CARD_INACTIVE: Reason
REASON_CARD_CLOSED: Reason
REASON_MCC_BLOCKED: Reason
REASON_MCC_NOT_ALLOWED: Reason
REASON_INSUFFICIENT_FUNDS: Reason
REASON_PROFILE_LIMIT_EXCEEDED: Reason
REASON_CARD_LIMIT_EXCEEDED: Reason
LEVEL_UNSPECIFIED: Level
LEVEL_ACCOUNT: Level
LEVEL_USER: Level
LEVEL_CARD: Level
LEVEL_PROFILE: Level
WINDOW_UNSPECIFIED: Window
WINDOW_TRANSACTION: Window
WINDOW_DAILY: Window
WINDOW_WEEKLY: Window
WINDOW_MONTHLY: Window
WINDOW_YEARLY: Window
WINDOW_LIFETIME: Window
CHECK_NAME_UNSPECIFIED: CheckName
CHECK_NAME_CARD_KNOWN: CheckName
CHECK_NAME_ACCOUNT_ACTIVE: CheckName
CHECK_NAME_USER_ACTIVE: CheckName
CHECK_NAME_CARD_ACTIVE: CheckName
CHECK_NAME_MCC_NOT_BLOCKED: CheckName
CHECK_NAME_MCC_ALLOWED: CheckName
CHECK_NAME_FUNDS: CheckName
CHECK_NAME_PROFILE_LIMIT: CheckName
CHECK_NAME_CARD_LIMIT: CheckName
CHECK_RESULT_UNSPECIFIED: CheckResult
CHECK_RESULT_PASSED: CheckResult
CHECK_RESULT_FAILED: CheckResult
CHECK_RESULT_SKIPPED: CheckResult
ENTRY_MODE_UNSPECIFIED: EntryMode
ENTRY_MODE_CHIP: EntryMode
ENTRY_MODE_MAGNETIC_STRIPE: EntryMode
ENTRY_MODE_CONTACTLESS: EntryMode
ENTRY_MODE_MANUAL: EntryMode
ENTRY_MODE_ECOMMERCE: EntryMode
ENTRY_MODE_CREDENTIAL_ON_FILE: EntryMode
ENTRY_MODE_OTHER: EntryMode
NETWORK_UNSPECIFIED: Network
NETWORK_AMEX: Network
NETWORK_INTERLINK: Network
NETWORK_MAESTRO: Network
NETWORK_MASTERCARD: Network
NETWORK_VISA: Network
NETWORK_OTHER: Network

class Check(_message.Message):
    __slots__ = ("name", "result", "level", "window", "limit_minor", "used_minor", "remaining_minor", "window_start", "reset_time", "shared", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LIMIT_MINOR_FIELD_NUMBER: _ClassVar[int]
    USED_MINOR_FIELD_NUMBER: _ClassVar[int]
    REMAINING_MINOR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_FIELD_NUMBER: _ClassVar[int]
    RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: CheckName
    result: CheckResult
    level: Level
    window: Window
    limit_minor: int
    used_minor: int
    remaining_minor: int
    window_start: _timestamp_pb2.Timestamp
    reset_time: _timestamp_pb2.Timestamp
    shared: bool
    text: str
    def __init__(self, name: _Optional[_Union[CheckName, str]] = ..., result: _Optional[_Union[CheckResult, str]] = ..., level: _Optional[_Union[Level, str]] = ..., window: _Optional[_Union[Window, str]] = ..., limit_minor: _Optional[int] = ..., used_minor: _Optional[int] = ..., remaining_minor: _Optional[int] = ..., window_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., shared: _Optional[bool] = ..., text: _Optional[str] = ...) -> None: ...

class Merchant(_message.Message):
    __slots__ = ("acceptor_id", "descriptor", "mcc", "city", "state", "country", "amount_minor", "currency")
    ACCEPTOR_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    MCC_FIELD_NUMBER: _ClassVar[int]
    CITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    acceptor_id: str
    descriptor: str
    mcc: str
    city: str
    state: str
    country: str
    amount_minor: int
    currency: str
    def __init__(self, acceptor_id: _Optional[str] = ..., descriptor: _Optional[str] = ..., mcc: _Optional[str] = ..., city: _Optional[str] = ..., state: _Optional[str] = ..., country: _Optional[str] = ..., amount_minor: _Optional[int] = ..., currency: _Optional[str] = ...) -> None: ...
