-- What is known of people is kept sealed (AES-256-GCM, docs/privacy.md): the service seals and opens it, the database never
-- sees a key. A sealed value begins with "sealed:", its key's version and a colon, and is longer than what is in it.

-- Triggers and types stand in each other's way.
DROP TRIGGER users_void_reset ON users;
DROP TRIGGER accounts_row_version ON accounts;
DROP TRIGGER zz_audit_update ON accounts;

ALTER TABLE accounts
DROP CONSTRAINT accounts_owner_email_check,
ALTER COLUMN owner_email TYPE TEXT,
ADD COLUMN tax_id TEXT,
ADD COLUMN owner_email_index BYTEA,
ADD CONSTRAINT accounts_owner_email_check CHECK (
    owner_email ~ '^sealed:[0-9]+:'
    OR (length(owner_email) <= 255 AND owner_email ~ '^[^@[:space:]]+@[^@[:space:]]+\.[^@[:space:]]+$')
),
ADD CONSTRAINT accounts_owner_email_index_check CHECK (length(owner_email_index) = 32);
CREATE TRIGGER accounts_row_version BEFORE UPDATE OF
business_name, owner_email, tax_id, lithic_account_token, lithic_financial_account_token, currency, status, deleted_at
ON accounts FOR EACH ROW EXECUTE FUNCTION authsvc_next_row_version();

ALTER TABLE users
DROP CONSTRAINT users_email_check,
ALTER COLUMN email TYPE TEXT,
ALTER COLUMN first_name TYPE TEXT,
ALTER COLUMN last_name TYPE TEXT,
ADD COLUMN phone TEXT,
ADD COLUMN date_of_birth TEXT,
ADD COLUMN tax_id TEXT,
ADD COLUMN email_index BYTEA,
ADD CONSTRAINT users_email_check CHECK (
    email ~ '^sealed:[0-9]+:' OR (length(email) <= 255 AND email ~ '^[^@[:space:]]+@[^@[:space:]]+\.[^@[:space:]]+$')
),
ADD CONSTRAINT users_email_index_check CHECK (length(email_index) = 32);

-- Sealed twice, one address looks like two: the blind index is what is unique then. Its name tells the field it is about.
CREATE UNIQUE INDEX accounts_sealed_owner_email_key ON accounts (owner_email_index) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_sealed_email_key ON users (email_index) WHERE deleted_at IS NULL;

-- An address that is sealed under another key is still the same.
CREATE TRIGGER users_void_reset BEFORE UPDATE OF email ON users
FOR EACH ROW WHEN (OLD.email <> NEW.email AND (OLD.email_index = NEW.email_index) IS NOT TRUE)
EXECUTE FUNCTION authsvc_void_reset();

-- A blind index tells who shares an address, and says nothing that the masked address does not.
CREATE OR REPLACE FUNCTION authsvc_audit_is_ignored(table_name TEXT, column_name TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE AS $$
    SELECT column_name IN ('id', 'updated_at', 'row_version') OR (table_name, column_name) IN (
        ('accounts', 'overdrawn'), ('accounts', 'config_version'), ('accounts', 'counter_epoch'), ('accounts', 'postings'),
        ('accounts', 'owner_email_index'),
        ('users', 'last_login_at'), ('users', 'login_attempts'), ('users', 'email_index'),
        ('cards', 'lithic_state_at'),
        ('addresses', 'owner_account_id'), ('addresses', 'owner_user_id'),
        ('api_keys', 'last_used_at')
    )
$$;
SELECT authsvc_audit_accounts();

GRANT UPDATE (tax_id, owner_email_index) ON accounts TO authsvc_management;
-- Who seals knows the row: its number is drawn before it is made.
GRANT SELECT (email_index, phone, date_of_birth, tax_id),
INSERT (id, email_index, phone, date_of_birth, tax_id),
UPDATE (email_index, phone, date_of_birth, tax_id) ON users TO authsvc_management;
