-- name: lock_account
-- $1: the account's id, or 0 and $2: the processor's token.
SELECT id FROM accounts
WHERE deleted_at IS NULL AND (id = $1::bigint OR ($1::bigint = 0 AND lithic_account_token = $2::text))
ORDER BY id LIMIT 1 FOR NO KEY UPDATE

-- name: adjusted
SELECT fingerprint, account_id, balance_after_minor, held_after_minor FROM balance_adjustments WHERE adjustment_id = $1

-- name: funds
-- Read after the lock: no decision of the account is recorded meanwhile.
SELECT a.currency, a.balance,
    coalesce((SELECT sum(t.held_minor) FROM transactions t WHERE t.account_id = a.id AND t.held_minor > 0), 0)::bigint
        AS held_minor
FROM accounts a WHERE a.id = $1

-- name: set_balance
UPDATE accounts SET balance = $2::numeric, overdrawn = $2::numeric < 0 WHERE id = $1

-- name: insert_adjustment
INSERT INTO balance_adjustments (
    adjustment_id, fingerprint, account_id, kind, amount_minor, currency, reason, balance_after_minor, held_after_minor
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
