"""What the network says about transactions after the decision."""

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop what the network said after the decisions, and what each transaction gave back."""
    op.execute("DROP TRIGGER transactions_status_transition ON transactions")
    op.execute("DROP FUNCTION authsvc_transaction_status")
    op.execute("DROP TABLE transaction_events")
    op.execute("DROP FUNCTION authsvc_append_only")
    op.execute("ALTER TABLE transactions DROP COLUMN credited_minor, DROP COLUMN is_decided")
