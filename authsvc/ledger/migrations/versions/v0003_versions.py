"""Version triggers and notifications."""

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)
