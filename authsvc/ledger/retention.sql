-- name: months
-- The monthly partitions that end by $1, oldest first.
SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'transactions'::regclass AND c.relname ~ '^transactions_\d{4}_\d{2}$'
    AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= $1::date
ORDER BY 1

-- name: archived
SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'archive' AND c.relkind = 'r' AND c.relname ~ '^transactions_\d{4}_\d{2}$' ORDER BY 1

-- name: hidden
-- Of the tables $1, those of which this user does not see every row. Nothing may be concluded from what they do not show.
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.oid = ANY ($1::text[]::regclass[]) AND row_security_active(c.oid) AND NOT EXISTS (
    SELECT FROM pg_policy p
    WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('*', 'r') AND pg_get_expr(p.polqual, p.polrelid) = 'true'
        AND EXISTS (SELECT FROM unnest(p.polroles) AS member WHERE member = 0 OR pg_has_role(member, 'USAGE'))
)
ORDER BY 1

-- name: still_needed
-- What of a partition somebody may still ask for. A card that is not closed may get a lifetime limit any day, and a shared
-- profile as well; that they have none today says nothing.
SELECT
    (SELECT count(*) FROM {table} WHERE held_minor > 0) AS holds,
    (SELECT count(DISTINCT t.card_id) FROM {table} t JOIN cards c ON c.id = t.card_id
        WHERE c.status <> 'closed' AND (t.settled_minor <> 0 OR t.credited_minor <> 0)) AS open_cards,
    (SELECT count(DISTINCT p.id) FROM {table} t JOIN spending_profiles p ON p.id = t.spending_profile_id
        WHERE p.limit_scope = 'shared' AND p.deleted_at IS NULL AND (t.settled_minor <> 0 OR t.credited_minor <> 0))
        AS shared_profiles

-- name: repeats
-- Requests whose repeat would be answered from this partition, purged ($1) ones apart.
SELECT count(*) FROM {table} t JOIN request_keys k ON k.request_id = t.request_id AND k.transaction_id = t.id
WHERE k.created_at >= $1

-- name: unchanged
-- Cheap enough to be asked under locks: is the newest row still $1, and is nothing held?
SELECT max(id) IS NOT DISTINCT FROM $1::bigint AND NOT EXISTS (SELECT FROM {table} WHERE held_minor > 0) FROM {table}

-- name: lock_parent
-- One who makes a partition takes these first and in this order.
SELECT pg_advisory_xact_lock(hashtextextended('authsvc_create_partition', 0))

-- name: closed_cards
-- Closed for good, untouched since $1, with nothing held. A row is touched when it is closed, so none is older than it seems.
SELECT count(*) FROM cards c
WHERE c.status = 'closed' AND c.deleted_at IS NULL AND c.updated_at < $1
    AND NOT EXISTS (SELECT FROM transactions t WHERE t.account_id = c.account_id AND t.card_id = c.id AND t.held_minor > 0)

-- name: archive_cards
UPDATE cards SET deleted_at = now() WHERE id IN (
    SELECT c.id FROM cards c
    WHERE c.status = 'closed' AND c.deleted_at IS NULL AND c.updated_at < $1
        AND NOT EXISTS (
            SELECT FROM transactions t WHERE t.account_id = c.account_id AND t.card_id = c.id AND t.held_minor > 0
        )
    ORDER BY c.account_id, c.id LIMIT $2
)

-- name: dormant_accounts
-- Untouched since $1, money and counters included, and without any decision since then.
SELECT a.id, a.status, a.updated_at, a.balance::text AS balance, a.currency::text AS currency FROM accounts a
WHERE a.deleted_at IS NULL AND a.updated_at < $1
    AND NOT EXISTS (SELECT FROM transactions t WHERE t.account_id = a.id AND t.transaction_date >= $1)
ORDER BY a.id LIMIT $2

-- name: purgeable_keys
SELECT count(*) FROM request_keys WHERE created_at < $1

-- name: purge_keys
DELETE FROM request_keys WHERE request_id IN (SELECT request_id FROM request_keys WHERE created_at < $1 LIMIT $2)
