-- name: record
-- One batch of decisions in one commit: a row is inserted only if both versions it was evaluated under are current.
-- Returns for each row its id if it was inserted, and the account's versions as they are now.
--
-- $1: the rows, separated by chr(30), their fields by chr(31); no field holds control characters. An empty field is NULL.
-- $2: the accounts of the rows.
--
-- What is looked up in `keys` has the form of a value ("is true", "case"), not of a condition: the planner takes the batch
-- for a single row, and would join by comparing every row with every key. A value is looked up in a hash table.
WITH lines AS MATERIALIZED (
    SELECT string_to_array(line, chr(31), '') AS f, position
    FROM unnest(string_to_array($1::text, chr(30))) WITH ORDINALITY AS split (line, position)
), input AS MATERIALIZED (
    SELECT
        position, f[1] AS request_id, decode(f[2], 'hex') AS fingerprint, f[3]::int AS account_id, f[4]::int AS card_id,
        f[5]::int AS user_id, f[6]::int AS profile_id, f[7]::bigint AS config_version, f[8]::bigint AS counter_epoch,
        f[9] AS kind, f[10] AS reason, f[11]::bigint AS asked_minor, f[12]::bigint AS approved_minor,
        f[13]::bigint AS held_minor, f[14]::bigint AS settled_minor, f[15] AS currency, f[16]::int AS divisor,
        f[17] AS transaction_token, f[18] AS merchant_id, f[19] AS merchant_name, f[20] AS mcc, f[21] AS city,
        f[22] AS state, f[23] AS country, f[24]::bigint AS merchant_amount_minor, f[25] AS merchant_currency,
        f[26] AS entry_mode, f[27] AS network, f[28] AS explanation,
        timestamptz 'epoch' + f[29]::bigint * interval '1 microsecond' AS transaction_date,
        timestamptz 'epoch' + f[30]::bigint * interval '1 microsecond' AS happened_at
    FROM lines
), current AS MATERIALIZED (
    -- The share lock keeps the versions as they are until this commit.
    SELECT id, config_version, counter_epoch FROM accounts
    WHERE id = ANY($2::int[]) ORDER BY id FOR SHARE
), valid AS MATERIALIZED (
    SELECT input.*, nextval('transactions_id_seq') AS id
    FROM input JOIN current ON current.id = input.account_id
        AND current.config_version = input.config_version
        AND (input.counter_epoch IS NULL OR current.counter_epoch = input.counter_epoch)
    ORDER BY input.request_id
), keys AS (
    INSERT INTO request_keys (request_id, fingerprint, transaction_id, transaction_date)
    SELECT request_id, fingerprint, id, transaction_date FROM valid
    ON CONFLICT (request_id) DO NOTHING
    RETURNING transaction_id
), inserted AS (
    INSERT INTO transactions (
        id, account_id, card_id, user_id, spending_profile_id, request_id, lithic_transaction_token, kind,
        transaction_type, status, declined_reason, amount, currency, approved_minor, held_minor, settled_minor,
        merchant_id, merchant_name, merchant_category_code, merchant_city, merchant_state, merchant_country,
        merchant_amount_minor, merchant_currency, entry_mode, network, config_version, counter_epoch, explanation,
        transaction_date, happened_at, credited_minor
    )
    SELECT
        id, account_id, card_id, user_id, profile_id, request_id, transaction_token, kind,
        CASE kind
            WHEN 'AUTHORIZATION' THEN 'AUTHORIZATION' WHEN 'FINANCIAL_AUTHORIZATION' THEN 'AUTHORIZATION'
            WHEN 'BALANCE_INQUIRY' THEN 'BALANCE_INQUIRY' ELSE 'REFUND'
        END,
        CASE
            WHEN reason IS NOT NULL AND approved_minor = 0 THEN 'DECLINED'
            WHEN kind IN ('FINANCIAL_AUTHORIZATION', 'FINANCIAL_CREDIT_AUTHORIZATION') THEN 'SETTLED'
            ELSE 'APPROVED'
        END,
        reason, asked_minor::numeric / divisor, currency, approved_minor, held_minor, settled_minor,
        merchant_id, merchant_name, mcc, city, state, country, merchant_amount_minor, merchant_currency, entry_mode, network,
        config_version, counter_epoch, explanation::jsonb, transaction_date, happened_at,
        CASE WHEN kind = 'FINANCIAL_CREDIT_AUTHORIZATION' THEN approved_minor ELSE 0 END
    FROM valid WHERE (id IN (SELECT transaction_id FROM keys)) IS TRUE
), told AS MATERIALIZED (
    SELECT authsvc_spoken_of(asked.tokens) AS token
    FROM (SELECT array_agg(transaction_token) AS tokens FROM valid WHERE transaction_token IS NOT NULL) AS asked
    WHERE asked.tokens IS NOT NULL
), overtaken AS (
    -- The network spoke of these transactions before: what happened later must have the last word.
    INSERT INTO overtaken_decisions (transaction_id)
    SELECT valid.id FROM valid JOIN told ON told.token = valid.transaction_token
    WHERE (valid.id IN (SELECT transaction_id FROM keys)) IS TRUE
    ON CONFLICT DO NOTHING
)
SELECT
    CASE WHEN valid.id IN (SELECT transaction_id FROM keys) THEN valid.id END AS transaction_id,
    current.config_version, current.counter_epoch
FROM input LEFT JOIN current ON current.id = input.account_id
LEFT JOIN valid ON valid.position = input.position
ORDER BY input.position

-- name: lock_for_posting
-- Taken before the rows of a batch that moves balances: two share locks that both want to become exclusive would deadlock.
SELECT id FROM accounts WHERE id = ANY($1::int[]) ORDER BY id FOR NO KEY UPDATE

-- name: post
-- Money leaves the balance (below zero: is credited). A credit is not reserved, so it starts the counters afresh.
UPDATE accounts SET
    balance = balance - posting.minor::numeric / posting.divisor,
    overdrawn = balance - posting.minor::numeric / posting.divisor < 0,
    postings = postings + 1,
    counter_epoch = counter_epoch + posting.credits::int
FROM unnest($1::int[], $2::bigint[], $3::int[], $4::boolean[]) AS posting (account_id, minor, divisor, credits)
WHERE accounts.id = posting.account_id
RETURNING accounts.id, counter_epoch

-- name: stored
-- What was answered to these requests.
SELECT k.request_id, k.fingerprint, k.transaction_id, t.config_version, t.counter_epoch, t.explanation::text AS explanation
FROM request_keys k
LEFT JOIN transactions t ON t.id = k.transaction_id AND t.transaction_date = k.transaction_date
WHERE k.request_id = ANY($1::text[])

-- name: record_unknown
-- The refusal of a card that still does not exist; its fence is that it still does not.
INSERT INTO request_keys (request_id, fingerprint, transaction_id, transaction_date)
SELECT request_id, fingerprint, NULL, transaction_date
FROM unnest($1::text[], $2::bytea[], $3::timestamptz[], $4::text[])
    AS input (request_id, fingerprint, transaction_date, card_token)
WHERE NOT EXISTS (SELECT FROM cards WHERE lithic_card_token = input.card_token AND deleted_at IS NULL)
ORDER BY request_id
ON CONFLICT (request_id) DO NOTHING
RETURNING request_id

-- name: bump_epoch
-- Waits for the batches that hold the account's share lock; whoever reserved before is refused at commit afterwards.
-- $2: an epoch that the counters have seen. It may be ahead of a database that was restored.
UPDATE accounts SET counter_epoch = greatest(counter_epoch, $2) + 1 WHERE id = $1 RETURNING counter_epoch

-- name: load
-- The truth about an account in one snapshot: balance, open holds, and for each counter what is used and how much of it is held.
-- $2 to $4: cards with their windows. $5 to $7: shared profiles with theirs. What came back gives room again to windows as
-- the account's refund policy says; one without an end is for ever.
WITH account AS (
    SELECT a.id, a.currency, a.balance, a.counter_epoch, coalesce(s.value #>> '{}', 'restore_lifetime') AS refund_policy
    FROM accounts a
    LEFT JOIN account_settings s ON s.account_id = a.id AND s.key = 'refund_policy' AND s.deleted_at IS NULL
    WHERE a.id = $1
)
SELECT
    a.currency, a.balance, a.counter_epoch,
    coalesce((SELECT sum(t.held_minor) FROM transactions t WHERE t.account_id = a.id AND t.held_minor > 0), 0)::bigint
        AS held_minor,
    (
        SELECT array_agg((
            SELECT ARRAY[
                coalesce(sum(t.held_minor + t.settled_minor - CASE WHEN w.restores THEN t.credited_minor ELSE 0 END), 0),
                coalesce(sum(t.held_minor), 0)
            ]::bigint[]
            FROM transactions t
            WHERE t.card_id = w.id AND t.transaction_date >= w.window_start AND t.transaction_date < w.window_end
        ) ORDER BY w.position)
        FROM (
            SELECT w.*, authsvc_restores(a.refund_policy, w.window_end) AS restores
            FROM unnest($2::int[], $3::timestamptz[], $4::timestamptz[])
                WITH ORDINALITY AS w (id, window_start, window_end, position)
        ) AS w
    ) AS cards,
    (
        SELECT array_agg((
            SELECT ARRAY[
                coalesce(sum(t.held_minor + t.settled_minor - CASE WHEN w.restores THEN t.credited_minor ELSE 0 END), 0),
                coalesce(sum(t.held_minor), 0)
            ]::bigint[]
            FROM transactions t
            WHERE t.spending_profile_id = w.id AND t.transaction_date >= w.window_start
                AND t.transaction_date < w.window_end
        ) ORDER BY w.position)
        FROM (
            SELECT w.*, authsvc_restores(a.refund_policy, w.window_end) AS restores
            FROM unnest($5::int[], $6::timestamptz[], $7::timestamptz[])
                WITH ORDINALITY AS w (id, window_start, window_end, position)
        ) AS w
    ) AS profiles
FROM account a

-- name: remembered
-- Which reservations have a committed row: request, body, configuration and epoch must all agree. A decline moved nothing,
-- so a reservation of that name is somebody else's; and a row from long before is a duplicate's, which came too late to share.
SELECT k.request_id, k.fingerprint, t.config_version, t.counter_epoch
FROM request_keys k
JOIN transactions t ON t.id = k.transaction_id AND t.transaction_date = k.transaction_date
WHERE k.request_id = ANY($1::text[])
    AND t.approved_minor > 0 AND t.created_at > now() - $2::bigint * interval '1 millisecond'

-- name: counter_epoch
SELECT counter_epoch FROM accounts WHERE id = $1

-- name: tell
-- Which command changes something from here to the end of the transaction, for the audit.
SELECT set_config('authsvc.actor', $1, true), set_config('authsvc.role', 'operator', true)
