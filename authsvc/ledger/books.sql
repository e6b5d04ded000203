-- What was spent in windows, summed from the rows themselves. Scope 'card' and 'profile': the contributions of the card's
-- own transactions or of all those under its profile, less what came back as far as the refund policy says; 'account': the
-- open holds of its account. NULL is no bound.
SELECT coalesce(sum(CASE
    WHEN w.scope = 'account' THEN t.held_minor
    WHEN authsvc_restores(coalesce(refunds.value #>> '{}', 'restore_lifetime'), w.window_end)
        THEN t.held_minor + t.settled_minor - t.credited_minor
    ELSE t.held_minor + t.settled_minor
END), 0)::BIGINT AS used_minor
FROM unnest($1::TEXT[], $2::TEXT[], $3::TIMESTAMPTZ[], $4::TIMESTAMPTZ[])
    WITH ORDINALITY AS w (scope, card_token, window_start, window_end, position)
JOIN cards AS c ON c.lithic_card_token = w.card_token AND c.deleted_at IS NULL
LEFT JOIN account_settings AS refunds
    ON refunds.account_id = c.account_id AND refunds.key = 'refund_policy' AND refunds.deleted_at IS NULL
LEFT JOIN transactions AS t
    ON t.account_id = c.account_id
    AND CASE w.scope
        WHEN 'card' THEN t.card_id = c.id
        WHEN 'profile' THEN t.spending_profile_id = c.spending_profile_id
        ELSE true
    END
    AND t.transaction_date >= coalesce(w.window_start, '-infinity')
    AND t.transaction_date < coalesce(w.window_end, 'infinity')
GROUP BY w.position
ORDER BY w.position
