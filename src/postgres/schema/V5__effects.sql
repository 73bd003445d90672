-- What a phase does to tables, counted by the server, triggers and functions included.

-- How many rows each statement of a transaction has changed in a table under guard. Transactional, so that what a savepoint
-- takes back is not counted; unlogged, because nobody needs it longer than its transaction.
CREATE UNLOGGED TABLE phasegate.counted (
    xid xid8 NOT NULL,
    relation oid NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    deleted bigint NOT NULL,
    may_be_merge boolean NOT NULL DEFAULT false,
    -- What the statistics of the transaction had when a phase of a rehearsal began: rows inserted or updated, deleted or updated.
    came_before bigint NOT NULL DEFAULT 0,
    went_before bigint NOT NULL DEFAULT 0,
    -- With xid, of whose transaction: a database that was copied into another cluster, or a cluster that was reset, meets its
    -- old numbers again.
    began timestamptz NOT NULL DEFAULT transaction_timestamp()
);

-- What count_rows() reads in a trigger that has no transition table of this name. Without it, the name
-- would be looked up in pg_temp, and a temporary view there would run its code as our owner.
CREATE FUNCTION phasegate.ensure_transition_table() RETURNS SETOF boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'phasegate: a trigger calls phasegate.count_rows() without the transition table phasegate_rows'
        USING ERRCODE = 'ZG025', HINT = 'Drop the trigger, and call phasegate.protect() for its table.';
END
$$;
CREATE VIEW phasegate.phasegate_rows AS SELECT r FROM phasegate.ensure_transition_table() AS r;
CREATE VIEW phasegate.phasegate_old_rows AS SELECT r FROM phasegate.ensure_transition_table() AS r;

-- Whether the statement that fired a trigger may be a MERGE, as far as the trigger is told: by the text of the client's
-- message, or by that of the innermost statement of a function. To a function in SQL belongs no text.
CREATE FUNCTION phasegate.may_be_merge(p_context text, p_query text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN position(E'\n' IN p_context) = 0 THEN p_query IS NULL OR p_query ~* 'merge|execute'
            ELSE p_context ~* 'merge'
                 OR p_context !~* '^[^\n]*\n[^"\n]*"\s*(update|with|insert|delete|select)\s' END;

-- Fires after each statement on a table under guard; phasegate_rows is what that has changed. What is done outside of
-- phases, by those whom the guard lets do it, is not counted. A transition table has no schema: the
-- schema phasegate in the search_path is for its name alone, and holds the view above.
CREATE FUNCTION phasegate.count_rows() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, phasegate, pg_temp AS $$
DECLARE
    state text;
    v_moved_away bigint := 0;
    v_may_be_merge boolean := false;
    v_context text;
BEGIN
    IF coalesce(current_setting('phasegate.open_here', true), '') = 'yes'
       AND currval('phasegate.open_here') = pg_current_xact_id_if_assigned()::text::bigint THEN
        state := 'open';
    ELSIF phasegate.may_act_as(session_user, 'phasegate_runner') THEN
        state := (phasegate.this_attempt()).state;
    END IF;
    IF state IS NULL THEN
        RETURN NULL;
    END IF;
    -- An update of a partitioned table deletes a row that it moves to another partition, and inserts it there, unless a
    -- trigger of that partition returns NULL: then it has deleted the row.
    IF tg_nargs = 1 THEN
        v_moved_away := (SELECT count(*) FROM phasegate_old_rows) - (SELECT count(*) FROM phasegate_rows);
        -- MERGE gives a row that it moves to the triggers for INSERT and DELETE, and fires those of its own actions alone.
        GET DIAGNOSTICS v_context = PG_CONTEXT;
        v_may_be_merge := phasegate.may_be_merge(v_context, current_query());
    END IF;
    INSERT INTO phasegate.counted (xid, relation, may_be_merge, inserted, updated, deleted)
    SELECT pg_current_xact_id(), tg_relid, v_may_be_merge, CASE tg_op WHEN 'INSERT' THEN count(*) ELSE 0 END,
           CASE tg_op WHEN 'UPDATE' THEN count(*) ELSE 0 END,
           CASE tg_op WHEN 'DELETE' THEN count(*) ELSE v_moved_away END
    FROM phasegate_rows HAVING count(*) > 0 OR v_moved_away > 0 OR v_may_be_merge;
    -- The guard looks before the statement; the phase may have been finished from inside it.
    IF FOUND AND state = 'finished' THEN
        RAISE EXCEPTION 'phasegate: %.% is under guard, and the phase is finished', tg_table_schema, tg_table_name
            USING ERRCODE = 'ZG007';
    END IF;
    RETURN NULL;
END
$$;

-- Whether a table's rows are counted as `protect` has it: once each, on no condition.
CREATE FUNCTION phasegate.counts_exactly(counted oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT count(*) = 3 AND count(DISTINCT t.tgtype) = 3
       AND bool_and(t.tgenabled = 'A' AND t.tgqual IS NULL
                    AND coalesce(t.tgnewtable, t.tgoldtable) = 'phasegate_rows'
                    AND t.tgnargs = CASE WHEN t.tgtype = 16 AND c.relkind = 'p' THEN 1 ELSE 0 END
                    AND CASE t.tgtype WHEN 4 THEN t.tgnewtable IS NOT NULL -- after insert
                                      WHEN 8 THEN t.tgoldtable IS NOT NULL -- after delete
                                      WHEN 16 THEN t.tgnewtable IS NOT NULL -- after update
                                           AND t.tgoldtable IS NOT DISTINCT FROM
                                               CASE c.relkind WHEN 'p' THEN 'phasegate_old_rows' END
                                      ELSE false END)
    FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    WHERE t.tgrelid = counted AND t.tgfoid = 'phasegate.count_rows()'::regprocedure;
END;

-- A table, and everything that inherits from it.
CREATE FUNCTION phasegate.with_children(root regclass) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE tree (oid) AS (
        SELECT root::oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN tree AS t ON i.inhparent = t.oid
    )
    SELECT tree.oid::regclass FROM tree;
END;

-- What the transaction did to each table. The locks say which tables, and are given back by a savepoint that is rolled
-- back. How many rows is counted exactly where every table that was written, of those that share a root, counts; for others
-- the server's statistics say it, which do not take back what a savepoint does. A partition counts for its root. What is
-- written through a table that does not count is not counted for those that inherit from it either.
CREATE FUNCTION phasegate.seen_effects()
RETURNS TABLE (name text, unseen boolean, exactly boolean, inserted bigint, updated bigint, deleted bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
BEGIN ATOMIC
    WITH locked AS (
        SELECT DISTINCT l.relation AS oid
        FROM pg_locks AS l
        WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
          AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'AccessExclusiveLock')
    ), passed_by (oid) AS (
        SELECT x::oid FROM locked AS k JOIN pg_class AS p ON p.oid = k.oid CROSS JOIN phasegate.with_children(p.oid::regclass) AS x
        WHERE p.relhassubclass AND NOT phasegate.counts_exactly(p.oid)
    ), exact AS (
        SELECT c.relation, sum(c.inserted) AS inserted, sum(c.updated) AS updated, sum(c.deleted) AS deleted,
               bool_or(c.may_be_merge) AS may_be_merge, sum(c.came_before) AS came_before, sum(c.went_before) AS went_before
        FROM phasegate.counted AS c WHERE c.xid = pg_current_xact_id_if_assigned() AND c.began = transaction_timestamp()
        GROUP BY c.relation
    ), counted AS (
        SELECT coalesce(pg_partition_root(c.oid)::oid, c.oid) AS root,
               bool_and(phasegate.counts_exactly(c.oid) AND c.oid NOT IN (SELECT b.oid FROM passed_by AS b)) AS exactly,
               coalesce(sum(e.inserted), 0) AS inserted, coalesce(sum(e.updated), 0) AS updated,
               coalesce(sum(e.deleted), 0) AS deleted,
               coalesce(bool_or(e.may_be_merge), false) AS may_be_merge,
               coalesce(sum(e.came_before), 0) AS came_before, coalesce(sum(e.went_before), 0) AS went_before,
               sum(pg_stat_get_xact_tuples_inserted(c.oid)) AS attempted_inserted,
               sum(pg_stat_get_xact_tuples_updated(c.oid)) AS attempted_updated,
               sum(pg_stat_get_xact_tuples_deleted(c.oid)) AS attempted_deleted
        FROM locked AS k JOIN pg_class AS c ON c.oid = k.oid LEFT JOIN exact AS e ON e.relation = c.oid
        WHERE c.relkind IN ('r', 'p', 'm') AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'phasegate'::regnamespace)
        GROUP BY 1
    )
    SELECT format('%I.%I', n.nspname, c.relname),
           t.may_be_merge AND (t.attempted_inserted + t.attempted_updated - t.came_before <> t.inserted + t.updated
                               OR t.attempted_deleted + t.attempted_updated - t.went_before <> t.deleted + t.updated),
           t.exactly,
           CASE WHEN t.exactly THEN t.inserted ELSE t.attempted_inserted END,
           CASE WHEN t.exactly THEN t.updated ELSE t.attempted_updated END,
           CASE WHEN t.exactly THEN t.deleted ELSE t.attempted_deleted END
    FROM counted AS t JOIN pg_class AS c ON c.oid = t.root JOIN pg_namespace AS n ON n.oid = c.relnamespace;
END;

-- Whether a lock of this mode, on what is of this kind, is taken by DDL, TRUNCATE or ANALYZE, and by no statement that writes rows.
CREATE FUNCTION phasegate.is_ddl(p_mode text, p_kind "char") RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN p_mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'AccessExclusiveLock')
    OR p_mode = 'ExclusiveLock' AND p_kind = 'm';

-- Raises if a lock says that the phase performed TRUNCATE or DDL, of which no counter sees the rows. To write takes ROW
-- EXCLUSIVE; no DDL takes EXCLUSIVE, but for the refresh of a materialized view. What was dropped has left nothing but its
-- lock; so has, to an old snapshot, what was made after that.
CREATE FUNCTION phasegate.ensure_no_ddl() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
DECLARE
    v_changed text[];
    v_gone text;
BEGIN
    SELECT coalesce(array_agg(DISTINCT format(CASE
               WHEN c.relpersistence = 't' THEN 'the temporary table %I.%I was made or altered'
               WHEN c.relkind = 'm' THEN 'the materialized view %I.%I was refreshed or altered'
               WHEN c.relkind IN ('i', 'I') THEN 'the index %I.%I was made or rebuilt'
               WHEN c.relkind = 'v' THEN 'the view %I.%I was made or replaced'
               WHEN c.relkind = 'S' THEN 'the sequence %I.%I was made or altered'
               WHEN l.mode = 'AccessExclusiveLock' THEN 'the table %I.%I was truncated, made or altered'
               ELSE 'the table %I.%I was altered, analyzed or given an index, a constraint or a trigger'
           END, n.nspname, c.relname)), '{}') INTO v_changed
    FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND phasegate.is_ddl(l.mode, c.relkind)
      AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'phasegate')
      AND NOT (c.relkind = 'v' AND c.relpersistence = 't'); -- which holds nothing, and is gone with the session
    IF cardinality(v_changed) > 0 THEN
        RAISE EXCEPTION 'phasegate: TRUNCATE or DDL in a phase, which no counter sees: %',
            array_to_string(v_changed[1:10], '; ')
            || CASE WHEN cardinality(v_changed) > 10 THEN format('; and %s more', cardinality(v_changed) - 10) ELSE '' END
            USING ERRCODE = 'ZG006',
                  HINT = 'Use DELETE; make DDL a migration of its own, and refresh a view outside of phases. '
                         'LOCK TABLE is open to a phase in the modes ROW SHARE, ROW EXCLUSIVE and EXCLUSIVE.';
    END IF;
    SELECT string_agg(DISTINCT l.relation::text, ', ') INTO v_gone
    FROM pg_locks AS l
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
      AND (l.mode = 'RowExclusiveLock' OR phasegate.is_ddl(l.mode, 'r'))
      AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = l.relation);
    IF v_gone IS NOT NULL THEN
        RAISE EXCEPTION 'phasegate: a phase has dropped what it does not leave to be counted, as a function that makes and '
                        'drops a temporary table does, or written what its snapshot does not have: relation %', v_gone
            USING ERRCODE = 'ZG006',
                  HINT = 'Make DDL a migration of its own; a function that a phase calls can use an array or a table of '
                         'its own in the place of a temporary table.';
    END IF;
END
$$;

-- The same as {table: {exactly, inserted, updated, deleted}}, of the tables that it changed.
CREATE FUNCTION phasegate.effects() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
DECLARE
    seen jsonb;
    elsewhere text;
    v_unseen text;
BEGIN
    -- Most phases write nothing but tables that count exactly and have no relatives: then what was counted is all of it, and
    -- the long query below, which takes long to plan, would say the same.
    IF NOT EXISTS (
        SELECT FROM pg_locks AS l LEFT JOIN pg_class AS c ON c.oid = l.relation
        WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
          AND (l.mode = 'RowExclusiveLock' OR phasegate.is_ddl(l.mode, coalesce(c.relkind, 'r')))
          AND (c.oid IS NULL
               OR c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'phasegate'::regnamespace)
                  AND (l.mode <> 'RowExclusiveLock'
                       OR c.relkind IN ('p', 'm', 'f')
                       OR c.relkind = 'r' AND (c.relispartition OR c.relhassubclass
                                               OR NOT phasegate.counts_exactly(c.oid))))
    ) THEN
        RETURN (
            SELECT coalesce(jsonb_object_agg(format('%I.%I', n.nspname, c.relname), jsonb_build_object(
                       'exactly', true, 'inserted', e.inserted, 'updated', e.updated, 'deleted', e.deleted)), '{}')
            FROM (SELECT c.relation, sum(c.inserted) AS inserted, sum(c.updated) AS updated, sum(c.deleted) AS deleted
                  FROM phasegate.counted AS c
                  WHERE c.xid = pg_current_xact_id_if_assigned() AND c.began = transaction_timestamp()
                  GROUP BY c.relation) AS e
                 JOIN pg_class AS c ON c.oid = e.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
        );
    END IF;
    SELECT coalesce(jsonb_object_agg(s.name, jsonb_build_object('exactly', s.exactly, 'inserted', s.inserted,
                                                                   'updated', s.updated, 'deleted', s.deleted))
                        FILTER (WHERE s.inserted + s.updated + s.deleted > 0), '{}'),
           string_agg(s.name, ', ') FILTER (WHERE s.unseen)
    INTO seen, v_unseen FROM phasegate.seen_effects() AS s;
    PERFORM phasegate.ensure_no_ddl();
    IF v_unseen IS NOT NULL THEN
        RAISE EXCEPTION 'phasegate: MERGE has moved rows to another partition, which no counter sees, or a savepoint has undone '
                        'others beside it: %', v_unseen
            USING ERRCODE = 'ZG006',
                  HINT = 'Move rows by UPDATE. What MERGE, or a function in SQL, updates in a partitioned table is told apart from '
                         'what was undone where nothing was: write nothing to that table that is undone.';
    END IF;
    SELECT string_agg(c.oid::regclass::text, ', ') INTO elsewhere
    FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation AND c.relkind = 'f'
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock';
    IF elsewhere IS NOT NULL THEN
        RAISE EXCEPTION 'phasegate: a foreign table is written in a phase, which no counter sees: %', elsewhere
            USING ERRCODE = 'ZG006', HINT = 'Perform a phase where the table is.';
    END IF;
    RETURN seen;
END
$$;

-- Nothing is tolerated where nothing was planned.
CREATE FUNCTION phasegate.is_within(planned bigint, tolerance bigint, seen bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN seen = planned OR planned > 0 AND abs(seen - planned) <= tolerance;

-- Raises unless a phase has done what was planned, and nothing else, with expected and seen of every table. To the row is
-- seen at once; what else is tolerated, or differs, takes a longer look.
CREATE FUNCTION phasegate.refuse_unplanned_effects(the_plan bytea, the_place integer, seen jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tables jsonb;
    differing text;
    uncounted text;
BEGIN
    IF NOT (
        SELECT count(*) = (SELECT count(*) FROM jsonb_object_keys(seen))
               AND coalesce(bool_and(seen -> e.relation IS NOT DISTINCT FROM jsonb_build_object(
                       'exactly', true, 'inserted', e.inserted, 'updated', e.updated, 'deleted', e.deleted)), true)
        FROM phasegate.planned_effect AS e WHERE e.plan = the_plan AND e.place = the_place
    ) THEN
        SELECT e.relation INTO uncounted FROM phasegate.planned_effect AS e
        WHERE NOT (seen -> e.relation ->> 'exactly')::boolean AND e.plan = the_plan AND e.place = the_place LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'phasegate: not finished: the rows of %, which the plan names, are not counted', uncounted
                USING ERRCODE = 'ZG025',
                      HINT = format('Its owner puts it under guard, with its partitions: SELECT phasegate.protect(%L)', uncounted);
        END IF;
        WITH both_sides AS (
            SELECT coalesce(e.relation, s.name) AS name, e.relation IS NOT NULL AS is_planned,
                   coalesce(e.inserted, 0) AS inserted, coalesce(e.updated, 0) AS updated, coalesce(e.deleted, 0) AS deleted,
                   coalesce(e.tolerance, 0) AS tolerance,
                   coalesce((s.rows ->> 'inserted')::bigint, 0) AS seen_inserted,
                   coalesce((s.rows ->> 'updated')::bigint, 0) AS seen_updated,
                   coalesce((s.rows ->> 'deleted')::bigint, 0) AS seen_deleted
            FROM (SELECT p.* FROM phasegate.planned_effect AS p WHERE p.plan = the_plan AND p.place = the_place) AS e
            FULL JOIN jsonb_each(seen) AS s (name, rows) ON s.name = e.relation
        )
        SELECT jsonb_agg(jsonb_build_object('table', b.name,
                   'planned', CASE WHEN b.is_planned THEN jsonb_build_object('inserted', b.inserted, 'updated', b.updated,
                                                                             'deleted', b.deleted, 'tolerance', b.tolerance) END,
                   'seen', jsonb_build_object('inserted', b.seen_inserted, 'updated', b.seen_updated, 'deleted', b.seen_deleted))
                   ORDER BY b.name),
               string_agg(b.name, ', ' ORDER BY b.name) FILTER (WHERE NOT (
                   phasegate.is_within(b.inserted, b.tolerance, b.seen_inserted)
                   AND phasegate.is_within(b.updated, b.tolerance, b.seen_updated)
                   AND phasegate.is_within(b.deleted, b.tolerance, b.seen_deleted)))
        INTO tables, differing FROM both_sides AS b;
        IF differing IS NOT NULL THEN
            RAISE EXCEPTION 'phasegate: not finished: the phase did not do what was planned, on %', differing
                USING ERRCODE = 'ZG014', DETAIL = tables::text, HINT = 'Make a new plan with a dry run, or mend what the phase does.';
        END IF;
    END IF;
    DELETE FROM phasegate.counted AS c WHERE c.xid = pg_current_xact_id();
END
$$;

-- A trigger is created by the owner of its table, who must be allowed to name the function.
GRANT EXECUTE ON FUNCTION phasegate.count_rows, phasegate.counts_exactly TO PUBLIC;
