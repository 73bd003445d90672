-- Tenants that share tables: row level security, tables that inherit, functions of another role's rights.
CREATE SCHEMA tenants;
CREATE TABLE tenants.note (id integer PRIMARY KEY, tenant integer NOT NULL, body text, changed integer NOT NULL DEFAULT 0);
ALTER TABLE tenants.note ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY its_own ON tenants.note USING (tenant < 3) WITH CHECK (tenant < 4);
CREATE TABLE tenants.item (id integer NOT NULL, tenant integer, name text);
CREATE TABLE tenants.special (price integer NOT NULL DEFAULT 1) INHERITS (tenants.item);
CREATE TABLE tenants.very_special () INHERITS (tenants.special);
CREATE TABLE tenants.doc (id integer PRIMARY KEY, tenant integer, deleted boolean NOT NULL DEFAULT false);
CREATE TABLE tenants.history (of integer, old_body text, new_body text);
CREATE TABLE tenants.quota (tenant integer PRIMARY KEY, used integer NOT NULL DEFAULT 0 CHECK (used < 5000));

CREATE FUNCTION tenants.count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.changed := old.changed + 1;
    RETURN new;
END
$$;
CREATE TRIGGER count_change BEFORE UPDATE ON tenants.note FOR EACH ROW EXECUTE FUNCTION tenants.count_change();
CREATE FUNCTION tenants.keep_history() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO tenants.history
    SELECT o.id, o.body, n.body FROM old_rows AS o JOIN new_rows AS n USING (id) WHERE o.body IS DISTINCT FROM n.body;
    UPDATE tenants.quota AS q SET used = q.used + n.more
    FROM (SELECT tenant, count(*) AS more FROM new_rows GROUP BY tenant) AS n WHERE n.tenant = q.tenant;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_history AFTER UPDATE ON tenants.note REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tenants.keep_history();
CREATE FUNCTION tenants.soft_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tenants.doc SET deleted = true WHERE id = old.id AND NOT deleted;
    RETURN NULL; -- the row stays
END
$$;
CREATE TRIGGER soft_delete BEFORE DELETE ON tenants.doc FOR EACH ROW WHEN (NOT old.deleted)
    EXECUTE FUNCTION tenants.soft_delete();
-- Calls itself once more, through another table.
CREATE FUNCTION tenants.again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 3 THEN
        UPDATE tenants.quota SET used = used + 1 WHERE tenant = new.tenant;
        UPDATE tenants.doc SET tenant = tenant WHERE id = new.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER again AFTER UPDATE OF tenant ON tenants.doc FOR EACH ROW EXECUTE FUNCTION tenants.again();

CREATE FUNCTION tenants.touch(p_id bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_done bigint;
BEGIN
    WITH gone AS (DELETE FROM tenants.item WHERE id = p_id RETURNING id, tenant, name)
    INSERT INTO tenants.special SELECT id, tenant, name, 2 FROM gone;
    GET DIAGNOSTICS v_done = ROW_COUNT;
    UPDATE tenants.doc SET deleted = false WHERE id = p_id % 20;
    RETURN v_done;
END
$$;

INSERT INTO tenants.note SELECT g, g % 5, 'b' FROM generate_series(1, 40) AS g;
INSERT INTO tenants.item SELECT g, g % 5, 'i' FROM generate_series(1, 15) AS g;
INSERT INTO tenants.special SELECT g, g % 5, 's', g FROM generate_series(16, 25) AS g;
INSERT INTO tenants.very_special SELECT g, g % 5, 'v', g FROM generate_series(26, 30) AS g;
INSERT INTO tenants.doc SELECT g, g % 5 FROM generate_series(1, 20) AS g;
INSERT INTO tenants.quota SELECT g FROM generate_series(0, 4) AS g;
