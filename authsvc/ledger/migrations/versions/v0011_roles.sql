-- Four database roles, and row-level security. The roles are groups without a login; whoever connects is made a member:
--
--   authsvc_engine      decides, records, keeps sign-in data: sees every account
--   authsvc_management  edits what people edit, in the name of one caller (see authsvc/ledger/management.sql)
--   authsvc_reporting   reads, in the name of one caller
--   authsvc_migration   owns the schema
--
-- Roles belong to the whole server, not to this database, and another database may have made them already.

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY '{authsvc_engine,authsvc_management,authsvc_reporting,authsvc_migration}'::TEXT[] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the role % is missing and % may not create roles', name, current_user
                    USING ERRCODE = 'insufficient_privilege',
                    HINT = 'Have an administrator create it (NOLOGIN) and grant it, or grant CREATEROLE.';
        END;
        IF NOT pg_has_role(current_user, name, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO %I', name, current_user);
        END IF;
    END LOOP;
END;
$$;

-- Who asks, as the transaction was told.
CREATE FUNCTION authsvc_caller_account() RETURNS INTEGER LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('authsvc.account_id', true), '')::INTEGER;
CREATE FUNCTION authsvc_caller_user() RETURNS INTEGER LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('authsvc.user_id', true), '')::INTEGER;
CREATE FUNCTION authsvc_caller_role() RETURNS TEXT LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('authsvc.role', true), ''), 'nobody');
-- Whether rows of an account may be seen at all.
CREATE FUNCTION authsvc_sees(account_id INTEGER) RETURNS BOOLEAN LANGUAGE sql STABLE PARALLEL SAFE
RETURN authsvc_caller_role() = 'operator' OR (
    authsvc_caller_role() IN ('owner', 'admin', 'analyst', 'user') AND account_id = authsvc_caller_account()
);
-- Whether rows of an account may be written by people who manage its cards.
CREATE FUNCTION authsvc_manages(account_id INTEGER) RETURNS BOOLEAN LANGUAGE sql STABLE PARALLEL SAFE
RETURN authsvc_caller_role() = 'operator' OR (
    authsvc_caller_role() IN ('owner', 'admin') AND account_id = authsvc_caller_account()
);

-- What triggers read and write beyond their own rows happens whoever asked: a version that is not raised because a policy
-- hides the account's row would leave a stale decision behind. Nothing of a caller's search path takes part, least of
-- all temporary tables. Triggers on the engine's hot rows look at their own rows only and stay as they are.
DO $$
DECLARE
    one RECORD;
BEGIN
    FOR one IN
        SELECT p.oid::regprocedure AS name FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.proname IN (
            'authsvc_bump', 'authsvc_categories_bump', 'authsvc_profile_categories_bump', 'authsvc_card_profile',
            'authsvc_product_profile', 'authsvc_profile_delete', 'authsvc_profile_of_products', 'authsvc_keep_history'
        )
    LOOP
        EXECUTE format(
            'ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', one.name, current_schema()
        );
    END LOOP;
END;
$$;

-- Every table of this schema: the engine and the owner see everything, everybody else what a policy says.
DO $$
DECLARE
    one RECORD;
BEGIN
    FOR one IN
        SELECT c.oid::regclass AS name FROM pg_class AS c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname <> 'alembic_version'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', one.name);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', one.name);
        EXECUTE format(
            'CREATE POLICY authsvc_own ON %s TO authsvc_engine, authsvc_migration USING (true) WITH CHECK (true)', one.name
        );
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO authsvc_engine', one.name);
        EXECUTE format('GRANT ALL ON %s TO authsvc_migration', one.name);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO authsvc_engine, authsvc_management, authsvc_reporting', current_schema());
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO authsvc_engine, authsvc_management', current_schema());
END;
$$;

-- What people edit. Of users not the columns that sign-in needs, of accounts not what the engine keeps.
GRANT SELECT, INSERT, UPDATE, DELETE
ON spending_profiles, profile_categories, card_products, cards, addresses, account_settings, spending_categories
TO authsvc_management;
GRANT SELECT ON accounts, setting_keys TO authsvc_management, authsvc_reporting;
GRANT INSERT, DELETE ON accounts TO authsvc_management;
GRANT UPDATE (
    business_name, owner_email, lithic_account_token, lithic_financial_account_token, currency, status, deleted_at
) ON accounts TO authsvc_management;
GRANT SELECT (
    id, account_id, email, first_name, last_name, role, lithic_account_holder_token, status, row_version, created_at,
    updated_at, deleted_at
) ON users TO authsvc_management, authsvc_reporting;
GRANT INSERT (
    account_id, email, first_name, last_name, role, lithic_account_holder_token, status
), UPDATE (
    email, first_name, last_name, role, lithic_account_holder_token, status, deleted_at
), DELETE ON users TO authsvc_management;
GRANT SELECT
ON spending_profiles, profile_categories, card_products, cards, addresses, account_settings, spending_categories,
transactions, transaction_events, balance_adjustments
TO authsvc_reporting;

CREATE POLICY seen ON accounts FOR SELECT TO authsvc_management, authsvc_reporting USING (authsvc_sees(id));
CREATE POLICY made ON accounts FOR INSERT TO authsvc_management WITH CHECK (authsvc_caller_role() = 'operator');
CREATE POLICY edited ON accounts FOR UPDATE TO authsvc_management
USING (authsvc_caller_role() = 'operator' OR (authsvc_caller_role() = 'owner' AND id = authsvc_caller_account()));
CREATE POLICY purged ON accounts FOR DELETE TO authsvc_management USING (authsvc_caller_role() = 'operator');

CREATE POLICY seen ON users FOR SELECT TO authsvc_management, authsvc_reporting
USING (authsvc_sees(account_id) AND (authsvc_caller_role() <> 'user' OR id = authsvc_caller_user()));
CREATE POLICY made ON users FOR INSERT TO authsvc_management WITH CHECK (authsvc_manages(account_id));
CREATE POLICY edited ON users FOR UPDATE TO authsvc_management USING (authsvc_manages(account_id));
CREATE POLICY purged ON users FOR DELETE TO authsvc_management USING (authsvc_caller_role() = 'operator');

CREATE POLICY seen ON spending_profiles FOR SELECT TO authsvc_management, authsvc_reporting
USING (authsvc_sees(account_id));
CREATE POLICY made ON spending_profiles FOR INSERT TO authsvc_management WITH CHECK (authsvc_manages(account_id));
CREATE POLICY edited ON spending_profiles FOR UPDATE TO authsvc_management USING (authsvc_manages(account_id));
CREATE POLICY purged ON spending_profiles FOR DELETE TO authsvc_management
USING (authsvc_caller_role() = 'operator');

CREATE POLICY seen ON card_products FOR SELECT TO authsvc_management, authsvc_reporting
USING (authsvc_sees(account_id));
CREATE POLICY made ON card_products FOR INSERT TO authsvc_management WITH CHECK (authsvc_manages(account_id));
CREATE POLICY edited ON card_products FOR UPDATE TO authsvc_management USING (authsvc_manages(account_id));
CREATE POLICY purged ON card_products FOR DELETE TO authsvc_management USING (authsvc_caller_role() = 'operator');

CREATE POLICY seen ON cards FOR SELECT TO authsvc_management, authsvc_reporting
USING (authsvc_sees(account_id) AND (authsvc_caller_role() <> 'user' OR user_id = authsvc_caller_user()));
CREATE POLICY made ON cards FOR INSERT TO authsvc_management WITH CHECK (authsvc_manages(account_id));
CREATE POLICY edited ON cards FOR UPDATE TO authsvc_management USING (authsvc_manages(account_id));
CREATE POLICY purged ON cards FOR DELETE TO authsvc_management USING (authsvc_caller_role() = 'operator');

-- A user's own addresses are the user's to change.
CREATE POLICY seen ON addresses FOR SELECT TO authsvc_management, authsvc_reporting
USING (authsvc_sees(account_id) AND (authsvc_caller_role() <> 'user' OR owner_user_id = authsvc_caller_user()));
CREATE POLICY made ON addresses FOR INSERT TO authsvc_management WITH CHECK (
    authsvc_manages(account_id) OR (
        authsvc_caller_role() = 'user' AND account_id = authsvc_caller_account() AND addressable_type = 'user'
        AND addressable_id = authsvc_caller_user()
    )
);
CREATE POLICY edited ON addresses FOR UPDATE TO authsvc_management USING (
    authsvc_manages(account_id) OR (
        authsvc_caller_role() = 'user' AND account_id = authsvc_caller_account() AND addressable_type = 'user'
        AND addressable_id = authsvc_caller_user()
    )
);
CREATE POLICY purged ON addresses FOR DELETE TO authsvc_management USING (authsvc_caller_role() = 'operator');

CREATE POLICY seen ON account_settings FOR SELECT TO authsvc_management, authsvc_reporting
USING (authsvc_sees(account_id) AND authsvc_caller_role() <> 'user');
CREATE POLICY edited ON account_settings TO authsvc_management
USING (
    authsvc_caller_role() = 'operator' OR (authsvc_caller_role() = 'owner' AND account_id = authsvc_caller_account())
);

CREATE POLICY seen ON spending_categories FOR SELECT TO authsvc_management, authsvc_reporting USING (true);
CREATE POLICY edited ON spending_categories TO authsvc_management USING (authsvc_caller_role() = 'operator');
CREATE POLICY seen ON setting_keys FOR SELECT TO authsvc_management, authsvc_reporting USING (true);

-- Whoever sees the profile sees its rules: the profile's own policies decide.
CREATE POLICY seen ON profile_categories FOR SELECT TO authsvc_management, authsvc_reporting
USING (EXISTS (SELECT FROM spending_profiles AS p WHERE p.id = spending_profile_id));
CREATE POLICY edited ON profile_categories TO authsvc_management
USING (EXISTS (SELECT FROM spending_profiles AS p WHERE p.id = spending_profile_id AND authsvc_manages(p.account_id)));

CREATE POLICY seen ON transactions FOR SELECT TO authsvc_reporting
USING (authsvc_sees(account_id) AND (authsvc_caller_role() <> 'user' OR user_id = authsvc_caller_user()));
CREATE POLICY seen ON transaction_events FOR SELECT TO authsvc_reporting
USING (authsvc_sees(account_id) AND authsvc_caller_role() <> 'user');
CREATE POLICY seen ON balance_adjustments FOR SELECT TO authsvc_reporting
USING (authsvc_sees(account_id) AND authsvc_caller_role() <> 'user');

-- Audit logs, where they are told to people: never to cardholders; what belongs to no account only to operators.
DO $$
BEGIN
    IF to_regclass('audit_logs') IS NOT NULL THEN
        GRANT SELECT ON audit_logs TO authsvc_management, authsvc_reporting;
        CREATE POLICY seen ON audit_logs FOR SELECT TO authsvc_management, authsvc_reporting
        USING (authsvc_sees(account_id) AND authsvc_caller_role() <> 'user');
    END IF;
END;
$$;
