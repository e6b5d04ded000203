"""Guards: updated_at, life cycles, MCC lists, known settings."""

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Drop the guards; no data goes."""
    # The triggers go with their functions.
    op.execute(
        "DROP FUNCTION authsvc_touch_row, authsvc_keep_id, authsvc_account_before_update, authsvc_card_status,"
        " authsvc_card_profile, authsvc_profile_delete, authsvc_mcc_list_problem, authsvc_profile_lists,"
        " authsvc_setting_problem, authsvc_setting_known, authsvc_transactions_references, authsvc_keep_history CASCADE"
    )
