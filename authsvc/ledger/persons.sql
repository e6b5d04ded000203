-- name: user
SELECT email, first_name, last_name, phone, date_of_birth, tax_id FROM users WHERE id = $1

-- name: addresses
SELECT id, street_line1, street_line2, city, postal_code FROM addresses WHERE owner_user_id = $1

-- name: export
-- Everything that is kept of a user, as one document; no hash of a secret. $2 and $3 (by the ids of addresses) are what is
-- kept sealed, opened.
SELECT jsonb_pretty(jsonb_build_object(
    'user', (
        SELECT (to_jsonb(u) || $2::TEXT::JSONB) - '{password_hash,password_reset_token_hash,email_index}'::TEXT[]
        FROM users AS u WHERE u.id = $1
    ),
    'addresses', (
        SELECT coalesce(jsonb_agg(
            (to_jsonb(a) || coalesce($3::TEXT::JSONB -> a.id::TEXT, '{}')) - '{owner_account_id,owner_user_id}'::TEXT[]
            ORDER BY a.id
        ), '[]')
        FROM addresses AS a WHERE a.owner_user_id = $1
    ),
    'cards', (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.id), '[]') FROM cards AS c WHERE c.user_id = $1),
    'transactions', (
        SELECT coalesce(jsonb_agg(to_jsonb(t) - '{explanation}'::TEXT[] ORDER BY t.transaction_date, t.id), '[]')
        FROM transactions AS t
        WHERE t.account_id = (SELECT u.account_id FROM users AS u WHERE u.id = $1) AND t.user_id = $1
    ),
    'sessions', (
        SELECT coalesce(jsonb_agg(to_jsonb(r) - '{token_hash}'::TEXT[] ORDER BY r.id), '[]')
        FROM refresh_tokens AS r WHERE r.user_id = $1
    ),
    'changes', (
        SELECT coalesce(jsonb_agg(to_jsonb(l) - '{hash,previous_hash}'::TEXT[] ORDER BY l.id), '[]')
        FROM audit_logs AS l WHERE l.user_id = $1 OR (l.entity_type = 'user' AND l.entity_id = $1)
    )
))

-- name: lock
SELECT id, email, (SELECT count(*) FROM cards AS c WHERE c.user_id = u.id AND c.status <> 'closed') AS open_cards
FROM users AS u WHERE u.id = $1 FOR UPDATE

-- name: forget
UPDATE users
SET
    email = 'erased-' || id || '@erased.invalid',
    first_name = 'Erased',
    last_name = 'Erased',
    email_index = NULL,
    phone = NULL,
    date_of_birth = NULL,
    tax_id = NULL,
    lithic_account_holder_token = NULL,
    password_hash = NULL,
    password_reset_token_hash = NULL,
    password_reset_expires = NULL,
    locked_until = NULL,
    status = 'inactive',
    deleted_at = coalesce(deleted_at, now())
WHERE id = $1

-- name: forget_addresses
DELETE FROM addresses WHERE owner_user_id = $1

-- name: forget_sessions
DELETE FROM refresh_tokens WHERE user_id = $1
