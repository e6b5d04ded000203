-- name: columns
id, account_id, user_id, action, entity_type, entity_id, old_values::text AS old_values, new_values::text AS new_values, actor,
role, ip_address, user_agent, request_id, config_version, created_at, previous_hash, hash

-- name: page
-- $1: only older ones than this.
SELECT :columns FROM audit_logs WHERE id < $1:conditions ORDER BY id DESC LIMIT $2

-- name: entry
SELECT :columns FROM audit_logs WHERE id = $1

-- name: heads
-- $1: of one account (0: of nobody), NULL: of all.
SELECT account_id, entries, last_id, last_hash FROM audit_chains WHERE account_id = coalesce($1::int, account_id)
ORDER BY account_id

-- name: walk
-- Chain after chain, each in its order.
SELECT :columns FROM audit_logs ORDER BY account_id, id

-- name: walk_one
SELECT :columns FROM audit_logs WHERE account_id = $1 ORDER BY id

-- name: walk_nobody
SELECT :columns FROM audit_logs WHERE account_id IS NULL ORDER BY id
