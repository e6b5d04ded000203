"""One person's data: all of it in one document, or forgotten. The ledger of what was spent stays in both cases."""

from typing import TYPE_CHECKING, NamedTuple

import orjson

from authsvc.errors import NotFound, NotPossible
from authsvc.ledger.queries import PERSONS_SQL, SQL
from authsvc.privacy.columns import opened
from authsvc.privacy.sealing import Sealer

if TYPE_CHECKING:
    from asyncpg import Connection, Record


class Erased(NamedTuple):
    """What became of a person's data."""

    user_id: int
    addresses: int
    sessions: int


async def export(connection: "Connection[Record]", user_id: int, sealer: Sealer) -> str:
    """Everything that is kept of a user, as JSON. Raises NotFound, and NotPossible when something cannot be opened."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        user = await connection.fetchrow(PERSONS_SQL["user"], user_id)
        if user is None:
            raise NotFound(f"there is no user {user_id}")
        found = await connection.fetch(PERSONS_SQL["addresses"], user_id)
        addresses = {str(one["id"]): opened(sealer, "addresses", one["id"], dict(one)) for one in found}
        known = [orjson.dumps(what).decode() for what in (opened(sealer, "users", user_id, dict(user)), addresses)]
        return str(await connection.fetchval(PERSONS_SQL["export"], user_id, *known))


async def erase(connection: "Connection[Record]", user_id: int, actor: str) -> Erased:
    """Names, addresses, sign-in and sessions of a user are gone; cards and transactions stay, of a user without a name.

    `actor` is who did it, for the audit log. Raises NotFound, and NotPossible while a card of theirs is not closed.
    """
    async with connection.transaction():
        await connection.execute(SQL["tell"], actor)
        user = await connection.fetchrow(PERSONS_SQL["lock"], user_id)
        if user is None:
            raise NotFound(f"there is no user {user_id}")
        if user["open_cards"]:
            raise NotPossible(f"user {user_id} has {user['open_cards']} card(s) that are not closed: close them first")
        addresses = await connection.execute(PERSONS_SQL["forget_addresses"], user_id)
        sessions = await connection.execute(PERSONS_SQL["forget_sessions"], user_id)
        await connection.execute(PERSONS_SQL["forget"], user_id)
    return Erased(user_id, *(int(done.rpartition(" ")[2]) for done in (addresses, sessions)))
