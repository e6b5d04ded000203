-- name: plan_by_index
-- Every statement of a batch looks a few hundred rows up. A planner that has not seen the tables grow would read them whole.
SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off

-- name: lock_accounts
-- The accounts that messages are about, in order of their ids, like every other statement that takes more than one lock.
-- $1: transaction ids, $2: the network's tokens, $3: card tokens.
SELECT id FROM accounts
WHERE id IN (
    SELECT account_id FROM transactions WHERE id = ANY($1::bigint[])
    UNION SELECT account_id FROM transactions WHERE lithic_transaction_token = ANY($2::text[])
    UNION SELECT account_id FROM cards WHERE lithic_card_token = ANY($3::text[]) AND deleted_at IS NULL
)
ORDER BY id FOR NO KEY UPDATE

-- name: accounts
-- Read after they are locked: what they are in this commit.
SELECT a.id, a.currency, a.config_version, zone.value #>> '{}' AS timezone, refunds.value #>> '{}' AS refund_policy
FROM accounts a
LEFT JOIN account_settings zone ON zone.account_id = a.id AND zone.key = 'timezone' AND zone.deleted_at IS NULL
LEFT JOIN account_settings refunds ON refunds.account_id = a.id AND refunds.key = 'refund_policy'
    AND refunds.deleted_at IS NULL
WHERE a.id = ANY($1::int[])

-- name: applied
-- Messages that were applied before.
SELECT event_id, fingerprint, transaction_id, status_after, held_after_minor, settled_after_minor, credited_after_minor
FROM transaction_events WHERE event_id = ANY($1::text[])

-- name: groups
-- Every decision of the transactions named: by id ($1) or by the network's token ($2), with those that share card and token.
-- $3: only of these accounts (NULL: of any), because only theirs are locked. Columns are read by their places.
--
-- Accounts are a filter at the end, and each way to the rows is a subquery of its own, which the planner cannot turn round:
-- in a month that was never analysed it would read an account's transactions, or all, to find the few that are named.
WITH by_id AS MATERIALIZED (
    SELECT * FROM transactions WHERE id = ANY($1::bigint[])
), found AS MATERIALIZED (
    SELECT * FROM by_id
    UNION ALL
    SELECT t.* FROM by_id CROSS JOIN LATERAL (
        SELECT * FROM transactions AS other
        WHERE other.lithic_transaction_token = by_id.lithic_transaction_token AND other.card_id = by_id.card_id OFFSET 0
    ) AS t
    UNION ALL
    SELECT * FROM transactions WHERE lithic_transaction_token = ANY($2::text[])
)
SELECT DISTINCT ON (t.id) t.account_id, t.card_id, c.lithic_card_token, t.lithic_transaction_token, t.currency, t.id,
    t.transaction_date, t.kind, t.declined_reason, t.is_decided, t.happened_at, t.spending_profile_id, t.approved_minor,
    t.held_minor, t.settled_minor, t.credited_minor, t.status
FROM found AS t JOIN cards c ON c.id = t.card_id
WHERE $3::int[] IS NULL OR t.account_id = ANY($3::int[])
ORDER BY t.id

-- name: events_of
-- What was said about transactions.
SELECT transaction_id, event_id, kind, amount_minor, settled_minor, is_final, occurred_at
FROM transaction_events WHERE transaction_id = ANY($1::bigint[])

-- name: cards_of
-- The cards of transactions that are created.
SELECT lithic_card_token AS card_token, id, account_id, user_id, spending_profile_id
FROM cards WHERE lithic_card_token = ANY($1::text[]) AND deleted_at IS NULL

-- name: create
-- A transaction that nobody decided.
INSERT INTO transactions (
    account_id, card_id, user_id, spending_profile_id, request_id, lithic_transaction_token, kind, transaction_type, status,
    amount, currency, merchant_id, merchant_name, merchant_category_code, merchant_city, merchant_state, merchant_country,
    config_version, explanation, transaction_date, is_decided
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'PENDING', $9, $10, $11, $12, $13, $14, $15, $16, $17, '{}', $18, false)
RETURNING id

-- name: opened
-- What an increment needs to know of its transaction. One that the network has not named gets a name of ours: an increment
-- is found by it.
WITH named AS (
    UPDATE transactions SET lithic_transaction_token = 'transaction:' || id
    WHERE id = $1 AND transaction_date = $2 AND lithic_transaction_token IS NULL
    RETURNING lithic_transaction_token
)
SELECT coalesce((SELECT lithic_transaction_token FROM named), lithic_transaction_token) AS token,
    merchant_category_code, merchant_id, merchant_name, merchant_city, merchant_state, merchant_country
FROM transactions WHERE id = $1 AND transaction_date = $2

-- name: insert_events
-- $1: the rows, separated by chr(30), their fields by chr(31). An empty field is NULL.
INSERT INTO transaction_events (
    event_id, fingerprint, account_id, transaction_id, transaction_date, kind, amount_minor, settled_minor, is_final,
    occurred_at, status_after, held_after_minor, settled_after_minor, credited_after_minor, transaction_token
)
SELECT
    f[1], decode(f[2], 'hex'), f[3]::int, f[4]::bigint, timestamptz 'epoch' + f[5]::bigint * interval '1 microsecond',
    f[6], f[7]::bigint, f[8]::bigint, f[9]::boolean, timestamptz 'epoch' + f[10]::bigint * interval '1 microsecond',
    f[11], f[12]::bigint, f[13]::bigint, f[14]::bigint, f[15]
FROM (
    SELECT string_to_array(line, chr(31), '') AS f FROM unnest(string_to_array($1::text, chr(30))) AS line
) AS lines

-- name: set_states
-- What transactions count now. $1: as in insert_events.
UPDATE transactions t SET
    status = s.status, held_minor = s.held, settled_minor = s.settled, credited_minor = s.credited
FROM (
    SELECT f[1]::bigint AS id, timestamptz 'epoch' + f[2]::bigint * interval '1 microsecond' AS transaction_date,
        f[3] AS status, f[4]::bigint AS held, f[5]::bigint AS settled, f[6]::bigint AS credited
    FROM (
        SELECT string_to_array(line, chr(31)) AS f FROM unnest(string_to_array($1::text, chr(30))) AS line
    ) AS lines
) AS s
WHERE t.id = s.id AND t.transaction_date = s.transaction_date

-- name: move_money
-- The balances follow ($2: what arrives, minor units; $3: minor units of one unit), and counters of before are outdated.
UPDATE accounts SET
    balance = balance + posting.minor::numeric / posting.divisor,
    overdrawn = balance + posting.minor::numeric / posting.divisor < 0,
    postings = postings + 1,
    counter_epoch = counter_epoch + 1
FROM unnest($1::int[], $2::bigint[], $3::int[]) AS posting (account_id, minor, divisor)
WHERE accounts.id = posting.account_id
RETURNING accounts.id, counter_epoch

-- name: overtaken
-- Decisions that were recorded after messages about their transaction, the oldest first. At most $1.
SELECT transaction_id FROM overtaken_decisions ORDER BY created_at LIMIT $1

-- name: caught_up
DELETE FROM overtaken_decisions WHERE transaction_id = ANY($1::bigint[])

-- name: overdue_holds
-- Open holds whose time has run out by $1, and when it did: so many days (the account's setting `hold_days`, else $2) after
-- the last word about their transaction. At most $3.
WITH days AS (
    SELECT account_id, (value #>> '{}')::int * interval '1 day' AS span FROM account_settings
    WHERE key = 'hold_days' AND deleted_at IS NULL
), old AS (
    SELECT t.id, t.transaction_date, t.happened_at, t.card_id, t.currency, t.lithic_transaction_token AS token,
        coalesce(days.span, $2::int * interval '1 day') AS span
    FROM transactions t LEFT JOIN days ON days.account_id = t.account_id
    WHERE t.held_minor > 0 AND t.transaction_date <= $1::timestamptz - coalesce(days.span, $2::int * interval '1 day')
), last AS (
    SELECT old.id, old.currency, old.span, greatest(
        coalesce(old.happened_at, old.transaction_date),
        (SELECT max(coalesce(g.happened_at, g.transaction_date)) FROM transactions g
            WHERE g.lithic_transaction_token = old.token AND g.card_id = old.card_id),
        (SELECT max(e.occurred_at) FROM transaction_events e WHERE e.transaction_id = old.id),
        (SELECT max(e.occurred_at) FROM transactions g JOIN transaction_events e ON e.transaction_id = g.id
            WHERE g.lithic_transaction_token = old.token AND g.card_id = old.card_id)
    ) AS word_at
    FROM old
)
SELECT id, currency, word_at + span AS due_at FROM last WHERE word_at + span <= $1::timestamptz ORDER BY due_at LIMIT $3
