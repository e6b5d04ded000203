-- name: server
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_text,
    pg_is_in_recovery() AS in_recovery

-- name: clock
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- name: standbys
SELECT coalesce(nullif(application_name, ''), host(client_addr), 'standby') AS name, state,
    (extract(epoch FROM replay_lag) * 1000)::bigint AS replay_lag_ms,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS behind_bytes
FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup' ORDER BY 1

-- name: idle_slots
SELECT slot_name AS name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS kept_bytes
FROM pg_replication_slots WHERE NOT active ORDER BY 1

-- name: partitions
SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'transactions'::regclass AND c.relname <> 'transactions_default' ORDER BY 1

-- name: default_rows
SELECT to_char(transaction_date AT TIME ZONE 'UTC', 'YYYY-MM') AS month, count(*) AS count
FROM transactions_default GROUP BY 1 ORDER BY 1

-- name: sizes
-- A partition counts for its table.
SELECT coalesce(parent.relname, s.relname)::text AS name, sum(s.n_live_tup)::bigint AS rows, sum(s.n_dead_tup)::bigint AS dead_rows,
    sum(pg_total_relation_size(s.relid))::bigint AS total_bytes
FROM pg_stat_user_tables s
LEFT JOIN pg_inherits i ON i.inhrelid = s.relid
LEFT JOIN pg_class parent ON parent.oid = i.inhparent
WHERE s.schemaname = 'public' GROUP BY 1 ORDER BY 1

-- name: indexes
-- The index of a partition counts for that of its table. One that keeps rows unique is needed, used or not.
SELECT coalesce(parent.relname, c.relname)::text AS name, bool_and(x.indisvalid) AS is_valid,
    bool_or(x.indisunique) AS is_needed, coalesce(sum(s.idx_scan), 0)::bigint AS scans,
    sum(pg_relation_size(c.oid))::bigint AS total_bytes
FROM pg_index x
JOIN pg_class c ON c.oid = x.indexrelid AND c.relkind = 'i'
JOIN pg_stat_user_indexes s ON s.indexrelid = x.indexrelid AND s.schemaname = 'public'
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN pg_class parent ON parent.oid = i.inhparent
GROUP BY 1 ORDER BY 1

-- name: foreign_keys_without_index
-- An index that begins with any column of the key finds its rows.
SELECT k.conrelid::regclass || '.' || k.conname AS name, greatest(c.reltuples, 0)::bigint AS rows
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.connamespace = 'public'::regnamespace
    AND NOT EXISTS (
        SELECT FROM pg_index x WHERE x.indrelid = k.conrelid AND x.indisvalid AND x.indkey[0] = ANY (k.conkey)
    )
ORDER BY 1

-- name: has_statements
-- Whoever may not read all statistics is shown statements without their text.
SELECT to_regclass('pg_stat_statements') IS NOT NULL,
    coalesce(current_setting('pg_stat_statements.track', true), '') <> '', pg_has_role('pg_read_all_stats', 'USAGE')

-- name: slow_joins
SELECT query AS text, calls, mean_exec_time AS mean_ms FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls >= 10 AND query ~* '\mjoin\M'
ORDER BY mean_exec_time DESC LIMIT 5

-- name: long_transactions
-- $1: longer than so many seconds.
SELECT pid, coalesce(nullif(application_name, ''), backend_type) AS who, coalesce(state, '?') AS state,
    extract(epoch FROM clock_timestamp() - xact_start)::int AS age_s
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    AND xact_start < clock_timestamp() - $1::int * interval '1 second'
ORDER BY xact_start

-- name: token_problems
-- Lithic's tokens are UUIDs, or a word and an underscore before letters and digits, as its sandbox and older API write them.
WITH held AS (
    SELECT 'cards' AS "table", id, lithic_card_token AS token, 'card' AS prefix FROM cards WHERE deleted_at IS NULL
    UNION ALL SELECT 'accounts', id, lithic_account_token, 'a[a-z]*' FROM accounts WHERE deleted_at IS NULL
    UNION ALL SELECT 'accounts', id, lithic_financial_account_token, 'fa[a-z]*' FROM accounts WHERE deleted_at IS NULL
    UNION ALL SELECT 'users', id, lithic_account_holder_token, 'a[a-z]*' FROM users WHERE deleted_at IS NULL
    UNION ALL SELECT 'spending_profiles', id, lithic_auth_rule_token, 'a[a-z]*' FROM spending_profiles
        WHERE deleted_at IS NULL
), found AS (
    SELECT 'cards' AS "table", 'active without a token' AS problem, id FROM cards
    WHERE status = 'active' AND deleted_at IS NULL AND lithic_card_token IS NULL
    UNION ALL
    SELECT "table", 'malformed', id FROM held
    WHERE token !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
        AND token !~ ('^' || prefix || '_[A-Za-z0-9_]+$')
    UNION ALL
    SELECT 'cards', 'with the token of a deleted card', c.id FROM cards c
    WHERE c.deleted_at IS NULL AND c.lithic_card_token IN (SELECT lithic_card_token FROM cards WHERE deleted_at IS NOT NULL)
    UNION ALL
    SELECT 'cards', 'orphaned: active, of a deleted account or user', c.id FROM cards c
    JOIN accounts a ON a.id = c.account_id JOIN users u ON u.id = c.user_id
    WHERE c.status = 'active' AND c.deleted_at IS NULL AND (a.deleted_at IS NOT NULL OR u.deleted_at IS NOT NULL)
    UNION ALL
    SELECT "table", 'that share a token', id FROM (
        SELECT "table", id, count(*) OVER (PARTITION BY "table", token) AS sharers FROM held
        WHERE token IS NOT NULL AND "table" IN ('users', 'spending_profiles')
    ) AS shared
    WHERE sharers > 1
)
SELECT "table", problem, count(*) AS rows, (array_agg(id ORDER BY id))[1:5] AS ids FROM found GROUP BY 1, 2 ORDER BY 1, 2

-- name: lithic_cards
SELECT id, lithic_card_token AS token, status FROM cards WHERE lithic_card_token = ANY ($1::text[]) AND deleted_at IS NULL

-- name: lithic_cards_beside
-- Cards that may be used, but for those of $1; at most $2, drawn by lot and told in order, and how many there are.
SELECT * FROM (
    SELECT c.id, c.lithic_card_token AS token, c.status, count(*) OVER () AS count FROM cards c
    WHERE c.lithic_card_token IS NOT NULL AND c.status <> 'closed' AND c.deleted_at IS NULL
        AND NOT EXISTS (SELECT FROM unnest($1::int[]) AS known (id) WHERE known.id = c.id)
    ORDER BY random() LIMIT $2
) AS drawn
ORDER BY id

-- name: lithic_unknown
-- Of tokens of cards ($1) and of accounts ($2). Rows that were deleted are known.
SELECT token FROM unnest($1::text[]) AS named (token)
WHERE NOT EXISTS (SELECT FROM cards c WHERE c.lithic_card_token = named.token)
UNION ALL
SELECT token FROM unnest($2::text[]) AS named (token)
WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.lithic_account_token = named.token)

-- name: lithic_rules
SELECT id AS profile_id, lithic_auth_rule_token AS token FROM spending_profiles
WHERE lithic_auth_rule_token IS NOT NULL AND deleted_at IS NULL ORDER BY id

-- name: sample
-- At most $1 accounts of those that were busy last. $2 shuffles them.
SELECT a.id, coalesce(s.value #>> '{}', 'UTC') AS timezone
FROM (SELECT DISTINCT account_id FROM (SELECT account_id FROM transactions ORDER BY id DESC LIMIT 5000) AS latest) AS busy
JOIN accounts a ON a.id = busy.account_id
LEFT JOIN account_settings s ON s.account_id = a.id AND s.key = 'timezone' AND s.deleted_at IS NULL
ORDER BY md5(a.id || $2::text) LIMIT $1
