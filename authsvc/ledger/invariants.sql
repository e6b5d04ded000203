-- What must hold of every database of ours at any instant. Each statement lists what breaks it, one line of text a fault.
-- Written plainly and anew: a mistake of the service's own statements must show.

-- name: balances
SELECT format('account %s has %s %s and is not marked as overdrawn', id, balance, currency) AS fault
FROM accounts WHERE balance = 'NaN' OR (balance < 0 AND NOT overdrawn)

-- name: contributions
SELECT format('transaction %s holds %s and has settled %s', id, held_minor, settled_minor) AS fault
FROM transactions WHERE held_minor < 0 OR settled_minor < 0 OR approved_minor < 0

-- name: keys
-- Keys may outlive transactions that were archived, which are older than all that are here.
SELECT format('request key %s names transaction %s, which is not there', k.request_id, k.transaction_id) AS fault
FROM request_keys AS k
WHERE k.transaction_id IS NOT NULL
    AND k.transaction_date >= (SELECT coalesce(min(t.transaction_date), '-infinity') FROM transactions AS t)
    AND NOT EXISTS (
        SELECT FROM transactions AS t
        WHERE t.id = k.transaction_id AND t.transaction_date = k.transaction_date AND t.request_id = k.request_id
    )

-- name: transactions
-- Keys are purged by age, all of an age together: those that are younger than the oldest key must have one.
SELECT format('transaction %s has no request key', t.id) AS fault
FROM transactions AS t
WHERE t.is_decided AND t.created_at >= (SELECT min(created_at) FROM request_keys)
    AND NOT EXISTS (SELECT FROM request_keys AS k WHERE k.request_id = t.request_id AND k.transaction_id = t.id)

-- name: references
SELECT format('transaction %s names card %s and user %s of account %s', t.id, t.card_id, t.user_id, t.account_id) AS fault
FROM transactions AS t
WHERE NOT EXISTS (SELECT FROM cards AS c WHERE c.id = t.card_id AND c.account_id = t.account_id)
    OR NOT EXISTS (SELECT FROM users AS u WHERE u.id = t.user_id)

-- name: versions
SELECT format(
    'transaction %s was made under versions %s/%s, its account is at %s/%s',
    t.id, t.config_version, coalesce(t.counter_epoch::TEXT, '-'), a.config_version, a.counter_epoch
) AS fault
FROM transactions AS t
JOIN accounts AS a ON a.id = t.account_id
WHERE t.config_version > a.config_version OR t.counter_epoch > a.counter_epoch

-- name: partitions
-- A month that is detached though an older one is attached is a hole; what was archived is older than all that is attached.
WITH months AS (
    SELECT c.relname::TEXT AS name, i.inhparent IS NOT NULL AND NOT i.inhdetachpending AS attached
    FROM pg_class AS c
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid AND i.inhparent = to_regclass('transactions')
    WHERE c.relkind = 'r' AND c.relname ~ '^transactions_[0-9]{4}_[0-9]{2}$'
        AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('transactions'))
)
SELECT format('partition %s is not attached', name) AS fault
FROM months WHERE NOT attached AND name > (SELECT min(name) FROM months WHERE attached)
UNION ALL
SELECT 'the default partition is not attached'
WHERE NOT EXISTS (
    SELECT FROM pg_inherits
    WHERE inhparent = to_regclass('transactions') AND inhrelid = to_regclass('transactions_default')
        AND NOT inhdetachpending
)

-- name: sequence
SELECT format('the next transaction would get the id %s, but there is %s', last_value + is_called::INTEGER, t.id) AS fault
FROM transactions_id_seq, (SELECT max(id) AS id FROM transactions) AS t
WHERE t.id >= last_value + is_called::INTEGER

-- name: sample
-- $1: how many cards; those of the latest transactions, each with the month (UTC) of its latest.
SELECT DISTINCT ON (t.card_id)
    t.account_id, t.card_id, date_trunc('month', t.transaction_date, 'UTC') AS month_start,
    date_trunc('month', t.transaction_date, 'UTC') + INTERVAL '1 month' AS month_end
FROM (SELECT * FROM transactions ORDER BY id DESC LIMIT $1) AS t
ORDER BY t.card_id, t.id DESC

-- name: sums
-- Of a card: used and held in a month, used and held for ever, and what its whole account holds.
SELECT
    coalesce(sum(t.spent_minor - CASE WHEN p.policy = 'restore_window' THEN t.credited_minor ELSE 0 END)
        FILTER (WHERE t.is_inside), 0)::BIGINT AS month_used,
    coalesce(sum(t.held_minor) FILTER (WHERE t.is_inside), 0)::BIGINT AS month_held,
    coalesce(sum(t.spent_minor - CASE WHEN p.policy = 'never' THEN 0 ELSE t.credited_minor END)
        FILTER (WHERE t.card_id = $2), 0)::BIGINT AS ever_used,
    coalesce(sum(t.held_minor) FILTER (WHERE t.card_id = $2), 0)::BIGINT AS ever_held,
    coalesce(sum(t.held_minor), 0)::BIGINT AS account_held
FROM (
    SELECT *, held_minor + settled_minor AS spent_minor,
        card_id = $2 AND transaction_date >= $3 AND transaction_date < $4 AS is_inside
    FROM transactions WHERE account_id = $1
) AS t
CROSS JOIN (
    SELECT coalesce(
        (
            SELECT value #>> '{}' FROM account_settings
            WHERE account_id = $1 AND key = 'refund_policy' AND deleted_at IS NULL
        ),
        'restore_lifetime'
    ) AS policy
) AS p

-- name: counts
SELECT
    (SELECT count(*) FROM accounts) AS accounts,
    (SELECT count(*) FROM transactions) AS transactions,
    (SELECT count(*) FROM request_keys) AS keys,
    (SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('transactions')) AS partitions
