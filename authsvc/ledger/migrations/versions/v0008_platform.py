"""Card products, addresses, the registry of settings, versions of rows."""

from alembic import op

from authsvc.ledger.migrations.sql_file import restore_from, run_sql_beside

revision = "0008"
down_revision = "0007"

_VERSIONED = (
    "accounts",
    "users",
    "spending_profiles",
    "cards",
    "spending_categories",
    "profile_categories",
    "account_settings",
)


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop card products, which card came of which, addresses, and the versions of rows."""
    op.execute("DROP TRIGGER spending_profiles_default_of_product ON spending_profiles")
    op.execute("DROP FUNCTION authsvc_profile_of_products")
    op.execute("DROP TRIGGER account_settings_known ON account_settings")
    restore_from("v0002_guards.sql", "authsvc_setting_problem", "authsvc_setting_known", "account_settings_known")
    op.execute("DROP TABLE setting_keys")
    op.execute("DROP TABLE addresses")
    op.execute("ALTER TABLE cards DROP COLUMN overridden_fields, DROP COLUMN card_product_id")
    op.execute("DROP TABLE card_products")
    op.execute("DROP FUNCTION authsvc_product_profile")
    op.execute("DROP FUNCTION authsvc_next_row_version CASCADE")
    for table in _VERSIONED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN row_version")
