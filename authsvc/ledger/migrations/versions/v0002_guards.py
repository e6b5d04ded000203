"""Guards: updated_at, life cycles, MCC lists, known settings."""

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)
