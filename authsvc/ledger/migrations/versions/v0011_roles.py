"""Database roles and row-level security."""

from alembic import op

from authsvc.ledger.migrations.sql_file import run_sql_beside

revision = "0011"
down_revision = "0010"

_UNDO = """
DO $$
DECLARE
    one RECORD;
BEGIN
    FOR one IN SELECT policyname, tablename FROM pg_policies WHERE schemaname = current_schema() LOOP
        EXECUTE format('DROP POLICY %I ON %I', one.policyname, one.tablename);
    END LOOP;
    FOR one IN
        SELECT c.oid::regclass AS name FROM pg_class AS c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity
    LOOP
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', one.name);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', one.name);
    END LOOP;
    FOR one IN
        SELECT p.oid::regprocedure AS name FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'authsvc\\_%' AND p.prosecdef
        AND p.proname NOT LIKE 'authsvc\\_audit%'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY INVOKER RESET search_path', one.name);
    END LOOP;
    FOR one IN SELECT unnest('{authsvc_engine,authsvc_management,authsvc_reporting,authsvc_migration}'::TEXT[]) AS name
    LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', current_schema(), one.name);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %I', current_schema(), one.name);
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', current_schema(), one.name);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    """Run the .sql file of the same name."""
    run_sql_beside(__file__)


def downgrade() -> None:
    """Let everybody see everything again. The roles stay: other databases of the server may use them."""
    op.execute(_UNDO)
    op.execute("DROP FUNCTION authsvc_sees, authsvc_manages")
    op.execute("DROP FUNCTION authsvc_caller_account, authsvc_caller_user, authsvc_caller_role")
