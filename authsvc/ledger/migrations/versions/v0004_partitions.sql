-- Makes the partition of the month (UTC) that holds the given day; returns its name, or NULL when it was there.
-- Rows of that month which lie in the default partition move with it. Decisions wait meanwhile, so locks are taken
-- before anything else, in one order, and given up after five seconds (lock_not_available: call it again).
CREATE FUNCTION authsvc_create_partition(day DATE) RETURNS TEXT LANGUAGE plpgsql
SET timezone = 'UTC' SET datestyle = 'ISO' SET lock_timeout = '5s'
AS $$
DECLARE
    first_at TIMESTAMPTZ := date_trunc('month', day::TIMESTAMP);
    next_at TIMESTAMPTZ := date_trunc('month', day::TIMESTAMP) + INTERVAL '1 month';
    name TEXT := to_char(day, '"transactions_"YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('authsvc_create_partition', 0));
    IF to_regclass(name) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- An insert that has already chosen the default partition when the month is cut out of it would be refused, so
    -- inserts are kept from starting. They take this lock first as well; no decision waits here with a row locked.
    LOCK TABLE ONLY transactions IN SHARE ROW EXCLUSIVE MODE;
    LOCK TABLE transactions_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE %I (LIKE transactions INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format(
        'WITH moved AS ('
        'DELETE FROM transactions_default WHERE transaction_date >= %L AND transaction_date < %L RETURNING *'
        ') INSERT INTO %I SELECT * FROM moved', first_at, next_at, name
    );
    EXECUTE format(
        'ALTER TABLE transactions ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, first_at, next_at
    );
    RETURN name;
END;
$$;
