-- What a transaction has done to tables, triggers and functions included, and whether that is what
-- was planned. After counting, which it reads beside the server's locks.

-- Whether a lock of this mode, on a relation of this kind, is taken by DDL, TRUNCATE or ANALYZE,
-- and by no statement that writes rows.
CREATE FUNCTION phasegate.is_ddl(p_mode text, p_kind "char") RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN p_mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                  'AccessExclusiveLock')
    OR p_mode = 'ExclusiveLock' AND p_kind = 'm';

-- Tables that inherit from a locked table and are not counted as that one is: what is written
-- through it is not counted for them either, or is counted twice.
CREATE VIEW phasegate.uncounted_child AS
SELECT t::oid AS relation
FROM phasegate.attempted_rows AS k JOIN pg_class AS c ON c.oid = k.relation
-- Once for the table, not once for each child.
CROSS JOIN LATERAL (SELECT phasegate.guard_kind(c.oid) AS kind OFFSET 0) AS g
CROSS JOIN phasegate.local_children(c.oid::regclass) AS t
LEFT JOIN phasegate.guard_kinds AS h ON h.relation = t
WHERE c.relhassubclass AND (h.kind = g.kind) IS NOT TRUE;

-- Returns what the transaction did to each table. The rows are counted exactly where every table
-- that was written, of those that share a root, is counted in the same way; otherwise they are
-- those of the counters. A partition counts for its root.
CREATE FUNCTION phasegate.seen_effects()
RETURNS TABLE (name text, unseen boolean, exactly boolean, inserted bigint, updated bigint,
               deleted bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
BEGIN ATOMIC
    WITH uncounted AS (
        SELECT u.relation FROM phasegate.uncounted_child AS u
    ), written AS (
        SELECT coalesce(pg_partition_root(c.oid)::oid, c.oid) AS root,
               CASE WHEN c.oid NOT IN (SELECT u.relation FROM uncounted AS u)
                    THEN phasegate.guard_kind(c.oid) END AS kind,
               k.inserted, k.updated, k.deleted,
               k.inserted - coalesce(a.inserted, 0) AS own_inserted,
               k.updated - coalesce(a.updated, 0) AS own_updated,
               k.deleted - coalesce(a.deleted, 0) AS own_deleted,
               e.inserted AS counted_inserted, e.updated AS counted_updated,
               e.deleted AS counted_deleted, e.may_be_merge
        FROM phasegate.attempted_rows AS k JOIN pg_class AS c ON c.oid = k.relation
        LEFT JOIN phasegate.counted_here AS e ON e.relation = c.oid
        LEFT JOIN phasegate.rows_aside() AS a ON a.relation = c.oid
        WHERE c.relkind IN ('r', 'p', 'm')
          AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'phasegate'::regnamespace)
    ), by_root AS (
        SELECT w.root,
               CASE WHEN bool_and(w.kind IS NOT NULL) AND count(DISTINCT w.kind) = 1
                    THEN min(w.kind) END AS kind,
               coalesce(bool_or(w.may_be_merge), false) AS may_be_merge,
               sum(w.inserted) AS inserted, sum(w.updated) AS updated,
               sum(w.deleted) AS deleted,
               sum(w.own_inserted) AS own_inserted, sum(w.own_updated) AS own_updated,
               sum(w.own_deleted) AS own_deleted,
               coalesce(sum(w.counted_inserted), 0) AS counted_inserted,
               coalesce(sum(w.counted_updated), 0) AS counted_updated,
               coalesce(sum(w.counted_deleted), 0) AS counted_deleted
        FROM written AS w GROUP BY w.root
    )
    SELECT format('%I.%I', n.nspname, c.relname),
           t.may_be_merge
           AND (t.own_inserted + t.own_updated <> t.counted_inserted + t.counted_updated
                OR t.own_deleted + t.own_updated <> t.counted_deleted + t.counted_updated),
           t.kind IS NOT NULL,
           CASE t.kind WHEN 'counters' THEN t.own_inserted WHEN 'statements'
                THEN t.counted_inserted ELSE t.inserted END,
           CASE t.kind WHEN 'counters' THEN t.own_updated WHEN 'statements'
                THEN t.counted_updated ELSE t.updated END,
           CASE t.kind WHEN 'counters' THEN t.own_deleted WHEN 'statements'
                THEN t.counted_deleted ELSE t.deleted END
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

-- Returns what the transaction did to each table, as `effects`, if it has written only tables under
-- guard that have no relatives, as most phases do; otherwise null. One query over the locks, since
-- a new session has to plan each.
CREATE FUNCTION phasegate.effects_of_plain_tables() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
BEGIN
    RETURN (
        WITH written AS (
            SELECT CASE WHEN c.oid IS NOT NULL THEN format('%I.%I', n.nspname, c.relname) END
                       AS name, l.relation,
                   CASE WHEN c.relkind = 'r' AND l.mode = 'RowExclusiveLock'
                             AND NOT c.relispartition AND NOT c.relhassubclass
                        THEN phasegate.guard_kind(l.relation) END AS kind
            FROM phasegate.own_lock AS l LEFT JOIN pg_class AS c ON c.oid = l.relation
            LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE (l.mode = 'RowExclusiveLock'
                   OR phasegate.is_ddl(l.mode, coalesce(c.relkind, 'r')))
              AND (c.oid IS NULL
                   OR c.relnamespace
                      NOT IN ('pg_catalog'::regnamespace, 'phasegate'::regnamespace)
                      AND (l.mode <> 'RowExclusiveLock' OR c.relkind IN ('r', 'p', 'm', 'f')))
        ), rows AS (
            SELECT w.name, w.kind,
                   CASE w.kind WHEN 'counters'
                        THEN pg_stat_get_xact_tuples_inserted(w.relation)
                             - coalesce(a.inserted, 0)
                        ELSE coalesce(e.inserted, 0) END AS inserted,
                   CASE w.kind WHEN 'counters'
                        THEN pg_stat_get_xact_tuples_updated(w.relation)
                             - coalesce(a.updated, 0)
                        ELSE coalesce(e.updated, 0) END AS updated,
                   CASE w.kind WHEN 'counters'
                        THEN pg_stat_get_xact_tuples_deleted(w.relation)
                             - coalesce(a.deleted, 0)
                        ELSE coalesce(e.deleted, 0) END AS deleted
            FROM written AS w
            LEFT JOIN phasegate.counted_here AS e ON e.relation = w.relation
            LEFT JOIN phasegate.rows_aside() AS a ON a.relation = w.relation
        )
        SELECT CASE WHEN bool_and(w.kind IS NOT NULL) IS NOT FALSE THEN
                   coalesce(jsonb_object_agg(w.name, jsonb_build_object(
                       'exactly', true, 'inserted', w.inserted, 'updated', w.updated,
                       'deleted', w.deleted))
                       FILTER (WHERE w.inserted + w.updated + w.deleted > 0), '{}') END
        FROM rows AS w);
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
    PERFORM phasegate.ensure_nothing_undone();
    -- The query of seen_effects would return the same, and takes long to plan.
    v_seen := phasegate.effects_of_plain_tables();
    IF v_seen IS NOT NULL THEN
        RETURN v_seen;
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
