"""What was spent, summed from the transactions alone: to compare with what anything else believes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from asyncpg import Connection, Record

_SQL: Final = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


class Entry(NamedTuple):
    """A window to sum: of a card, of all cards under a card's profile, or the open holds of a card's account.

    No start and no end: for ever.
    """

    scope: Literal["card", "profile", "account"]
    card_token: str
    start: "datetime | None"
    end: "datetime | None"


async def spent_minor(connection: "Connection[Record]", entries: Sequence[Entry]) -> list[int]:
    """One sum for each entry, minor units. The cards must exist."""
    if not entries:
        return []
    records = await connection.fetch(_SQL, *(list(column) for column in zip(*entries, strict=True)))
    return [record["used_minor"] for record in records]
