import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from authsvc.v1 import authorization_pb2 as _authorization_pb2
from authsvc.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_ADVICE: _ClassVar[EventKind]
    EVENT_KIND_REVERSAL: _ClassVar[EventKind]
    EVENT_KIND_EXPIRY: _ClassVar[EventKind]
    EVENT_KIND_CLEARING: _ClassVar[EventKind]
    EVENT_KIND_REFUND: _ClassVar[EventKind]
    EVENT_KIND_REFUND_REVERSAL: _ClassVar[EventKind]
    EVENT_KIND_CORRECTION_DEBIT: _ClassVar[EventKind]
    EVENT_KIND_CORRECTION_CREDIT: _ClassVar[EventKind]
    EVENT_KIND_SNAPSHOT: _ClassVar[EventKind]
    EVENT_KIND_INCREMENT: _ClassVar[EventKind]
    EVENT_KIND_FINANCIAL_AUTHORIZATION_ADVICE: _ClassVar[EventKind]
    EVENT_KIND_CREDIT_AUTHORIZATION_ADVICE: _ClassVar[EventKind]
    EVENT_KIND_FINANCIAL_CREDIT_AUTHORIZATION_ADVICE: _ClassVar[EventKind]

class TransactionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSACTION_STATUS_UNSPECIFIED: _ClassVar[TransactionStatus]
    TRANSACTION_STATUS_PENDING: _ClassVar[TransactionStatus]
    TRANSACTION_STATUS_APPROVED: _ClassVar[TransactionStatus]
    TRANSACTION_STATUS_DECLINED: _ClassVar[TransactionStatus]
    TRANSACTION_STATUS_SETTLED: _ClassVar[TransactionStatus]
    TRANSACTION_STATUS_VOIDED: _ClassVar[TransactionStatus]
    TRANSACTION_STATUS_EXPIRED: _ClassVar[TransactionStatus]

class AdjustmentKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADJUSTMENT_KIND_UNSPECIFIED: _ClassVar[AdjustmentKind]
    ADJUSTMENT_KIND_FUNDING: _ClassVar[AdjustmentKind]
    ADJUSTMENT_KIND_WITHDRAWAL: _ClassVar[AdjustmentKind]
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_ADVICE: EventKind
EVENT_KIND_REVERSAL: EventKind
EVENT_KIND_EXPIRY: EventKind
EVENT_KIND_CLEARING: EventKind
EVENT_KIND_REFUND: EventKind
EVENT_KIND_REFUND_REVERSAL: EventKind
EVENT_KIND_CORRECTION_DEBIT: EventKind
EVENT_KIND_CORRECTION_CREDIT: EventKind
EVENT_KIND_SNAPSHOT: EventKind
EVENT_KIND_INCREMENT: EventKind
EVENT_KIND_FINANCIAL_AUTHORIZATION_ADVICE: EventKind
EVENT_KIND_CREDIT_AUTHORIZATION_ADVICE: EventKind
EVENT_KIND_FINANCIAL_CREDIT_AUTHORIZATION_ADVICE: EventKind
TRANSACTION_STATUS_UNSPECIFIED: TransactionStatus
TRANSACTION_STATUS_PENDING: TransactionStatus
TRANSACTION_STATUS_APPROVED: TransactionStatus
TRANSACTION_STATUS_DECLINED: TransactionStatus
TRANSACTION_STATUS_SETTLED: TransactionStatus
TRANSACTION_STATUS_VOIDED: TransactionStatus
TRANSACTION_STATUS_EXPIRED: TransactionStatus
ADJUSTMENT_KIND_UNSPECIFIED: AdjustmentKind
ADJUSTMENT_KIND_FUNDING: AdjustmentKind
ADJUSTMENT_KIND_WITHDRAWAL: AdjustmentKind

class ApplyEventRequest(_message.Message):
    __slots__ = ("event_id", "kind", "transaction_id", "transaction_token", "amount_minor", "settled_minor", "is_final", "currency", "occurred_at", "card_token", "transacted_at", "merchant")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    SETTLED_MINOR_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TRANSACTED_AT_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    kind: EventKind
    transaction_id: int
    transaction_token: str
    amount_minor: int
    settled_minor: int
    is_final: bool
    currency: str
    occurred_at: _timestamp_pb2.Timestamp
    card_token: str
    transacted_at: _timestamp_pb2.Timestamp
    merchant: _types_pb2.Merchant
    def __init__(self, event_id: _Optional[str] = ..., kind: _Optional[_Union[EventKind, str]] = ..., transaction_id: _Optional[int] = ..., transaction_token: _Optional[str] = ..., amount_minor: _Optional[int] = ..., settled_minor: _Optional[int] = ..., is_final: _Optional[bool] = ..., currency: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., card_token: _Optional[str] = ..., transacted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., merchant: _Optional[_Union[_types_pb2.Merchant, _Mapping]] = ...) -> None: ...

class ApplyEventResponse(_message.Message):
    __slots__ = ("event_id", "transaction_id", "status", "held_minor", "settled_minor", "credited_minor", "replayed", "decision")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HELD_MINOR_FIELD_NUMBER: _ClassVar[int]
    SETTLED_MINOR_FIELD_NUMBER: _ClassVar[int]
    CREDITED_MINOR_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    transaction_id: int
    status: TransactionStatus
    held_minor: int
    settled_minor: int
    credited_minor: int
    replayed: bool
    decision: _authorization_pb2.AuthorizeResponse
    def __init__(self, event_id: _Optional[str] = ..., transaction_id: _Optional[int] = ..., status: _Optional[_Union[TransactionStatus, str]] = ..., held_minor: _Optional[int] = ..., settled_minor: _Optional[int] = ..., credited_minor: _Optional[int] = ..., replayed: _Optional[bool] = ..., decision: _Optional[_Union[_authorization_pb2.AuthorizeResponse, _Mapping]] = ...) -> None: ...

class BatchApplyEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[ApplyEventRequest]
    def __init__(self, events: _Optional[_Iterable[_Union[ApplyEventRequest, _Mapping]]] = ...) -> None: ...

class ApplyEventResult(_message.Message):
    __slots__ = ("event_id", "response", "error")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    response: ApplyEventResponse
    error: _authorization_pb2.Error
    def __init__(self, event_id: _Optional[str] = ..., response: _Optional[_Union[ApplyEventResponse, _Mapping]] = ..., error: _Optional[_Union[_authorization_pb2.Error, _Mapping]] = ...) -> None: ...

class BatchApplyEventsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ApplyEventResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ApplyEventResult, _Mapping]]] = ...) -> None: ...

class GetTransactionRequest(_message.Message):
    __slots__ = ("transaction_id", "transaction_token")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    transaction_id: int
    transaction_token: str
    def __init__(self, transaction_id: _Optional[int] = ..., transaction_token: _Optional[str] = ...) -> None: ...

class Transaction(_message.Message):
    __slots__ = ("transaction_id", "transaction_token", "card_token", "status", "currency", "approved_minor", "held_minor", "settled_minor", "credited_minor", "transacted_at", "events")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    APPROVED_MINOR_FIELD_NUMBER: _ClassVar[int]
    HELD_MINOR_FIELD_NUMBER: _ClassVar[int]
    SETTLED_MINOR_FIELD_NUMBER: _ClassVar[int]
    CREDITED_MINOR_FIELD_NUMBER: _ClassVar[int]
    TRANSACTED_AT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    transaction_id: int
    transaction_token: str
    card_token: str
    status: TransactionStatus
    currency: str
    approved_minor: int
    held_minor: int
    settled_minor: int
    credited_minor: int
    transacted_at: _timestamp_pb2.Timestamp
    events: _containers.RepeatedCompositeFieldContainer[TransactionEvent]
    def __init__(self, transaction_id: _Optional[int] = ..., transaction_token: _Optional[str] = ..., card_token: _Optional[str] = ..., status: _Optional[_Union[TransactionStatus, str]] = ..., currency: _Optional[str] = ..., approved_minor: _Optional[int] = ..., held_minor: _Optional[int] = ..., settled_minor: _Optional[int] = ..., credited_minor: _Optional[int] = ..., transacted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[_Iterable[_Union[TransactionEvent, _Mapping]]] = ...) -> None: ...

class TransactionEvent(_message.Message):
    __slots__ = ("event_id", "kind", "amount_minor", "settled_minor", "is_final", "occurred_at")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    SETTLED_MINOR_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    kind: EventKind
    amount_minor: int
    settled_minor: int
    is_final: bool
    occurred_at: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[str] = ..., kind: _Optional[_Union[EventKind, str]] = ..., amount_minor: _Optional[int] = ..., settled_minor: _Optional[int] = ..., is_final: _Optional[bool] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AdjustBalanceRequest(_message.Message):
    __slots__ = ("adjustment_id", "account_id", "account_token", "kind", "amount_minor", "currency", "reason")
    ADJUSTMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    adjustment_id: str
    account_id: int
    account_token: str
    kind: AdjustmentKind
    amount_minor: int
    currency: str
    reason: str
    def __init__(self, adjustment_id: _Optional[str] = ..., account_id: _Optional[int] = ..., account_token: _Optional[str] = ..., kind: _Optional[_Union[AdjustmentKind, str]] = ..., amount_minor: _Optional[int] = ..., currency: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AdjustBalanceResponse(_message.Message):
    __slots__ = ("adjustment_id", "account_id", "balance_minor", "available_balance_minor", "replayed")
    ADJUSTMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_MINOR_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_BALANCE_MINOR_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    adjustment_id: str
    account_id: int
    balance_minor: int
    available_balance_minor: int
    replayed: bool
    def __init__(self, adjustment_id: _Optional[str] = ..., account_id: _Optional[int] = ..., balance_minor: _Optional[int] = ..., available_balance_minor: _Optional[int] = ..., replayed: _Optional[bool] = ...) -> None: ...
