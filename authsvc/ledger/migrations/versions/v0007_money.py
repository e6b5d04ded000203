"""Increments, refund policies and adjustments of balances."""

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)
