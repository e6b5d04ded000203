-- When a card was closed, and when an account was given notice that it will be.

-- Nothing remembered it until now: a closed card's last change stands for it, which is never too early. That is nobody's edit,
-- so it raises no version and leaves no entry in the audit.
ALTER TABLE cards ADD COLUMN closed_at TIMESTAMPTZ;
ALTER TABLE cards DISABLE TRIGGER USER;
UPDATE cards SET closed_at = updated_at WHERE status = 'closed';
ALTER TABLE cards ENABLE TRIGGER USER;
ALTER TABLE cards ADD CONSTRAINT cards_closed_at_check CHECK ((status = 'closed') = (closed_at IS NOT NULL));

-- Only a card that comes closed from elsewhere may bring its own time.
CREATE FUNCTION authsvc_card_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.closed_at := CASE WHEN TG_OP = 'INSERT' THEN coalesce(NEW.closed_at, now()) ELSE now() END;
    RETURN NEW;
END;
$$;

CREATE TRIGGER cards_closed_on_insert BEFORE INSERT ON cards
FOR EACH ROW WHEN (NEW.status = 'closed') EXECUTE FUNCTION authsvc_card_closed();
CREATE TRIGGER cards_closed_on_update BEFORE UPDATE ON cards
FOR EACH ROW WHEN (OLD.status <> 'closed' AND NEW.status = 'closed') EXECUTE FUNCTION authsvc_card_closed();

-- Closed is final, and so is its time.
CREATE FUNCTION authsvc_card_keep_closed_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'when card % was closed never changes', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'cards_closed_at_immutable', TABLE = 'cards', COLUMN = 'closed_at';
END;
$$;

CREATE TRIGGER cards_keep_closed_at BEFORE UPDATE ON cards
FOR EACH ROW WHEN (OLD.status = 'closed' AND NEW.closed_at IS DISTINCT FROM OLD.closed_at)
EXECUTE FUNCTION authsvc_card_keep_closed_at();

-- NULL: no notice is running. Roles need no grants for it: those who see accounts see it, and only `authsvc retention`, which
-- runs as the owner, writes it. No decision depends on it, so it raises no version.
ALTER TABLE accounts ADD COLUMN closing_notice_at TIMESTAMPTZ;
SELECT authsvc_audit_accounts();
