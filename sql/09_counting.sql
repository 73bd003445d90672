-- Counting the rows that a phase changes in guarded tables: the trigger, and what it writes.

-- How many rows each statement of a transaction has changed in a guarded table. Transactional, so
-- that what a savepoint rolls back is not counted; unlogged, because nothing needs it after its
-- transaction.
CREATE UNLOGGED TABLE phasegate.counted (
    xid xid8 NOT NULL,
    relation oid NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    deleted bigint NOT NULL,
    may_be_merge boolean NOT NULL DEFAULT false,
    -- The statistics of the transaction when a rehearsed phase began: rows inserted or updated, and
    -- rows deleted or updated.
    came_before bigint NOT NULL DEFAULT 0,
    went_before bigint NOT NULL DEFAULT 0,
    -- With xid, of which transaction: a database that was copied into another cluster, or whose
    -- cluster was reset, meets its old xids again.
    began timestamptz NOT NULL DEFAULT transaction_timestamp()
);

-- What this transaction has counted, for each table.
CREATE VIEW phasegate.counted_here AS
SELECT c.relation, sum(c.inserted) AS inserted, sum(c.updated) AS updated,
       sum(c.deleted) AS deleted, bool_or(c.may_be_merge) AS may_be_merge,
       sum(c.came_before) AS came_before, sum(c.went_before) AS went_before
FROM phasegate.counted AS c
WHERE c.xid = pg_current_xact_id_if_assigned() AND c.began = transaction_timestamp()
GROUP BY c.relation;

-- What count_rows() reads in a trigger that has no transition table of this name. Without it the
-- name would be looked up in pg_temp, and a temporary view there would run its code as the owner.
CREATE FUNCTION phasegate.ensure_transition_table() RETURNS SETOF boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a trigger calls phasegate.count_rows() without the transition '
                    'table phasegate_rows'
        USING ERRCODE = 'ZG025',
              HINT = 'Drop the trigger, and call phasegate.protect() for its table.';
END
$$;
CREATE VIEW phasegate.phasegate_rows AS SELECT r FROM phasegate.ensure_transition_table() AS r;
CREATE VIEW phasegate.phasegate_old_rows AS SELECT r FROM phasegate.ensure_transition_table() AS r;

-- Whether the statement that fired a trigger may be a MERGE, as far as a trigger can know: by the
-- text of the client's message, or by that of the innermost statement of a function. A function in
-- SQL has no text.
CREATE FUNCTION phasegate.may_be_merge(p_context text, p_query text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN position(E'\n' IN p_context) = 0
            THEN p_query IS NULL OR p_query ~* 'merge|execute'
            ELSE p_context ~* 'merge'
                 OR p_context
                    !~* '^[^\n]*\n[^"\n]*"\s*(update|with|insert|delete|select)\s' END;

-- Fires after each statement on a guarded table; phasegate_rows has the rows that it changed. What
-- is done outside of phases, by roles that the guard lets do it, is not counted. A transition table
-- has no schema: phasegate is in the search_path for its name alone, and holds the view above.
CREATE FUNCTION phasegate.count_rows() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, phasegate, pg_temp AS $$
DECLARE
    v_state text;
    v_moved_away bigint := 0;
    v_may_be_merge boolean := false;
    v_context text;
BEGIN
    IF coalesce(current_setting('phasegate.open_here', true), '') = 'yes'
       AND currval('phasegate.open_here') = pg_current_xact_id_if_assigned()::text::bigint THEN
        v_state := 'open';
    ELSIF phasegate.may_act_as(session_user, 'phasegate_runner') THEN
        v_state := (phasegate.this_attempt()).state;
    END IF;
    IF v_state IS NULL THEN
        RETURN NULL;
    END IF;
    -- An update of a partitioned table deletes a row that it moves to another partition, and
    -- inserts it there, unless a trigger of that partition returns NULL: then it has deleted the
    -- row.
    IF tg_nargs = 1 THEN
        v_moved_away :=
            (SELECT count(*) FROM phasegate_old_rows) - (SELECT count(*) FROM phasegate_rows);
        -- MERGE passes a row that it moves to the triggers for INSERT and DELETE, and fires the
        -- statement triggers of its own actions only.
        GET DIAGNOSTICS v_context = PG_CONTEXT;
        v_may_be_merge := phasegate.may_be_merge(v_context, current_query());
    END IF;
    INSERT INTO phasegate.counted (xid, relation, may_be_merge, inserted, updated, deleted)
    SELECT pg_current_xact_id(), tg_relid, v_may_be_merge,
           CASE tg_op WHEN 'INSERT' THEN count(*) ELSE 0 END,
           CASE tg_op WHEN 'UPDATE' THEN count(*) ELSE 0 END,
           CASE tg_op WHEN 'DELETE' THEN count(*) ELSE v_moved_away END
    FROM phasegate_rows HAVING count(*) > 0 OR v_moved_away > 0 OR v_may_be_merge;
    -- The guard fires before the statement; the statement itself may have finished the phase.
    IF FOUND AND v_state = 'finished' THEN
        RAISE EXCEPTION '%.% is under guard, and the phase is finished',
            tg_table_schema, tg_table_name USING ERRCODE = 'ZG007';
    END IF;
    RETURN NULL;
END
$$;

-- Whether a counting trigger, of a table of this kind, is as `protect` creates it: enabled always,
-- on no condition. Pins no search_path, so that it is inlined; its names were resolved when it was
-- created.
CREATE FUNCTION phasegate.is_counting(p_trigger pg_trigger, p_kind "char") RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN p_trigger.tgenabled = 'A' AND p_trigger.tgqual IS NULL
       AND coalesce(p_trigger.tgnewtable, p_trigger.tgoldtable) = 'phasegate_rows'
       AND p_trigger.tgnargs = CASE WHEN p_trigger.tgtype = 16 AND p_kind = 'p' THEN 1 ELSE 0 END
       AND CASE p_trigger.tgtype
               WHEN 4 THEN p_trigger.tgnewtable IS NOT NULL -- after insert
               WHEN 8 THEN p_trigger.tgoldtable IS NOT NULL -- after delete
               WHEN 16 THEN p_trigger.tgnewtable IS NOT NULL -- after update
                    AND p_trigger.tgoldtable IS NOT DISTINCT FROM
                        CASE p_kind WHEN 'p' THEN 'phasegate_old_rows' END
               ELSE false END;

-- Whether a table's rows are counted by the triggers that `protect` creates, each once.
CREATE FUNCTION phasegate.counts_exactly(p_table oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT count(*) = 3 AND count(DISTINCT t.tgtype) = 3
           AND bool_and(phasegate.is_counting(t, c.relkind))
    FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    WHERE t.tgrelid = p_table AND t.tgfoid = 'phasegate.count_rows()'::regprocedure;
END;

-- The same for all tables at once.
CREATE VIEW phasegate.counted_table AS
SELECT t.tgrelid AS relation
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE t.tgfoid = 'phasegate.count_rows()'::regprocedure
GROUP BY t.tgrelid
HAVING count(*) = 3 AND count(DISTINCT t.tgtype) = 3
       AND bool_and(phasegate.is_counting(t, c.relkind));

-- Returns a table, and everything that inherits from it.
CREATE FUNCTION phasegate.with_children(p_root regclass) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE tree (oid) AS (
        SELECT p_root::oid
        UNION
        SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN tree AS t ON i.inhparent = t.oid
    )
    SELECT tree.oid::regclass FROM tree;
END;
