-- name: become
-- One round trip: from here to the end of the transaction the database knows who asks. A caller who stops sending or
-- reading in the midst of many records would keep rows locked that decisions wait for.
SELECT
    set_config('idle_in_transaction_session_timeout', '10s', true),
    set_config('authsvc.account_id', $1, true),
    set_config('authsvc.user_id', $2, true),
    set_config('authsvc.role', $3, true),
    set_config('authsvc.actor', $4, true),
    set_config('authsvc.request_id', $5, true),
    set_config('authsvc.ip_address', $6, true),
    set_config('authsvc.user_agent', $7, true),
    set_config('role', 'authsvc_management', true)

-- name: new_ids
SELECT nextval(pg_get_serial_sequence($1, 'id'))::INTEGER AS id FROM generate_series(1, $2)

-- name: currency
SELECT currency FROM accounts WHERE id = $1

-- name: setting_keys
SELECT key, value_type, default_value, minimum, maximum, choices, description FROM setting_keys ORDER BY key

-- name: setting
SELECT coalesce(
    (SELECT s.value FROM account_settings AS s WHERE s.account_id = $1 AND s.key = $2 AND s.deleted_at IS NULL),
    (SELECT k.default_value FROM setting_keys AS k WHERE k.key = $2)
)

-- name: lock_users
SELECT id FROM users WHERE account_id = $1 AND id = ANY ($2::INTEGER[]) AND deleted_at IS NULL ORDER BY id FOR UPDATE

-- name: open_cards
SELECT user_id, count(*) AS count FROM cards
WHERE user_id = ANY ($1::INTEGER[]) AND deleted_at IS NULL AND status <> 'closed'
GROUP BY user_id

-- name: move_cards
UPDATE cards AS c
SET
    spending_profile_id = $3,
    overridden_fields = CASE
        WHEN c.card_product_id IS NULL THEN c.overridden_fields
        WHEN $3::INTEGER IS NOT DISTINCT FROM (
            SELECT p.default_spending_profile_id FROM card_products AS p WHERE p.id = c.card_product_id
        ) THEN array_remove(c.overridden_fields, 'spending_profile_id')
        ELSE array_append(array_remove(c.overridden_fields, 'spending_profile_id'), 'spending_profile_id')
    END
WHERE (c.id = ANY ($1::INTEGER[]) OR c.spending_profile_id = $2) AND c.deleted_at IS NULL AND c.status <> 'closed'
RETURNING c.id

-- name: rules_of
SELECT r.rule_type, coalesce(r.category_group, c.category_name || ' (' || c.mcc_code || ')') AS name
FROM profile_categories AS r
LEFT JOIN spending_categories AS c ON c.id = r.spending_category_id
WHERE r.spending_profile_id = $1 AND r.deleted_at IS NULL
ORDER BY r.rule_type, name
