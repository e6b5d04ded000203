-- name: context
-- Who signs in is not known before it is found: until then it is the service itself that looks, at every account.
SELECT
    set_config('authsvc.account_id', '', true),
    set_config('authsvc.user_id', $5, true),
    set_config('authsvc.role', 'operator', true),
    set_config('authsvc.actor', $1, true),
    set_config('authsvc.request_id', $2, true),
    set_config('authsvc.ip_address', $3, true),
    set_config('authsvc.user_agent', $4, true)

-- name: unhurried
-- For what a crash may take back. An answer that waited for the disk would tell that there was something to write.
SELECT set_config('synchronous_commit', 'off', true)

-- name: candidate
SELECT
    u.id, u.account_id, u.role, u.email, u.password_hash, u.login_attempts, u.locked_until,
    u.status = 'active' AND a.status <> 'suspended' AND a.deleted_at IS NULL AS is_active
FROM users AS u
JOIN accounts AS a ON a.id = u.account_id
WHERE (lower(u.email) = lower($1) OR u.email_index = $2) AND u.deleted_at IS NULL
FOR NO KEY UPDATE OF u

-- name: count_attempt
UPDATE users SET login_attempts = $2, locked_until = $3 WHERE id = $1

-- name: entered
UPDATE users
SET password_hash = $3, login_attempts = 0, locked_until = NULL, last_login_at = $4
WHERE id = $1 AND password_hash = $2 AND status = 'active' AND deleted_at IS NULL
RETURNING id

-- name: forget_expired
DELETE FROM refresh_tokens WHERE user_id = $1 AND expires_at < $2

-- name: add_token
INSERT INTO refresh_tokens (
    token_hash, family_id, account_id, user_id, expires_at, created_at, ip_address, user_agent
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: token
-- Locked: of two who bring the same token, the second sees that it is used.
SELECT
    t.id, t.family_id, t.expires_at, t.used_at, t.revoked_at, t.user_id, t.account_id, u.role, u.email,
    u.status = 'active' AND u.deleted_at IS NULL AND a.status <> 'suspended' AND a.deleted_at IS NULL AS is_active
FROM refresh_tokens AS t
JOIN users AS u ON u.id = t.user_id
JOIN accounts AS a ON a.id = t.account_id
WHERE t.token_hash = $1
FOR UPDATE OF t

-- name: use_token
UPDATE refresh_tokens SET used_at = $2 WHERE id = $1

-- name: revoke_family
UPDATE refresh_tokens SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL

-- name: family
SELECT family_id FROM refresh_tokens WHERE token_hash = $1

-- name: revoke_sessions
-- All of a user's but $2, which may be NULL.
UPDATE refresh_tokens SET revoked_at = $3
WHERE user_id = $1 AND revoked_at IS NULL AND family_id IS DISTINCT FROM $2::uuid

-- name: email_of
SELECT id, email FROM users WHERE id = $1 AND deleted_at IS NULL

-- name: set_password
UPDATE users
SET password_hash = $3, login_attempts = 0, locked_until = NULL, password_reset_token_hash = NULL,
    password_reset_expires = NULL
WHERE id = $1 AND password_hash IS NOT DISTINCT FROM $2 AND deleted_at IS NULL
RETURNING id

-- name: plan_reset
UPDATE users AS u
SET password_reset_token_hash = $3, password_reset_expires = $4
FROM accounts AS a
WHERE (lower(u.email) = lower($1) OR u.email_index = $2) AND u.deleted_at IS NULL AND u.status = 'active'
    AND a.id = u.account_id AND a.status <> 'suspended' AND a.deleted_at IS NULL
RETURNING u.id

-- name: reset_email
SELECT id, email FROM users
WHERE password_reset_token_hash = $1 AND password_reset_expires > $2 AND deleted_at IS NULL AND status = 'active'

-- name: reset
UPDATE users
SET password_hash = $2, login_attempts = 0, locked_until = NULL, password_reset_token_hash = NULL,
    password_reset_expires = NULL
WHERE password_reset_token_hash = $1 AND password_reset_expires > $3 AND deleted_at IS NULL AND status = 'active'
RETURNING id

-- name: standing
SELECT u.account_id, u.role
FROM users AS u
JOIN accounts AS a ON a.id = u.account_id
WHERE u.id = $1 AND u.status = 'active' AND u.deleted_at IS NULL AND a.status <> 'suspended' AND a.deleted_at IS NULL
    AND EXISTS (
        SELECT FROM refresh_tokens AS t
        WHERE t.family_id = $2 AND t.user_id = u.id AND t.used_at IS NULL AND t.revoked_at IS NULL AND t.expires_at > $3
    )

-- name: key
SELECT k.id, k.name, k.account_id, k.scopes, k.expires_at, k.last_used_at
FROM api_keys AS k
LEFT JOIN accounts AS a ON a.id = k.account_id
WHERE k.key_hash = $1 AND k.revoked_at IS NULL AND k.expires_at > $2
    AND (k.account_id IS NULL OR (a.status <> 'suspended' AND a.deleted_at IS NULL))

-- name: key_used
-- Other workers have the same key: whoever is first within a minute writes.
UPDATE api_keys SET last_used_at = $2
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $2::timestamptz - interval '1 minute')

-- name: add_key
INSERT INTO api_keys (account_id, name, prefix, key_hash, scopes, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id

-- name: list_keys
SELECT id, account_id, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
WHERE $1::boolean OR (revoked_at IS NULL AND expires_at > $2)
ORDER BY id

-- name: revoke_key
UPDATE api_keys SET revoked_at = $2 WHERE (name = $1 OR prefix = $1) AND revoked_at IS NULL RETURNING name

-- name: user_named
-- By its number or its e-mail address.
SELECT id, account_id, role, email, password_hash FROM users
WHERE deleted_at IS NULL AND (id = $1::integer OR lower(email) = lower($2::text) OR email_index = $3)
