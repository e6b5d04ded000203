"""Tables, constraints and indexes."""

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)
