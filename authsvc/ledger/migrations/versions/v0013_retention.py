"""When a card was closed, and when an account was given notice that it will be."""

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Forget when cards were closed, and which accounts were given notice."""
    # The trigger names the account's columns.
    op.execute("DROP TRIGGER zz_audit_update ON accounts")
    op.execute("ALTER TABLE accounts DROP COLUMN closing_notice_at")
    op.execute("SELECT authsvc_audit_accounts()")
    op.execute("DROP FUNCTION authsvc_card_closed, authsvc_card_keep_closed_at CASCADE")
    op.execute("ALTER TABLE cards DROP COLUMN closed_at")
