-- Putting tables under guard: a role that may perform phases changes them inside an open phase, and
-- nowhere else. After counting, which has the triggers. What `protect` and `unprotect` call is
-- granted to PUBLIC: they run as the table's owner.

-- The tables that were put under guard, by name. A guard that was dropped alone, or with a table
-- that another one has replaced, is reported by bypass_privileges.
CREATE TABLE phasegate.protected_table (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schema_name, table_name)
);

-- Records that a table is under guard. Called by `protect`. Any role may call it: it records only
-- what is so.
CREATE FUNCTION phasegate.record_protection(p_table regclass) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO phasegate.protected_table (schema_name, table_name)
    SELECT n.nspname, c.relname
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = p_table
      AND c.oid IN (SELECT t.tgrelid FROM pg_trigger AS t
                    WHERE t.tgfoid = 'phasegate.guard()'::regprocedure)
    ON CONFLICT DO NOTHING;
END;

-- Raises unless the session's role, as which a SECURITY DEFINER function does not run, owns a
-- table.
CREATE FUNCTION phasegate.ensure_owned_by_session(p_table regclass, p_to_do text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_role name := coalesce(nullif(current_setting('role'), 'none'), session_user);
BEGIN
    IF NOT pg_has_role(v_role, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = p_table),
                       'USAGE') THEN
        RAISE EXCEPTION '% must be the owner of % to %', v_role, p_table, p_to_do
            USING ERRCODE = '42501';
    END IF;
END
$$;

-- Deletes that record. Called by `unprotect`, for the table's owner only.
CREATE FUNCTION phasegate.forget_protection(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM phasegate.ensure_owned_by_session(p_table, 'remove its guard');
    DELETE FROM phasegate.protected_table AS p
    USING pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = p_table AND p.schema_name = n.nspname AND p.table_name = c.relname;
END
$$;

-- Returns the tables under guard.
CREATE FUNCTION phasegate.guarded_tables() RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.tgrelid::regclass FROM pg_catalog.pg_trigger AS t
    WHERE t.tgfoid = 'phasegate.guard()'::regprocedure AND phasegate.is_whole(t);
END;

-- The same as a view, for the owner's queries over all of them.
CREATE VIEW phasegate.guarded_table AS
SELECT DISTINCT t.tgrelid AS relation FROM pg_trigger AS t
WHERE t.tgfoid = 'phasegate.guard()'::regprocedure AND phasegate.is_whole(t);

-- Raises unless this is a table, and the current role its owner. Creating a trigger would raise the
-- latter too, but not where there is no trigger to create.
CREATE FUNCTION phasegate.ensure_own_table(p_table regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = p_table AND c.relkind IN ('r', 'p')) THEN
        RAISE EXCEPTION '% is not a table', p_table
            USING ERRCODE = 'ZG020', HINT = 'Protect the tables that it writes.';
    END IF;
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = p_table),
                       'USAGE') THEN
        RAISE EXCEPTION '% must be the owner of % to protect it', current_user, p_table
            USING ERRCODE = '42501';
    END IF;
END
$$;

-- Raises if the table can be written through a parent without a guard, since a statement fires the
-- triggers of the table that it names only; or if its rows are to be counted by statements and a
-- partition is a foreign table, whose rows no transition table has.
CREATE FUNCTION phasegate.ensure_guardable_relatives(p_table regclass, p_kind text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_relative regclass;
BEGIN
    SELECT i.inhparent INTO v_relative FROM pg_inherits AS i
    WHERE i.inhrelid = p_table
      AND i.inhparent NOT IN (SELECT * FROM phasegate.guarded_tables());
    IF FOUND THEN
        RAISE EXCEPTION '% can be written through %, which has no guard',
            p_table, v_relative
            USING ERRCODE = 'ZG020',
                  HINT = format('Protect that: SELECT phasegate.protect(%L)', v_relative);
    END IF;
    SELECT c.oid::regclass INTO v_relative
    FROM phasegate.with_children(p_table) AS t JOIN pg_class AS c ON c.oid = t AND c.relkind = 'f';
    IF FOUND AND p_kind <> 'counters' THEN
        RAISE EXCEPTION '% has the foreign table % for a partition, whose rows are not counted by '
                        '%', p_table, v_relative, p_kind
            USING ERRCODE = 'ZG020',
                  HINT = 'Detach it while phases write the table, or have its rows counted by the '
                         'server''s counters.';
    END IF;
END
$$;

-- Returns how a table is, or was, put under guard: 'counters', 'statements' or 'contents'; null if
-- it has no guard. That its triggers are whole is not asked.
CREATE FUNCTION phasegate.chosen_kind(p_table regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE WHEN max(t.tgnargs) = 0 THEN 'counters'
                        WHEN bool_or(t.tgargs = 'contents\000'::bytea) THEN 'contents'
                        ELSE 'statements' END
            FROM pg_trigger AS t
            WHERE t.tgrelid = p_table AND t.tgfoid = 'phasegate.guard()'::regprocedure
            HAVING count(*) > 0);
END
$$;

-- Returns the kind of guard that a table is to have: what the caller has chosen, or that of the
-- table or its parent, or 'counters'. Raises if there is no such kind, or the parent has another.
CREATE FUNCTION phasegate.ensure_kind(p_table regclass, p_kind text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_kind text;
    v_parent regclass;
BEGIN
    IF p_kind NOT IN ('counters', 'statements', 'contents') THEN
        RAISE EXCEPTION 'there is no guard of the kind %', p_kind
            USING ERRCODE = 'ZG020',
                  HINT = 'There are ''counters'', ''statements'' and ''contents''.';
    END IF;
    SELECT i.inhparent, phasegate.chosen_kind(i.inhparent) INTO v_parent, v_kind
    FROM pg_inherits AS i WHERE i.inhrelid = p_table ORDER BY i.inhseqno LIMIT 1;
    IF v_kind <> p_kind THEN
        RAISE EXCEPTION '% is a part of %, which is counted by %', p_table, v_parent, v_kind
            USING ERRCODE = 'ZG020',
                  HINT = format('Both are counted in the same way: SELECT phasegate.protect(%L, '
                                '%L)', v_parent, p_kind);
    END IF;
    RETURN coalesce(p_kind, v_kind, phasegate.chosen_kind(p_table), 'counters');
END
$$;

-- Raises if the table has an access method that may not keep the server's counters.
CREATE FUNCTION phasegate.ensure_counters(p_table regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class AS c
               WHERE c.oid = p_table AND c.relkind = 'r' AND c.relam <> 2) THEN
        RAISE EXCEPTION '% has an access method that may not count its rows', p_table
            USING ERRCODE = 'ZG020',
                  HINT = format('Have them counted by statements: '
                                'SELECT phasegate.protect(%L, ''statements'')', p_table);
    END IF;
END
$$;

-- Drops the triggers that count the rows of one table.
CREATE FUNCTION phasegate.drop_counting(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_trigger name;
BEGIN
    FOR v_trigger IN
        SELECT t.tgname FROM pg_trigger AS t
        WHERE t.tgrelid = p_table AND t.tgfoid = 'phasegate.count_rows()'::regprocedure
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', v_trigger, p_table);
    END LOOP;
END
$$;

-- Creates the triggers that count the rows of one table.
CREATE FUNCTION phasegate.create_counting(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_is_partitioned boolean :=
        (SELECT c.relkind = 'p' FROM pg_class AS c WHERE c.oid = p_table);
    v_trigger text;
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER phasegate_count_inserted AFTER INSERT ON %s '
        'REFERENCING NEW TABLE AS phasegate_rows '
        'FOR EACH STATEMENT EXECUTE FUNCTION phasegate.count_rows()', p_table);
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER phasegate_count_updated AFTER UPDATE ON %s '
        'REFERENCING NEW TABLE AS phasegate_rows %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION phasegate.count_rows(%s)', p_table,
        CASE WHEN v_is_partitioned THEN 'OLD TABLE AS phasegate_old_rows' ELSE '' END,
        CASE WHEN v_is_partitioned THEN '''moves''' ELSE '' END);
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER phasegate_count_deleted AFTER DELETE ON %s '
        'REFERENCING OLD TABLE AS phasegate_rows '
        'FOR EACH STATEMENT EXECUTE FUNCTION phasegate.count_rows()', p_table);
    FOREACH v_trigger IN ARRAY ARRAY['inserted', 'updated', 'deleted'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER phasegate_count_%s',
                       p_table, v_trigger);
    END LOOP;
END
$$;

-- Creates the triggers of one table.
CREATE FUNCTION phasegate.create_triggers(p_table regclass, p_kind text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER phasegate_guard '
        'BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION phasegate.guard(%s)', p_table,
        CASE p_kind WHEN 'counters' THEN '' ELSE quote_literal(p_kind) END);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER phasegate_guard', p_table);
    IF p_kind = 'counters' THEN
        PERFORM phasegate.ensure_counters(p_table);
        PERFORM phasegate.drop_counting(p_table);
    ELSE
        PERFORM phasegate.create_counting(p_table);
    END IF;
    IF p_kind = 'contents' THEN
        PERFORM phasegate.create_contents(p_table);
    ELSE
        PERFORM phasegate.drop_contents(p_table);
    END IF;
END
$$;

-- Puts a table under guard, with its partitions that are no foreign tables, and has its rows
-- counted. Without a kind it keeps
-- the one that it has, or takes its parent's, or 'counters'. Called by the table's owner, and again
-- for a partition that was attached later. Creating a trigger takes a lock that every writer of the
-- table waits behind: the wait is short, and there is no lock where the triggers exist.
CREATE FUNCTION phasegate.protect(p_table regclass, p_kind text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    v_kind text;
    v_table regclass;
BEGIN
    PERFORM phasegate.ensure_own_table(p_table);
    v_kind := phasegate.ensure_kind(p_table, p_kind);
    PERFORM phasegate.ensure_guardable_relatives(p_table, v_kind);
    FOR v_table IN SELECT * FROM phasegate.local_children(p_table) LOOP
        CONTINUE WHEN phasegate.chosen_kind(v_table) = v_kind
                  AND phasegate.guard_kind(v_table) IS NOT NULL
                  AND (v_kind <> 'contents' OR phasegate.is_bound_by_contents(v_table));
        PERFORM phasegate.create_triggers(v_table, v_kind);
    END LOOP;
    PERFORM phasegate.record_protection(t) FROM phasegate.local_children(p_table) AS t;
END
$$;

-- Removes the guard of a table and its partitions, and the counting.
CREATE FUNCTION phasegate.unprotect(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    v_table regclass;
BEGIN
    FOR v_table IN SELECT * FROM phasegate.local_children(p_table) LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS phasegate_guard ON %s', v_table);
        PERFORM phasegate.drop_counting(v_table);
        PERFORM phasegate.drop_contents(v_table);
        PERFORM phasegate.forget_protection(v_table);
    END LOOP;
END
$$;

-- Raises unless the rows of a table that a plan names are counted here, under that name.
CREATE FUNCTION phasegate.ensure_countable_table(p_name text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    v_table regclass;
    v_root regclass;
BEGIN
    -- By its name in the catalog: a cast to regclass needs USAGE on the schema.
    SELECT c.oid, pg_partition_root(c.oid) INTO v_table, v_root
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE format('%I.%I', n.nspname, c.relname) = p_name AND c.relkind IN ('r', 'p');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the plan names %, and there is no such table '
                        'here', p_name
            USING ERRCODE = 'ZG020',
                  HINT = 'A simulator names tables as the server prints them, with their schema.';
    ELSIF v_root <> v_table THEN
        RAISE EXCEPTION 'the plan names %, which is a partition of %',
            p_name, v_root
            USING ERRCODE = 'ZG020',
                  HINT = 'The rows of a partition are counted as those of its root: a simulator '
                         'names that.';
    ELSIF v_table NOT IN (SELECT * FROM phasegate.guarded_tables())
          OR EXISTS (SELECT FROM phasegate.local_children(v_table) AS c
                     LEFT JOIN phasegate.guard_kinds AS g ON g.relation = v_table
                     LEFT JOIN phasegate.guard_kinds AS h ON h.relation = c
                     WHERE (h.kind = g.kind) IS NOT TRUE) THEN
        RAISE EXCEPTION 'the plan changes %, which is not under guard',
            p_name
            USING ERRCODE = 'ZG020',
                  HINT = format('Its owner puts it under guard, with its partitions: '
                                'SELECT phasegate.protect(%L)', p_name);
    END IF;
END
$$;

-- Raises unless the rows of every table that the plan names are counted here, under that name.
CREATE FUNCTION phasegate.ensure_countable(p_plan bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_name text;
BEGIN
    FOR v_name IN SELECT DISTINCT e.relation FROM phasegate.planned_effect AS e
                  WHERE e.plan = p_plan ORDER BY e.relation LOOP
        PERFORM phasegate.ensure_countable_table(v_name);
    END LOOP;
END
$$;

-- Raises if a partition, or a table that inherits, of a table that the phase changes was created
-- since the plan was admitted, and is not counted: the phase could not be committed, and would fail
-- after all its work.
CREATE FUNCTION phasegate.ensure_children_counted(p_plan bytea, p_position integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_child regclass;
    v_root text;
BEGIN
    SELECT t, e.relation INTO v_child, v_root
    FROM phasegate.planned_effect AS e CROSS JOIN LATERAL parse_ident(e.relation) AS i
    JOIN pg_namespace AS n ON n.nspname = i[1]
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = i[2] AND c.relhassubclass
    CROSS JOIN LATERAL (SELECT phasegate.guard_kind(c.oid) AS kind OFFSET 0) AS g
    CROSS JOIN LATERAL phasegate.local_children(c.oid::regclass) AS t
    LEFT JOIN phasegate.guard_kinds AS h ON h.relation = t
    WHERE e.plan = p_plan AND e.position = p_position AND (h.kind = g.kind) IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the rows of %, a part of %, are not counted', v_child, v_root
            USING ERRCODE = 'ZG025',
                  HINT = format('It was created after the plan was admitted. Its owner puts it '
                                'under guard: SELECT phasegate.protect(%L)', v_root);
    END IF;
END
$$;
