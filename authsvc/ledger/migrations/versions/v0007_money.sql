-- Increments, refund policies and adjustments of balances.

-- When a decision happened, where that is not transaction_date: an increment counts in the windows of its transaction.
ALTER TABLE transactions ADD COLUMN happened_at TIMESTAMPTZ;

-- Messages come by the thousand, and each index and each foreign key is paid for by every one of them. A message's own identity
-- is the key. Its account is that of its transaction, whose row is there and locked when the message is written.
ALTER TABLE transaction_events DROP COLUMN id;
ALTER TABLE transaction_events DROP CONSTRAINT transaction_events_account_id_fkey;
DROP INDEX transaction_events_account_id_idx;
ALTER TABLE transaction_events ADD CONSTRAINT transaction_events_pkey PRIMARY KEY USING INDEX transaction_events_event_id_key;

-- References are looked at when they change, which is hardly ever, and no longer with every new figure.
DROP TRIGGER transactions_references_update ON transactions;
CREATE FUNCTION authsvc_transaction_references() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM cards WHERE id = NEW.card_id AND account_id = NEW.account_id) THEN
        RAISE EXCEPTION 'account % has no card %', NEW.account_id, NEW.card_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transactions_card_id_fkey', TABLE = 'transactions';
    END IF;
    IF NOT EXISTS (SELECT FROM users WHERE id = NEW.user_id) THEN
        RAISE EXCEPTION 'there is no user %', NEW.user_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transactions_user_id_fkey', TABLE = 'transactions';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER transactions_references_update BEFORE UPDATE ON transactions
FOR EACH ROW WHEN (
    (OLD.card_id, OLD.account_id, OLD.user_id) IS DISTINCT FROM (NEW.card_id, NEW.account_id, NEW.user_id)
)
EXECUTE FUNCTION authsvc_transaction_references();

-- Messages by the network's token, and decisions that were recorded after messages about their transaction: somebody has
-- to add them up again. A row stays only until that is done.
ALTER TABLE transaction_events ADD COLUMN transaction_token VARCHAR(255);
CREATE INDEX transaction_events_transaction_token_idx ON transaction_events (transaction_token)
WHERE transaction_token IS NOT NULL;
CREATE TABLE overtaken_decisions (
    transaction_id BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT overtaken_decisions_pkey PRIMARY KEY (transaction_id)
);

-- Which of these tokens the network has spoken of. Volatile, so that it looks at a snapshot of its own: whoever asks has
-- waited for a lock, and what it waited for is not in the snapshot of its statement. A transaction that got its name from
-- us has messages from before that know it by its id only.
CREATE FUNCTION authsvc_spoken_of(tokens TEXT[]) RETURNS SETOF TEXT LANGUAGE plpgsql VOLATILE
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY SELECT one FROM unnest(tokens) AS one
    WHERE EXISTS (SELECT FROM transaction_events AS e WHERE e.transaction_token = one)
        OR CASE WHEN one ~ '^transaction:[0-9]{1,18}$' THEN
            EXISTS (SELECT FROM transaction_events AS e WHERE e.transaction_id = substr(one, 13)::BIGINT)
        ELSE false END;
END;
$$;

-- What was approved is never declined afterwards, nor the other way round. A declined request that the network cleared in
-- spite of it may go back to its decline, when an approved request of the same transaction takes the money over; and a row
-- that nobody decided may become anything.
DROP TRIGGER transactions_status_transition ON transactions;
CREATE TRIGGER transactions_status_transition BEFORE UPDATE ON transactions
FOR EACH ROW WHEN (
    OLD.is_decided AND OLD.status <> NEW.status AND (
        (NEW.status = 'DECLINED' AND (OLD.declined_reason IS NULL OR OLD.approved_minor > 0))
        OR (OLD.status = 'DECLINED' AND NEW.status = 'APPROVED')
    )
)
EXECUTE FUNCTION authsvc_transaction_status();

-- What the network approved in our stead.
ALTER TABLE transaction_events DROP CONSTRAINT transaction_events_kind_check;
ALTER TABLE transaction_events ADD CONSTRAINT transaction_events_kind_check CHECK (
    kind IN (
        'ADVICE', 'REVERSAL', 'EXPIRY', 'CLEARING', 'REFUND', 'REFUND_REVERSAL', 'CORRECTION_DEBIT', 'CORRECTION_CREDIT',
        'SNAPSHOT', 'FINANCIAL_AUTHORIZATION_ADVICE', 'CREDIT_AUTHORIZATION_ADVICE',
        'FINANCIAL_CREDIT_AUTHORIZATION_ADVICE'
    )
);

-- Does money that came back give room to a window again? One that ends after all time is for ever.
CREATE FUNCTION authsvc_restores(refund_policy TEXT, window_end TIMESTAMPTZ) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE refund_policy
        WHEN 'restore_window' THEN true
        WHEN 'never' THEN false
        ELSE coalesce(window_end >= '9999-12-31 00:00+00', true)
    END
$$;

-- The refund policy changes what counters say, like the time zone.
CREATE FUNCTION authsvc_setting_reshapes(key TEXT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
    SELECT key IN ('timezone', 'balance_check', 'refund_policy')
$$;

CREATE OR REPLACE FUNCTION authsvc_settings_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump(
        'account', array_agg(account_id), array_agg(account_id), array_agg(authsvc_setting_reshapes(key))
    )
    FROM new_rows;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION authsvc_settings_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump(
        'account', array_agg(account_id), array_agg(account_id), array_agg(authsvc_setting_reshapes(key))
    )
    FROM (SELECT account_id, key FROM old_rows UNION ALL SELECT account_id, key FROM new_rows) AS touched;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION authsvc_settings_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump(
        'account', array_agg(account_id), array_agg(account_id), array_agg(authsvc_setting_reshapes(key))
    )
    FROM old_rows;
    RETURN NULL;
END;
$$;

-- Money that reaches or leaves an account by somebody's word: funding in, withdrawals out. Append-only.
CREATE TABLE balance_adjustments (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY,
    adjustment_id VARCHAR(128) NOT NULL,
    fingerprint BYTEA NOT NULL,
    account_id INTEGER NOT NULL,
    kind VARCHAR(255) NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency VARCHAR(3) NOT NULL,
    reason VARCHAR(255) NOT NULL,
    -- What the account had once this was done: the answer, for a duplicate.
    balance_after_minor BIGINT NOT NULL,
    held_after_minor BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT balance_adjustments_pkey PRIMARY KEY (id),
    CONSTRAINT balance_adjustments_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT balance_adjustments_kind_check CHECK (kind IN ('FUNDING', 'WITHDRAWAL')),
    CONSTRAINT balance_adjustments_amount_minor_check CHECK (amount_minor > 0),
    CONSTRAINT balance_adjustments_reason_check CHECK (reason ~ '[^[:space:]]')
);

CREATE UNIQUE INDEX balance_adjustments_adjustment_id_key ON balance_adjustments (adjustment_id);
CREATE INDEX balance_adjustments_account_id_idx ON balance_adjustments (account_id);

CREATE TRIGGER balance_adjustments_append_only BEFORE UPDATE OR DELETE ON balance_adjustments
FOR EACH STATEMENT EXECUTE FUNCTION authsvc_append_only();
