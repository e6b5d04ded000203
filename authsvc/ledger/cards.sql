-- Who holds a card, under which profile, in which account. One row, or none for an unknown token.
SELECT
    c.lithic_card_token AS card_token, c.card_type, c.last_four, c.status AS card_status,
    c.spend_limit AS card_limit, c.spend_limit_duration AS card_limit_window,
    u.id AS user_id, u.first_name, u.last_name, u.email, u.role, u.status AS user_status,
    a.business_name AS account_name, a.status AS account_status, a.currency,
    p.name AS profile_name, p.description AS profile_description,
    p.limit_scope AS profile_scope, p.allowed_categories::TEXT AS allowed, p.blocked_categories::TEXT AS blocked,
    coalesce((
        SELECT array_agg(r.rule_type || ' ' || coalesce(r.category_group, k.mcc_code) ORDER BY r.id)
        FROM profile_categories AS r
        LEFT JOIN spending_categories AS k ON k.id = r.spending_category_id
        WHERE r.spending_profile_id = p.id AND r.deleted_at IS NULL
    ), '{}') AS category_rules
FROM cards AS c
JOIN users AS u ON u.id = c.user_id
JOIN accounts AS a ON a.id = c.account_id
LEFT JOIN spending_profiles AS p ON p.id = c.spending_profile_id AND p.deleted_at IS NULL
WHERE c.lithic_card_token = $1 AND c.deleted_at IS NULL
