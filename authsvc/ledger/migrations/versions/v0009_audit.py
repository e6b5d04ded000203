"""Who changed what: audit logs."""

from typing import Final

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0009"
down_revision = "0008"

_AUDITED: Final = (
    "accounts",
    "users",
    "spending_profiles",
    "cards",
    "card_products",
    "addresses",
    "account_settings",
    "profile_categories",
    "spending_categories",
    "setting_keys",
)
_KEEP_ID: Final = ("spending_categories", "profile_categories", "account_settings", "setting_keys")
_FUNCTIONS: Final = (
    "authsvc_audit_accounts()",
    "authsvc_audit_table(REGCLASS, TEXT, TEXT)",
    "authsvc_audit_by_hand()",
    "authsvc_audit_chain()",
    "authsvc_audit()",
    "authsvc_audit_action(JSONB, JSONB)",
    "authsvc_audit_difference(JSONB, JSONB, TEXT[], TEXT[])",
    "authsvc_audit_next_hash(BYTEA, BYTEA, TEXT)",
    "authsvc_audit_told(TEXT)",
    "authsvc_audit_masked(JSONB)",
    "authsvc_audit_columns(REGCLASS)",
    "authsvc_audit_is_ignored(TEXT, TEXT)",
    "authsvc_audit_is_private(TEXT, TEXT)",
)


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Forget who changed what."""
    for table in _AUDITED:
        for event in ("insert", "update", "delete", "truncate"):
            op.execute(f"DROP TRIGGER zz_audit_{event} ON {table}")
    for table in _KEEP_ID:
        op.execute(f"DROP TRIGGER {table}_keep_id ON {table}")
    op.execute("ALTER TABLE setting_keys DROP COLUMN id")
    op.execute("DROP AGGREGATE authsvc_audit_hash (BYTEA, TEXT)")
    op.execute("DROP FUNCTION authsvc_audit_text(audit_logs)")
    for table in ("audit_pending", "audit_chains", "audit_logs"):
        op.execute(f"DROP TABLE {table}")
    for function in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
