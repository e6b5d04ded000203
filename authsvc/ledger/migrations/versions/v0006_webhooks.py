"""What Lithic's event subscription delivers, kept before it is processed."""

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Forget what was delivered, and how old the news of each card's state is."""
    op.execute("DROP TABLE webhooks")
    op.execute("DROP INDEX accounts_lithic_account_token_idx")
    op.execute("ALTER TABLE cards DROP COLUMN lithic_state_at")
