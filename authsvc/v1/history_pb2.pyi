import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from authsvc.v1 import authorization_pb2 as _authorization_pb2
from authsvc.v1 import transactions_pb2 as _transactions_pb2
from authsvc.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Bucket(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUCKET_UNSPECIFIED: _ClassVar[Bucket]
    BUCKET_DAY: _ClassVar[Bucket]
    BUCKET_MONTH: _ClassVar[Bucket]

class GroupBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GROUP_BY_UNSPECIFIED: _ClassVar[GroupBy]
    GROUP_BY_CATEGORY_GROUP: _ClassVar[GroupBy]
    GROUP_BY_CARD: _ClassVar[GroupBy]
    GROUP_BY_USER: _ClassVar[GroupBy]
    GROUP_BY_MERCHANT: _ClassVar[GroupBy]
BUCKET_UNSPECIFIED: Bucket
BUCKET_DAY: Bucket
BUCKET_MONTH: Bucket
GROUP_BY_UNSPECIFIED: GroupBy
GROUP_BY_CATEGORY_GROUP: GroupBy
GROUP_BY_CARD: GroupBy
GROUP_BY_USER: GroupBy
GROUP_BY_MERCHANT: GroupBy

class RecordedTransaction(_message.Message):
    __slots__ = ("transaction_id", "request_id", "transaction_token", "account_id", "card_token", "user_id", "kind", "status", "decision", "reason", "currency", "amount_minor", "approved_minor", "held_minor", "settled_minor", "credited_minor", "merchant", "transacted_at", "recorded_at")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    APPROVED_MINOR_FIELD_NUMBER: _ClassVar[int]
    HELD_MINOR_FIELD_NUMBER: _ClassVar[int]
    SETTLED_MINOR_FIELD_NUMBER: _ClassVar[int]
    CREDITED_MINOR_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_FIELD_NUMBER: _ClassVar[int]
    TRANSACTED_AT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    transaction_id: int
    request_id: str
    transaction_token: str
    account_id: int
    card_token: str
    user_id: int
    kind: _types_pb2.Kind
    status: _transactions_pb2.TransactionStatus
    decision: _types_pb2.Decision
    reason: _types_pb2.Reason
    currency: str
    amount_minor: int
    approved_minor: int
    held_minor: int
    settled_minor: int
    credited_minor: int
    merchant: _types_pb2.Merchant
    transacted_at: _timestamp_pb2.Timestamp
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, transaction_id: _Optional[int] = ..., request_id: _Optional[str] = ..., transaction_token: _Optional[str] = ..., account_id: _Optional[int] = ..., card_token: _Optional[str] = ..., user_id: _Optional[int] = ..., kind: _Optional[_Union[_types_pb2.Kind, str]] = ..., status: _Optional[_Union[_transactions_pb2.TransactionStatus, str]] = ..., decision: _Optional[_Union[_types_pb2.Decision, str]] = ..., reason: _Optional[_Union[_types_pb2.Reason, str]] = ..., currency: _Optional[str] = ..., amount_minor: _Optional[int] = ..., approved_minor: _Optional[int] = ..., held_minor: _Optional[int] = ..., settled_minor: _Optional[int] = ..., credited_minor: _Optional[int] = ..., merchant: _Optional[_Union[_types_pb2.Merchant, _Mapping]] = ..., transacted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListTransactionsRequest(_message.Message):
    __slots__ = ("account_id", "account_token", "card_token", "user_id", "mcc", "category_group", "status", "reason", "start_time", "end_time", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MCC_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_GROUP_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: int
    account_token: str
    card_token: str
    user_id: int
    mcc: str
    category_group: str
    status: _transactions_pb2.TransactionStatus
    reason: _types_pb2.Reason
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[int] = ..., account_token: _Optional[str] = ..., card_token: _Optional[str] = ..., user_id: _Optional[int] = ..., mcc: _Optional[str] = ..., category_group: _Optional[str] = ..., status: _Optional[_Union[_transactions_pb2.TransactionStatus, str]] = ..., reason: _Optional[_Union[_types_pb2.Reason, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTransactionsResponse(_message.Message):
    __slots__ = ("transactions", "next_page_token")
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    transactions: _containers.RepeatedCompositeFieldContainer[RecordedTransaction]
    next_page_token: str
    def __init__(self, transactions: _Optional[_Iterable[_Union[RecordedTransaction, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExplainTransactionRequest(_message.Message):
    __slots__ = ("transaction_id", "request_id")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    transaction_id: int
    request_id: str
    def __init__(self, transaction_id: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class ExplainTransactionResponse(_message.Message):
    __slots__ = ("answer", "transaction", "decided_by", "recorded_at")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    answer: _authorization_pb2.AuthorizeResponse
    transaction: RecordedTransaction
    decided_by: str
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, answer: _Optional[_Union[_authorization_pb2.AuthorizeResponse, _Mapping]] = ..., transaction: _Optional[_Union[RecordedTransaction, _Mapping]] = ..., decided_by: _Optional[str] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SpendSummaryRequest(_message.Message):
    __slots__ = ("account_id", "account_token", "start_time", "end_time", "bucket", "group_by")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    account_id: int
    account_token: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    bucket: Bucket
    group_by: GroupBy
    def __init__(self, account_id: _Optional[int] = ..., account_token: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., bucket: _Optional[_Union[Bucket, str]] = ..., group_by: _Optional[_Union[GroupBy, str]] = ...) -> None: ...

class SpendSummaryResponse(_message.Message):
    __slots__ = ("account_id", "currency", "timezone", "rows")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    account_id: int
    currency: str
    timezone: str
    rows: _containers.RepeatedCompositeFieldContainer[SpendRow]
    def __init__(self, account_id: _Optional[int] = ..., currency: _Optional[str] = ..., timezone: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[SpendRow, _Mapping]]] = ...) -> None: ...

class SpendRow(_message.Message):
    __slots__ = ("bucket_start", "key", "merchant_name", "approved_count", "declined_count", "forced_count", "held_minor", "settled_minor", "credited_minor", "spend_minor")
    BUCKET_START_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_NAME_FIELD_NUMBER: _ClassVar[int]
    APPROVED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DECLINED_COUNT_FIELD_NUMBER: _ClassVar[int]
    FORCED_COUNT_FIELD_NUMBER: _ClassVar[int]
    HELD_MINOR_FIELD_NUMBER: _ClassVar[int]
    SETTLED_MINOR_FIELD_NUMBER: _ClassVar[int]
    CREDITED_MINOR_FIELD_NUMBER: _ClassVar[int]
    SPEND_MINOR_FIELD_NUMBER: _ClassVar[int]
    bucket_start: _timestamp_pb2.Timestamp
    key: str
    merchant_name: str
    approved_count: int
    declined_count: int
    forced_count: int
    held_minor: int
    settled_minor: int
    credited_minor: int
    spend_minor: int
    def __init__(self, bucket_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., key: _Optional[str] = ..., merchant_name: _Optional[str] = ..., approved_count: _Optional[int] = ..., declined_count: _Optional[int] = ..., forced_count: _Optional[int] = ..., held_minor: _Optional[int] = ..., settled_minor: _Optional[int] = ..., credited_minor: _Optional[int] = ..., spend_minor: _Optional[int] = ...) -> None: ...

class WatchTransactionsRequest(_message.Message):
    __slots__ = ("account_id", "account_token", "card_token", "cursor")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    account_id: int
    account_token: str
    card_token: str
    cursor: int
    def __init__(self, account_id: _Optional[int] = ..., account_token: _Optional[str] = ..., card_token: _Optional[str] = ..., cursor: _Optional[int] = ...) -> None: ...

class WatchTransactionsResponse(_message.Message):
    __slots__ = ("transactions", "cursor")
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    transactions: _containers.RepeatedCompositeFieldContainer[RecordedTransaction]
    cursor: int
    def __init__(self, transactions: _Optional[_Iterable[_Union[RecordedTransaction, _Mapping]]] = ..., cursor: _Optional[int] = ...) -> None: ...
