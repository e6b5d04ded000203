"""Who holds a card: for people who look at one, never for a decision."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from authsvc.privacy.columns import opened
from authsvc.privacy.sealing import Sealer

if TYPE_CHECKING:
    from asyncpg import Connection, Record

_SQL: Final = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


class Holding(NamedTuple):
    """A card with its cardholder, account and profile. The profile's fields are None or empty when it has none.

    `allowed` and `blocked` are the profile's entries ("5812", "3000-3299", and names of groups).
    """

    card_token: str
    card_type: str
    last_four: str | None
    card_status: str
    cardholder: str
    email: str
    role: str
    user_status: str
    account_name: str
    account_status: str
    profile_name: str | None
    profile_description: str | None
    profile_scope: str | None
    allowed: list[str]
    blocked: list[str]


async def holding(connection: "Connection[Record]", card_token: str, sealer: Sealer) -> Holding | None:
    """The card and whom it belongs to; None for an unknown token. Raises NotPossible when no key opens the name."""
    record = await connection.fetchrow(_SQL, card_token)
    if record is None:
        return None
    entries: dict[str, list[str]] = {name: orjson.loads(record[name] or "[]") for name in ("allowed", "blocked")}
    for rule in record["category_rules"]:
        kind, _, target = rule.partition(" ")
        entries[kind].append(target)
    person = opened(sealer, "users", record["user_id"], dict(record))
    known = {"cardholder": f"{person['first_name']} {person['last_name']}", "email": person["email"], **entries}
    return Holding(**{name: record[name] for name in Holding._fields if name not in known}, **known)
