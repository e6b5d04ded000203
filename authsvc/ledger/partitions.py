"""Monthly partitions of `transactions`, made before their month begins. Months are UTC."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from asyncpg import Connection, Record
    from asyncpg.pool import PoolConnectionProxy


async def create_ahead(
    connection: "Connection[Record] | PoolConnectionProxy[Record]", months: int, today: "date"
) -> list[str]:
    """Make the partitions of this month and of `months` months after it; returns the names of the new ones.

    Rows of such a month that already lie in the default partition move with it. Outside a transaction each month
    is one of its own, which keeps the locks short. Raises ValueError for months < 0, LockNotAvailableError when
    running statements held the table for five seconds: what was made stays, call it again.
    """
    if months < 0:
        message = f"months is {months}, expected 0 or more"
        raise ValueError(message)
    created = []
    for ahead in range(months + 1):
        years, month_index = divmod(today.month - 1 + ahead, 12)
        first_day = today.replace(year=today.year + years, month=month_index + 1, day=1)
        name: str | None = await connection.fetchval("SELECT authsvc_create_partition($1)", first_day)
        if name is not None:
            created.append(name)
    return created
