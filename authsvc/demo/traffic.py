"""Card traffic as a card program sees it, made by a seeded generator. Merchants are invented."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

from loader.categories import catalogue

DAYS: Final = 7
UNKNOWN_CARD: Final = "card_demo_nobody_knows"
FUEL_PUMP_MCC: Final = "5542"
FUEL_HOLD_MINOR: Final = 75_00

Fields = dict[str, Any]


class Merchant(NamedTuple):
    """Where people shop. `typical_minor` is the median of its amounts."""

    descriptor: str
    mcc: str
    city: str
    state: str
    country: str
    typical_minor: int


class Habit(NamedTuple):
    """How much a card is used beside the others, and at which merchants mostly (none: anywhere)."""

    weight: int
    categories: tuple[str, ...] = ()


MERCHANTS: Final = (
    Merchant("BLUE HARBOR COFFEE", "5814", "Portland", "OR", "USA", 6_80),
    Merchant("PEPPER & SALT DINER", "5812", "Boston", "MA", "USA", 23_50),
    Merchant("HUDSON STEAKHOUSE", "5812", "New York", "NY", "USA", 88_00),
    Merchant("NOODLE LANE", "5814", "New York", "NY", "USA", 14_20),
    Merchant("GREEN FORK SALADS", "5812", "Chicago", "IL", "USA", 15_90),
    Merchant("THE LATE BARREL", "5813", "Boston", "MA", "USA", 34_00),
    Merchant("CORNER FRESH MARKET", "5411", "Boston", "MA", "USA", 42_00),
    Merchant("MILLER WHOLESALE CLUB", "5300", "Newark", "NJ", "USA", 160_00),
    Merchant("DAILY SPICE & TEA", "5499", "New York", "NY", "USA", 31_00),
    Merchant("SKYBRIDGE AIR", "3001", "Dallas", "TX", "USA", 240_00),
    Merchant("NORDIC WINGS", "4511", "Oslo", "", "NOR", 180_00),
    Merchant("GRAND PARK HOTEL", "7011", "Denver", "CO", "USA", 165_00),
    Merchant("CITY CABS", "4121", "New York", "NY", "USA", 18_40),
    Merchant("METRO TRANSIT", "4111", "Chicago", "IL", "USA", 2_90),
    Merchant("RAPID RAIL", "4112", "London", "", "GBR", 38_00),
    Merchant("LAKESIDE CAR RENTAL", "7512", "Madison", "WI", "USA", 95_00),
    Merchant("PINE STREET FUEL", "5541", "Albany", "NY", "USA", 46_00),
    Merchant("QUICKPUMP 24", FUEL_PUMP_MCC, "Yonkers", "NY", "USA", 1_00),
    Merchant("BRIDGE & TUNNEL TOLLS", "4784", "New York", "NY", "USA", 12_50),
    Merchant("HARBOR PARKING", "7523", "Boston", "MA", "USA", 16_00),
    Merchant("TRUE WHEELS GARAGE", "7538", "Yonkers", "NY", "USA", 140_00),
    Merchant("PAPER & PIXEL", "5111", "Boston", "MA", "USA", 37_00),
    Merchant("OFFICE GARDEN", "5943", "Boston", "MA", "USA", 58_00),
    Merchant("SILICON CORNER", "5732", "Austin", "TX", "USA", 310_00),
    Merchant("CLOUDFORGE", "7372", "Seattle", "WA", "USA", 49_00),
    Merchant("PIXELMINT STUDIO", "5734", "Berlin", "", "DEU", 24_00),
    Merchant("STREAMLINE MEDIA", "5815", "Berlin", "", "DEU", 11_99),
    Merchant("DATAWELL HOSTING", "4816", "Amsterdam", "", "NLD", 35_00),
    Merchant("LUCKY SEVEN ONLINE", "7995", "Valletta", "", "MLT", 50_00),
    Merchant("GOLDEN ARCADE", "7993", "Reno", "NV", "USA", 20_00),
    Merchant("SWIFT WIRE TRANSFER", "4829", "Miami", "FL", "USA", 120_00),
    Merchant("FIRST PLAZA ATM", "6011", "New York", "NY", "USA", 60_00),
    Merchant("OAK & IRON HARDWARE", "5251", "Albany", "NY", "USA", 44_00),
    Merchant("WELLSPRING PHARMACY", "5912", "Boston", "MA", "USA", 21_30),
    Merchant("RIVERSIDE BOOKS", "5942", "Boston", "MA", "USA", 19_80),
    Merchant("VINE STREET WINES", "5921", "Boston", "MA", "USA", 27_00),
)

_FOOD: Final = ("5812", "5814", "5411")
_TRAVEL: Final = ("3001", "4511", "4111", "4112", "4121", "7011", "7512", "5812", "5814")
_FLEET: Final = ("5541", FUEL_PUMP_MCC, "4784", "7523", "7538")
_SOFTWARE: Final = ("7372", "5734", "5815", "4816")
_OFFICE: Final = ("5111", "5943", "5732", "5942", "5411")
_KITCHEN: Final = ("5300", "5499", "5411", "5812")
# The sample program's cards (authsvc/seed.py). A card that is not here is used now and then, anywhere.
HABITS: Final[Mapping[str, Habit]] = {
    "card_demo_open": Habit(60),
    "card_demo_yearly": Habit(12),
    "card_demo_travel": Habit(5, _TRAVEL),
    "card_demo_daily": Habit(5),
    "card_demo_lunch_uma": Habit(8, _FOOD),
    "card_demo_lunch_anna": Habit(8, _FOOD),
    "card_demo_office": Habit(9, _OFFICE),
    "card_demo_new_york": Habit(3, ("5812", "4121", "5942")),
    "card_demo_kitchen_1": Habit(6, _KITCHEN),
    "card_demo_kitchen_2": Habit(3, _KITCHEN),
    "card_demo_driver": Habit(7, _FLEET),
    "card_demo_software": Habit(6, _SOFTWARE),
    "card_demo_lifetime": Habit(2),
    "card_demo_small_balance": Habit(2),
}
_RARE: Final = Habit(1)


def traffic(random: Random, card_tokens: Sequence[str], count: int, now: datetime, run: str) -> list[Fields]:
    """`count` requests as fields for `AuthorizationClient.request`, in the order of time, retries among them.

    They lie in the `DAYS` days before `now`. `run` begins every request_id, so that another run asks something new.
    """
    cards = [*card_tokens, UNKNOWN_CARD]
    weights = [HABITS.get(token, _RARE).weight for token in cards]
    orders: list[Fields] = []
    while len(orders) < count - len(_STAGED):
        token = random.choices(cards, weights)[0]
        orders += _outing(random, token, now)
    del orders[max(0, count - len(_STAGED)) :]
    orders += [_staged(random, purchase, now) for purchase in _STAGED[:count]]
    orders.sort(key=lambda fields: fields["transacted_at"])
    for number, fields in enumerate(orders):
        fields["request_id"] = f"{run}-{number:06}"
    _retry_some(random, orders)
    return orders


def _outing(random: Random, token: str, now: datetime) -> list[Fields]:
    """One purchase, now and then several within minutes."""
    at = now - timedelta(days=random.uniform(0, DAYS))
    # Drawn whatever the hour: the same seed makes the same purchases at any time of the day.
    sleeps = random.random() < 0.8  # noqa: PLR2004 (a share)
    if at.hour < 6 and sleeps:  # noqa: PLR2004 (an hour)
        at -= timedelta(hours=8)
    stops = random.randint(3, 6) if random.random() < 0.04 else 1  # noqa: PLR2004 (a share)
    orders = []
    for _ in range(stops):
        orders.append(_order(random, token, _merchant(random, HABITS.get(token, _RARE)), min(at, now)))
        at += timedelta(seconds=random.uniform(5, 400))
    return orders


def _order(random: Random, token: str, merchant: Merchant, at: datetime) -> Fields:
    amount = max(50, round(merchant.typical_minor * random.lognormvariate(0, 0.6)))
    kind = random.choices(_KINDS, _KIND_WEIGHTS)[0]
    fields: Fields = {
        "card_token": token,
        "kind": kind,
        "amount_minor": 0 if kind == "KIND_BALANCE_INQUIRY" or random.random() < 0.015 else amount,  # noqa: PLR2004
        "currency": "USD",
        "transacted_at": at.astimezone(UTC),
        "partial_approval_capable": random.random() < 0.12,  # noqa: PLR2004 (a share)
        "merchant": {
            "acceptor_id": f"{merchant.mcc}{sum(merchant.descriptor.encode()) % 100_000:05}",
            "descriptor": merchant.descriptor,
            "mcc": merchant.mcc,
            "city": merchant.city,
            "state": merchant.state,
            "country": merchant.country,
        },
        "entry_mode": random.choice(_ENTRY_MODES),
        "network": random.choice(_NETWORKS),
    }
    if merchant.mcc == FUEL_PUMP_MCC and fields["amount_minor"] and kind == "KIND_AUTHORIZATION":
        # A pump does not know what will be filled in: one unit now, a hold for a tank.
        fields |= {"amount_minor": 1_00, "hold_minor": FUEL_HOLD_MINOR}
    return fields


def _staged(random: Random, purchase: tuple[str, str, int, bool], now: datetime) -> Fields:
    token, mcc, amount_minor, capable = purchase
    merchant = next(merchant for merchant in MERCHANTS if merchant.mcc == mcc)
    fields = {"kind": "KIND_AUTHORIZATION", "amount_minor": amount_minor, "partial_approval_capable": capable}
    return _order(random, token, merchant, now) | fields


def _merchant(random: Random, habit: Habit) -> Merchant:
    roll = random.random()
    if habit.categories and roll < 0.88:  # noqa: PLR2004 (a share)
        known = [merchant for merchant in MERCHANTS if merchant.mcc in habit.categories]
        return known[min(int(random.expovariate(0.5)), len(known) - 1)]
    if roll < 0.9:  # noqa: PLR2004 (a share)
        # A few merchants take most of the traffic.
        return MERCHANTS[int(len(MERCHANTS) * random.random() ** 1.6)]
    category = random.choice(_LONG_TAIL)
    return Merchant(category.category_name[:40].upper(), category.mcc_code, "Springfield", "IL", "USA", 38_00)


def _retry_some(random: Random, orders: list[Fields]) -> None:
    """A bridge that heard nothing asks again: the same request a little later, in the place of another one."""
    for position in range(4, len(orders) - len(_STAGED)):
        if random.random() < 0.02:  # noqa: PLR2004 (a share)
            orders[position] = orders[position - random.randint(1, 4)]


# However little traffic is asked for, it ends with these: a limit, a merchant category and a balance say no.
_STAGED: Final = (
    ("card_demo_new_york", "5812", 1_040_00, False),
    ("card_demo_daily", "7995", 50_00, False),
    ("card_demo_small_balance", "5732", 310_00, True),
)
_KINDS: Final = (
    "KIND_AUTHORIZATION",
    "KIND_FINANCIAL_AUTHORIZATION",
    "KIND_CREDIT_AUTHORIZATION",
    "KIND_FINANCIAL_CREDIT_AUTHORIZATION",
    "KIND_BALANCE_INQUIRY",
)
_KIND_WEIGHTS: Final = (91, 4, 2, 1, 2)
_ENTRY_MODES: Final = ("ENTRY_MODE_CHIP", "ENTRY_MODE_CONTACTLESS", "ENTRY_MODE_ECOMMERCE", "ENTRY_MODE_MANUAL")
_NETWORKS: Final = ("NETWORK_VISA", "NETWORK_MASTERCARD")
# Without the private codes of airlines, car rentals and hotels: those have the names of companies.
_LONG_TAIL: Final = [category for category in catalogue() if not "3000" <= category.mcc_code <= "3999"]
