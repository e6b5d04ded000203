-- Version triggers: one bump of accounts.config_version per account and statement on every change that can alter a
-- decision, one bump of accounts.counter_epoch beside it when the shape of a counter set changes (a counter that
-- left the plan and came back would have missed spending), and a notification on the channel authsvc_config:
--
--   a       account id
--   v       its new config_version; null when nothing was bumped (new cards)
--   k       what changed: card, user, profile or account
--   ids     their ids; null means any of that kind in the account
--   tokens  only for cards whose token appears, disappears or changes: the tokens concerned; null means any
--
-- A payload ends at 8,000 bytes, which is why long lists become null.

CREATE FUNCTION authsvc_notify(
    account_id INTEGER, version BIGINT, kind TEXT, ids INTEGER[], tokens TEXT[], has_tokens BOOLEAN
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    payload JSONB := jsonb_build_object(
        'a', account_id, 'v', version, 'k', kind,
        'ids', CASE WHEN cardinality(ids) <= 200 THEN to_jsonb(ids) END
    );
BEGIN
    IF has_tokens THEN
        payload := payload || jsonb_build_object(
            'tokens',
            CASE
                WHEN cardinality(tokens) <= 50 AND octet_length(to_jsonb(tokens)::TEXT) <= 4000 THEN to_jsonb(tokens)
            END
        );
    END IF;
    PERFORM pg_notify('authsvc_config', payload::TEXT);
END;
$$;

-- Bumps every account in the list once. The three arrays run in parallel, one element per changed row;
-- entity_ids NULL stands for "any". Rows are locked in the order of their ids, so that two statements over the
-- same accounts queue up instead of deadlocking.
CREATE FUNCTION authsvc_bump(
    kind TEXT, account_ids INTEGER[], entity_ids INTEGER[], reshaped BOOLEAN[], tokens TEXT[] DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    bumped RECORD;
BEGIN
    IF account_ids IS NULL THEN
        RETURN;
    END IF;
    PERFORM FROM accounts WHERE id = ANY (account_ids) ORDER BY id FOR NO KEY UPDATE;
    FOR bumped IN
        WITH change AS (
            SELECT item.account_id, bool_or(item.reshaped) AS reshaped,
                array_agg(DISTINCT item.entity_id) FILTER (WHERE item.entity_id IS NOT NULL) AS ids,
                array_agg(DISTINCT item.token) FILTER (WHERE item.token IS NOT NULL) AS tokens
            FROM unnest(account_ids, entity_ids, reshaped, tokens) AS item (account_id, entity_id, reshaped, token)
            GROUP BY item.account_id
        )
        UPDATE accounts
        SET config_version = config_version + 1, counter_epoch = counter_epoch + change.reshaped::INTEGER
        FROM change
        WHERE accounts.id = change.account_id
        RETURNING accounts.id, accounts.config_version, change.ids, change.tokens
    LOOP
        PERFORM authsvc_notify(
            bumped.id, bumped.config_version, kind, bumped.ids, bumped.tokens, bumped.tokens IS NOT NULL
        );
    END LOOP;
END;
$$;

-- Accounts. The bump itself happens in accounts_before_update (same row, same write); here it is told.
CREATE FUNCTION authsvc_account_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_notify(NEW.id, NEW.config_version, 'account', ARRAY[NEW.id], NULL, false);
    RETURN NULL;
END;
$$;

CREATE TRIGGER accounts_notify AFTER UPDATE ON accounts
FOR EACH ROW WHEN (
    OLD.status IS DISTINCT FROM NEW.status
    OR OLD.currency IS DISTINCT FROM NEW.currency
    OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at
)
EXECUTE FUNCTION authsvc_account_notify();

-- Users.
CREATE FUNCTION authsvc_users_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump('user', array_agg(side.account_id), array_agg(side.id), array_agg(false))
    FROM old_rows AS o
    JOIN new_rows AS n USING (id)
    CROSS JOIN LATERAL (VALUES (o.account_id, o.id), (n.account_id, n.id)) AS side (account_id, id)
    WHERE (o.status, o.deleted_at, o.account_id) IS DISTINCT FROM (n.status, n.deleted_at, n.account_id);
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_users_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump('user', array_agg(account_id), array_agg(id), array_agg(false)) FROM old_rows;
    RETURN NULL;
END;
$$;

CREATE TRIGGER users_version_update AFTER UPDATE ON users
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION authsvc_users_update();
CREATE TRIGGER users_version_delete AFTER DELETE ON users
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_users_delete();

-- Cards. A new card bumps nothing, since a decision on an unknown card has its own fence; it is told, so that
-- whoever remembers its token as unknown forgets it.
CREATE FUNCTION authsvc_cards_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_notify(account_id, NULL, 'card', array_agg(id), array_agg(lithic_card_token), true)
    FROM new_rows WHERE lithic_card_token IS NOT NULL GROUP BY account_id;
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_cards_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump(
        'card', array_agg(side.account_id), array_agg(n.id),
        array_agg(
            (o.spend_limit IS NULL, o.spend_limit_duration, o.spending_profile_id, o.account_id)
            IS DISTINCT FROM (n.spend_limit IS NULL, n.spend_limit_duration, n.spending_profile_id, n.account_id)
        ),
        array_agg(
            CASE WHEN (o.lithic_card_token, o.deleted_at, o.account_id)
            IS DISTINCT FROM (n.lithic_card_token, n.deleted_at, n.account_id) THEN side.token END
        )
    )
    FROM old_rows AS o
    JOIN new_rows AS n USING (id)
    CROSS JOIN LATERAL (
        VALUES (o.account_id, o.lithic_card_token), (n.account_id, n.lithic_card_token)
    ) AS side (account_id, token)
    WHERE (
        o.status, o.user_id, o.account_id, o.spending_profile_id, o.spend_limit, o.spend_limit_duration,
        o.lithic_card_token, o.deleted_at
    ) IS DISTINCT FROM (
        n.status, n.user_id, n.account_id, n.spending_profile_id, n.spend_limit, n.spend_limit_duration,
        n.lithic_card_token, n.deleted_at
    );
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_cards_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump(
        'card', array_agg(account_id), array_agg(id), array_agg(false), array_agg(lithic_card_token)
    )
    FROM old_rows;
    RETURN NULL;
END;
$$;

CREATE TRIGGER cards_version_insert AFTER INSERT ON cards
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_cards_insert();
CREATE TRIGGER cards_version_update AFTER UPDATE ON cards
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION authsvc_cards_update();
CREATE TRIGGER cards_version_delete AFTER DELETE ON cards
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_cards_delete();

-- Spending profiles.
CREATE FUNCTION authsvc_profiles_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump(
        'profile', array_agg(side.account_id), array_agg(n.id),
        array_agg(
            (o.spend_limit IS NULL, o.spend_limit_duration, o.limit_scope, o.account_id)
            IS DISTINCT FROM (n.spend_limit IS NULL, n.spend_limit_duration, n.limit_scope, n.account_id)
        )
    )
    FROM old_rows AS o
    JOIN new_rows AS n USING (id)
    CROSS JOIN LATERAL (VALUES (o.account_id), (n.account_id)) AS side (account_id)
    WHERE (
        o.account_id, o.spend_limit, o.spend_limit_duration, o.limit_scope, o.allowed_categories,
        o.blocked_categories, o.deleted_at
    ) IS DISTINCT FROM (
        n.account_id, n.spend_limit, n.spend_limit_duration, n.limit_scope, n.allowed_categories,
        n.blocked_categories, n.deleted_at
    );
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_profiles_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump('profile', array_agg(account_id), array_agg(id), array_agg(false)) FROM old_rows;
    RETURN NULL;
END;
$$;

CREATE TRIGGER spending_profiles_version_update AFTER UPDATE ON spending_profiles
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION authsvc_profiles_update();
CREATE TRIGGER spending_profiles_version_delete AFTER DELETE ON spending_profiles
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_profiles_delete();

-- Category rules of profiles: any change touches their profile.
CREATE FUNCTION authsvc_profile_categories_bump(profile_ids INTEGER[]) RETURNS void LANGUAGE sql AS $$
    SELECT authsvc_bump('profile', array_agg(account_id), array_agg(id), array_agg(false))
    FROM spending_profiles WHERE id = ANY (profile_ids)
$$;

CREATE FUNCTION authsvc_profile_categories_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_profile_categories_bump(array_agg(spending_profile_id)) FROM new_rows;
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_profile_categories_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_profile_categories_bump(array_agg(spending_profile_id))
    FROM (SELECT spending_profile_id FROM old_rows UNION SELECT spending_profile_id FROM new_rows) AS touched;
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_profile_categories_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_profile_categories_bump(array_agg(spending_profile_id)) FROM old_rows;
    RETURN NULL;
END;
$$;

CREATE TRIGGER profile_categories_version_insert AFTER INSERT ON profile_categories
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_profile_categories_insert();
CREATE TRIGGER profile_categories_version_update AFTER UPDATE ON profile_categories
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION authsvc_profile_categories_update();
CREATE TRIGGER profile_categories_version_delete AFTER DELETE ON profile_categories
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_profile_categories_delete();

-- The catalogue: rare, and shared by everybody, so that every account with category rules is bumped.
CREATE FUNCTION authsvc_categories_bump() RETURNS void LANGUAGE sql AS $$
    SELECT authsvc_bump('profile', array_agg(account_id), NULL, array_agg(false))
    FROM (
        SELECT DISTINCT p.account_id FROM profile_categories AS c
        JOIN spending_profiles AS p ON p.id = c.spending_profile_id
    ) AS users_of_rules
$$;

CREATE FUNCTION authsvc_categories_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM old_rows AS o JOIN new_rows AS n USING (id)
        WHERE (o.mcc_code, o.category_group, o.deleted_at) IS DISTINCT FROM (n.mcc_code, n.category_group, n.deleted_at)
    ) THEN
        PERFORM authsvc_categories_bump();
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_categories_insert_or_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed_rows) THEN
        PERFORM authsvc_categories_bump();
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER spending_categories_version_insert AFTER INSERT ON spending_categories
REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_categories_insert_or_delete();
CREATE TRIGGER spending_categories_version_update AFTER UPDATE ON spending_categories
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION authsvc_categories_update();
CREATE TRIGGER spending_categories_version_delete AFTER DELETE ON spending_categories
REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_categories_insert_or_delete();

-- Account settings: any change touches the account; time zone and balance check also change its counters.
CREATE FUNCTION authsvc_settings_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump(
        'account', array_agg(account_id), array_agg(account_id), array_agg(key IN ('timezone', 'balance_check'))
    )
    FROM new_rows;
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_settings_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump(
        'account', array_agg(account_id), array_agg(account_id), array_agg(key IN ('timezone', 'balance_check'))
    )
    FROM (SELECT account_id, key FROM old_rows UNION ALL SELECT account_id, key FROM new_rows) AS touched;
    RETURN NULL;
END;
$$;

CREATE FUNCTION authsvc_settings_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM authsvc_bump(
        'account', array_agg(account_id), array_agg(account_id), array_agg(key IN ('timezone', 'balance_check'))
    )
    FROM old_rows;
    RETURN NULL;
END;
$$;

CREATE TRIGGER account_settings_version_insert AFTER INSERT ON account_settings
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_settings_insert();
CREATE TRIGGER account_settings_version_update AFTER UPDATE ON account_settings
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION authsvc_settings_update();
CREATE TRIGGER account_settings_version_delete AFTER DELETE ON account_settings
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION authsvc_settings_delete();
