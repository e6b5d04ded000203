-- Rules that a CHECK cannot say: updated_at, life cycles, MCC lists, known settings. Each refusal carries a
-- constraint name, so that a caller can map it without reading the message.

CREATE FUNCTION authsvc_touch_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;

-- The version triggers pair the old and the new row by id, hence an id never changes.
CREATE FUNCTION authsvc_keep_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the id of % never changes', TG_TABLE_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_id_immutable', TABLE = TG_TABLE_NAME;
END;
$$;

CREATE TRIGGER users_touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION authsvc_touch_row();
CREATE TRIGGER spending_profiles_touch BEFORE UPDATE ON spending_profiles
FOR EACH ROW EXECUTE FUNCTION authsvc_touch_row();
CREATE TRIGGER cards_touch BEFORE UPDATE ON cards FOR EACH ROW EXECUTE FUNCTION authsvc_touch_row();
CREATE TRIGGER spending_categories_touch BEFORE UPDATE ON spending_categories
FOR EACH ROW EXECUTE FUNCTION authsvc_touch_row();
CREATE TRIGGER profile_categories_touch BEFORE UPDATE ON profile_categories
FOR EACH ROW EXECUTE FUNCTION authsvc_touch_row();
CREATE TRIGGER account_settings_touch BEFORE UPDATE ON account_settings
FOR EACH ROW EXECUTE FUNCTION authsvc_touch_row();
CREATE TRIGGER transactions_touch BEFORE UPDATE ON transactions FOR EACH ROW EXECUTE FUNCTION authsvc_touch_row();

CREATE TRIGGER accounts_keep_id BEFORE UPDATE ON accounts
FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION authsvc_keep_id();
CREATE TRIGGER users_keep_id BEFORE UPDATE ON users
FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION authsvc_keep_id();
CREATE TRIGGER spending_profiles_keep_id BEFORE UPDATE ON spending_profiles
FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION authsvc_keep_id();
CREATE TRIGGER cards_keep_id BEFORE UPDATE ON cards
FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION authsvc_keep_id();

-- Accounts: what the account's own row says about versions. One trigger, because its parts read each other.
CREATE FUNCTION authsvc_account_before_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    IF NEW.balance >= 0 THEN
        NEW.overdrawn := false;
    END IF;
    IF (NEW.status, NEW.currency, NEW.deleted_at) IS DISTINCT FROM (OLD.status, OLD.currency, OLD.deleted_at) THEN
        NEW.config_version := OLD.config_version + 1;
    END IF;
    -- Money that came from outside (funding) is unknown to the counters, and so is another currency.
    IF (NEW.balance <> OLD.balance AND NEW.postings = OLD.postings) OR NEW.currency <> OLD.currency THEN
        NEW.counter_epoch := greatest(NEW.counter_epoch, OLD.counter_epoch + 1);
    END IF;
    IF NEW.config_version < OLD.config_version OR NEW.counter_epoch < OLD.counter_epoch THEN
        RAISE EXCEPTION 'the versions of account % never go back', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'accounts_versions_monotonic', TABLE = 'accounts';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER accounts_before_update BEFORE UPDATE ON accounts
FOR EACH ROW EXECUTE FUNCTION authsvc_account_before_update();

-- Cards: closed is final, pending is only a beginning.
CREATE FUNCTION authsvc_card_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'card % is % and cannot become %', OLD.id, OLD.status, NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'cards_status_transition', TABLE = 'cards', COLUMN = 'status';
END;
$$;

CREATE TRIGGER cards_status_transition BEFORE UPDATE ON cards
FOR EACH ROW WHEN (OLD.status <> NEW.status AND (OLD.status = 'closed' OR NEW.status = 'pending'))
EXECUTE FUNCTION authsvc_card_status();

-- A live card never points at a deleted profile. The two triggers together close the race between them: the
-- card's takes a share lock on the profile's row, which the soft delete must wait for, and the other way round.
CREATE FUNCTION authsvc_card_profile() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone BOOLEAN;
BEGIN
    SELECT deleted_at IS NOT NULL INTO gone FROM spending_profiles WHERE id = NEW.spending_profile_id FOR SHARE;
    IF gone THEN
        RAISE EXCEPTION 'spending profile % is deleted', NEW.spending_profile_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'cards_spending_profile_live', TABLE = 'cards',
            COLUMN = 'spending_profile_id';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER cards_profile_on_insert BEFORE INSERT ON cards
FOR EACH ROW WHEN (NEW.spending_profile_id IS NOT NULL AND NEW.deleted_at IS NULL AND NEW.status <> 'closed')
EXECUTE FUNCTION authsvc_card_profile();
CREATE TRIGGER cards_profile_on_update BEFORE UPDATE ON cards
FOR EACH ROW WHEN (
    NEW.spending_profile_id IS NOT NULL AND NEW.deleted_at IS NULL AND NEW.status <> 'closed'
    AND (NEW.spending_profile_id IS DISTINCT FROM OLD.spending_profile_id OR OLD.deleted_at IS NOT NULL)
)
EXECUTE FUNCTION authsvc_card_profile();

CREATE FUNCTION authsvc_profile_delete() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    card_count BIGINT;
BEGIN
    SELECT count(*) INTO card_count FROM cards
    WHERE spending_profile_id = OLD.id AND deleted_at IS NULL AND status <> 'closed';
    IF card_count > 0 THEN
        RAISE EXCEPTION 'spending profile % is used by % card(s)', OLD.id, card_count
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'spending_profiles_in_use', TABLE = 'spending_profiles';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER spending_profiles_in_use BEFORE UPDATE ON spending_profiles
FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION authsvc_profile_delete();

-- MCC lists: what is wrong with the first malformed entry, or NULL when the list is fine.
CREATE FUNCTION authsvc_mcc_list_problem(list JSONB) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN list IS NULL THEN NULL
        WHEN jsonb_typeof(list) <> 'array' THEN 'is not an array: ' || list::TEXT
        ELSE (
            SELECT 'has a malformed entry ' || entry.value::TEXT
                || ' (expected "dddd" or "dddd-dddd" with the lower code first)'
            FROM jsonb_array_elements(list) WITH ORDINALITY AS entry (value, position)
            WHERE NOT (
                jsonb_typeof(entry.value) = 'string'
                AND (entry.value #>> '{}') ~ '^[0-9]{4}(-[0-9]{4})?$'
                AND left(entry.value #>> '{}', 4) <= right(entry.value #>> '{}', 4)
            )
            ORDER BY entry.position
            LIMIT 1
        )
    END
$$;

CREATE FUNCTION authsvc_profile_lists() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    problem TEXT := authsvc_mcc_list_problem(NEW.allowed_categories);
    list_name TEXT := 'allowed_categories';
BEGIN
    IF problem IS NULL THEN
        problem := authsvc_mcc_list_problem(NEW.blocked_categories);
        list_name := 'blocked_categories';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '% %', list_name, problem
            USING ERRCODE = 'check_violation', CONSTRAINT = 'spending_profiles_' || list_name || '_check',
            TABLE = 'spending_profiles', COLUMN = list_name;
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER spending_profiles_lists BEFORE INSERT OR UPDATE OF allowed_categories, blocked_categories
ON spending_profiles FOR EACH ROW EXECUTE FUNCTION authsvc_profile_lists();

-- Settings: the keys that the engine reads are checked; others belong to somebody else and pass.
CREATE FUNCTION authsvc_setting_problem(key TEXT, value JSONB) RETURNS TEXT LANGUAGE plpgsql STABLE AS $$
DECLARE
    word TEXT := CASE WHEN jsonb_typeof(value) = 'string' THEN value #>> '{}' END;
    days NUMERIC := CASE WHEN jsonb_typeof(value) = 'number' THEN (value #>> '{}')::NUMERIC END;
BEGIN
    CASE key
        WHEN 'timezone' THEN
            -- localtime, posix/ and right/ are names that only this server's own files know.
            IF word IS NULL OR word = 'localtime' OR word LIKE 'posix%' OR word LIKE 'right/%'
            OR NOT EXISTS (SELECT FROM pg_timezone_names WHERE name = word) THEN
                RETURN 'is not an IANA time zone';
            END IF;
        WHEN 'balance_check' THEN
            IF word IS NULL OR word NOT IN ('on', 'off') THEN
                RETURN 'is neither "on" nor "off"';
            END IF;
        WHEN 'refund_policy' THEN
            IF word IS NULL OR word NOT IN ('restore_lifetime', 'never', 'restore_window') THEN
                RETURN 'is none of "restore_lifetime", "never", "restore_window"';
            END IF;
        WHEN 'hold_days' THEN
            IF days IS NULL OR days NOT BETWEEN 1 AND 30 OR days <> trunc(days) THEN
                RETURN 'is not a whole number of days from 1 to 30';
            END IF;
        ELSE
            RETURN NULL;
    END CASE;
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_setting_known() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    problem TEXT := authsvc_setting_problem(NEW.key, NEW.value);
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'setting %: % %', NEW.key, coalesce(NEW.value::TEXT, 'NULL'), problem
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_settings_' || NEW.key || '_check',
            TABLE = 'account_settings', COLUMN = 'value';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER account_settings_known BEFORE INSERT OR UPDATE OF key, value ON account_settings
FOR EACH ROW EXECUTE FUNCTION authsvc_setting_known();

-- References of transactions, checked for a whole statement at once. They refuse under the names that foreign keys
-- would have. Hash joins on purpose: the recorder plans without nested loops.
CREATE FUNCTION authsvc_transactions_references() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stray RECORD;
BEGIN
    SELECT n.card_id, n.account_id, c.id IS NULL AS card_missing, n.user_id INTO stray
    FROM (SELECT DISTINCT card_id, account_id, user_id FROM new_rows) AS n
    LEFT JOIN (
        SELECT id, account_id FROM cards WHERE id = ANY (ARRAY(SELECT card_id FROM new_rows))
    ) AS c ON c.id = n.card_id AND c.account_id = n.account_id
    LEFT JOIN (SELECT id FROM users WHERE id = ANY (ARRAY(SELECT user_id FROM new_rows))) AS u ON u.id = n.user_id
    WHERE c.id IS NULL OR u.id IS NULL LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF stray.card_missing THEN
        RAISE EXCEPTION 'account % has no card %', stray.account_id, stray.card_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transactions_card_id_fkey', TABLE = 'transactions';
    END IF;
    RAISE EXCEPTION 'there is no user %', stray.user_id
        USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transactions_user_id_fkey', TABLE = 'transactions';
END;
$$;

CREATE TRIGGER transactions_references_insert AFTER INSERT ON transactions
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_transactions_references();
CREATE TRIGGER transactions_references_update AFTER UPDATE ON transactions
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_transactions_references();

-- The other end: whoever has transactions stays. These run after the version triggers (by name), which have locked the
-- account by then: a batch that was being recorded is committed and seen, a later one is refused by its fence.
CREATE FUNCTION authsvc_keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    constraint_name TEXT := format('transactions_%s_id_fkey', TG_ARGV[0]);
    kept INTEGER;
BEGIN
    EXECUTE format(
        'SELECT t.%1$I FROM transactions AS t WHERE t.%1$I = ANY ($1) LIMIT 1', TG_ARGV[0] || '_id'
    ) INTO kept USING ARRAY(SELECT id FROM old_rows);
    IF kept IS NOT NULL THEN
        RAISE EXCEPTION '% % has transactions', TG_ARGV[0], kept
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = constraint_name, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER cards_with_transactions_stay AFTER DELETE ON cards
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_keep_history('card');
CREATE TRIGGER users_with_transactions_stay AFTER DELETE ON users
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_keep_history('user');
