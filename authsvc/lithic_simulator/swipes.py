"""What is bought, by which card, where: drawn from a seed. Merchants are invented."""

from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Final, Literal, NamedTuple
from uuid import UUID

# A status of Lithic's authorization request; a force post is cleared without having been asked for.
Kind = Literal[
    "AUTHORIZATION",
    "FINANCIAL_AUTHORIZATION",
    "CREDIT_AUTHORIZATION",
    "FINANCIAL_CREDIT_AUTHORIZATION",
    "BALANCE_INQUIRY",
    "FORCE_POST",
]
CREDITS: Final = frozenset({"CREDIT_AUTHORIZATION", "FINANCIAL_CREDIT_AUTHORIZATION"})
AMOUNT_MINOR_MIN: Final = 50
FUEL_HOLD_MINOR: Final = 75_00


class Merchant(NamedTuple):
    """Where people shop. `typical_minor` is the median of its amounts; `rate` is from `currency` to US dollars."""

    descriptor: str
    mcc: str
    city: str
    state: str
    country: str
    typical_minor: int
    terminal: str = "POS_TERMINAL"
    currency: str = "USD"
    rate: str = "1.000000"


class Swipe(NamedTuple):
    """One card transaction. `token` and `event_token` (None: Lithic sent none) are Lithic's; amounts are US dollars.

    `hold_minor` is above `amount_minor` where the price is not known yet.
    """

    token: str
    event_token: str | None
    card_token: str
    kind: Kind
    amount_minor: int
    hold_minor: int
    merchant: Merchant
    network: str
    pan_entry: str
    partial_approval_capable: bool
    created: datetime

    @property
    def is_asked(self) -> bool:
        """Whether Lithic asks before it happens."""
        return self.kind != "FORCE_POST"


MERCHANTS: Final = (
    Merchant("BLUE HARBOR COFFEE", "5814", "Portland", "OR", "USA", 6_80),
    Merchant("PEPPER & SALT DINER", "5812", "Boston", "MA", "USA", 23_50),
    Merchant("NOODLE LANE", "5814", "New York", "NY", "USA", 14_20),
    Merchant("CORNER FRESH MARKET", "5411", "Boston", "MA", "USA", 42_00),
    Merchant("DAILY SPICE & TEA", "5499", "New York", "NY", "USA", 31_00),
    Merchant("CITY CABS", "4121", "New York", "NY", "USA", 18_40),
    Merchant("GRAND PARK HOTEL", "7011", "Denver", "CO", "USA", 165_00),
    Merchant("QUICKPUMP 24", "5542", "Yonkers", "NY", "USA", 1_00, "FUEL_MACHINE"),
    Merchant("OFFICE GARDEN", "5943", "Boston", "MA", "USA", 58_00),
    Merchant("CLOUDFORGE", "7372", "Seattle", "WA", "USA", 49_00, "ECOMMERCE"),
    Merchant("STREAMLINE MEDIA", "5815", "Berlin", "BE", "DEU", 11_99, "ECOMMERCE", "EUR", "1.087000"),
    Merchant("QUAY CHANDLERS", "5251", "Dublin", "D", "IRL", 44_00, "POS_TERMINAL", "EUR", "1.087000"),
    Merchant("LUCKY SEVEN ONLINE", "7995", "Valletta", "MT", "MLT", 50_00, "ECOMMERCE", "EUR", "1.087000"),
    Merchant("FIRST PLAZA ATM", "6011", "New York", "NY", "USA", 60_00, "ATM"),
)
_WEIGHTS: Final = (16, 18, 14, 10, 8, 8, 3, 5, 5, 6, 4, 2, 1, 3)
_KINDS: Final[tuple[Kind, ...]] = (
    "AUTHORIZATION",
    "FINANCIAL_AUTHORIZATION",
    "CREDIT_AUTHORIZATION",
    "FINANCIAL_CREDIT_AUTHORIZATION",
    "BALANCE_INQUIRY",
    "FORCE_POST",
)
_KIND_WEIGHTS: Final = (88, 4, 2, 1, 2, 3)
_VERIFIED_SHARE: Final = 0.02
_CAPABLE_SHARE: Final = 0.15
_EVENT_TOKEN_SHARE: Final = 0.5
_SPREAD: Final = 0.6


def chance(seed: int, number: int, of: str) -> Random:
    """The dice of one question about one swipe: what else is drawn, and in which order, changes nothing."""
    return Random(f"{seed}:{number}:{of}")  # noqa: S311 (repeatable, not secret)


def token_of(run: str, number: int, of: str) -> str:
    """A UUID that another run does not have."""
    dice = Random(f"{run}:{number}:{of}")  # noqa: S311 (repeatable, not secret)
    return str(UUID(int=dice.getrandbits(128), version=4))


def swipe_of(seed: int, run: str, number: int, card_tokens: Sequence[str], at: datetime) -> Swipe:
    """The swipe of this number: of the seed what is bought, of the run the tokens. `at` is UTC."""
    dice = chance(seed, number, "swipe")
    card_token = dice.choice(card_tokens)
    kind = dice.choices(_KINDS, _KIND_WEIGHTS)[0]
    merchant = dice.choices(MERCHANTS, _WEIGHTS)[0]
    amount_minor = max(AMOUNT_MINOR_MIN, round(merchant.typical_minor * dice.lognormvariate(0, _SPREAD)))
    hold_minor = amount_minor
    if kind == "BALANCE_INQUIRY" or (kind == "AUTHORIZATION" and dice.random() < _VERIFIED_SHARE):
        amount_minor = hold_minor = 0
    elif merchant.terminal == "FUEL_MACHINE" and kind == "AUTHORIZATION":
        # A pump does not know what will be filled in: one unit now, a hold for a tank.
        amount_minor, hold_minor = merchant.typical_minor, FUEL_HOLD_MINOR
    online = merchant.terminal == "ECOMMERCE"
    return Swipe(
        token=token_of(run, number, "transaction"),
        event_token=token_of(run, number, "event") if dice.random() < _EVENT_TOKEN_SHARE else None,
        card_token=card_token,
        kind=kind,
        amount_minor=amount_minor,
        hold_minor=hold_minor,
        merchant=merchant,
        network=dice.choice(("VISA", "MASTERCARD")),
        pan_entry=dice.choice(("ECOMMERCE", "CREDENTIAL_ON_FILE") if online else ("ICC", "CONTACTLESS")),
        partial_approval_capable=not online and dice.random() < _CAPABLE_SHARE,
        created=at,
    )
