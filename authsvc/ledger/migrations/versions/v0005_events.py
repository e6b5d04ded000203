"""What the network says about transactions after the decision."""

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)
