"""Running the .sql file of a revision."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from alembic import op

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection


def run_sql_beside(revision_file: str) -> None:
    """Run the .sql file of the same name as the revision's module, inside the revision's transaction.

    It goes to the driver as one simple query: a prepared statement, which SQLAlchemy would make of it, holds a
    single command, and splitting SQL by semicolons would cut function bodies.
    """
    sql = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    # SQLAlchemy opens the driver's transaction with its first own statement; the script must not run before it.
    op.execute("SELECT 1")
    driver = cast("AsyncAdapt_asyncpg_connection", op.get_bind().connection.dbapi_connection)
    driver.run_async(lambda connection: connection.execute(sql))
