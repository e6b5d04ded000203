"""The columns that hold what is known of people. Why these: docs/privacy.md."""

from collections.abc import Mapping
from typing import Any, Final

from authsvc.privacy.sealing import Place, Sealer

# By table: a column, and the column of its blind index where it must be found by its value.
SEALED: Final[Mapping[str, Mapping[str, str | None]]] = {
    "accounts": {"owner_email": "owner_email_index", "tax_id": None},
    "users": {
        "email": "email_index",
        "first_name": None,
        "last_name": None,
        "phone": None,
        "date_of_birth": None,
        "tax_id": None,
    },
    "addresses": {"street_line1": None, "street_line2": None, "city": None, "postal_code": None},
}


def sealed(sealer: Sealer, table: str, row_id: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by their columns as they are kept, blind indexes beside them. Raises NotPossible without keys."""
    columns = SEALED.get(table, {})
    kept = dict(values)
    for column in columns.keys() & values.keys():
        value, index = values[column], columns[column]
        if index is not None:
            kept[index] = None if value is None else sealer.index(table, column, value)
        if value is not None:
            kept[column] = sealer.seal(Place(table, column, row_id), value)
    return kept


def opened(sealer: Sealer, table: str, row_id: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """Of a row's columns those that are kept sealed, as people wrote them. Raises NotPossible with the place."""
    columns = SEALED.get(table, {}).keys() & row.keys()
    return {
        column: None if row[column] is None else sealer.open(Place(table, column, row_id), row[column])
        for column in columns
    }
