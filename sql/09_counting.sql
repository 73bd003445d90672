-- The triggers of a guarded table: a runner writes it inside an open phase only, and its rows are
-- counted there. There are two ways to count, and the table's owner chooses one.
--
-- `counters`: one trigger before each statement, and no row is touched. The rows are those of the
-- server's counters of the transaction. A rollback to a savepoint does not set these back, so that
-- they are exact as long as no statement on such a table was undone. To know that, each statement
-- has a number, which stands in two places: it is currval of phasegate.begun, which no rollback
-- changes, and it is in a setting, which a rollback undoes. They differ from the first statement on
-- that was undone, and the phase is refused.
--
-- `statements`: three more triggers, which count the rows of each statement in its transition
-- tables into a table, where what is undone is undone.
--
-- Both numbers are out of the runner's reach. Only the owner has a privilege on the sequences. Any
-- role may change a setting, if it knows the name: this one ends in 60 bits that no role knows,
-- which are currval of phasegate.secret; the server lists no setting that no module has defined.
-- For the same reason no variable holds the name: a session may have the server print its plans,
-- and the values of variables are in them.
--
-- The bits follow from phasegate.key, which is random, and the session: the phases of a session use
-- the same names. A server keeps each name that a session has used, and up to version 15 sorts all
-- of them whenever there is a new one.

CREATE SEQUENCE phasegate.key AS bigint MINVALUE 0 START 0;
SELECT pg_catalog.setval('phasegate.key', ('x' || pg_catalog.right(pg_catalog.translate(
            pg_catalog.gen_random_uuid()::text, '-', ''), 15))::bit(60)::bigint);
CREATE UNLOGGED SEQUENCE phasegate.secret AS bigint MINVALUE 0 START 0;
CREATE UNLOGGED SEQUENCE phasegate.begun AS bigint MINVALUE 0 START 0;

-- Settings of the transaction, each undone with what set it. The first says that there is a
-- currval to read, and may be read and changed by any role; without it the server would raise an
-- error. The others end in the secret.
--
--   phasegate.open_here   'yes'
--   phasegate.number..    the number of the last statement that stands; 'undone' after one that
--                         does not; '' where no phase is open
--   phasegate.aside..     rows that the counters have, and that are not of the phase: {table: [..]}
--   phasegate.mark..      what stood before the last savepoint: {number, rows: {table: [..]}}

-- Begins to count.
CREATE FUNCTION phasegate.begin_counting(p_aside jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM setval('phasegate.secret', (
                SELECT ('x' || left(encode(sha256(int8send(k.last_value)
                                                  || int4send(pg_backend_pid())), 'hex'), 15)
                       )::bit(60)::bigint
                FROM phasegate.key AS k)),
            setval('phasegate.begun', 4294967296);
    PERFORM set_config('phasegate.number' || currval('phasegate.secret'),
                       currval('phasegate.begun')::text, true),
            set_config('phasegate.aside' || currval('phasegate.secret'), p_aside::text, true),
            set_config('phasegate.open_here', 'yes', true);
END
$$;

-- From here on no statement of this transaction has a number, and none on a guarded table passes.
CREATE FUNCTION phasegate.end_counting() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('phasegate.number' || currval('phasegate.secret'), '', true);
END
$$;

-- The number of the last statement that stands, or 'undone'; null where no phase is open.
CREATE FUNCTION phasegate.statement_number() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('phasegate.open_here', true) = 'yes' THEN
        RETURN nullif(
            current_setting('phasegate.number' || currval('phasegate.secret'), true), '');
    END IF;
    RETURN NULL;
END
$$;

-- Gives a statement on a guarded table its number. Returns false where no phase is open, or no rows
-- are counted. Any role may call it: a number that no statement has is as good as another. One
-- expression, without a search_path of its own, since each statement of a phase pays for it.
-- OPERATOR() has no precedence. The lower half of a number is the table that it was given for.
CREATE FUNCTION phasegate.begin_statement(p_table oid, p_op text, p_is_numbered boolean)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
BEGIN
    RETURN CASE
        WHEN pg_catalog.current_setting('phasegate.open_here', true)
                 OPERATOR(pg_catalog.=) 'yes'
             AND p_op OPERATOR(pg_catalog.<>) 'TRUNCATE'
             AND pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on'
        THEN CASE
            WHEN NOT p_is_numbered THEN
                pg_catalog.current_setting(
                    'phasegate.number' OPERATOR(pg_catalog.||)
                        pg_catalog.currval('phasegate.secret')::pg_catalog.text, true)
                    OPERATOR(pg_catalog.<>) ''
            WHEN pg_catalog.current_setting(
                     'phasegate.number' OPERATOR(pg_catalog.||)
                         pg_catalog.currval('phasegate.secret')::pg_catalog.text, true)
                     OPERATOR(pg_catalog.=)
                     pg_catalog.currval('phasegate.begun')::pg_catalog.text THEN
                pg_catalog.set_config(
                    'phasegate.number' OPERATOR(pg_catalog.||)
                        pg_catalog.currval('phasegate.secret')::pg_catalog.text,
                    pg_catalog.setval(
                        'phasegate.begun',
                        (((pg_catalog.currval('phasegate.begun') OPERATOR(pg_catalog.>>) 32)
                            OPERATOR(pg_catalog.+) 1) OPERATOR(pg_catalog.<<) 32)
                            OPERATOR(pg_catalog.+) p_table::pg_catalog.int8
                    )::pg_catalog.text, true) IS NOT NULL
            -- They differ: a statement was undone. The word stays as long as this statement does,
            -- so that no later number can stand for it.
            WHEN pg_catalog.current_setting(
                     'phasegate.number' OPERATOR(pg_catalog.||)
                         pg_catalog.currval('phasegate.secret')::pg_catalog.text, true)
                     OPERATOR(pg_catalog.<>) '' THEN
                pg_catalog.set_config(
                    'phasegate.number' OPERATOR(pg_catalog.||)
                        pg_catalog.currval('phasegate.secret')::pg_catalog.text,
                    'undone', true) IS NOT NULL
            END
        END IS TRUE;
END
$$;

-- Raises if the session's role is a runner, with why it may not write the table.
CREATE FUNCTION phasegate.ensure_no_runner(p_table oid, p_op text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off AS $$
DECLARE
    v_state text;
BEGIN
    IF NOT phasegate.may_act_as(session_user, 'phasegate_runner')
       OR (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = session_user) THEN
        RETURN;
    END IF;
    IF p_op = 'TRUNCATE' THEN
        RAISE EXCEPTION 'TRUNCATE of % is refused: no counter sees it', p_table::regclass
            USING ERRCODE = 'ZG006', HINT = 'Use DELETE.';
    END IF;
    v_state := (phasegate.this_attempt()).state;
    IF v_state IS NULL THEN
        RAISE EXCEPTION '% is under guard: role % writes it inside an open phase only',
            p_table::regclass, session_user USING ERRCODE = 'ZG007';
    ELSIF v_state = 'finished' THEN
        RAISE EXCEPTION '% is under guard, and the phase is finished', p_table::regclass
            USING ERRCODE = 'ZG007';
    END IF;
    PERFORM phasegate.ensure_track_counts();
    PERFORM phasegate.ensure_counts_kept();
    RAISE EXCEPTION '% is under guard, and the phase does not count', p_table::regclass
        USING ERRCODE = 'ZG007';
END
$$;

-- Fires before each statement on a guarded table, as the role that writes it. Roles that are no
-- runners pay for its first condition only, which is null without the runner role. From PostgreSQL
-- 16 on not every member of a role may act as it: ensure_no_runner asks once more. A superuser is a
-- member of every role; is_superuser speaks of the role that the session acts as, and no role can
-- set it. Without a search_path of its own, which would cost as much as the rest. Granted to
-- PUBLIC, as is all that it calls.
--
-- Each transaction prepares each expression that it evaluates: hence one condition inside another,
-- and NEW, which is null here and no expression. That is a third of what the guard costs.
CREATE FUNCTION phasegate.guard() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF pg_catalog.pg_has_role(
           session_user, pg_catalog.to_regrole('phasegate_runner')::pg_catalog.oid, 'MEMBER') THEN
        IF (pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'
            AND pg_catalog.current_setting('role') OPERATOR(pg_catalog.=) 'none') IS NOT TRUE THEN
            IF NOT phasegate.begin_statement(
                   tg_relid, tg_op, tg_nargs OPERATOR(pg_catalog.=) 0) THEN
                PERFORM phasegate.ensure_no_runner(tg_relid, tg_op);
            END IF;
        END IF;
    END IF;
    RETURN new;
END
$$;

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
    -- With xid, of which transaction: a database that was copied into another cluster, or whose
    -- cluster was reset, meets its old xids again.
    began timestamptz NOT NULL DEFAULT transaction_timestamp()
);

-- What this transaction has counted, for each table.
CREATE VIEW phasegate.counted_here AS
SELECT c.relation, sum(c.inserted) AS inserted, sum(c.updated) AS updated,
       sum(c.deleted) AS deleted, bool_or(c.may_be_merge) AS may_be_merge
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
    IF phasegate.statement_number() IS NOT NULL THEN
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

-- Whether a guard is as `protect` creates it: enabled always; for each statement, before any write
-- of any column; on no condition. Pins no search_path, as is_counting.
CREATE FUNCTION phasegate.is_whole(p_trigger pg_trigger) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN p_trigger.tgenabled = 'A' AND p_trigger.tgtype = 62 AND p_trigger.tgqual IS NULL
       AND pg_catalog.cardinality(p_trigger.tgattr::smallint[]) = 0;

-- How the rows of each table are counted that has a trigger of the guard: 'counters', 'statements',
-- or null where these triggers are not those that `protect` creates, each once. The counters are
-- kept by the access method of the table: heap, which has oid 2, does, and others may not.
CREATE VIEW phasegate.guard_kinds AS
SELECT t.tgrelid AS relation,
       CASE WHEN bool_and((phasegate.is_whole(t) AND t.tgnargs = 0) IS TRUE) AND count(*) = 1
                 AND bool_and(t.tgfoid = 'phasegate.guard()'::regprocedure)
                 AND bool_and(c.relkind = 'p' OR c.relam = 2) THEN 'counters'
            WHEN count(*) = 4 AND count(DISTINCT t.tgtype) = 4
                 AND bool_and((CASE t.tgfoid WHEN 'phasegate.guard()'::regprocedure
                                   THEN phasegate.is_whole(t) AND t.tgnargs = 1
                                   ELSE phasegate.is_counting(t, c.relkind) END) IS TRUE)
                THEN 'statements' END AS kind
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE t.tgfoid IN ('phasegate.guard()'::regprocedure, 'phasegate.count_rows()'::regprocedure)
GROUP BY t.tgrelid;

-- The same for one table; null also where it is not under guard. Not in SQL, which would be planned
-- at each call. By the index also while `protect` adds the triggers of thousands of partitions.
CREATE FUNCTION phasegate.guard_kind(p_table oid) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN (SELECT g.kind FROM phasegate.guard_kinds AS g WHERE g.relation = p_table);
END
$$;

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

-- The same without foreign tables, which have no guard: a phase that writes one is refused.
CREATE FUNCTION phasegate.local_children(p_root regclass) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t FROM phasegate.with_children(p_root) AS t JOIN pg_class AS c ON c.oid = t
    WHERE c.relkind <> 'f';
END;

-- Raises if what was counted is lost.
CREATE FUNCTION phasegate.ensure_counts_kept() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF phasegate.statement_number() IS NULL THEN
        RAISE EXCEPTION 'the phase has thrown away what was counted'
            USING ERRCODE = 'ZG006',
                  HINT = 'RESET ALL does that: name the settings that are to be reset.';
    END IF;
END
$$;

-- Raises if a statement on a table that is counted by the server's counters was undone.
CREATE FUNCTION phasegate.ensure_nothing_undone() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    v_table regclass;
BEGIN
    PERFORM phasegate.ensure_counts_kept();
    IF phasegate.statement_number() <> currval('phasegate.begun')::text THEN
        v_table := (currval('phasegate.begun') & 4294967295)::oid;
        RAISE EXCEPTION 'a statement on % was undone, by an EXCEPTION block or a savepoint, and '
                        'its rows are counted by counters that do not go back', v_table
            USING ERRCODE = 'ZG006',
                  HINT = format('Have the function avoid the error, for example by ON CONFLICT; '
                                'or the owner of the table has it counted by statements, which '
                                'costs its writers more: '
                                'SELECT phasegate.protect(%L, ''statements'')', v_table);
    END IF;
END
$$;

-- The locks of this session on relations. They tell which tables it has written, and a savepoint
-- that is rolled back releases those that were taken in it.
CREATE VIEW phasegate.own_lock AS
SELECT l.relation, l.mode, l.database, l.granted
FROM pg_locks AS l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation';

-- The rows that this transaction has attempted to write, by the server's counters, for each table
-- that it has locked. They do not undo what a savepoint rolls back.
CREATE VIEW phasegate.attempted_rows AS
SELECT k.relation,
       pg_stat_get_xact_tuples_inserted(k.relation) AS inserted,
       pg_stat_get_xact_tuples_updated(k.relation) AS updated,
       pg_stat_get_xact_tuples_deleted(k.relation) AS deleted
FROM (SELECT DISTINCT l.relation FROM phasegate.own_lock AS l
      WHERE l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'AccessExclusiveLock')) AS k;

-- Returns how many rows the transaction has attempted to write, in all tables together. The
-- counters only grow, so that two equal results mean that nothing was written between them.
CREATE FUNCTION phasegate.rows_attempted() RETURNS numeric
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(sum(k.inserted + k.updated + k.deleted), 0)
            FROM phasegate.attempted_rows AS k JOIN pg_class AS c ON c.oid = k.relation
            WHERE c.relkind <> 't' -- written with its table, of this schema too
              AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'phasegate'::regnamespace));
END
$$;

-- The counters of each table that has any, whether it is locked or not: {table: [inserted, updated,
-- deleted]}.
CREATE FUNCTION phasegate.counters() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_object_agg(k.oid, jsonb_build_array(
                   k.inserted, k.updated, k.deleted)), '{}')
        FROM (SELECT c.oid, pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
                     pg_stat_get_xact_tuples_updated(c.oid) AS updated,
                     pg_stat_get_xact_tuples_deleted(c.oid) AS deleted
              FROM pg_class AS c
              WHERE c.relkind IN ('r', 'm') AND c.relnamespace NOT IN (
                  'pg_catalog'::regnamespace, 'phasegate'::regnamespace)) AS k
        WHERE k.inserted + k.updated + k.deleted > 0);
END
$$;

-- Raises if the counters begin with rows of an earlier transaction of the session, which the server
-- has not passed on yet.
CREATE FUNCTION phasegate.ensure_counters_at_zero() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tables text;
BEGIN
    SELECT string_agg(k::oid::regclass::text, ', ') INTO v_tables
    FROM jsonb_object_keys(phasegate.counters()) AS k;
    IF v_tables IS NOT NULL THEN
        RAISE EXCEPTION 'the session has written % before, and its counters still have those rows',
            v_tables
            USING ERRCODE = 'ZG016', DATATYPE = 'rows_before',
                  HINT = 'Give the phase a new session, or call pg_stat_force_next_flush() in the '
                         'transaction before.';
    END IF;
END
$$;

-- What the counters of a table have that is not of the phase.
CREATE FUNCTION phasegate.rows_aside()
RETURNS TABLE (relation oid, inserted bigint, updated bigint, deleted bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT a.key::oid, (a.value ->> 0)::bigint, (a.value ->> 1)::bigint, (a.value ->> 2)::bigint
    FROM jsonb_each(current_setting(
        'phasegate.aside' || currval('phasegate.secret'), true)::jsonb) AS a;
END
$$;

-- Raises unless the client itself has sent this message. Then no statement is under way, of which
-- the counters have a part. The pattern has no backslash, whose meaning a setting may change.
CREATE FUNCTION phasegate.ensure_message(p_pattern text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_query() IS NULL OR current_query() !~ p_pattern THEN
        RAISE EXCEPTION 'only a client calls this function, in a message of its own'
            USING ERRCODE = 'ZG001';
    END IF;
END
$$;

-- Remembers what stands before a savepoint of the client, for after_rollback:
--
--   SELECT phasegate.before_savepoint(); SAVEPOINT x
--   ROLLBACK TO SAVEPOINT x; SELECT phasegate.after_rollback()
CREATE FUNCTION phasegate.before_savepoint() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_number text := phasegate.statement_number();
BEGIN
    PERFORM phasegate.ensure_message('^SELECT phasegate[.]before_savepoint[(][)]; '
                                     'SAVEPOINT [a-z0-9_]+$');
    IF v_number IS NULL THEN
        RETURN;
    END IF;
    -- Where they differ no mark can be made. Where the number is that of the last one, nothing was
    -- written since.
    IF v_number = currval('phasegate.begun')::text AND v_number IS DISTINCT FROM nullif(
           current_setting('phasegate.mark' || currval('phasegate.secret'), true), '')::jsonb
           ->> 'number' THEN
        PERFORM set_config('phasegate.mark' || currval('phasegate.secret'), jsonb_build_object(
            'number', v_number, 'rows', (
                SELECT coalesce(jsonb_object_agg(k.relation, jsonb_build_array(
                           k.inserted - coalesce(a.inserted, 0),
                           k.updated - coalesce(a.updated, 0),
                           k.deleted - coalesce(a.deleted, 0))), '{}')
                FROM phasegate.attempted_rows AS k
                LEFT JOIN phasegate.rows_aside() AS a ON a.relation = k.relation
                WHERE k.inserted + k.updated + k.deleted > 0))::text, true);
    END IF;
END
$$;

-- Sets aside what a rollback to a savepoint has undone. If the number of the last statement that
-- stands is that of the mark, then no statement on a guarded table that was begun after the mark
-- stands: what the counters have grown by since was undone. Otherwise the numbers go on to differ,
-- and the phase is refused.
CREATE FUNCTION phasegate.after_rollback() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_number text := phasegate.statement_number();
    v_mark jsonb;
    v_aside jsonb;
BEGIN
    PERFORM phasegate.ensure_message('^ROLLBACK TO SAVEPOINT [a-z0-9_]+; '
                                     'SELECT phasegate[.]after_rollback[(][)]$');
    IF v_number IS NULL OR v_number = currval('phasegate.begun')::text THEN
        RETURN;
    END IF;
    v_mark := nullif(current_setting('phasegate.mark' || currval('phasegate.secret'), true),
                     '')::jsonb;
    IF v_mark ->> 'number' IS DISTINCT FROM v_number THEN
        RETURN;
    END IF;
    SELECT coalesce(jsonb_object_agg(k.key, jsonb_build_array(
               (k.value ->> 0)::bigint - coalesce((v_mark -> 'rows' -> k.key ->> 0)::bigint, 0),
               (k.value ->> 1)::bigint - coalesce((v_mark -> 'rows' -> k.key ->> 1)::bigint, 0),
               (k.value ->> 2)::bigint - coalesce((v_mark -> 'rows' -> k.key ->> 2)::bigint, 0))),
               '{}')
    INTO v_aside FROM jsonb_each(phasegate.counters()) AS k
    WHERE phasegate.guard_kind(k.key::oid) = 'counters';
    PERFORM set_config('phasegate.aside' || currval('phasegate.secret'), (
                current_setting('phasegate.aside' || currval('phasegate.secret'), true)::jsonb
                || v_aside)::text, true),
            set_config('phasegate.number' || currval('phasegate.secret'), setval(
                'phasegate.begun',
                ((currval('phasegate.begun') >> 32) + 1) << 32)::text, true);
END
$$;
