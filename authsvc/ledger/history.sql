-- name: columns
-- What is told of a row of transactions (t) and its card (c).
t.id, t.request_id, t.lithic_transaction_token AS transaction_token, t.account_id, c.lithic_card_token AS card_token,
t.user_id, t.kind, t.status, t.is_decided, t.declined_reason, t.currency, t.amount, t.approved_minor, t.held_minor,
t.settled_minor, t.credited_minor, t.merchant_id, t.merchant_name, t.merchant_category_code AS mcc, t.merchant_city,
t.merchant_state, t.merchant_country, t.merchant_amount_minor, t.merchant_currency, t.transaction_date, t.created_at

-- name: page
-- Transactions since $1 that come after the place of ($2, $3), newest first, at most $4. The conditions that a filter has
-- besides are added; each is about one more parameter.
SELECT :columns
FROM transactions t JOIN cards c ON c.id = t.card_id
WHERE t.transaction_date >= $1::timestamptz AND t.transaction_date <= $2::timestamptz
    AND (t.transaction_date, t.id) < ($2::timestamptz, $3::bigint) :conditions
ORDER BY t.transaction_date DESC, t.id DESC LIMIT $4::int

-- name: remembered
-- A decision by the id of its row; $2, where it is known, says in which partition that is.
SELECT :columns, t.config_version, t.counter_epoch, t.explanation::text AS explanation
FROM transactions t JOIN cards c ON c.id = t.card_id
WHERE t.id = $1::bigint AND t.transaction_date >= coalesce($2::timestamptz, '-infinity')
    AND t.transaction_date <= coalesce($2::timestamptz, 'infinity')

-- name: request
-- What became of a request: its row, or none for an unknown card.
SELECT transaction_id, transaction_date, created_at FROM request_keys WHERE request_id = $1::text

-- name: accounts
-- Accounts by number ($1) or token ($2), and the time zones of their windows; those that live first.
SELECT a.id, a.currency, coalesce(zone.value #>> '{}', 'UTC') AS timezone
FROM accounts a
LEFT JOIN account_settings zone ON zone.account_id = a.id AND zone.key = 'timezone' AND zone.deleted_at IS NULL
WHERE a.id = $1::int OR a.lithic_account_token = $2::text
ORDER BY a.deleted_at IS NOT NULL, a.id

-- name: cards
-- Everything that has had this token: a card that is gone keeps its history.
SELECT id FROM cards WHERE lithic_card_token = $1::text

-- name: user
SELECT account_id FROM users WHERE id = $1::int

-- name: codes
-- The merchant categories of a group.
SELECT mcc_code FROM spending_categories WHERE category_group = $1::text AND deleted_at IS NULL

-- name: sums
-- What an account ($1) spent in [$2, $3), by the buckets that begin at $4 and by a key.
SELECT width_bucket(t.transaction_date, $4::timestamptz[]) - 1 AS bucket, :key AS key, :name AS merchant_name,
    count(*) FILTER (WHERE t.is_decided AND (t.declined_reason IS NULL OR t.approved_minor > 0)) AS approved_count,
    count(*) FILTER (WHERE t.is_decided AND t.declined_reason IS NOT NULL AND t.approved_minor = 0) AS declined_count,
    count(*) FILTER (WHERE NOT t.is_decided) AS forced_count,
    sum(t.held_minor)::bigint AS held_minor, sum(t.settled_minor)::bigint AS settled_minor,
    sum(t.credited_minor)::bigint AS credited_minor
FROM transactions t :join
WHERE t.account_id = $1::int AND t.transaction_date >= $2::timestamptz AND t.transaction_date < $3::timestamptz
GROUP BY 1, 2 ORDER BY 1, sum(t.held_minor + t.settled_minor) DESC, 2 LIMIT $5::int

-- name: decisions
-- The next $5 rows after id $1 and up to $2, and of them the decisions of accounts $3 and cards $4 (NULL: of any).
WITH next AS MATERIALIZED (
    SELECT :columns, t.is_decided AND ($3::int[] IS NULL OR t.account_id = ANY($3::int[]))
        AND ($4::int[] IS NULL OR t.card_id = ANY($4::int[])) AS is_told
    FROM transactions t JOIN cards c ON c.id = t.card_id
    WHERE t.id > $1::bigint AND t.id <= $2::bigint ORDER BY t.id LIMIT $5::int
)
SELECT reached.id AS reached, reached.count, next.*
FROM (SELECT max(id) AS id, count(*) AS count FROM next) AS reached LEFT JOIN next ON next.is_told
ORDER BY next.id

-- name: last_id
-- A sequence is read as it is at this instant, whatever is committed.
SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM transactions_id_seq

-- name: turnstile
-- Takes a transaction number: every transaction that had one before has a lesser one. Of the snapshot only its lower
-- end is used: the upper one says nothing about a transaction that is at work and younger than the last that ended.
SELECT pg_current_xact_id()::text::bigint AS number, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest

-- name: oldest
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint
