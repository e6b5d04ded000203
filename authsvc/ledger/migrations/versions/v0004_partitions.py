"""Monthly partitions of transactions."""

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop what makes partitions; those that were made stay, and no data goes."""
    op.execute("DROP FUNCTION authsvc_create_partition")
