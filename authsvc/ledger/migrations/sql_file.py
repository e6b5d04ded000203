"""Running the .sql file of a revision, and parts of an older one again."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from alembic import op

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection


def run_sql_beside(revision_file: str) -> None:
    """Run the .sql file of the same name as the revision's module, inside the revision's transaction."""
    _run(Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8"))


def restore_from(sql_name: str, *names: str) -> None:
    """Make functions and triggers again as an older revision's .sql file makes them: for the way down.

    A function that is there under this name is replaced; a trigger must be gone.
    """
    sql = (Path(__file__).parent / "versions" / sql_name).read_text(encoding="utf-8")
    for name in names:
        statement = re.search(
            rf"^CREATE (FUNCTION {name}\(.*?^\$\$|TRIGGER {name} .*?\));$", sql, re.DOTALL | re.MULTILINE
        )
        if statement is None:
            raise LookupError(f"{sql_name} makes no {name}")
        _run(statement[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))


def _run(sql: str) -> None:
    """Give it to the driver as one simple query.

    A prepared statement, which SQLAlchemy would make of it, holds a single command, and splitting SQL by semicolons
    would cut function bodies.
    """
    # SQLAlchemy opens the driver's transaction with its first own statement; the script must not run before it.
    op.execute("SELECT 1")
    driver = cast("AsyncAdapt_asyncpg_connection", op.get_bind().connection.dbapi_connection)
    driver.run_async(lambda connection: connection.execute(sql))
