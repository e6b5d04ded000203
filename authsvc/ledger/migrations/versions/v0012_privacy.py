"""What is known of people, sealed."""

from alembic import op

from authsvc.ledger.migrations.sql_file import restore_from, run_sql_beside

revision = "0012"
down_revision = "0011"

# Of what is sealed the database has no key.
_REFUSE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM accounts WHERE owner_email LIKE 'sealed:%' OR tax_id LIKE 'sealed:%')
        OR EXISTS (
            SELECT FROM users
            WHERE concat_ws(' ', email, first_name, last_name, phone, date_of_birth, tax_id) ~ '(^| )sealed:[0-9]+:'
        )
        OR EXISTS (
            SELECT FROM addresses
            WHERE concat_ws(' ', street_line1, street_line2, city, postal_code) ~ '(^| )sealed:[0-9]+:'
        )
    THEN
        RAISE EXCEPTION 'names and addresses are sealed: run `authsvc privacy open` before this revision is taken back';
    END IF;
END
$$
"""
_EMAIL = r"'^[^@[:space:]]+@[^@[:space:]]+\.[^@[:space:]]+$'"


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Take away what upgrade added: phone numbers, dates of birth and tax ids are gone."""
    op.execute(_REFUSE)
    for table in ("accounts", "users", "addresses"):
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_sealed_check")
    op.execute("REVOKE INSERT (id) ON users FROM authsvc_management")
    op.execute("DROP TRIGGER users_void_reset ON users")
    op.execute("DROP TRIGGER accounts_row_version ON accounts")
    op.execute("DROP TRIGGER zz_audit_update ON accounts")
    op.execute(
        "ALTER TABLE users DROP COLUMN email_index, DROP COLUMN tax_id, DROP COLUMN date_of_birth, DROP COLUMN phone,"
        " DROP CONSTRAINT users_email_check, ALTER COLUMN last_name TYPE VARCHAR(255),"
        " ALTER COLUMN first_name TYPE VARCHAR(255), ALTER COLUMN email TYPE VARCHAR(255),"
        f" ADD CONSTRAINT users_email_check CHECK (email ~ {_EMAIL})"
    )
    op.execute(
        "ALTER TABLE accounts DROP COLUMN owner_email_index, DROP COLUMN tax_id,"
        " DROP CONSTRAINT accounts_owner_email_check, ALTER COLUMN owner_email TYPE VARCHAR(255),"
        f" ADD CONSTRAINT accounts_owner_email_check CHECK (owner_email ~ {_EMAIL})"
    )
    restore_from("v0008_platform.sql", "accounts_row_version")
    restore_from("v0009_audit.sql", "authsvc_audit_is_ignored")
    restore_from("v0010_identity.sql", "users_void_reset")
    op.execute("SELECT authsvc_audit_accounts()")
