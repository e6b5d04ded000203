-- The plain alternative: one stored procedure that decides card by card under row locks, one commit a request.
-- It is meant to be as good as that design gets: every lookup has its index, counters and balance are rows of their own
-- that are updated in place (HOT, free space left for it), static checks come before the first lock, locks are always taken
-- in one order (account, then the day's counter, then the month's), so that it cannot deadlock.

DROP SCHEMA IF EXISTS plain CASCADE;
CREATE SCHEMA plain;

CREATE TABLE plain.accounts (
    id INTEGER PRIMARY KEY,
    status TEXT NOT NULL DEFAULT 'active',
    balance_minor BIGINT NOT NULL,
    held_minor BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE plain.profiles (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES plain.accounts (id),
    blocked TEXT[] NOT NULL,
    daily_limit_minor BIGINT NOT NULL
);

CREATE TABLE plain.cards (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    account_id INTEGER NOT NULL REFERENCES plain.accounts (id),
    profile_id INTEGER NOT NULL REFERENCES plain.profiles (id),
    status TEXT NOT NULL DEFAULT 'active',
    monthly_limit_minor BIGINT NOT NULL
);

CREATE TABLE plain.counters (
    card_id INTEGER NOT NULL,
    span TEXT NOT NULL,
    started_on DATE NOT NULL,
    used_minor BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (card_id, span, started_on)
) WITH (fillfactor = 50);

CREATE TABLE plain.transactions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    account_id INTEGER NOT NULL,
    card_id INTEGER NOT NULL,
    amount_minor BIGINT NOT NULL,
    mcc TEXT NOT NULL,
    transacted_at TIMESTAMPTZ NOT NULL,
    decision SMALLINT NOT NULL,
    reason TEXT NOT NULL
);

CREATE INDEX transactions_card_id_transacted_at_idx ON plain.transactions (card_id, transacted_at);

-- What is used of a counter, locked until the commit; a counter that is not there yet is made.
CREATE FUNCTION plain.lock_counter(of_card INTEGER, of_span TEXT, on_day DATE) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    used BIGINT;
BEGIN
    SELECT used_minor INTO used FROM plain.counters
    WHERE card_id = of_card AND span = of_span AND started_on = on_day FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        -- The account's lock is held, therefore nobody else can be making it.
        INSERT INTO plain.counters (card_id, span, started_on) VALUES (of_card, of_span, on_day);
        used := 0;
    END IF;
    RETURN used;
END;
$$;

-- Decision (1 approved, 3 declined) of one request; the answer of a request that was seen before is the stored one.
CREATE FUNCTION plain.authorize(
    of_request TEXT, of_token TEXT, amount BIGINT, of_mcc TEXT, at TIMESTAMPTZ
) RETURNS SMALLINT LANGUAGE plpgsql AS $$
DECLARE
    known RECORD;
    funds RECORD;
    stored SMALLINT;
    used_today BIGINT;
    used_month BIGINT;
    today DATE := (at AT TIME ZONE 'UTC')::DATE;
    month DATE := date_trunc('month', at AT TIME ZONE 'UTC')::DATE;
    reason TEXT;
BEGIN
    SELECT decision INTO stored FROM plain.transactions WHERE request_id = of_request;
    IF FOUND THEN
        RETURN stored;
    END IF;
    SELECT card.id, card.account_id, card.status, card.monthly_limit_minor, profile.blocked, profile.daily_limit_minor
    INTO known
    FROM plain.cards AS card JOIN plain.profiles AS profile ON profile.id = card.profile_id
    WHERE card.token = of_token;
    IF NOT FOUND THEN
        RETURN 3;
    END IF;
    IF known.status <> 'active' THEN
        reason := 'CARD_INACTIVE';
    ELSIF of_mcc = ANY (known.blocked) THEN
        reason := 'MCC_BLOCKED';
    ELSE
        SELECT status, balance_minor - held_minor AS available INTO funds
        FROM plain.accounts WHERE id = known.account_id FOR NO KEY UPDATE;
        used_today := plain.lock_counter(known.id, 'daily', today);
        used_month := plain.lock_counter(known.id, 'monthly', month);
        IF funds.status <> 'active' THEN
            reason := 'ACCOUNT_NOT_ACTIVE';
        ELSIF funds.available < amount THEN
            reason := 'INSUFFICIENT_FUNDS';
        ELSIF used_today + amount > known.daily_limit_minor THEN
            reason := 'PROFILE_LIMIT_EXCEEDED';
        ELSIF used_month + amount > known.monthly_limit_minor THEN
            reason := 'CARD_LIMIT_EXCEEDED';
        ELSE
            reason := 'APPROVED';
            UPDATE plain.accounts SET held_minor = held_minor + amount WHERE id = known.account_id;
            UPDATE plain.counters SET used_minor = used_minor + amount
            WHERE card_id = known.id
                AND ((span = 'daily' AND started_on = today) OR (span = 'monthly' AND started_on = month));
        END IF;
    END IF;
    INSERT INTO plain.transactions (request_id, account_id, card_id, amount_minor, mcc, transacted_at, decision, reason)
    VALUES (
        of_request, known.account_id, known.id, amount, of_mcc, at, CASE reason WHEN 'APPROVED' THEN 1 ELSE 3 END, reason
    );
    RETURN CASE reason WHEN 'APPROVED' THEN 1 ELSE 3 END;
END;
$$;
