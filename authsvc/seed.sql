-- A sample card program. Every row has a natural key and stays as it is when it is already there.
-- Names and addresses are invented; example.com and .example belong to nobody.

INSERT INTO accounts (business_name, owner_email, lithic_account_token, balance, status)
VALUES
    ('Northwind Consulting', 'olivia@northwind.example', 'account_demo_northwind', 2500000.00, 'active'),
    ('Hudson Catering', 'harper@hudson.example', 'account_demo_hudson', 1000000.00, 'active'),
    ('Open Ledger Labs', 'lena@labs.example', 'account_demo_labs', 0.00, 'active'),
    ('Granite Logistics', 'grace@granite.example', 'account_demo_granite', 200000.00, 'suspended'),
    ('Corner Bakery', 'bruno@bakery.example', 'account_demo_bakery', 150.00, 'active')
ON CONFLICT (lower(owner_email)) WHERE deleted_at IS NULL DO NOTHING;

INSERT INTO account_settings (account_id, key, value, value_type)
SELECT a.id, s.key, to_jsonb(s.value), 'string'
FROM (
    VALUES
        ('olivia@northwind.example', 'timezone', 'UTC'),
        ('harper@hudson.example', 'timezone', 'America/New_York'),
        ('lena@labs.example', 'timezone', 'Europe/Berlin'),
        ('lena@labs.example', 'balance_check', 'off')
) AS s (owner_email, key, value)
JOIN accounts AS a ON a.owner_email = s.owner_email AND a.deleted_at IS NULL
ON CONFLICT (account_id, key) WHERE deleted_at IS NULL DO NOTHING;

INSERT INTO users (account_id, email, first_name, last_name, role, status)
SELECT a.id, u.email, u.first_name, u.last_name, u.role, u.status
FROM (
    VALUES
        ('olivia@northwind.example', 'olivia@northwind.example', 'Olivia', 'Owens', 'owner', 'active'),
        ('olivia@northwind.example', 'adam@northwind.example', 'Adam', 'Abbott', 'admin', 'active'),
        ('olivia@northwind.example', 'uma@northwind.example', 'Uma', 'Underhill', 'user', 'active'),
        ('olivia@northwind.example', 'anna@northwind.example', 'Anna', 'Lytton', 'analyst', 'active'),
        ('olivia@northwind.example', 'sam@northwind.example', 'Sam', 'Stone', 'user', 'suspended'),
        ('olivia@northwind.example', 'ivan@northwind.example', 'Ivan', 'Idle', 'user', 'inactive'),
        ('harper@hudson.example', 'harper@hudson.example', 'Harper', 'Hudson', 'owner', 'active'),
        ('harper@hudson.example', 'chloe@hudson.example', 'Chloe', 'Cook', 'user', 'active'),
        ('harper@hudson.example', 'diego@hudson.example', 'Diego', 'Driver', 'user', 'active'),
        ('lena@labs.example', 'lena@labs.example', 'Lena', 'Labs', 'owner', 'active'),
        ('grace@granite.example', 'grace@granite.example', 'Grace', 'Granite', 'owner', 'active'),
        ('bruno@bakery.example', 'bruno@bakery.example', 'Bruno', 'Baker', 'owner', 'active')
) AS u (owner_email, email, first_name, last_name, role, status)
JOIN accounts AS a ON a.owner_email = u.owner_email AND a.deleted_at IS NULL
ON CONFLICT (lower(email)) WHERE deleted_at IS NULL DO NOTHING;

INSERT INTO spending_profiles (
    account_id, name, description, spend_limit, spend_limit_duration, limit_scope, allowed_categories,
    blocked_categories
)
SELECT a.id, p.name, p.description, p.spend_limit, p.duration, p.scope, p.allowed::JSONB, p.blocked::JSONB
FROM (
    VALUES
        (
            'olivia@northwind.example', 'Employee Travel', 'Flights, hotels, transport and meals', 2500.00, 'monthly',
            'card', '["3000-3999", "4000-4799", "5812-5814", "7011", "7512"]', '["4829"]'
        ),
        (
            'olivia@northwind.example', 'Team Lunch', 'One lunch budget a day for the whole team', 400.00, 'daily',
            'shared', NULL, NULL
        ),
        (
            'olivia@northwind.example', 'Office Supplies', 'Any single purchase up to 500', 500.00, 'transaction',
            'card', '["5021", "5044-5046", "5111", "5310-5311", "5411", "5732-5734", "5942-5943"]', '[]'
        ),
        ('olivia@northwind.example', 'No Gambling', 'Everything else is welcome', NULL, NULL, 'card', '[]', '["5813"]'),
        (
            'harper@hudson.example', 'Kitchen Purchasing', 'One weekly budget for all cooks', 5000.00, 'weekly',
            'shared', '["5300", "5499", "5812-5814"]', NULL
        ),
        (
            'harper@hudson.example', 'Delivery Fleet', 'Fuel, tolls, parking and repairs', 300.00, 'daily',
            'card', '["4784", "5541-5542", "7523", "7531-7549"]', '["7542"]'
        ),
        (
            'lena@labs.example', 'Software', 'Subscriptions and cloud', 2000.00, 'monthly', 'card',
            '["4816", "5734", "5815-5818", "7372-7379"]', NULL
        )
) AS p (owner_email, name, description, spend_limit, duration, scope, allowed, blocked)
JOIN accounts AS a ON a.owner_email = p.owner_email AND a.deleted_at IS NULL
ON CONFLICT (account_id, name) WHERE deleted_at IS NULL DO NOTHING;

INSERT INTO profile_categories (spending_profile_id, category_group, rule_type)
SELECT p.id, r.category_group, r.rule_type
FROM (
    VALUES
        ('olivia@northwind.example', 'Team Lunch', 'Food & Dining', 'allowed'),
        ('olivia@northwind.example', 'Team Lunch', 'Groceries', 'allowed'),
        ('olivia@northwind.example', 'No Gambling', 'Gambling', 'blocked'),
        ('harper@hudson.example', 'Kitchen Purchasing', 'Groceries', 'allowed')
) AS r (owner_email, profile_name, category_group, rule_type)
JOIN accounts AS a ON a.owner_email = r.owner_email AND a.deleted_at IS NULL
JOIN spending_profiles AS p ON p.account_id = a.id AND p.name = r.profile_name AND p.deleted_at IS NULL
ON CONFLICT (spending_profile_id, category_group, rule_type)
WHERE deleted_at IS NULL AND category_group IS NOT NULL DO NOTHING;

INSERT INTO profile_categories (spending_profile_id, spending_category_id, rule_type)
SELECT p.id, c.id, r.rule_type
FROM (
    VALUES
        ('olivia@northwind.example', 'Team Lunch', '5921', 'blocked'),
        ('olivia@northwind.example', 'No Gambling', '7993', 'blocked')
) AS r (owner_email, profile_name, mcc_code, rule_type)
JOIN accounts AS a ON a.owner_email = r.owner_email AND a.deleted_at IS NULL
JOIN spending_profiles AS p ON p.account_id = a.id AND p.name = r.profile_name AND p.deleted_at IS NULL
JOIN spending_categories AS c ON c.mcc_code = r.mcc_code AND c.deleted_at IS NULL
ON CONFLICT (spending_profile_id, spending_category_id, rule_type)
WHERE deleted_at IS NULL AND spending_category_id IS NOT NULL DO NOTHING;

INSERT INTO cards (
    account_id, user_id, spending_profile_id, lithic_card_token, card_type, last_four, status,
    spend_limit, spend_limit_duration
)
SELECT u.account_id, u.id, p.id, c.token, c.card_type, c.last_four, c.status, c.spend_limit, c.duration
FROM (
    VALUES
        (
            'uma@northwind.example', 'Employee Travel', 'card_demo_travel', 'physical', '0001', 'active',
            1000.00, 'monthly'
        ),
        ('olivia@northwind.example', NULL, 'card_demo_open', 'physical', '0002', 'active', NULL, NULL),
        ('adam@northwind.example', 'No Gambling', 'card_demo_daily', 'virtual', '0003', 'active', 200.00, 'daily'),
        ('uma@northwind.example', 'Team Lunch', 'card_demo_lunch_uma', 'virtual', '0004', 'active', NULL, NULL),
        ('anna@northwind.example', 'Team Lunch', 'card_demo_lunch_anna', 'virtual', '0005', 'active', NULL, NULL),
        ('adam@northwind.example', 'Office Supplies', 'card_demo_office', 'virtual', '0006', 'active', NULL, NULL),
        ('uma@northwind.example', NULL, 'card_demo_zero', 'virtual', '0007', 'active', 0.00, 'lifetime'),
        ('uma@northwind.example', NULL, 'card_demo_pending', 'physical', '0008', 'pending', NULL, NULL),
        ('uma@northwind.example', NULL, 'card_demo_inactive', 'physical', '0009', 'inactive', NULL, NULL),
        ('uma@northwind.example', NULL, 'card_demo_closed', 'debit', '0010', 'closed', NULL, NULL),
        ('sam@northwind.example', NULL, 'card_demo_suspended_user', 'physical', '0011', 'active', NULL, NULL),
        ('ivan@northwind.example', NULL, 'card_demo_inactive_user', 'physical', '0012', 'active', NULL, NULL),
        ('harper@hudson.example', NULL, 'card_demo_new_york', 'physical', '0013', 'active', 1000.00, 'monthly'),
        ('chloe@hudson.example', 'Kitchen Purchasing', 'card_demo_kitchen_1', 'physical', '0014', 'active', NULL, NULL),
        (
            'chloe@hudson.example', 'Kitchen Purchasing', 'card_demo_kitchen_2', 'virtual', '0015', 'active',
            800.00, 'weekly'
        ),
        ('diego@hudson.example', 'Delivery Fleet', 'card_demo_driver', 'reloadable', '0016', 'active', NULL, NULL),
        ('diego@hudson.example', NULL, 'card_demo_yearly', 'debit', '0017', 'active', 12000.00, 'yearly'),
        ('lena@labs.example', 'Software', 'card_demo_software', 'virtual', '0018', 'active', NULL, NULL),
        ('lena@labs.example', NULL, 'card_demo_lifetime', 'virtual', '0019', 'active', 500.00, 'lifetime'),
        ('grace@granite.example', NULL, 'card_demo_suspended_account', 'physical', '0020', 'active', NULL, NULL),
        ('bruno@bakery.example', NULL, 'card_demo_small_balance', 'debit', '0021', 'active', NULL, NULL)
) AS c (email, profile_name, token, card_type, last_four, status, spend_limit, duration)
JOIN users AS u ON u.email = c.email AND u.deleted_at IS NULL
LEFT JOIN spending_profiles AS p ON p.account_id = u.account_id AND p.name = c.profile_name AND p.deleted_at IS NULL
ON CONFLICT (lithic_card_token) WHERE deleted_at IS NULL DO NOTHING;
