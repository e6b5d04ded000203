import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from authsvc.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[Status]
    STATUS_ACTIVE: _ClassVar[Status]
    STATUS_INACTIVE: _ClassVar[Status]
    STATUS_SUSPENDED: _ClassVar[Status]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_OWNER: _ClassVar[Role]
    ROLE_ADMIN: _ClassVar[Role]
    ROLE_USER: _ClassVar[Role]
    ROLE_ANALYST: _ClassVar[Role]

class CardType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CARD_TYPE_UNSPECIFIED: _ClassVar[CardType]
    CARD_TYPE_DEBIT: _ClassVar[CardType]
    CARD_TYPE_RELOADABLE: _ClassVar[CardType]
    CARD_TYPE_VIRTUAL: _ClassVar[CardType]
    CARD_TYPE_PHYSICAL: _ClassVar[CardType]

class CardStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CARD_STATUS_UNSPECIFIED: _ClassVar[CardStatus]
    CARD_STATUS_PENDING: _ClassVar[CardStatus]
    CARD_STATUS_ACTIVE: _ClassVar[CardStatus]
    CARD_STATUS_INACTIVE: _ClassVar[CardStatus]
    CARD_STATUS_CLOSED: _ClassVar[CardStatus]

class LimitScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_SCOPE_UNSPECIFIED: _ClassVar[LimitScope]
    LIMIT_SCOPE_CARD: _ClassVar[LimitScope]
    LIMIT_SCOPE_SHARED: _ClassVar[LimitScope]

class OwnerType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OWNER_TYPE_UNSPECIFIED: _ClassVar[OwnerType]
    OWNER_TYPE_ACCOUNT: _ClassVar[OwnerType]
    OWNER_TYPE_USER: _ClassVar[OwnerType]

class AddressType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADDRESS_TYPE_UNSPECIFIED: _ClassVar[AddressType]
    ADDRESS_TYPE_BILLING: _ClassVar[AddressType]
    ADDRESS_TYPE_SHIPPING: _ClassVar[AddressType]
    ADDRESS_TYPE_BUSINESS: _ClassVar[AddressType]

class RuleType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RULE_TYPE_UNSPECIFIED: _ClassVar[RuleType]
    RULE_TYPE_ALLOWED: _ClassVar[RuleType]
    RULE_TYPE_BLOCKED: _ClassVar[RuleType]
STATUS_UNSPECIFIED: Status
STATUS_ACTIVE: Status
STATUS_INACTIVE: Status
STATUS_SUSPENDED: Status
ROLE_UNSPECIFIED: Role
ROLE_OWNER: Role
ROLE_ADMIN: Role
ROLE_USER: Role
ROLE_ANALYST: Role
CARD_TYPE_UNSPECIFIED: CardType
CARD_TYPE_DEBIT: CardType
CARD_TYPE_RELOADABLE: CardType
CARD_TYPE_VIRTUAL: CardType
CARD_TYPE_PHYSICAL: CardType
CARD_STATUS_UNSPECIFIED: CardStatus
CARD_STATUS_PENDING: CardStatus
CARD_STATUS_ACTIVE: CardStatus
CARD_STATUS_INACTIVE: CardStatus
CARD_STATUS_CLOSED: CardStatus
LIMIT_SCOPE_UNSPECIFIED: LimitScope
LIMIT_SCOPE_CARD: LimitScope
LIMIT_SCOPE_SHARED: LimitScope
OWNER_TYPE_UNSPECIFIED: OwnerType
OWNER_TYPE_ACCOUNT: OwnerType
OWNER_TYPE_USER: OwnerType
ADDRESS_TYPE_UNSPECIFIED: AddressType
ADDRESS_TYPE_BILLING: AddressType
ADDRESS_TYPE_SHIPPING: AddressType
ADDRESS_TYPE_BUSINESS: AddressType
RULE_TYPE_UNSPECIFIED: RuleType
RULE_TYPE_ALLOWED: RuleType
RULE_TYPE_BLOCKED: RuleType

class Account(_message.Message):
    __slots__ = ("id", "etag", "created_at", "updated_at", "deleted_at", "business_name", "owner_email", "lithic_account_token", "lithic_financial_account_token", "currency", "status", "balance_minor", "config_version", "tax_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_EMAIL_FIELD_NUMBER: _ClassVar[int]
    LITHIC_ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LITHIC_FINANCIAL_ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_MINOR_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    TAX_ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    business_name: str
    owner_email: str
    lithic_account_token: str
    lithic_financial_account_token: str
    currency: str
    status: Status
    balance_minor: int
    config_version: int
    tax_id: str
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., business_name: _Optional[str] = ..., owner_email: _Optional[str] = ..., lithic_account_token: _Optional[str] = ..., lithic_financial_account_token: _Optional[str] = ..., currency: _Optional[str] = ..., status: _Optional[_Union[Status, str]] = ..., balance_minor: _Optional[int] = ..., config_version: _Optional[int] = ..., tax_id: _Optional[str] = ...) -> None: ...

class CreateAccountRequest(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "order_by", "show_deleted", "status")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    order_by: str
    show_deleted: bool
    status: Status
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., show_deleted: _Optional[bool] = ..., status: _Optional[_Union[Status, str]] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "next_page_token")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    next_page_token: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateAccountRequest(_message.Message):
    __slots__ = ("account", "update_mask")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    account: Account
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("id", "etag", "created_at", "updated_at", "deleted_at", "account_id", "email", "first_name", "last_name", "role", "lithic_account_holder_token", "status", "phone", "date_of_birth", "tax_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    FIRST_NAME_FIELD_NUMBER: _ClassVar[int]
    LAST_NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    LITHIC_ACCOUNT_HOLDER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PHONE_FIELD_NUMBER: _ClassVar[int]
    DATE_OF_BIRTH_FIELD_NUMBER: _ClassVar[int]
    TAX_ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    account_id: int
    email: str
    first_name: str
    last_name: str
    role: Role
    lithic_account_holder_token: str
    status: Status
    phone: str
    date_of_birth: str
    tax_id: str
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_id: _Optional[int] = ..., email: _Optional[str] = ..., first_name: _Optional[str] = ..., last_name: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., lithic_account_holder_token: _Optional[str] = ..., status: _Optional[_Union[Status, str]] = ..., phone: _Optional[str] = ..., date_of_birth: _Optional[str] = ..., tax_id: _Optional[str] = ...) -> None: ...

class CreateUserRequest(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: User
    def __init__(self, user: _Optional[_Union[User, _Mapping]] = ...) -> None: ...

class ListUsersRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "order_by", "show_deleted", "account_id", "role", "status", "email")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    order_by: str
    show_deleted: bool
    account_id: int
    role: Role
    status: Status
    email: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., show_deleted: _Optional[bool] = ..., account_id: _Optional[int] = ..., role: _Optional[_Union[Role, str]] = ..., status: _Optional[_Union[Status, str]] = ..., email: _Optional[str] = ...) -> None: ...

class ListUsersResponse(_message.Message):
    __slots__ = ("users", "next_page_token")
    USERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    next_page_token: str
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateUserRequest(_message.Message):
    __slots__ = ("user", "update_mask")
    USER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    user: User
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, user: _Optional[_Union[User, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class SpendingProfile(_message.Message):
    __slots__ = ("id", "etag", "created_at", "updated_at", "deleted_at", "account_id", "name", "description", "spend_limit_minor", "spend_limit_duration", "limit_scope", "allowed_categories", "blocked_categories", "lithic_auth_rule_token", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SPEND_LIMIT_MINOR_FIELD_NUMBER: _ClassVar[int]
    SPEND_LIMIT_DURATION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_SCOPE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    LITHIC_AUTH_RULE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    account_id: int
    name: str
    description: str
    spend_limit_minor: int
    spend_limit_duration: _types_pb2.Window
    limit_scope: LimitScope
    allowed_categories: _containers.RepeatedScalarFieldContainer[str]
    blocked_categories: _containers.RepeatedScalarFieldContainer[str]
    lithic_auth_rule_token: str
    warnings: _containers.RepeatedCompositeFieldContainer[FieldProblem]
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_id: _Optional[int] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., spend_limit_minor: _Optional[int] = ..., spend_limit_duration: _Optional[_Union[_types_pb2.Window, str]] = ..., limit_scope: _Optional[_Union[LimitScope, str]] = ..., allowed_categories: _Optional[_Iterable[str]] = ..., blocked_categories: _Optional[_Iterable[str]] = ..., lithic_auth_rule_token: _Optional[str] = ..., warnings: _Optional[_Iterable[_Union[FieldProblem, _Mapping]]] = ...) -> None: ...

class CreateSpendingProfileRequest(_message.Message):
    __slots__ = ("spending_profile",)
    SPENDING_PROFILE_FIELD_NUMBER: _ClassVar[int]
    spending_profile: SpendingProfile
    def __init__(self, spending_profile: _Optional[_Union[SpendingProfile, _Mapping]] = ...) -> None: ...

class ListSpendingProfilesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "order_by", "show_deleted", "account_id", "name")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    order_by: str
    show_deleted: bool
    account_id: int
    name: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., show_deleted: _Optional[bool] = ..., account_id: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class ListSpendingProfilesResponse(_message.Message):
    __slots__ = ("spending_profiles", "next_page_token")
    SPENDING_PROFILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    spending_profiles: _containers.RepeatedCompositeFieldContainer[SpendingProfile]
    next_page_token: str
    def __init__(self, spending_profiles: _Optional[_Iterable[_Union[SpendingProfile, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateSpendingProfileRequest(_message.Message):
    __slots__ = ("spending_profile", "update_mask")
    SPENDING_PROFILE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    spending_profile: SpendingProfile
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, spending_profile: _Optional[_Union[SpendingProfile, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class CardProduct(_message.Message):
    __slots__ = ("id", "etag", "created_at", "updated_at", "deleted_at", "account_id", "name", "card_type", "default_spend_limit_minor", "default_spend_limit_duration", "default_spending_profile_id", "card_design", "is_active")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CARD_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SPEND_LIMIT_MINOR_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SPEND_LIMIT_DURATION_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SPENDING_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_DESIGN_FIELD_NUMBER: _ClassVar[int]
    IS_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    account_id: int
    name: str
    card_type: CardType
    default_spend_limit_minor: int
    default_spend_limit_duration: _types_pb2.Window
    default_spending_profile_id: int
    card_design: str
    is_active: bool
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_id: _Optional[int] = ..., name: _Optional[str] = ..., card_type: _Optional[_Union[CardType, str]] = ..., default_spend_limit_minor: _Optional[int] = ..., default_spend_limit_duration: _Optional[_Union[_types_pb2.Window, str]] = ..., default_spending_profile_id: _Optional[int] = ..., card_design: _Optional[str] = ..., is_active: _Optional[bool] = ...) -> None: ...

class CreateCardProductRequest(_message.Message):
    __slots__ = ("card_product",)
    CARD_PRODUCT_FIELD_NUMBER: _ClassVar[int]
    card_product: CardProduct
    def __init__(self, card_product: _Optional[_Union[CardProduct, _Mapping]] = ...) -> None: ...

class ListCardProductsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "order_by", "show_deleted", "account_id", "card_type")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_TYPE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    order_by: str
    show_deleted: bool
    account_id: int
    card_type: CardType
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., show_deleted: _Optional[bool] = ..., account_id: _Optional[int] = ..., card_type: _Optional[_Union[CardType, str]] = ...) -> None: ...

class ListCardProductsResponse(_message.Message):
    __slots__ = ("card_products", "next_page_token")
    CARD_PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    card_products: _containers.RepeatedCompositeFieldContainer[CardProduct]
    next_page_token: str
    def __init__(self, card_products: _Optional[_Iterable[_Union[CardProduct, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCardProductRequest(_message.Message):
    __slots__ = ("card_product", "update_mask")
    CARD_PRODUCT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    card_product: CardProduct
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, card_product: _Optional[_Union[CardProduct, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class Card(_message.Message):
    __slots__ = ("id", "etag", "created_at", "updated_at", "deleted_at", "account_id", "user_id", "spending_profile_id", "card_product_id", "lithic_card_token", "card_type", "last_four", "status", "spend_limit_minor", "spend_limit_duration", "overridden_fields", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SPENDING_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    LITHIC_CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CARD_TYPE_FIELD_NUMBER: _ClassVar[int]
    LAST_FOUR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SPEND_LIMIT_MINOR_FIELD_NUMBER: _ClassVar[int]
    SPEND_LIMIT_DURATION_FIELD_NUMBER: _ClassVar[int]
    OVERRIDDEN_FIELDS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    account_id: int
    user_id: int
    spending_profile_id: int
    card_product_id: int
    lithic_card_token: str
    card_type: CardType
    last_four: str
    status: CardStatus
    spend_limit_minor: int
    spend_limit_duration: _types_pb2.Window
    overridden_fields: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedCompositeFieldContainer[FieldProblem]
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_id: _Optional[int] = ..., user_id: _Optional[int] = ..., spending_profile_id: _Optional[int] = ..., card_product_id: _Optional[int] = ..., lithic_card_token: _Optional[str] = ..., card_type: _Optional[_Union[CardType, str]] = ..., last_four: _Optional[str] = ..., status: _Optional[_Union[CardStatus, str]] = ..., spend_limit_minor: _Optional[int] = ..., spend_limit_duration: _Optional[_Union[_types_pb2.Window, str]] = ..., overridden_fields: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[_Union[FieldProblem, _Mapping]]] = ...) -> None: ...

class CreateCardRequest(_message.Message):
    __slots__ = ("card",)
    CARD_FIELD_NUMBER: _ClassVar[int]
    card: Card
    def __init__(self, card: _Optional[_Union[Card, _Mapping]] = ...) -> None: ...

class ListCardsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "order_by", "show_deleted", "account_id", "user_id", "spending_profile_id", "card_product_id", "status", "lithic_card_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SPENDING_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LITHIC_CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    order_by: str
    show_deleted: bool
    account_id: int
    user_id: int
    spending_profile_id: int
    card_product_id: int
    status: CardStatus
    lithic_card_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., show_deleted: _Optional[bool] = ..., account_id: _Optional[int] = ..., user_id: _Optional[int] = ..., spending_profile_id: _Optional[int] = ..., card_product_id: _Optional[int] = ..., status: _Optional[_Union[CardStatus, str]] = ..., lithic_card_token: _Optional[str] = ...) -> None: ...

class ListCardsResponse(_message.Message):
    __slots__ = ("cards", "next_page_token")
    CARDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    cards: _containers.RepeatedCompositeFieldContainer[Card]
    next_page_token: str
    def __init__(self, cards: _Optional[_Iterable[_Union[Card, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCardRequest(_message.Message):
    __slots__ = ("card", "update_mask")
    CARD_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    card: Card
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, card: _Optional[_Union[Card, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class Address(_message.Message):
    __slots__ = ("id", "etag", "created_at", "updated_at", "deleted_at", "account_id", "addressable_type", "addressable_id", "address_type", "street_line1", "street_line2", "city", "state", "postal_code", "country", "is_primary")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESSABLE_TYPE_FIELD_NUMBER: _ClassVar[int]
    ADDRESSABLE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_TYPE_FIELD_NUMBER: _ClassVar[int]
    STREET_LINE1_FIELD_NUMBER: _ClassVar[int]
    STREET_LINE2_FIELD_NUMBER: _ClassVar[int]
    CITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    IS_PRIMARY_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    account_id: int
    addressable_type: OwnerType
    addressable_id: int
    address_type: AddressType
    street_line1: str
    street_line2: str
    city: str
    state: str
    postal_code: str
    country: str
    is_primary: bool
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_id: _Optional[int] = ..., addressable_type: _Optional[_Union[OwnerType, str]] = ..., addressable_id: _Optional[int] = ..., address_type: _Optional[_Union[AddressType, str]] = ..., street_line1: _Optional[str] = ..., street_line2: _Optional[str] = ..., city: _Optional[str] = ..., state: _Optional[str] = ..., postal_code: _Optional[str] = ..., country: _Optional[str] = ..., is_primary: _Optional[bool] = ...) -> None: ...

class CreateAddressRequest(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: Address
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ...) -> None: ...

class ListAddressesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "order_by", "show_deleted", "account_id", "addressable_type", "addressable_id", "address_type")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESSABLE_TYPE_FIELD_NUMBER: _ClassVar[int]
    ADDRESSABLE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_TYPE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    order_by: str
    show_deleted: bool
    account_id: int
    addressable_type: OwnerType
    addressable_id: int
    address_type: AddressType
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., show_deleted: _Optional[bool] = ..., account_id: _Optional[int] = ..., addressable_type: _Optional[_Union[OwnerType, str]] = ..., addressable_id: _Optional[int] = ..., address_type: _Optional[_Union[AddressType, str]] = ...) -> None: ...

class ListAddressesResponse(_message.Message):
    __slots__ = ("addresses", "next_page_token")
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedCompositeFieldContainer[Address]
    next_page_token: str
    def __init__(self, addresses: _Optional[_Iterable[_Union[Address, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateAddressRequest(_message.Message):
    __slots__ = ("address", "update_mask")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    address: Address
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class Setting(_message.Message):
    __slots__ = ("id", "etag", "created_at", "updated_at", "deleted_at", "account_id", "key", "value", "value_type")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    account_id: int
    key: str
    value: str
    value_type: str
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_id: _Optional[int] = ..., key: _Optional[str] = ..., value: _Optional[str] = ..., value_type: _Optional[str] = ...) -> None: ...

class CreateSettingRequest(_message.Message):
    __slots__ = ("setting",)
    SETTING_FIELD_NUMBER: _ClassVar[int]
    setting: Setting
    def __init__(self, setting: _Optional[_Union[Setting, _Mapping]] = ...) -> None: ...

class ListSettingsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "order_by", "show_deleted", "account_id", "key")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    order_by: str
    show_deleted: bool
    account_id: int
    key: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., show_deleted: _Optional[bool] = ..., account_id: _Optional[int] = ..., key: _Optional[str] = ...) -> None: ...

class ListSettingsResponse(_message.Message):
    __slots__ = ("settings", "next_page_token")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    settings: _containers.RepeatedCompositeFieldContainer[Setting]
    next_page_token: str
    def __init__(self, settings: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateSettingRequest(_message.Message):
    __slots__ = ("setting", "update_mask")
    SETTING_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    setting: Setting
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, setting: _Optional[_Union[Setting, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class Category(_message.Message):
    __slots__ = ("id", "etag", "created_at", "updated_at", "deleted_at", "mcc_code", "category_name", "category_group", "is_high_risk")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    MCC_CODE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_NAME_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_GROUP_FIELD_NUMBER: _ClassVar[int]
    IS_HIGH_RISK_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    mcc_code: str
    category_name: str
    category_group: str
    is_high_risk: bool
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mcc_code: _Optional[str] = ..., category_name: _Optional[str] = ..., category_group: _Optional[str] = ..., is_high_risk: _Optional[bool] = ...) -> None: ...

class CreateCategoryRequest(_message.Message):
    __slots__ = ("category",)
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    category: Category
    def __init__(self, category: _Optional[_Union[Category, _Mapping]] = ...) -> None: ...

class ListCategoriesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "order_by", "show_deleted", "mcc_code", "category_group")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    MCC_CODE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_GROUP_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    order_by: str
    show_deleted: bool
    mcc_code: str
    category_group: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., show_deleted: _Optional[bool] = ..., mcc_code: _Optional[str] = ..., category_group: _Optional[str] = ...) -> None: ...

class ListCategoriesResponse(_message.Message):
    __slots__ = ("categories", "next_page_token")
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    categories: _containers.RepeatedCompositeFieldContainer[Category]
    next_page_token: str
    def __init__(self, categories: _Optional[_Iterable[_Union[Category, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCategoryRequest(_message.Message):
    __slots__ = ("category", "update_mask")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    category: Category
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, category: _Optional[_Union[Category, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class CategoryRule(_message.Message):
    __slots__ = ("id", "etag", "created_at", "updated_at", "deleted_at", "account_id", "spending_profile_id", "spending_category_id", "category_group", "rule_type")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SPENDING_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    SPENDING_CATEGORY_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_GROUP_FIELD_NUMBER: _ClassVar[int]
    RULE_TYPE_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    account_id: int
    spending_profile_id: int
    spending_category_id: int
    category_group: str
    rule_type: RuleType
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_id: _Optional[int] = ..., spending_profile_id: _Optional[int] = ..., spending_category_id: _Optional[int] = ..., category_group: _Optional[str] = ..., rule_type: _Optional[_Union[RuleType, str]] = ...) -> None: ...

class CreateCategoryRuleRequest(_message.Message):
    __slots__ = ("category_rule",)
    CATEGORY_RULE_FIELD_NUMBER: _ClassVar[int]
    category_rule: CategoryRule
    def __init__(self, category_rule: _Optional[_Union[CategoryRule, _Mapping]] = ...) -> None: ...

class ListCategoryRulesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "order_by", "show_deleted", "account_id", "spending_profile_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SPENDING_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    order_by: str
    show_deleted: bool
    account_id: int
    spending_profile_id: int
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., show_deleted: _Optional[bool] = ..., account_id: _Optional[int] = ..., spending_profile_id: _Optional[int] = ...) -> None: ...

class ListCategoryRulesResponse(_message.Message):
    __slots__ = ("category_rules", "next_page_token")
    CATEGORY_RULES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    category_rules: _containers.RepeatedCompositeFieldContainer[CategoryRule]
    next_page_token: str
    def __init__(self, category_rules: _Optional[_Iterable[_Union[CategoryRule, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCategoryRuleRequest(_message.Message):
    __slots__ = ("category_rule", "update_mask")
    CATEGORY_RULE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    category_rule: CategoryRule
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, category_rule: _Optional[_Union[CategoryRule, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class GetResourceRequest(_message.Message):
    __slots__ = ("id", "show_deleted")
    ID_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    id: int
    show_deleted: bool
    def __init__(self, id: _Optional[int] = ..., show_deleted: _Optional[bool] = ...) -> None: ...

class DeleteResourceRequest(_message.Message):
    __slots__ = ("id", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: int
    etag: str
    def __init__(self, id: _Optional[int] = ..., etag: _Optional[str] = ...) -> None: ...

class RestoreResourceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class PurgeResourceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class PurgeResourceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSettingKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSettingKeysResponse(_message.Message):
    __slots__ = ("setting_keys",)
    SETTING_KEYS_FIELD_NUMBER: _ClassVar[int]
    setting_keys: _containers.RepeatedCompositeFieldContainer[SettingKey]
    def __init__(self, setting_keys: _Optional[_Iterable[_Union[SettingKey, _Mapping]]] = ...) -> None: ...

class SettingKey(_message.Message):
    __slots__ = ("key", "value_type", "default_value", "minimum", "maximum", "choices", "description")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    key: str
    value_type: str
    default_value: str
    minimum: int
    maximum: int
    choices: _containers.RepeatedScalarFieldContainer[str]
    description: str
    def __init__(self, key: _Optional[str] = ..., value_type: _Optional[str] = ..., default_value: _Optional[str] = ..., minimum: _Optional[int] = ..., maximum: _Optional[int] = ..., choices: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ...) -> None: ...

class DescribeProfileResponse(_message.Message):
    __slots__ = ("sentences", "warnings")
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    sentences: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedCompositeFieldContainer[FieldProblem]
    def __init__(self, sentences: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[_Union[FieldProblem, _Mapping]]] = ...) -> None: ...

class FieldProblem(_message.Message):
    __slots__ = ("field", "problem")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    field: str
    problem: str
    def __init__(self, field: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class CreateCardsRequest(_message.Message):
    __slots__ = ("card_product_id", "cards", "status")
    CARD_PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    CARDS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    card_product_id: int
    cards: _containers.RepeatedCompositeFieldContainer[NewCard]
    status: CardStatus
    def __init__(self, card_product_id: _Optional[int] = ..., cards: _Optional[_Iterable[_Union[NewCard, _Mapping]]] = ..., status: _Optional[_Union[CardStatus, str]] = ...) -> None: ...

class NewCard(_message.Message):
    __slots__ = ("user_id", "lithic_card_token", "last_four")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LITHIC_CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LAST_FOUR_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    lithic_card_token: str
    last_four: str
    def __init__(self, user_id: _Optional[int] = ..., lithic_card_token: _Optional[str] = ..., last_four: _Optional[str] = ...) -> None: ...

class CreateCardsProgress(_message.Message):
    __slots__ = ("made", "total", "card_ids", "is_committed")
    MADE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CARD_IDS_FIELD_NUMBER: _ClassVar[int]
    IS_COMMITTED_FIELD_NUMBER: _ClassVar[int]
    made: int
    total: int
    card_ids: _containers.RepeatedScalarFieldContainer[int]
    is_committed: bool
    def __init__(self, made: _Optional[int] = ..., total: _Optional[int] = ..., card_ids: _Optional[_Iterable[int]] = ..., is_committed: _Optional[bool] = ...) -> None: ...

class MoveCardsRequest(_message.Message):
    __slots__ = ("card_ids", "from_profile_id", "to_profile_id")
    CARD_IDS_FIELD_NUMBER: _ClassVar[int]
    FROM_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    TO_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    card_ids: _containers.RepeatedScalarFieldContainer[int]
    from_profile_id: int
    to_profile_id: int
    def __init__(self, card_ids: _Optional[_Iterable[int]] = ..., from_profile_id: _Optional[int] = ..., to_profile_id: _Optional[int] = ...) -> None: ...

class MoveCardsResponse(_message.Message):
    __slots__ = ("moved",)
    MOVED_FIELD_NUMBER: _ClassVar[int]
    moved: int
    def __init__(self, moved: _Optional[int] = ...) -> None: ...

class ImportRecordsRequest(_message.Message):
    __slots__ = ("resource", "lines", "skip_bad", "check_only")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    SKIP_BAD_FIELD_NUMBER: _ClassVar[int]
    CHECK_ONLY_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lines: _containers.RepeatedScalarFieldContainer[str]
    skip_bad: bool
    check_only: bool
    def __init__(self, resource: _Optional[str] = ..., lines: _Optional[_Iterable[str]] = ..., skip_bad: _Optional[bool] = ..., check_only: _Optional[bool] = ...) -> None: ...

class ImportRecordsProgress(_message.Message):
    __slots__ = ("read", "good", "bad_lines", "is_committed")
    READ_FIELD_NUMBER: _ClassVar[int]
    GOOD_FIELD_NUMBER: _ClassVar[int]
    BAD_LINES_FIELD_NUMBER: _ClassVar[int]
    IS_COMMITTED_FIELD_NUMBER: _ClassVar[int]
    read: int
    good: int
    bad_lines: _containers.RepeatedCompositeFieldContainer[BadLine]
    is_committed: bool
    def __init__(self, read: _Optional[int] = ..., good: _Optional[int] = ..., bad_lines: _Optional[_Iterable[_Union[BadLine, _Mapping]]] = ..., is_committed: _Optional[bool] = ...) -> None: ...

class BadLine(_message.Message):
    __slots__ = ("line", "problem")
    LINE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    line: int
    problem: FieldProblem
    def __init__(self, line: _Optional[int] = ..., problem: _Optional[_Union[FieldProblem, _Mapping]] = ...) -> None: ...

class AuditLog(_message.Message):
    __slots__ = ("id", "account_id", "user_id", "action", "entity_type", "entity_id", "old_values", "new_values", "actor", "role", "ip_address", "user_agent", "request_id", "config_version", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ENTITY_TYPE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    OLD_VALUES_FIELD_NUMBER: _ClassVar[int]
    NEW_VALUES_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: int
    account_id: int
    user_id: int
    action: str
    entity_type: str
    entity_id: int
    old_values: str
    new_values: str
    actor: str
    role: str
    ip_address: str
    user_agent: str
    request_id: str
    config_version: int
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[int] = ..., account_id: _Optional[int] = ..., user_id: _Optional[int] = ..., action: _Optional[str] = ..., entity_type: _Optional[str] = ..., entity_id: _Optional[int] = ..., old_values: _Optional[str] = ..., new_values: _Optional[str] = ..., actor: _Optional[str] = ..., role: _Optional[str] = ..., ip_address: _Optional[str] = ..., user_agent: _Optional[str] = ..., request_id: _Optional[str] = ..., config_version: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListAuditLogsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "account_id", "entity_type", "entity_id", "action", "actor", "config_version", "start_time", "end_time")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_TYPE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    account_id: int
    entity_type: str
    entity_id: int
    action: str
    actor: str
    config_version: int
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., account_id: _Optional[int] = ..., entity_type: _Optional[str] = ..., entity_id: _Optional[int] = ..., action: _Optional[str] = ..., actor: _Optional[str] = ..., config_version: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListAuditLogsResponse(_message.Message):
    __slots__ = ("audit_logs", "next_page_token")
    AUDIT_LOGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    audit_logs: _containers.RepeatedCompositeFieldContainer[AuditLog]
    next_page_token: str
    def __init__(self, audit_logs: _Optional[_Iterable[_Union[AuditLog, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
