"""Tables, constraints and indexes."""

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop every table: accounts, users, profiles, cards, settings, categories and transactions go."""
    op.execute(
        "DROP TABLE request_keys, transactions, account_settings, profile_categories, spending_categories, cards,"
        " spending_profiles, users, accounts"
    )
