-- name: keep
-- The account is the card's, else the one that Lithic calls so. A webhook that is here already stays as it is.
INSERT INTO webhooks (webhook_id, event_type, payload, sent_at, received_at, next_attempt_at, account_id)
SELECT w.webhook_id, w.event_type, w.payload::jsonb, w.sent_at, w.received_at, w.received_at, coalesce(
    (SELECT account_id FROM cards WHERE lithic_card_token = w.payload::jsonb ->> 'card_token' AND deleted_at IS NULL),
    (SELECT min(id) FROM accounts WHERE lithic_account_token = w.payload::jsonb ->> 'account_token' AND deleted_at IS NULL)
)
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
    AS w (webhook_id, event_type, payload, sent_at, received_at)
ON CONFLICT (webhook_id) DO NOTHING
RETURNING webhook_id

-- name: claim
-- At $1, for $2 milliseconds, at most $3.
WITH due AS MATERIALIZED (
    SELECT id FROM webhooks WHERE status = 'pending' AND next_attempt_at <= $1::timestamptz
    ORDER BY next_attempt_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE webhooks w SET next_attempt_at = $1::timestamptz + $2::int * interval '1 millisecond'
FROM due WHERE w.id = due.id
RETURNING w.id, w.event_type, w.payload::text AS payload, w.sent_at, w.received_at, w.retry_count

-- name: processed
UPDATE webhooks w SET status = 'processed', processed_at = $2, error_message = NULL, account_id = coalesce(
    w.account_id,
    (SELECT account_id FROM cards WHERE lithic_card_token = w.payload ->> 'card_token' AND deleted_at IS NULL)
)
WHERE id = ANY($1::bigint[]) AND status <> 'processed'

-- name: again
UPDATE webhooks w SET
    retry_count = w.retry_count + a.is_counted::int, error_message = a.why, next_attempt_at = a.next_attempt_at
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::boolean[]) AS a (id, why, next_attempt_at, is_counted)
WHERE w.id = a.id AND w.status = 'pending'

-- name: failed
UPDATE webhooks w SET status = 'failed', retry_count = w.retry_count + 1, error_message = f.why
FROM unnest($1::bigint[], $2::text[]) AS f (id, why)
WHERE w.id = f.id AND w.status = 'pending'

-- name: set_card_status
-- $1 became $2 at $3. Closed is final, whenever it is told; nothing goes back to pending. Of one instant the stricter status
-- wins, so that every order of arrival ends alike.
WITH strictness (status, rank) AS (VALUES ('active', 0), ('pending', 1), ('inactive', 2), ('closed', 3)),
card AS (
    SELECT c.id, c.status, $2 = 'closed' OR $3::timestamptz > coalesce(c.lithic_state_at, '-infinity') OR (
        $3::timestamptz = c.lithic_state_at
        AND (SELECT rank FROM strictness s WHERE s.status = $2) > (SELECT rank FROM strictness s WHERE s.status = c.status)
    ) AS is_newer
    FROM cards c WHERE c.lithic_card_token = $1 AND c.deleted_at IS NULL FOR NO KEY UPDATE
), moved AS (
    UPDATE cards SET
        status = CASE WHEN card.status = 'closed' OR $2 = 'pending' THEN card.status ELSE $2 END,
        lithic_state_at = greatest($3::timestamptz, lithic_state_at)
    FROM card WHERE cards.id = card.id AND card.is_newer
)
SELECT count(*) > 0 FROM card

-- name: backlog
SELECT count(*) FILTER (WHERE status = 'pending') AS pending, count(*) FILTER (WHERE status = 'failed') AS failed,
    min(received_at) FILTER (WHERE status = 'pending') AS oldest_received_at
FROM webhooks WHERE status IN ('pending', 'failed')

-- name: list
SELECT id, webhook_id, event_type, status, account_id, retry_count, error_message, sent_at, received_at, next_attempt_at,
    processed_at
FROM webhooks WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR event_type = $2)
ORDER BY id DESC LIMIT $3

-- name: show
-- By either of its names.
SELECT id, webhook_id, event_type, status, account_id, retry_count, error_message, sent_at, received_at, next_attempt_at,
    processed_at, payload::text AS payload
FROM webhooks WHERE webhook_id = $1 OR id = $2

-- name: retry
-- One of either name, or (both NULL) all that have failed: as if it had just come.
UPDATE webhooks SET status = 'pending', processed_at = NULL, retry_count = 0, next_attempt_at = $3
WHERE CASE WHEN $1::text IS NULL AND $2::bigint IS NULL THEN status = 'failed' ELSE webhook_id = $1 OR id = $2 END
RETURNING id

-- name: purgeable
SELECT count(*) FROM webhooks WHERE status = ANY($1::text[]) AND received_at < $2

-- name: purge
DELETE FROM webhooks WHERE id IN (
    SELECT id FROM webhooks WHERE status = ANY($1::text[]) AND received_at < $2 ORDER BY id LIMIT $3
)
