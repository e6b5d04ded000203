"""Passwords, sessions and keys of callers."""

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0010"
down_revision = "0009"

_COLUMNS = (
    "locked_until",
    "login_attempts",
    "last_login_at",
    "password_reset_expires",
    "password_reset_token_hash",
    "password_hash",
)


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Take away what upgrade added: nobody can sign in any more, and every key is gone."""
    op.execute("DROP TABLE api_keys")
    op.execute("DROP TABLE refresh_tokens")
    op.execute("DROP TRIGGER users_void_reset ON users")
    op.execute("DROP FUNCTION authsvc_void_reset()")
    op.execute("DROP TRIGGER users_row_version ON users")
    op.execute(
        "CREATE TRIGGER users_row_version BEFORE UPDATE ON users"
        " FOR EACH ROW EXECUTE FUNCTION authsvc_next_row_version()"
    )
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE users DROP COLUMN {column}")
