-- Who changed what. Triggers write it, so that nobody changes a row in silence, by whatever way they came.
--
-- A statement's changes wait in audit_pending until their transaction commits. Only then are they chained, by a deferred
-- trigger: a chain is locked for the last moment of a transaction, after every other lock, so that it is never part of a
-- deadlock, and a bulk that takes long holds nobody up.

CREATE TABLE audit_logs (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    -- NULL for what belongs to nobody: the catalogue of categories, the registry of settings. No foreign keys: what was done to
    -- an account, and by whom, outlives both.
    account_id INTEGER,
    user_id INTEGER,
    action VARCHAR(255) NOT NULL,
    entity_type VARCHAR(255) NOT NULL,
    entity_id BIGINT NOT NULL,
    -- Only what changed; all of it for a row that came or went. Secrets and what is known of people as "***".
    old_values JSONB,
    new_values JSONB,
    actor VARCHAR(255) NOT NULL,
    role VARCHAR(255),
    ip_address VARCHAR(255),
    user_agent VARCHAR(255),
    request_id VARCHAR(255),
    -- The account's version after the change: a decision's config_version leads here.
    config_version BIGINT,
    created_at TIMESTAMPTZ NOT NULL,
    previous_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT audit_logs_pkey PRIMARY KEY (id),
    CONSTRAINT audit_logs_action_check CHECK (action IN ('CREATE', 'UPDATE', 'DELETE', 'RESTORE', 'PURGE')),
    CONSTRAINT audit_logs_values_check CHECK (num_nonnulls(old_values, new_values) > 0)
);

-- A chain is read in this order, a page of it backwards.
CREATE INDEX audit_logs_account_id_idx ON audit_logs (account_id, id);
CREATE INDEX audit_logs_account_id_config_version_idx ON audit_logs (account_id, config_version);
CREATE INDEX audit_logs_entity_idx ON audit_logs (entity_type, entity_id, id);
CREATE INDEX audit_logs_actor_idx ON audit_logs (actor, id);
CREATE INDEX audit_logs_created_at_idx ON audit_logs USING brin (created_at);

-- Where each chain ends; account 0 is the chain of what belongs to nobody.
CREATE TABLE audit_chains (
    account_id INTEGER NOT NULL,
    entries BIGINT NOT NULL DEFAULT 0,
    last_id BIGINT,
    last_hash BYTEA NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    CONSTRAINT audit_chains_pkey PRIMARY KEY (account_id)
) WITH (fillfactor = 70);

-- Rows live here within a transaction only, hence not logged. One of each statement calls for the chaining at the commit.
CREATE UNLOGGED TABLE audit_pending (
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    is_first BOOLEAN NOT NULL,
    account_id INTEGER,
    user_id INTEGER,
    action VARCHAR(255) NOT NULL,
    entity_type VARCHAR(255) NOT NULL,
    entity_id BIGINT NOT NULL,
    old_values JSONB,
    new_values JSONB,
    actor VARCHAR(255) NOT NULL,
    role VARCHAR(255),
    ip_address VARCHAR(255),
    user_agent VARCHAR(255),
    request_id VARCHAR(255),
    config_version BIGINT,
    CONSTRAINT audit_pending_pkey PRIMARY KEY (position)
);

-- Columns whose values are not told, only that they changed. A later revision that adds one replaces this.
CREATE FUNCTION authsvc_audit_is_private(table_name TEXT, column_name TEXT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
    SELECT column_name ~ '(_hash|_sealed|_secret|_reset_token)$' OR column_name IN ('password', 'secret')
        OR (table_name, column_name) IN (
            ('accounts', 'owner_email'), ('accounts', 'tax_id'),
            ('users', 'email'), ('users', 'first_name'), ('users', 'last_name'), ('users', 'phone'),
            ('users', 'date_of_birth'), ('users', 'tax_id'),
            ('addresses', 'street_line1'), ('addresses', 'street_line2'), ('addresses', 'postal_code'),
            ('addresses', 'city')
        )
$$;

-- Columns that say nothing that an entry would: kept by triggers, made of other columns, or the engine's own.
CREATE FUNCTION authsvc_audit_is_ignored(table_name TEXT, column_name TEXT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
    SELECT column_name IN ('id', 'updated_at', 'row_version') OR (table_name, column_name) IN (
        ('accounts', 'overdrawn'), ('accounts', 'config_version'), ('accounts', 'counter_epoch'), ('accounts', 'postings'),
        ('users', 'last_login_at'), ('users', 'login_attempts'),
        ('cards', 'lithic_state_at'),
        ('addresses', 'owner_account_id'), ('addresses', 'owner_user_id'),
        ('api_keys', 'last_used_at')
    )
$$;

CREATE FUNCTION authsvc_audit_columns(relation REGCLASS) RETURNS TEXT[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(a.attname::TEXT ORDER BY a.attnum) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
        AND NOT authsvc_audit_is_ignored(c.relname, a.attname)
$$;

-- Of an address of mail the first letter and the domain tell which one it was to whoever knows it.
CREATE FUNCTION authsvc_audit_masked(value JSONB) RETURNS JSONB LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN value = 'null' THEN value
        WHEN (value #>> '{}') ~ '^[^@[:space:]]+@[^@[:space:]]+$'
            THEN to_jsonb(left(value #>> '{}', 1) || '***@' || split_part(value #>> '{}', '@', 2))
        ELSE '"***"'
    END
$$;

-- What the transaction was told about its caller (see docs/audit.md); NULL when it was not.
CREATE FUNCTION authsvc_audit_told(name TEXT) RETURNS TEXT LANGUAGE sql STABLE AS $$
    SELECT nullif(left(current_setting('authsvc.' || name, true), 255), '')
$$;

-- What differs between two versions of a row, as an entry tells it; NULL for both when nothing does.
CREATE FUNCTION authsvc_audit_difference(
    old_row JSONB, new_row JSONB, column_names TEXT[], private_names TEXT[], OUT old_values JSONB, OUT new_values JSONB
) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    SELECT
        jsonb_object_agg(
            name, CASE WHEN name = ANY (private_names) THEN authsvc_audit_masked(old_row -> name) ELSE old_row -> name END
        ) FILTER (WHERE old_row IS NOT NULL),
        jsonb_object_agg(
            name, CASE WHEN name = ANY (private_names) THEN authsvc_audit_masked(new_row -> name) ELSE new_row -> name END
        ) FILTER (WHERE new_row IS NOT NULL)
    INTO old_values, new_values
    FROM unnest(column_names) AS name
    WHERE old_row -> name IS DISTINCT FROM new_row -> name;
END;
$$;

CREATE FUNCTION authsvc_audit_action(old_row JSONB, new_row JSONB) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN old_row IS NULL THEN 'CREATE'
        WHEN new_row IS NULL THEN 'PURGE'
        WHEN old_row ->> 'deleted_at' IS NULL AND new_row ->> 'deleted_at' IS NOT NULL THEN 'DELETE'
        WHEN old_row ->> 'deleted_at' IS NOT NULL AND new_row ->> 'deleted_at' IS NULL THEN 'RESTORE'
        ELSE 'UPDATE'
    END
$$;

-- Arguments: the name of the thing, and the column that leads to its account, or 'nobody', or 'catalogue'.
CREATE FUNCTION authsvc_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    column_names TEXT[] := authsvc_audit_columns(TG_RELID);
    private_names TEXT[] := ARRAY(
        SELECT name FROM unnest(column_names) AS name WHERE authsvc_audit_is_private(TG_TABLE_NAME, name)
    );
    account TEXT := CASE TG_ARGV[1]
        WHEN 'spending_profile_id' THEN
            '(SELECT account_id FROM spending_profiles WHERE id = (side.fields ->> ''spending_profile_id'')::INTEGER)'
        ELSE format('(side.fields ->> %L)::INTEGER', TG_ARGV[1])
    END;
    -- Whom a row's change is told to. A row that moves from one account to another is told to both; the catalogue to nobody
    -- and to each account whose version the change raised, so that the version leads to it (see authsvc_categories_bump).
    owners TEXT := CASE TG_ARGV[1]
        WHEN 'nobody' THEN 'SELECT NULL::INTEGER AS account_id'
        WHEN 'catalogue' THEN
            'SELECT NULL::INTEGER AS account_id UNION ALL SELECT DISTINCT p.account_id FROM profile_categories AS c '
            'JOIN spending_profiles AS p ON p.id = c.spending_profile_id WHERE num_nonnulls(old_row, new_row) = 1 '
            'OR difference.new_values ?| ''{mcc_code,category_group,deleted_at}'''
        ELSE
            'SELECT DISTINCT ' || account || ' AS account_id FROM (VALUES (old_row), (new_row)) AS side (fields) '
            'WHERE side.fields IS NOT NULL'
    END;
    source TEXT := CASE
        WHEN TG_LEVEL = 'ROW' THEN 'SELECT $1.old_values AS old_row, $1.new_values AS new_row'
        WHEN TG_OP = 'INSERT' THEN 'SELECT NULL::JSONB AS old_row, to_jsonb(n) AS new_row FROM new_rows AS n'
        WHEN TG_OP = 'UPDATE' THEN
            'SELECT to_jsonb(o) AS old_row, to_jsonb(n) AS new_row FROM old_rows AS o JOIN new_rows AS n USING (id)'
        WHEN TG_OP = 'DELETE' THEN 'SELECT to_jsonb(o) AS old_row, NULL::JSONB AS new_row FROM old_rows AS o'
        -- Before a truncation, which tells nobody what it takes away.
        ELSE format('SELECT to_jsonb(t) AS old_row, NULL::JSONB AS new_row FROM %s AS t', TG_RELID::REGCLASS)
    END;
    -- What all entries of the statement have in common, and the whole rows of a row trigger.
    told audit_pending;
BEGIN
    told.entity_type := TG_ARGV[0];
    told.user_id := authsvc_audit_told('user_id');
    -- Who is connected, which inside of a SECURITY DEFINER function is not current_user.
    told.actor := coalesce(
        authsvc_audit_told('actor'), 'database:' || coalesce(nullif(current_setting('role'), 'none'), session_user)
    );
    told.role := authsvc_audit_told('role');
    told.ip_address := authsvc_audit_told('ip_address');
    told.user_agent := authsvc_audit_told('user_agent');
    told.request_id := authsvc_audit_told('request_id');
    IF TG_LEVEL = 'ROW' THEN
        told.old_values := to_jsonb(OLD);
        told.new_values := to_jsonb(NEW);
    END IF;
    EXECUTE format($query$
        INSERT INTO audit_pending (
            is_first, account_id, user_id, action, entity_type, entity_id, old_values, new_values, actor, role, ip_address,
            user_agent, request_id, config_version
        )
        SELECT row_number() OVER (ORDER BY entry.entity_id, entry.account_id) = 1, entry.account_id, $1.user_id, entry.action,
            $1.entity_type, entry.entity_id, entry.old_values, entry.new_values, $1.actor, $1.role, $1.ip_address,
            $1.user_agent, $1.request_id, a.config_version
        FROM (
            SELECT owner.account_id, (coalesce(new_row, old_row) ->> 'id')::BIGINT AS entity_id,
                authsvc_audit_action(old_row, new_row) AS action, difference.old_values, difference.new_values
            -- OFFSET keeps the planner from making each row's JSON again wherever it is looked at.
            FROM (%s OFFSET 0) AS changed
            CROSS JOIN LATERAL authsvc_audit_difference(old_row, new_row, $2, $3) AS difference
            CROSS JOIN LATERAL (%s) AS owner
            WHERE num_nonnulls(difference.old_values, difference.new_values) > 0
        ) AS entry
        LEFT JOIN accounts AS a ON a.id = entry.account_id
        ORDER BY entry.entity_id, entry.account_id
    $query$, source, owners) USING told, column_names, private_names;
    RETURN NULL;
END;
$$;

-- The hashes of a chain, one after the other: each is over the one before and the entry's own text.
CREATE FUNCTION authsvc_audit_next_hash(state BYTEA, head BYTEA, entry TEXT) RETURNS BYTEA LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN sha256(coalesce(state, head) || convert_to(entry, 'UTF8'));
END;
$$;
CREATE AGGREGATE authsvc_audit_hash (BYTEA, TEXT) (SFUNC = authsvc_audit_next_hash, STYPE = BYTEA);

-- The text of an entry that is hashed. authsvc/audit/chain.py makes the same one.
CREATE FUNCTION authsvc_audit_text(entry audit_logs) RETURNS TEXT LANGUAGE sql STABLE AS $$
    SELECT json_build_array(
        'authsvc.audit.1', entry.id, entry.account_id, entry.user_id, entry.action, entry.entity_type, entry.entity_id,
        entry.old_values::TEXT, entry.new_values::TEXT, entry.actor, entry.role, entry.ip_address, entry.user_agent,
        entry.request_id, entry.config_version, (extract(epoch FROM entry.created_at) * 1000000)::BIGINT
    )::TEXT
$$;

-- At the commit. The first call of a transaction takes everything: what waits here is visible to its transaction only.
CREATE FUNCTION authsvc_audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids REGCLASS := pg_get_serial_sequence('audit_logs', 'id');
    written_at TIMESTAMPTZ;
BEGIN
    IF NOT EXISTS (SELECT FROM audit_pending WHERE position = NEW.position) THEN
        RETURN NULL;
    END IF;
    -- In the order of accounts, so that two transactions over the same ones queue up.
    INSERT INTO audit_chains (account_id)
    SELECT DISTINCT coalesce(account_id, 0) FROM audit_pending WHERE position >= NEW.position ORDER BY 1
    ON CONFLICT (account_id) DO NOTHING;
    PERFORM FROM audit_chains
    WHERE account_id IN (SELECT coalesce(account_id, 0) FROM audit_pending WHERE position >= NEW.position)
    ORDER BY account_id FOR UPDATE;
    written_at := clock_timestamp();
    WITH taken AS (
        DELETE FROM audit_pending WHERE position >= NEW.position RETURNING *
    ), numbered AS (
        SELECT nextval(ids) AS id, inorder.*
        FROM (SELECT * FROM taken ORDER BY account_id, position) AS inorder
    ), entries AS (
        SELECT ROW(
            n.id, n.account_id, n.user_id, n.action, n.entity_type, n.entity_id, n.old_values, n.new_values, n.actor, n.role,
            n.ip_address, n.user_agent, n.request_id, n.config_version, written_at, NULL, NULL
        )::audit_logs AS entry, c.last_hash AS head
        FROM numbered AS n JOIN audit_chains AS c ON c.account_id = coalesce(n.account_id, 0)
    ), hashed AS (
        SELECT entry, head, authsvc_audit_hash(head, authsvc_audit_text(entry))
            OVER (PARTITION BY (entry).account_id ORDER BY (entry).id) AS hash
        FROM entries
    ), written AS (
        INSERT INTO audit_logs (
            id, account_id, user_id, action, entity_type, entity_id, old_values, new_values, actor, role, ip_address,
            user_agent, request_id, config_version, created_at, previous_hash, hash
        )
        OVERRIDING SYSTEM VALUE
        SELECT (entry).id, (entry).account_id, (entry).user_id, (entry).action, (entry).entity_type, (entry).entity_id,
            (entry).old_values, (entry).new_values, (entry).actor, (entry).role, (entry).ip_address, (entry).user_agent,
            (entry).request_id, (entry).config_version, (entry).created_at,
            lag(hash, 1, head) OVER (PARTITION BY (entry).account_id ORDER BY (entry).id), hash
        FROM hashed
        RETURNING id, account_id, hash
    )
    UPDATE audit_chains AS c
    SET entries = c.entries + tail.count, last_id = tail.last_id, last_hash = tail.last_hash
    FROM (
        SELECT coalesce(account_id, 0) AS account_id, count(*) AS count, max(id) AS last_id,
            (array_agg(hash ORDER BY id DESC))[1] AS last_hash
        FROM written GROUP BY 1
    ) AS tail
    WHERE c.account_id = tail.account_id;
    RETURN NULL;
END;
$$;

CREATE CONSTRAINT TRIGGER audit_pending_chain AFTER INSERT ON audit_pending DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.is_first) EXECUTE FUNCTION authsvc_audit_chain();

-- Whoever may change a card need not be allowed to write here, nor can they put a temporary table in the place of one of these.
-- Times in UTC, whatever the session's zone.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['authsvc_audit', 'authsvc_audit_chain'] LOOP
        EXECUTE format(
            'ALTER FUNCTION %I() SECURITY DEFINER SET search_path = %I, pg_temp SET timezone = ''UTC''', name, current_schema()
        );
    END LOOP;
END;
$$;
-- audit_pending is full of rows that are gone: they are stepped over by their index.
ALTER FUNCTION authsvc_audit_chain() SET enable_seqscan = off;

-- What is written stays, and nobody writes by hand. (A superuser may still switch triggers off: see docs/audit.md.)
CREATE FUNCTION authsvc_audit_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'only triggers write to %', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_by_triggers', TABLE = TG_TABLE_NAME;
END;
$$;

CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
FOR EACH STATEMENT EXECUTE FUNCTION authsvc_append_only();
CREATE TRIGGER audit_logs_by_triggers BEFORE INSERT ON audit_logs
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION authsvc_audit_by_hand();
CREATE TRIGGER audit_chains_by_triggers BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON audit_chains
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION authsvc_audit_by_hand();
CREATE TRIGGER audit_pending_by_triggers BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON audit_pending
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION authsvc_audit_by_hand();

-- An entry names its row by id, and pairs old and new by it.
ALTER TABLE setting_keys ADD COLUMN id INTEGER GENERATED BY DEFAULT AS IDENTITY;
ALTER TABLE setting_keys ADD CONSTRAINT setting_keys_id_key UNIQUE (id);
CREATE TRIGGER spending_categories_keep_id BEFORE UPDATE ON spending_categories
FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION authsvc_keep_id();
CREATE TRIGGER profile_categories_keep_id BEFORE UPDATE ON profile_categories
FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION authsvc_keep_id();
CREATE TRIGGER account_settings_keep_id BEFORE UPDATE ON account_settings
FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION authsvc_keep_id();
CREATE TRIGGER setting_keys_keep_id BEFORE UPDATE ON setting_keys
FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION authsvc_keep_id();

-- Audits a table. Triggers of one event run in the order of their names: these come after those that raise the version.
CREATE FUNCTION authsvc_audit_table(relation REGCLASS, entity_type TEXT, owner_column TEXT) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    call TEXT := format('EXECUTE FUNCTION authsvc_audit(%L, %L)', entity_type, owner_column);
BEGIN
    EXECUTE format('CREATE TRIGGER zz_audit_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows '
        'FOR EACH STATEMENT %s', relation, call);
    EXECUTE format('CREATE TRIGGER zz_audit_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows '
        'NEW TABLE AS new_rows FOR EACH STATEMENT %s', relation, call);
    EXECUTE format('CREATE TRIGGER zz_audit_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows '
        'FOR EACH STATEMENT %s', relation, call);
    EXECUTE format('CREATE TRIGGER zz_audit_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT %s', relation, call);
END;
$$;

-- An account's row is the hottest of all: what the engine writes to it must not even start the trigger. A balance that changed
-- without a posting was changed by somebody. A revision that adds a column to accounts calls this again.
CREATE FUNCTION authsvc_audit_accounts() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    names TEXT[] := array_remove(authsvc_audit_columns('accounts'), 'balance');
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER zz_audit_update AFTER UPDATE ON accounts FOR EACH ROW WHEN ('
        '(%s) IS DISTINCT FROM (%s) OR (OLD.balance <> NEW.balance AND OLD.postings = NEW.postings)) '
        'EXECUTE FUNCTION authsvc_audit(''account'', ''id'')',
        (SELECT string_agg(format('OLD.%I', name), ', ') FROM unnest(names) AS name),
        (SELECT string_agg(format('NEW.%I', name), ', ') FROM unnest(names) AS name)
    );
END;
$$;

SELECT authsvc_audit_table('accounts', 'account', 'id');
DROP TRIGGER zz_audit_update ON accounts;
SELECT authsvc_audit_accounts();
SELECT authsvc_audit_table('users', 'user', 'account_id');
SELECT authsvc_audit_table('spending_profiles', 'spending_profile', 'account_id');
SELECT authsvc_audit_table('cards', 'card', 'account_id');
SELECT authsvc_audit_table('card_products', 'card_product', 'account_id');
SELECT authsvc_audit_table('addresses', 'address', 'account_id');
SELECT authsvc_audit_table('account_settings', 'account_setting', 'account_id');
SELECT authsvc_audit_table('profile_categories', 'profile_category', 'spending_profile_id');
SELECT authsvc_audit_table('spending_categories', 'spending_category', 'catalogue');
SELECT authsvc_audit_table('setting_keys', 'setting_key', 'nobody');
