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
-- Closed before $1, with nothing held.
SELECT count(*) FROM cards c
WHERE c.closed_at < $1 AND c.deleted_at IS NULL
    AND NOT EXISTS (SELECT FROM transactions t WHERE t.account_id = c.account_id AND t.card_id = c.id AND t.held_minor > 0)

-- name: archive_cards
UPDATE cards SET deleted_at = now() WHERE id IN (
    SELECT c.id FROM cards c
    WHERE c.closed_at < $1 AND c.deleted_at IS NULL
        AND NOT EXISTS (
            SELECT FROM transactions t WHERE t.account_id = c.account_id AND t.card_id = c.id AND t.held_minor > 0
        )
    ORDER BY c.account_id, c.id LIMIT $2
)

-- name: last_used
-- An expression: when account a was last decided for, told about by the network, funded, edited, signed in to, or called for
-- with a key of its own. Exact, and therefore for few accounts: it reads all their transactions. What commands do to every
-- account (actors cli:…), the catalogue's changes, and the notice itself are nobody's use.
greatest(
    a.created_at,
    (SELECT max(t.updated_at) FROM transactions t WHERE t.account_id = a.id),
    (SELECT max(b.created_at) FROM balance_adjustments b WHERE b.account_id = a.id),
    (
        SELECT l.created_at FROM audit_logs l
        WHERE l.account_id = a.id AND l.actor NOT LIKE 'cli:%' AND l.entity_type <> 'spending_category'
            AND NOT (l.entity_type = 'account' AND l.action = 'UPDATE' AND l.new_values ? 'closing_notice_at')
        ORDER BY l.id DESC LIMIT 1
    ),
    (
        SELECT max(greatest(
            u.last_login_at, (SELECT max(r.created_at) FROM refresh_tokens r WHERE r.user_id = u.id)
        )) FROM users u WHERE u.account_id = a.id
    ),
    (SELECT max(k.last_used_at) FROM api_keys k WHERE k.account_id = a.id)
)

-- name: unused_accounts
-- Of the accounts $3 (NULL: of all) those not used since $1, and without a notice. What an index tells goes first: most
-- accounts had a decision since then.
WITH quiet AS MATERIALIZED (
    SELECT a.* FROM accounts a
    WHERE a.deleted_at IS NULL AND a.closing_notice_at IS NULL AND a.created_at < $1
        AND ($3::int[] IS NULL OR a.id = ANY ($3))
        AND (SELECT max(t.transaction_date) FROM transactions t WHERE t.account_id = a.id AND t.transaction_date >= $1) IS NULL
)
SELECT a.id, a.status, used.at AS last_used_at, a.balance::text AS balance, a.currency::text AS currency
FROM quiet a CROSS JOIN LATERAL (SELECT {last_used}) AS used (at)
WHERE used.at < $1
ORDER BY a.id LIMIT $2

-- name: accounts_with_notice
-- All of them, or the one of $1.
SELECT
    a.id, a.closing_notice_at AS notice_at, {last_used} AS last_used_at, a.balance, a.currency,
    (SELECT count(*) FROM transactions t WHERE t.account_id = a.id AND t.held_minor > 0) AS holds,
    (SELECT count(*) FROM cards c WHERE c.account_id = a.id AND c.deleted_at IS NULL AND c.status <> 'closed') AS open_cards
FROM accounts a
WHERE a.deleted_at IS NULL AND a.closing_notice_at IS NOT NULL AND ($1::int IS NULL OR a.id = $1)
ORDER BY a.id

-- name: lock_accounts
-- Whoever decides for them, or gives them a card, waits, or is seen by the next statement.
SELECT id, closing_notice_at AS notice_at FROM accounts WHERE id = ANY ($1::int[]) AND deleted_at IS NULL ORDER BY id FOR UPDATE

-- name: give_notice
UPDATE accounts SET closing_notice_at = now() WHERE id = ANY ($1::int[]) RETURNING id, closing_notice_at AS notice_at

-- name: withdraw_notice
UPDATE accounts SET closing_notice_at = NULL WHERE id = ANY ($1::int[]) AND closing_notice_at IS NOT NULL RETURNING id

-- name: archive_account
UPDATE accounts SET deleted_at = now() WHERE id = $1

-- name: purgeable_keys
SELECT count(*) FROM request_keys WHERE created_at < $1

-- name: purge_keys
DELETE FROM request_keys WHERE request_id IN (SELECT request_id FROM request_keys WHERE created_at < $1 LIMIT $2)
