"""The catalogue of merchant category codes: ISO 18245, the networks' private codes, and our own groups of them.

Names come from the package iso18245. Groups and the high-risk mark are the project's: the standard has neither.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import iso18245

if TYPE_CHECKING:
    from asyncpg import Connection, Record
    from asyncpg.pool import PoolConnectionProxy

# First and last code, group. The first range that holds a code wins: exceptions stand before what they are cut from.
GROUP_RANGES: Final[tuple[tuple[int, int, str], ...]] = (
    (742, 742, "Health"),
    (700, 999, "Contractors & Agriculture"),
    (1500, 2999, "Contractors & Agriculture"),
    (3000, 3350, "Airlines"),
    (3351, 3500, "Car Rental"),
    (3501, 3999, "Lodging"),
    (4119, 4119, "Health"),
    (4511, 4511, "Airlines"),
    (4829, 4829, "Cash & Money Transfer"),
    (4000, 4799, "Transportation"),
    (4800, 4999, "Utilities & Telecom"),
    (5047, 5047, "Health"),
    (5122, 5122, "Health"),
    (5172, 5172, "Fuel"),
    (5013, 5013, "Automotive"),
    (5000, 5199, "Business Supplies"),
    (5200, 5271, "Home & Garden"),
    (5300, 5300, "Groceries"),
    (5301, 5399, "Retail"),
    (5400, 5499, "Groceries"),
    (5541, 5542, "Fuel"),
    (5552, 5552, "Fuel"),
    (5500, 5599, "Automotive"),
    (5600, 5699, "Retail"),
    (5715, 5715, "Groceries"),
    (5712, 5722, "Home & Garden"),
    (5723, 5735, "Retail"),
    (5811, 5814, "Food & Dining"),
    (5815, 5818, "Digital Goods"),
    (5912, 5912, "Health"),
    (5921, 5921, "Groceries"),
    (5933, 5933, "Cash & Money Transfer"),
    (5960, 5969, "Direct Marketing"),
    (5975, 5976, "Health"),
    (5983, 5983, "Fuel"),
    (5819, 5999, "Retail"),
    (6300, 6499, "Insurance & Real Estate"),
    (6513, 6513, "Insurance & Real Estate"),
    (7013, 7013, "Insurance & Real Estate"),
    (6000, 6999, "Cash & Money Transfer"),
    (7011, 7033, "Lodging"),
    (7280, 7280, "Health"),
    (7276, 7277, "Professional Services"),
    (7200, 7299, "Personal Services"),
    (7300, 7399, "Business Services"),
    (7511, 7511, "Fuel"),
    (7512, 7519, "Car Rental"),
    (7523, 7523, "Transportation"),
    (7524, 7599, "Automotive"),
    (7600, 7699, "Personal Services"),
    (7800, 7802, "Gambling"),
    (7995, 7995, "Gambling"),
    (7803, 7999, "Entertainment"),
    (8000, 8099, "Health"),
    (8200, 8351, "Education"),
    (8398, 8699, "Organizations"),
    (8100, 8999, "Professional Services"),
    (9406, 9406, "Gambling"),
    (9000, 9499, "Government"),
    (0, 9999, "Other"),
)

HIGH_RISK: Final[frozenset[str]] = frozenset(
    (
        # Money and what is as good as money: wires, cash, quasi cash, crypto, stored value, pawn, securities.
        *("4829", "5933", "6010", "6011", "6050", "6051", "6211", "6532", "6533", "6536", "6537", "6538", "6540"),
        # Gambling.
        *("7800", "7801", "7802", "7995", "9406"),
        # Sales over the telephone and subscriptions that are hard to leave, adult content among them.
        *("5962", "5966", "5967", "5968", "5969"),
        # Dating, escorts, massage.
        *("7273", "7297"),
        # Tobacco; credit repair, debt collection, bail.
        *("5993", "7321", "7322", "9223"),
    )
)

# The package has this name spoiled ("Truck StopIteration").
NAME_CORRECTIONS: Final[dict[str, str]] = {"7511": "Truck stops"}

_UPSERT_SQL: Final = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


class Category(NamedTuple):
    """One row of spending_categories."""

    mcc_code: str
    category_name: str
    category_group: str
    is_high_risk: bool


def group_of(mcc_code: str) -> str:
    """Name the group of any four-digit code, known to ISO 18245 or not; "Other" when no range says more."""
    code = int(mcc_code)
    return next(group for first, last, group in GROUP_RANGES if first <= code <= last)


def catalogue() -> list[Category]:
    """List every code that iso18245 knows, in order, the private codes of airlines, cars and hotels among them."""
    return [
        Category(entry.mcc, _name(entry), group_of(entry.mcc), entry.mcc in HIGH_RISK)
        for entry in iso18245.get_all_mccs()
    ]


async def fill(connection: "Connection[Record] | PoolConnectionProxy[Record]") -> int:
    """Bring spending_categories to the catalogue; returns how many rows were new or differed.

    Codes that the catalogue does not have stay as they are; edits of those it has are undone.
    """
    rows = catalogue()
    columns = [list(column) for column in zip(*rows, strict=True)]
    outcome = await connection.execute(_UPSERT_SQL, *columns)
    return int(outcome.rsplit(" ", 1)[1])


def _name(entry: iso18245.MCC) -> str:
    """Pick the standard's own name, else that of the first network that has one."""
    names = (
        NAME_CORRECTIONS.get(entry.mcc),
        entry.iso_description,
        entry.mastercard_description,
        entry.visa_description,
        entry.usda_description,
        entry.amex_description,
        entry.stripe_description,
        entry.alipay_description,
    )
    return next(name for name in names if name)
