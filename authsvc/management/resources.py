"""Every resource of the management services: its table, its fields, and what may be asked for it."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

TEXT_MAX: Final = 255
DESCRIPTION_MAX: Final = 10_000


class Shape(Enum):
    """How a field's value looks on the wire and in its column."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    # Minor units on the wire, NUMERIC units of the currency in the column.
    MONEY = "money"
    # An enum value on the wire, its word in lower case in the column.
    WORD = "word"
    # Repeated texts on the wire; a JSON array in the column.
    LIST = "list"
    # As LIST, in a TEXT[] column.
    NAMES = "names"
    # JSON as text on the wire, JSONB in the column.
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a resource. `column` differs from the name for money only."""

    name: str
    shape: Shape = Shape.TEXT
    column: str = ""
    required: bool = False
    nullable: bool = False
    # Given at creation and never changed.
    fixed: bool = False
    read_only: bool = False
    # Told only to those who may change the record.
    guarded: bool = False
    # Of words: the prefix of the enum's values, and what holds when none is given.
    prefix: str = ""
    default: object = None
    length_max: int = TEXT_MAX

    def __post_init__(self) -> None:
        if not self.column:
            object.__setattr__(self, "column", self.name.removesuffix("_minor"))


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of thing: `name` and `plural` as in the contract."""

    name: str
    plural: str
    table: str
    fields: tuple[Field, ...]
    # Fields that a list may be narrowed by, equal values only.
    filters: tuple[str, ...] = ()
    # Whose it is: a column, or for rules the profile's account.
    tenant: str = "account_id"
    # Names that a list may be ordered by, beside id, created_at and updated_at.
    orders: tuple[str, ...] = ()
    can_be_purged: bool = False
    by_name: dict[str, Field] = field(init=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {one.name: one for one in self.fields})

    @property
    def is_shared(self) -> bool:
        """True when it belongs to no account."""
        return not self.tenant


def _text(name: str, **more: object) -> Field:
    return Field(name, Shape.TEXT, **more)  # type: ignore[arg-type]


def _word(name: str, prefix: str, **more: object) -> Field:
    return Field(name, Shape.WORD, prefix=prefix, **more)  # type: ignore[arg-type]


_ACCOUNT_ID: Final = Field("account_id", Shape.INTEGER, required=True, fixed=True)
_LIMIT: Final = Field("spend_limit_minor", Shape.MONEY, nullable=True)
_DURATION: Final = _word("spend_limit_duration", "WINDOW_", nullable=True)

ACCOUNT: Final = Resource(
    "Account",
    "Accounts",
    "accounts",
    (
        _text("business_name", required=True),
        _text("owner_email", required=True),
        _text("lithic_account_token", nullable=True),
        _text("lithic_financial_account_token", nullable=True),
        _text("currency", default="USD"),
        _word("status", "STATUS_", default="active"),
        Field("balance_minor", Shape.MONEY, read_only=True),
        Field("config_version", Shape.INTEGER, read_only=True),
        _text("tax_id", nullable=True, guarded=True),
    ),
    filters=("status",),
    tenant="id",
    orders=("business_name",),
    can_be_purged=True,
)
USER: Final = Resource(
    "User",
    "Users",
    "users",
    (
        _ACCOUNT_ID,
        _text("email", required=True),
        _text("first_name", required=True),
        _text("last_name", required=True),
        _word("role", "ROLE_", default="user"),
        _text("lithic_account_holder_token", nullable=True),
        _word("status", "STATUS_", default="active"),
        _text("phone", nullable=True),
        _text("date_of_birth", nullable=True, guarded=True),
        _text("tax_id", nullable=True, guarded=True),
    ),
    filters=("role", "status", "email"),
    can_be_purged=True,
)
SPENDING_PROFILE: Final = Resource(
    "SpendingProfile",
    "SpendingProfiles",
    "spending_profiles",
    (
        _ACCOUNT_ID,
        _text("name", required=True),
        _text("description", nullable=True, length_max=DESCRIPTION_MAX),
        _LIMIT,
        _DURATION,
        _word("limit_scope", "LIMIT_SCOPE_", default="card"),
        Field("allowed_categories", Shape.LIST, nullable=True),
        Field("blocked_categories", Shape.LIST, nullable=True),
        _text("lithic_auth_rule_token", nullable=True),
    ),
    filters=("name",),
    orders=("name",),
)
CARD_PRODUCT: Final = Resource(
    "CardProduct",
    "CardProducts",
    "card_products",
    (
        _ACCOUNT_ID,
        _text("name", required=True),
        _word("card_type", "CARD_TYPE_", required=True),
        Field("default_spend_limit_minor", Shape.MONEY, nullable=True),
        _word("default_spend_limit_duration", "WINDOW_", nullable=True),
        Field("default_spending_profile_id", Shape.INTEGER, nullable=True),
        _text("card_design", nullable=True),
        Field("is_active", Shape.BOOLEAN, default=True),
    ),
    filters=("card_type",),
    orders=("name",),
)
CARD: Final = Resource(
    "Card",
    "Cards",
    "cards",
    (
        _ACCOUNT_ID,
        Field("user_id", Shape.INTEGER, required=True),
        Field("spending_profile_id", Shape.INTEGER, nullable=True),
        Field("card_product_id", Shape.INTEGER, nullable=True, fixed=True),
        _text("lithic_card_token", nullable=True),
        _word("card_type", "CARD_TYPE_", required=True),
        _text("last_four", nullable=True),
        _word("status", "CARD_STATUS_", default="pending"),
        _LIMIT,
        _DURATION,
        Field("overridden_fields", Shape.NAMES, read_only=True),
    ),
    filters=("user_id", "spending_profile_id", "card_product_id", "status", "lithic_card_token"),
    orders=("status",),
)
ADDRESS: Final = Resource(
    "Address",
    "Addresses",
    "addresses",
    (
        _ACCOUNT_ID,
        _word("addressable_type", "OWNER_TYPE_", required=True, fixed=True),
        Field("addressable_id", Shape.INTEGER, required=True, fixed=True),
        _word("address_type", "ADDRESS_TYPE_", required=True),
        _text("street_line1", required=True),
        _text("street_line2", nullable=True),
        _text("city", required=True),
        _text("state", nullable=True),
        _text("postal_code", nullable=True),
        _text("country", default="US"),
        Field("is_primary", Shape.BOOLEAN, default=False),
    ),
    filters=("addressable_type", "addressable_id", "address_type"),
    can_be_purged=True,
)
SETTING: Final = Resource(
    "Setting",
    "Settings",
    "account_settings",
    (
        _ACCOUNT_ID,
        _text("key", required=True, fixed=True),
        Field("value", Shape.JSON, required=True),
        _text("value_type", read_only=True),
    ),
    filters=("key",),
    orders=("key",),
)
CATEGORY: Final = Resource(
    "Category",
    "Categories",
    "spending_categories",
    (
        _text("mcc_code", required=True),
        _text("category_name", required=True),
        _text("category_group", nullable=True),
        Field("is_high_risk", Shape.BOOLEAN, default=False),
    ),
    filters=("mcc_code", "category_group"),
    tenant="",
    orders=("mcc_code", "category_name"),
)
CATEGORY_RULE: Final = Resource(
    "CategoryRule",
    "CategoryRules",
    "profile_categories",
    (
        Field("spending_profile_id", Shape.INTEGER, required=True, fixed=True),
        Field("spending_category_id", Shape.INTEGER, nullable=True),
        _text("category_group", nullable=True),
        _word("rule_type", "RULE_TYPE_", required=True),
    ),
    filters=("spending_profile_id",),
    tenant="(SELECT p.account_id FROM spending_profiles AS p WHERE p.id = spending_profile_id)",
)
RESOURCES: Final = (
    ACCOUNT,
    USER,
    SPENDING_PROFILE,
    CARD_PRODUCT,
    CARD,
    ADDRESS,
    SETTING,
    CATEGORY,
    CATEGORY_RULE,
)
