-- What a transaction has done to tables, triggers and functions included, and whether that is what
-- was planned. After counting, which it reads beside the server's locks and statistics.

-- The locks of this session on relations. They tell which tables it has written, and a savepoint
-- that is rolled back releases those that were taken in it.
CREATE VIEW phasegate.own_lock AS
SELECT l.relation, l.mode, l.database, l.granted
FROM pg_locks AS l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation';

-- Whether a lock of this mode, on a relation of this kind, is taken by DDL, TRUNCATE or ANALYZE,
-- and by no statement that writes rows.
CREATE FUNCTION phasegate.is_ddl(p_mode text, p_kind "char") RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN p_mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                  'AccessExclusiveLock')
    OR p_mode = 'ExclusiveLock' AND p_kind = 'm';

-- The rows that this transaction has attempted to write, by the server's statistics, for each table
-- that it has locked. They do not undo what a savepoint rolls back.
CREATE VIEW phasegate.attempted_rows AS
SELECT k.relation,
       pg_stat_get_xact_tuples_inserted(k.relation) AS inserted,
       pg_stat_get_xact_tuples_updated(k.relation) AS updated,
       pg_stat_get_xact_tuples_deleted(k.relation) AS deleted
FROM (SELECT DISTINCT l.relation FROM phasegate.own_lock AS l
      WHERE l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'AccessExclusiveLock')) AS k;

-- Tables that inherit from a locked table that does not count exactly: what is written through that
-- table is not counted for them either.
CREATE VIEW phasegate.uncounted_child AS
SELECT t::oid AS relation
FROM phasegate.attempted_rows AS k JOIN pg_class AS c ON c.oid = k.relation
CROSS JOIN phasegate.with_children(c.oid::regclass) AS t
WHERE c.relhassubclass AND NOT phasegate.counts_exactly(c.oid);

-- Returns what the transaction did to each table. The rows are counted exactly where every table
-- that was written, of those that share a root, counts; otherwise they are those of the statistics.
-- A partition counts for its root.
CREATE FUNCTION phasegate.seen_effects()
RETURNS TABLE (name text, unseen boolean, exactly boolean, inserted bigint, updated bigint,
               deleted bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
BEGIN ATOMIC
    WITH uncounted AS (
        SELECT u.relation FROM phasegate.uncounted_child AS u
    ), by_root AS (
        SELECT coalesce(pg_partition_root(c.oid)::oid, c.oid) AS root,
               bool_and(phasegate.counts_exactly(c.oid)
                        AND c.oid NOT IN (SELECT u.relation FROM uncounted AS u)) AS exactly,
               coalesce(sum(e.inserted), 0) AS inserted,
               coalesce(sum(e.updated), 0) AS updated,
               coalesce(sum(e.deleted), 0) AS deleted,
               coalesce(bool_or(e.may_be_merge), false) AS may_be_merge,
               coalesce(sum(e.came_before), 0) AS came_before,
               coalesce(sum(e.went_before), 0) AS went_before,
               sum(k.inserted) AS attempted_inserted,
               sum(k.updated) AS attempted_updated,
               sum(k.deleted) AS attempted_deleted
        FROM phasegate.attempted_rows AS k JOIN pg_class AS c ON c.oid = k.relation
        LEFT JOIN phasegate.counted_here AS e ON e.relation = c.oid
        WHERE c.relkind IN ('r', 'p', 'm')
          AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'phasegate'::regnamespace)
        GROUP BY 1
    )
    SELECT format('%I.%I', n.nspname, c.relname),
           t.may_be_merge
           AND (t.attempted_inserted + t.attempted_updated - t.came_before
                    <> t.inserted + t.updated
                OR t.attempted_deleted + t.attempted_updated - t.went_before
                    <> t.deleted + t.updated),
           t.exactly,
           CASE WHEN t.exactly THEN t.inserted ELSE t.attempted_inserted END,
           CASE WHEN t.exactly THEN t.updated ELSE t.attempted_updated END,
           CASE WHEN t.exactly THEN t.deleted ELSE t.attempted_deleted END
    FROM by_root AS t JOIN pg_class AS c ON c.oid = t.root
    JOIN pg_namespace AS n ON n.oid = c.relnamespace;
END;

-- Returns what DDL has done to relations that still exist, in words.
CREATE FUNCTION phasegate.ddl_in_this_transaction() RETURNS text[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
BEGIN
    RETURN (
        SELECT coalesce(array_agg(DISTINCT format(CASE
                   WHEN c.relpersistence = 't' THEN 'the temporary table %I.%I was made or altered'
                   WHEN c.relkind = 'm' THEN
                       'the materialized view %I.%I was refreshed or altered'
                   WHEN c.relkind IN ('i', 'I') THEN 'the index %I.%I was made or rebuilt'
                   WHEN c.relkind = 'v' THEN 'the view %I.%I was made or replaced'
                   WHEN c.relkind = 'S' THEN 'the sequence %I.%I was made or altered'
                   WHEN l.mode = 'AccessExclusiveLock' THEN
                       'the table %I.%I was truncated, made or altered'
                   ELSE 'the table %I.%I was altered, analyzed or given an index, a constraint '
                        'or a trigger'
               END, n.nspname, c.relname)), '{}')
        FROM phasegate.own_lock AS l JOIN pg_class AS c ON c.oid = l.relation
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE phasegate.is_ddl(l.mode, c.relkind)
          AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'phasegate')
          -- A temporary view holds no rows, and is dropped with the session.
          AND NOT (c.relkind = 'v' AND c.relpersistence = 't'));
END
$$;

-- Raises if a relation that was written or changed is not in the catalog: it was dropped, or was
-- created after the snapshot of the transaction.
CREATE FUNCTION phasegate.ensure_nothing_dropped() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_gone text;
BEGIN
    SELECT string_agg(DISTINCT l.relation::text, ', ') INTO v_gone
    FROM phasegate.own_lock AS l
    WHERE (l.mode = 'RowExclusiveLock' OR phasegate.is_ddl(l.mode, 'r'))
      AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = l.relation);
    IF v_gone IS NOT NULL THEN
        RAISE EXCEPTION 'a phase has dropped what it does not leave to be counted, as a '
                        'function that makes and drops a temporary table does, or written what '
                        'its snapshot does not have: relation %', v_gone
            USING ERRCODE = 'ZG006',
                  HINT = 'Make DDL a migration of its own; a function that a phase calls can use '
                         'an array or a permanent table instead of a temporary table.';
    END IF;
END
$$;

-- Raises if a lock says that the phase performed TRUNCATE or DDL, of which no counter sees the
-- rows. To write takes ROW EXCLUSIVE; no DDL takes EXCLUSIVE, except the refresh of a materialized
-- view.
CREATE FUNCTION phasegate.ensure_no_ddl() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_changed text[] := phasegate.ddl_in_this_transaction();
    v_more integer := cardinality(v_changed) - 10;
BEGIN
    IF cardinality(v_changed) > 0 THEN
        RAISE EXCEPTION 'TRUNCATE or DDL in a phase, which no counter sees: %',
            array_to_string(v_changed[1:10], '; ')
            || CASE WHEN v_more > 0 THEN format('; and %s more', v_more) ELSE '' END
            USING ERRCODE = 'ZG006',
                  HINT = 'Use DELETE; make DDL a migration of its own, and refresh a view outside '
                         'of phases. LOCK TABLE is open to a phase in the modes ROW SHARE, '
                         'ROW EXCLUSIVE and EXCLUSIVE.';
    END IF;
    PERFORM phasegate.ensure_nothing_dropped();
END
$$;

-- Raises if MERGE may have moved rows, of which the triggers do not know.
CREATE FUNCTION phasegate.ensure_no_moving_merge(p_tables text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_tables IS NOT NULL THEN
        RAISE EXCEPTION 'MERGE has moved rows to another partition, which no counter '
                        'sees, or a savepoint has undone others beside it: %', p_tables
            USING ERRCODE = 'ZG006',
                  HINT = 'Move rows by UPDATE. What MERGE, or a function in SQL, updates in a '
                         'partitioned table is told apart from what was undone where nothing '
                         'was: write nothing to that table that is undone.';
    END IF;
END
$$;

-- Raises if a foreign table is written.
CREATE FUNCTION phasegate.ensure_no_foreign_table() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    v_tables text;
BEGIN
    SELECT string_agg(c.oid::regclass::text, ', ') INTO v_tables
    FROM phasegate.own_lock AS l JOIN pg_class AS c ON c.oid = l.relation AND c.relkind = 'f'
    WHERE l.mode = 'RowExclusiveLock';
    IF v_tables IS NOT NULL THEN
        RAISE EXCEPTION 'a foreign table is written in a phase, which no counter '
                        'sees: %', v_tables
            USING ERRCODE = 'ZG006', HINT = 'Perform a phase where the table is.';
    END IF;
END
$$;

-- Whether the transaction has written only tables that count exactly and have no relatives, as most
-- phases do. Then what was counted is everything it did.
CREATE FUNCTION phasegate.only_counted_tables_written() RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN NOT EXISTS (
        SELECT FROM phasegate.own_lock AS l LEFT JOIN pg_class AS c ON c.oid = l.relation
        WHERE (l.mode = 'RowExclusiveLock' OR phasegate.is_ddl(l.mode, coalesce(c.relkind, 'r')))
          AND (c.oid IS NULL
               OR c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'phasegate'::regnamespace)
                  AND (l.mode <> 'RowExclusiveLock'
                       OR c.relkind IN ('p', 'm', 'f')
                       OR c.relkind = 'r' AND (c.relispartition OR c.relhassubclass
                                               OR NOT phasegate.counts_exactly(c.oid)))));
END
$$;

-- Returns {table: {exactly, inserted, updated, deleted}} of the tables that the transaction
-- changed. Raises if it did what cannot be counted.
CREATE FUNCTION phasegate.effects() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    v_seen jsonb;
    v_unseen text;
BEGIN
    -- The query of seen_effects would return the same, and takes long to plan.
    IF phasegate.only_counted_tables_written() THEN
        RETURN (
            SELECT coalesce(jsonb_object_agg(format('%I.%I', n.nspname, c.relname),
                       jsonb_build_object('exactly', true, 'inserted', e.inserted,
                                          'updated', e.updated, 'deleted', e.deleted)), '{}')
            FROM phasegate.counted_here AS e JOIN pg_class AS c ON c.oid = e.relation
            JOIN pg_namespace AS n ON n.oid = c.relnamespace);
    END IF;
    SELECT coalesce(jsonb_object_agg(s.name,
               jsonb_build_object('exactly', s.exactly, 'inserted', s.inserted,
                                  'updated', s.updated, 'deleted', s.deleted))
               FILTER (WHERE s.inserted + s.updated + s.deleted > 0), '{}'),
           string_agg(s.name, ', ') FILTER (WHERE s.unseen)
    INTO v_seen, v_unseen FROM phasegate.seen_effects() AS s;
    PERFORM phasegate.ensure_no_ddl();
    PERFORM phasegate.ensure_no_moving_merge(v_unseen);
    PERFORM phasegate.ensure_no_foreign_table();
    RETURN v_seen;
END
$$;

-- Whether a count is within its tolerance. Nothing is tolerated where nothing was planned.
CREATE FUNCTION phasegate.is_within(p_planned bigint, p_tolerance bigint, p_seen bigint)
RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN p_seen = p_planned OR p_planned > 0 AND abs(p_seen - p_planned) <= p_tolerance;

-- Whether a phase did exactly what was planned. Few phases fail this; for those,
-- ensure_planned_effects takes a longer look.
CREATE FUNCTION phasegate.is_as_planned(p_plan bytea, p_position integer, p_seen jsonb)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT count(*) = (SELECT count(*) FROM jsonb_object_keys(p_seen))
               AND coalesce(bool_and(p_seen -> e.relation IS NOT DISTINCT FROM jsonb_build_object(
                       'exactly', true, 'inserted', e.inserted, 'updated', e.updated,
                       'deleted', e.deleted)), true)
        FROM phasegate.planned_effect AS e WHERE e.plan = p_plan AND e.position = p_position);
END
$$;

-- Raises unless the rows of every table that the plan names were counted exactly.
CREATE FUNCTION phasegate.ensure_counted_exactly(p_plan bytea, p_position integer, p_seen jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_table text;
BEGIN
    SELECT e.relation INTO v_table FROM phasegate.planned_effect AS e
    WHERE NOT (p_seen -> e.relation ->> 'exactly')::boolean
      AND e.plan = p_plan AND e.position = p_position LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the rows of %, which the plan names, are not '
                        'counted', v_table
            USING ERRCODE = 'ZG025',
                  HINT = format('Its owner puts it under guard, with its partitions: '
                                'SELECT phasegate.protect(%L)', v_table);
    END IF;
END
$$;

-- Returns planned and seen effects of each table that has either, and whether they agree.
CREATE FUNCTION phasegate.compare_effects(p_plan bytea, p_position integer, p_seen jsonb)
RETURNS TABLE (name text, agrees boolean, planned jsonb, seen jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH both_sides AS (
        SELECT coalesce(e.relation, s.name) AS name, e.relation IS NOT NULL AS is_planned,
               coalesce(e.inserted, 0) AS inserted, coalesce(e.updated, 0) AS updated,
               coalesce(e.deleted, 0) AS deleted, coalesce(e.tolerance, 0) AS tolerance,
               coalesce((s.rows ->> 'inserted')::bigint, 0) AS seen_inserted,
               coalesce((s.rows ->> 'updated')::bigint, 0) AS seen_updated,
               coalesce((s.rows ->> 'deleted')::bigint, 0) AS seen_deleted
        FROM (SELECT p.* FROM phasegate.planned_effect AS p
              WHERE p.plan = p_plan AND p.position = p_position) AS e
        FULL JOIN jsonb_each(p_seen) AS s (name, rows) ON s.name = e.relation
    )
    SELECT b.name,
           phasegate.is_within(b.inserted, b.tolerance, b.seen_inserted)
           AND phasegate.is_within(b.updated, b.tolerance, b.seen_updated)
           AND phasegate.is_within(b.deleted, b.tolerance, b.seen_deleted),
           CASE WHEN b.is_planned
                THEN jsonb_build_object('inserted', b.inserted, 'updated', b.updated,
                                        'deleted', b.deleted, 'tolerance', b.tolerance) END,
           jsonb_build_object('inserted', b.seen_inserted, 'updated', b.seen_updated,
                              'deleted', b.seen_deleted)
    FROM both_sides AS b;
END;

-- Returns numbers of rows for people: "+5 ~0 -0", or "nothing" where there are none.
CREATE FUNCTION phasegate.counts_text(p_counts jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN coalesce('+' || (p_counts ->> 'inserted') || ' ~' || (p_counts ->> 'updated')
                || ' -' || (p_counts ->> 'deleted'), 'nothing');

-- Raises unless a phase has done what was planned, and nothing else, with planned and seen effects
-- of every table. Deletes what was counted.
CREATE FUNCTION phasegate.ensure_planned_effects(p_plan bytea, p_position integer, p_seen jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tables jsonb;
    v_differing text;
    v_detail text;
BEGIN
    IF NOT phasegate.is_as_planned(p_plan, p_position, p_seen) THEN
        PERFORM phasegate.ensure_counted_exactly(p_plan, p_position, p_seen);
        SELECT jsonb_agg(jsonb_build_object('table', c.name, 'planned', c.planned, 'seen', c.seen)
                         ORDER BY c.name),
               string_agg(c.name, ', ' ORDER BY c.name) FILTER (WHERE NOT c.agrees),
               string_agg(format('%s: planned %s, seen %s.', c.name,
                                 phasegate.counts_text(c.planned), phasegate.counts_text(c.seen)),
                          E'\n' ORDER BY c.name) FILTER (WHERE NOT c.agrees)
        INTO v_tables, v_differing, v_detail
        FROM phasegate.compare_effects(p_plan, p_position, p_seen) AS c;
        IF v_differing IS NOT NULL THEN
            RAISE EXCEPTION 'the phase did not do what was planned, on %',
                v_differing
                USING ERRCODE = 'ZG014', DETAIL = v_detail, DATATYPE = v_tables::text,
                      HINT = 'Make a new plan with a dry run, or fix what the phase does.';
        END IF;
    END IF;
    DELETE FROM phasegate.counted AS c WHERE c.xid = pg_current_xact_id();
END
$$;
