-- name: cards
-- Cards with everything above them, and the account's version, in one snapshot.
SELECT
    c.id AS card_id, c.lithic_card_token AS token, c.status AS card_status,
    c.spend_limit AS card_limit, c.spend_limit_duration AS card_window,
    a.id AS account_id, CASE WHEN a.deleted_at IS NULL THEN a.status ELSE 'inactive' END AS account_status,
    a.currency, a.config_version,
    coalesce(zone.value #>> '{}', 'UTC') AS timezone, coalesce(funds.value #>> '{}', 'on') <> 'off' AS balance_check,
    u.id AS user_id, CASE WHEN u.deleted_at IS NULL THEN u.status ELSE 'inactive' END AS user_status,
    c.spending_profile_id AS profile_id
FROM cards c
JOIN accounts a ON a.id = c.account_id
JOIN users u ON u.id = c.user_id
LEFT JOIN account_settings zone ON zone.account_id = a.id AND zone.key = 'timezone' AND zone.deleted_at IS NULL
LEFT JOIN account_settings funds ON funds.account_id = a.id AND funds.key = 'balance_check' AND funds.deleted_at IS NULL
WHERE c.deleted_at IS NULL AND {which}

-- name: profiles
-- Spending profiles with the codes that their category rules stand for.
SELECT
    p.id AS profile_id, p.spend_limit, p.spend_limit_duration, p.limit_scope = 'shared' AS shared,
    p.allowed_categories::text AS allowed, p.blocked_categories::text AS blocked,
    r.allowed_codes, r.blocked_codes, coalesce(r.allow_rules, 0) AS allow_rules
FROM spending_profiles p
LEFT JOIN LATERAL (
    SELECT
        array_agg(s.mcc_code) FILTER (WHERE pc.rule_type = 'allowed') AS allowed_codes,
        array_agg(s.mcc_code) FILTER (WHERE pc.rule_type = 'blocked') AS blocked_codes,
        count(*) FILTER (WHERE pc.rule_type = 'allowed') AS allow_rules
    FROM profile_categories pc
    LEFT JOIN spending_categories s
        ON (s.id = pc.spending_category_id OR s.category_group = pc.category_group) AND s.deleted_at IS NULL
    WHERE pc.spending_profile_id = p.id AND pc.deleted_at IS NULL
) r ON true
WHERE p.id = ANY($1::int[])
