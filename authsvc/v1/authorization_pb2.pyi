import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from authsvc.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthorizeRequest(_message.Message):
    __slots__ = ("request_id", "transaction_token", "card_token", "kind", "amount_minor", "hold_minor", "currency", "transacted_at", "merchant", "partial_approval_capable", "entry_mode", "network", "explain")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    HOLD_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TRANSACTED_AT_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_APPROVAL_CAPABLE_FIELD_NUMBER: _ClassVar[int]
    ENTRY_MODE_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    transaction_token: str
    card_token: str
    kind: _types_pb2.Kind
    amount_minor: int
    hold_minor: int
    currency: str
    transacted_at: _timestamp_pb2.Timestamp
    merchant: _types_pb2.Merchant
    partial_approval_capable: bool
    entry_mode: _types_pb2.EntryMode
    network: _types_pb2.Network
    explain: bool
    def __init__(self, request_id: _Optional[str] = ..., transaction_token: _Optional[str] = ..., card_token: _Optional[str] = ..., kind: _Optional[_Union[_types_pb2.Kind, str]] = ..., amount_minor: _Optional[int] = ..., hold_minor: _Optional[int] = ..., currency: _Optional[str] = ..., transacted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., merchant: _Optional[_Union[_types_pb2.Merchant, _Mapping]] = ..., partial_approval_capable: _Optional[bool] = ..., entry_mode: _Optional[_Union[_types_pb2.EntryMode, str]] = ..., network: _Optional[_Union[_types_pb2.Network, str]] = ..., explain: _Optional[bool] = ...) -> None: ...

class AuthorizeResponse(_message.Message):
    __slots__ = ("request_id", "decision", "reason", "level", "approved_minor", "transaction_id", "available_balance_minor", "balance_minor", "deciding_check", "checks", "message", "replayed", "config_version", "elapsed_us")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    APPROVED_MINOR_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_BALANCE_MINOR_FIELD_NUMBER: _ClassVar[int]
    BALANCE_MINOR_FIELD_NUMBER: _ClassVar[int]
    DECIDING_CHECK_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_US_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    decision: _types_pb2.Decision
    reason: _types_pb2.Reason
    level: _types_pb2.Level
    approved_minor: int
    transaction_id: int
    available_balance_minor: int
    balance_minor: int
    deciding_check: _types_pb2.Check
    checks: _containers.RepeatedCompositeFieldContainer[_types_pb2.Check]
    message: str
    replayed: bool
    config_version: int
    elapsed_us: int
    def __init__(self, request_id: _Optional[str] = ..., decision: _Optional[_Union[_types_pb2.Decision, str]] = ..., reason: _Optional[_Union[_types_pb2.Reason, str]] = ..., level: _Optional[_Union[_types_pb2.Level, str]] = ..., approved_minor: _Optional[int] = ..., transaction_id: _Optional[int] = ..., available_balance_minor: _Optional[int] = ..., balance_minor: _Optional[int] = ..., deciding_check: _Optional[_Union[_types_pb2.Check, _Mapping]] = ..., checks: _Optional[_Iterable[_Union[_types_pb2.Check, _Mapping]]] = ..., message: _Optional[str] = ..., replayed: _Optional[bool] = ..., config_version: _Optional[int] = ..., elapsed_us: _Optional[int] = ...) -> None: ...

class AuthorizeResult(_message.Message):
    __slots__ = ("request_id", "response", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    response: AuthorizeResponse
    error: Error
    def __init__(self, request_id: _Optional[str] = ..., response: _Optional[_Union[AuthorizeResponse, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class AuthorizeResults(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[AuthorizeResult]
    def __init__(self, results: _Optional[_Iterable[_Union[AuthorizeResult, _Mapping]]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "field")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    field: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class BatchAuthorizeRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[AuthorizeRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[AuthorizeRequest, _Mapping]]] = ...) -> None: ...

class BatchAuthorizeResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[AuthorizeResult]
    def __init__(self, results: _Optional[_Iterable[_Union[AuthorizeResult, _Mapping]]] = ...) -> None: ...

class GetSpendingPowerRequest(_message.Message):
    __slots__ = ("card_token", "at")
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    card_token: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, card_token: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SpendingLimit(_message.Message):
    __slots__ = ("level", "window", "limit_minor", "used_minor", "held_minor", "remaining_minor", "window_start", "reset_time", "shared")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LIMIT_MINOR_FIELD_NUMBER: _ClassVar[int]
    USED_MINOR_FIELD_NUMBER: _ClassVar[int]
    HELD_MINOR_FIELD_NUMBER: _ClassVar[int]
    REMAINING_MINOR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_FIELD_NUMBER: _ClassVar[int]
    RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    level: _types_pb2.Level
    window: _types_pb2.Window
    limit_minor: int
    used_minor: int
    held_minor: int
    remaining_minor: int
    window_start: _timestamp_pb2.Timestamp
    reset_time: _timestamp_pb2.Timestamp
    shared: bool
    def __init__(self, level: _Optional[_Union[_types_pb2.Level, str]] = ..., window: _Optional[_Union[_types_pb2.Window, str]] = ..., limit_minor: _Optional[int] = ..., used_minor: _Optional[int] = ..., held_minor: _Optional[int] = ..., remaining_minor: _Optional[int] = ..., window_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., shared: _Optional[bool] = ...) -> None: ...

class GetSpendingPowerResponse(_message.Message):
    __slots__ = ("card_token", "currency", "limits", "balance_minor", "held_minor", "available_balance_minor", "spendable_minor", "card_state", "timezone", "config_version")
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_MINOR_FIELD_NUMBER: _ClassVar[int]
    HELD_MINOR_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_BALANCE_MINOR_FIELD_NUMBER: _ClassVar[int]
    SPENDABLE_MINOR_FIELD_NUMBER: _ClassVar[int]
    CARD_STATE_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    card_token: str
    currency: str
    limits: _containers.RepeatedCompositeFieldContainer[SpendingLimit]
    balance_minor: int
    held_minor: int
    available_balance_minor: int
    spendable_minor: int
    card_state: _types_pb2.Reason
    timezone: str
    config_version: int
    def __init__(self, card_token: _Optional[str] = ..., currency: _Optional[str] = ..., limits: _Optional[_Iterable[_Union[SpendingLimit, _Mapping]]] = ..., balance_minor: _Optional[int] = ..., held_minor: _Optional[int] = ..., available_balance_minor: _Optional[int] = ..., spendable_minor: _Optional[int] = ..., card_state: _Optional[_Union[_types_pb2.Reason, str]] = ..., timezone: _Optional[str] = ..., config_version: _Optional[int] = ...) -> None: ...
