-- A ledger: keys in a circle that are checked at the end, balances that statement triggers keep, rules.
CREATE SCHEMA ledger;
CREATE DOMAIN ledger.amount AS bigint CHECK (VALUE BETWEEN -1000000 AND 1000000);

CREATE TABLE ledger.account (id integer PRIMARY KEY, head integer, closed boolean NOT NULL DEFAULT false);
CREATE TABLE ledger.entry (
    id integer PRIMARY KEY,
    account integer NOT NULL REFERENCES ledger.account ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    amount ledger.amount NOT NULL
);
ALTER TABLE ledger.account ADD CONSTRAINT head_is_there FOREIGN KEY (head) REFERENCES ledger.entry
    ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE ledger.balance (account integer PRIMARY KEY, total bigint NOT NULL, changes integer NOT NULL DEFAULT 1);
CREATE TABLE ledger.checked (account integer, total bigint);
CREATE TABLE ledger.deleted (id integer, amount bigint);
CREATE TABLE ledger.frozen (id integer PRIMARY KEY, note text);
CREATE TABLE ledger.archive (id integer PRIMARY KEY, note text, gone boolean NOT NULL DEFAULT false);

-- For each statement, from the rows that it changed.
CREATE FUNCTION ledger.keep_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.balance AS b (account, total) SELECT account, sum(amount) FROM added GROUP BY account
    ON CONFLICT (account) DO UPDATE SET total = b.total + excluded.total, changes = b.changes + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_balance AFTER INSERT ON ledger.entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.keep_balance();

-- At the end of the transaction.
CREATE FUNCTION ledger.check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.checked SELECT account, total FROM ledger.balance WHERE account = new.account;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER check_balance AFTER INSERT OR UPDATE ON ledger.entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger.check_balance();

CREATE RULE keep_deleted AS ON DELETE TO ledger.entry DO ALSO INSERT INTO ledger.deleted VALUES (old.id, old.amount);
CREATE RULE nothing_changes AS ON UPDATE TO ledger.frozen DO INSTEAD NOTHING;
CREATE RULE archive_keeps AS ON DELETE TO ledger.archive
    DO INSTEAD UPDATE ledger.archive SET gone = true WHERE id = old.id AND NOT gone;
CREATE RULE archive_copies AS ON INSERT TO ledger.archive
    DO ALSO INSERT INTO ledger.frozen SELECT new.id, new.note WHERE new.id NOT IN (SELECT f.id FROM ledger.frozen AS f);
CREATE VIEW ledger.open_account AS SELECT id, head FROM ledger.account WHERE NOT closed;
CREATE RULE close_it AS ON DELETE TO ledger.open_account
    DO INSTEAD UPDATE ledger.account SET closed = true WHERE id = old.id;

CREATE FUNCTION ledger.touch(p_id bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.entry VALUES (100000 + p_id, p_id % 10 + 1, p_id)
    ON CONFLICT (id) DO UPDATE SET amount = ledger.entry.amount + 1;
    DELETE FROM ledger.checked WHERE account = p_id % 10;
    RETURN p_id;
END
$$;

INSERT INTO ledger.account SELECT g FROM generate_series(1, 20) AS g;
INSERT INTO ledger.entry SELECT g, g % 10 + 1, g FROM generate_series(1, 40) AS g;
UPDATE ledger.account SET head = id WHERE id <= 10;
INSERT INTO ledger.archive SELECT g, 'kept' FROM generate_series(1, 20) AS g;
