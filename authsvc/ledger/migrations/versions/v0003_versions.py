"""Version triggers and notifications."""

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop the version triggers and notifications; no data goes."""
    # The triggers go with their functions.
    op.execute(
        "DROP FUNCTION authsvc_notify, authsvc_bump, authsvc_account_notify, authsvc_users_update,"
        " authsvc_users_delete, authsvc_cards_insert, authsvc_cards_update, authsvc_cards_delete,"
        " authsvc_profiles_update, authsvc_profiles_delete, authsvc_profile_categories_bump,"
        " authsvc_profile_categories_insert, authsvc_profile_categories_update, authsvc_profile_categories_delete,"
        " authsvc_categories_bump, authsvc_categories_update, authsvc_categories_insert_or_delete,"
        " authsvc_settings_insert, authsvc_settings_update, authsvc_settings_delete CASCADE"
    )
