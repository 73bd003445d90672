-- The guard of the tables that phases write: a role that may perform phases changes them inside an
-- open phase, and nowhere else. The trigger, and what puts it on a table.

-- Granted to PUBLIC, as is all that `protect` and `unprotect` call: they run as the table's owner.
CREATE FUNCTION phasegate.guard() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_state text;
BEGIN
    IF tg_op <> 'TRUNCATE' AND coalesce(current_setting('phasegate.open_here', true), '') = 'yes'
       AND currval('phasegate.open_here') = pg_current_xact_id_if_assigned()::text::bigint THEN
        RETURN NULL;
    END IF;
    IF NOT phasegate.may_act_as(session_user, 'phasegate_runner')
       OR (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = session_user) THEN
        RETURN NULL;
    END IF;
    IF tg_op = 'TRUNCATE' THEN
        RAISE EXCEPTION 'TRUNCATE of %.% is refused: no counter sees it',
            tg_table_schema, tg_table_name USING ERRCODE = 'ZG006', HINT = 'Use DELETE.';
    END IF;
    -- A phase that was opened in a savepoint, and a rehearsal, has its row only.
    v_state := (phasegate.this_attempt()).state;
    IF v_state IS NULL THEN
        RAISE EXCEPTION '%.% is under guard: role % writes it inside an open phase only',
            tg_table_schema, tg_table_name, session_user USING ERRCODE = 'ZG007';
    ELSIF v_state = 'finished' THEN
        RAISE EXCEPTION '%.% is under guard, and the phase is finished',
            tg_table_schema, tg_table_name USING ERRCODE = 'ZG007';
    END IF;
    RETURN NULL;
END
$$;

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

-- Deletes that record. Called by `unprotect`, for the table's owner only. The role is the
-- session's, since in a SECURITY DEFINER function current_user is the schema's owner.
CREATE FUNCTION phasegate.forget_protection(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_role name := coalesce(nullif(current_setting('role'), 'none'), session_user);
BEGIN
    IF NOT pg_has_role(v_role, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = p_table),
                       'USAGE') THEN
        RAISE EXCEPTION '% must be the owner of % to remove its guard', v_role, p_table
            USING ERRCODE = '42501';
    END IF;
    DELETE FROM phasegate.protected_table AS p
    USING pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = p_table AND p.schema_name = n.nspname AND p.table_name = c.relname;
END
$$;

-- Whether a guard is as `protect` creates it: enabled always; for each statement, before any write
-- of any column; on no condition. Pins no search_path, as is_counting.
CREATE FUNCTION phasegate.is_whole(p_trigger pg_trigger) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN p_trigger.tgenabled = 'A' AND p_trigger.tgtype = 62 AND p_trigger.tgqual IS NULL
       AND pg_catalog.cardinality(p_trigger.tgattr::smallint[]) = 0;

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
-- triggers of the table that it names only; or if it has a foreign table for a partition.
CREATE FUNCTION phasegate.ensure_guardable_relatives(p_table regclass) RETURNS void
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
    IF FOUND THEN
        RAISE EXCEPTION '% has the foreign table % for a partition, whose rows no '
                        'counter sees', p_table, v_relative
            USING ERRCODE = 'ZG020', HINT = 'Detach it while phases write the table.';
    END IF;
END
$$;

-- Creates the guard and the counting triggers of one table.
CREATE FUNCTION phasegate.create_triggers(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_is_partitioned boolean :=
        (SELECT c.relkind = 'p' FROM pg_class AS c WHERE c.oid = p_table);
    v_trigger text;
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER phasegate_guard '
        'BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION phasegate.guard()', p_table);
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
    FOREACH v_trigger IN ARRAY
        ARRAY['guard', 'count_inserted', 'count_updated', 'count_deleted']
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I',
                       p_table, 'phasegate_' || v_trigger);
    END LOOP;
END
$$;

-- Puts a table under guard, with its partitions, and has its rows counted. Called by the table's
-- owner, and again for a partition that was attached later. Creating a trigger takes a lock that
-- every writer of the table waits behind: the wait is short, and there is no lock where the
-- triggers exist.
CREATE FUNCTION phasegate.protect(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    v_table regclass;
BEGIN
    PERFORM phasegate.ensure_own_table(p_table);
    PERFORM phasegate.ensure_guardable_relatives(p_table);
    FOR v_table IN SELECT * FROM phasegate.with_children(p_table) LOOP
        CONTINUE WHEN v_table IN (SELECT * FROM phasegate.guarded_tables())
                      AND phasegate.counts_exactly(v_table);
        PERFORM phasegate.create_triggers(v_table);
    END LOOP;
    PERFORM phasegate.record_protection(t) FROM phasegate.with_children(p_table) AS t;
END
$$;

-- Removes the guard of a table and its partitions, and the counting.
CREATE FUNCTION phasegate.unprotect(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    v_table regclass;
    v_trigger text;
BEGIN
    FOR v_table IN SELECT * FROM phasegate.with_children(p_table) LOOP
        FOREACH v_trigger IN ARRAY
            ARRAY['guard', 'count_inserted', 'count_updated', 'count_deleted']
        LOOP
            EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', 'phasegate_' || v_trigger, v_table);
        END LOOP;
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
          OR EXISTS (SELECT FROM phasegate.with_children(v_table) AS c
                     WHERE NOT phasegate.counts_exactly(c)) THEN
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
    CROSS JOIN LATERAL phasegate.with_children(c.oid::regclass) AS t
    WHERE e.plan = p_plan AND e.position = p_position AND NOT phasegate.counts_exactly(t) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the rows of %, a part of %, are not counted', v_child, v_root
            USING ERRCODE = 'ZG025',
                  HINT = format('It was created after the plan was admitted. Its owner puts it '
                                'under guard: SELECT phasegate.protect(%L)', v_root);
    END IF;
END
$$;
