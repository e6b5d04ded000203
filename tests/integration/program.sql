-- Two accounts. Ids tell where a row belongs: account 1 has users 11 and 12, profiles 101 and 102, cards 1001 to
-- 1003; account 2 has user 21, profile 201, card 2001. Account 3 has nothing at all.
INSERT INTO accounts (id, business_name, owner_email, balance) VALUES
    (1, 'First', 'owner@first.example', 1000.00), (2, 'Second', 'owner@second.example', 1000.00),
    (3, 'Third', 'owner@third.example', 0.00);
INSERT INTO users (id, account_id, email, first_name, last_name, role) VALUES
    (11, 1, 'one@first.example', 'One', 'First', 'owner'), (12, 1, 'two@first.example', 'Two', 'First', 'user'),
    (21, 2, 'one@second.example', 'One', 'Second', 'owner');
INSERT INTO spending_categories (id, mcc_code, category_name, category_group) VALUES
    (1, '5812', 'Restaurants', 'Food & Dining'), (2, '7995', 'Betting', 'Gambling');
INSERT INTO spending_profiles (id, account_id, name, spend_limit, spend_limit_duration, allowed_categories) VALUES
    (101, 1, 'Travel', 500.00, 'monthly', '["3000-3299", "5812"]'), (102, 1, 'Unused', NULL, NULL, NULL),
    (201, 2, 'Travel', NULL, NULL, NULL);
INSERT INTO profile_categories (id, spending_profile_id, spending_category_id, category_group, rule_type) VALUES
    (1, 101, 2, NULL, 'blocked'), (2, 101, NULL, 'Airlines', 'allowed');
INSERT INTO cards (
    id, account_id, user_id, spending_profile_id, lithic_card_token, card_type, last_four, status, spend_limit,
    spend_limit_duration
) VALUES
    (1001, 1, 11, 101, 'card-1001', 'virtual', '1001', 'active', 100.00, 'daily'),
    (1002, 1, 12, NULL, 'card-1002', 'physical', '1002', 'inactive', NULL, NULL),
    (1003, 1, 12, NULL, 'card-1003', 'debit', '1003', 'closed', NULL, NULL),
    (2001, 2, 21, 201, 'card-2001', 'reloadable', '2001', 'active', NULL, NULL);
INSERT INTO account_settings (id, account_id, key, value, value_type) VALUES
    (1, 1, 'timezone', '"America/New_York"', 'string'), (2, 1, 'hold_days', '7', 'number');
INSERT INTO transactions (
    id, account_id, card_id, user_id, spending_profile_id, request_id, kind, transaction_type, status, amount,
    approved_minor, held_minor, config_version, counter_epoch, explanation, transaction_date
) VALUES (
    1, 1, 1001, 11, 101, 'request-1', 'AUTHORIZATION', 'AUTHORIZATION', 'PENDING', 10.00, 1000, 1000, 1, 1, '[]',
    '2026-03-15 12:00:00Z'
);
INSERT INTO request_keys (request_id, fingerprint, transaction_id, transaction_date) VALUES
    ('request-1', '\x01', 1, '2026-03-15 12:00:00Z');
-- Rows that a test adds without an id start far from these.
SELECT setval(pg_get_serial_sequence(t, 'id'), 10000) FROM unnest(ARRAY[
    'accounts', 'users', 'spending_categories', 'spending_profiles', 'profile_categories', 'cards',
    'account_settings', 'transactions'
]) AS t;
