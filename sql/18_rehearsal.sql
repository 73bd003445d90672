-- A rehearsal: a whole run in one transaction, which cannot be committed.
--
--   BEGIN; SELECT phasegate.open_rehearsal(request)             the opening message
--   SAVEPOINT ..; SELECT phasegate.rehearse(request)            of each phase
--   ...                                                         the statements of the adapter
--   SELECT phasegate.drain_rehearsal(); SET CONSTRAINTS ALL IMMEDIATE;
--   SELECT phasegate.measure_rehearsal(); RELEASE ..            the end of the phase
--   SELECT phasegate.measure_means(statements); ROLLBACK        the end of the run
--
-- It needs no plan, no approval and no switch: its attempt is in a state from which no function
-- leads to one that the interlock lets pass. It writes guarded tables as a phase does, and it is
-- found, and ended, as a phase is.

-- Returns the rows that this session has tried to write so far, for each table, whether it still
-- holds a lock on it or a savepoint has released that.
CREATE FUNCTION phasegate.tried_by_session() RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
BEGIN ATOMIC
    WITH tried AS (
        SELECT CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE c.oid END
                   AS root,
               sum(pg_stat_get_xact_tuples_inserted(c.oid)) AS inserted,
               sum(pg_stat_get_xact_tuples_updated(c.oid)) AS updated,
               sum(pg_stat_get_xact_tuples_deleted(c.oid)) AS deleted
        FROM pg_class AS c
        WHERE c.relkind IN ('r', 'm')
          AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'phasegate'::regnamespace)
        GROUP BY 1
    )
    SELECT coalesce(jsonb_object_agg(format('%I.%I', n.nspname, c.relname), jsonb_build_object(
               'inserted', t.inserted, 'updated', t.updated, 'deleted', t.deleted)), '{}')
    FROM tried AS t JOIN pg_class AS c ON c.oid = t.root
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE t.inserted + t.updated + t.deleted > 0;
END;

-- Returns the locks of this session on tables, the strongest on each, and the sequences that it has
-- moved: the lock on a sequence is held until the transaction ends, even if the savepoint in which
-- it was taken is rolled back.
CREATE FUNCTION phasegate.locks_of_session() RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
BEGIN ATOMIC
    WITH held AS (
        SELECT DISTINCT ON (c.oid) c.relkind, l.mode,
               format('%I.%I', n.nspname, c.relname) AS name
        FROM phasegate.own_lock AS l JOIN pg_class AS c ON c.oid = l.relation
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE l.granted
          AND l.database = (SELECT d.oid FROM pg_database AS d
                            WHERE d.datname = current_database())
          AND n.nspname NOT IN ('pg_catalog', 'phasegate')
          AND (c.relkind IN ('r', 'p', 'm', 'f')
               OR c.relkind = 'S' AND l.mode = 'RowExclusiveLock')
        ORDER BY c.oid, array_position(ARRAY[
            'AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock',
            'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock', 'AccessShareLock'],
            l.mode)
    )
    SELECT jsonb_build_object(
        'locks', coalesce(jsonb_object_agg(h.name, h.mode) FILTER (WHERE h.relkind <> 'S'), '{}'),
        'sequences', coalesce(jsonb_agg(h.name ORDER BY h.name) FILTER (WHERE h.relkind = 'S'),
                              '[]'))
    FROM held AS h;
END;

-- Returns the rehearsal of this transaction; raises unless one is open.
CREATE FUNCTION phasegate.ensure_rehearsal() RETURNS phasegate.attempt
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_attempt phasegate.attempt := phasegate.this_attempt();
BEGIN
    IF v_attempt.state IS NULL OR v_attempt.state NOT IN ('rehearsal', 'rehearsal_draining') THEN
        RAISE EXCEPTION 'no rehearsal is open in this transaction'
            USING ERRCODE = 'ZG001';
    END IF;
    RETURN v_attempt;
END
$$;

-- Returns the deferrable constraints that are checked immediately: after a drain they have to be so
-- again. SET CONSTRAINTS means by a name all that have it: a name that an initially deferred
-- constraint has too is left out. And it needs USAGE on the schema.
CREATE FUNCTION phasegate.immediate_constraints() RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
BEGIN ATOMIC
    SELECT coalesce(jsonb_agg(DISTINCT format('%I.%I', n.nspname, c.conname)), '[]')
    FROM pg_constraint AS c JOIN pg_namespace AS n ON n.oid = c.connamespace
    WHERE c.condeferrable AND NOT c.condeferred
      AND has_schema_privilege(session_user, n.oid, 'USAGE')
      AND NOT EXISTS (
          SELECT FROM pg_constraint AS o
          WHERE o.connamespace = c.connamespace AND o.conname = c.conname AND o.condeferred);
END;

-- Opens a rehearsal, and returns what the caller needs to know of it.
CREATE FUNCTION phasegate.open_rehearsal(p_request bytea) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off AS $$
DECLARE
    v_request jsonb := convert_from(p_request, 'UTF8')::jsonb;
    v_opened_at timestamptz := greatest(clock_timestamp(), transaction_timestamp());
BEGIN
    PERFORM phasegate.ensure_session(v_request);
    PERFORM set_config('application_name', v_request ->> 'application_name', true);
    PERFORM phasegate.ensure_no_open_phase();
    -- Turning the switch off finds it by this lock, and ends it.
    LOCK TABLE phasegate.phase_in_progress IN ROW SHARE MODE;
    INSERT INTO phasegate.attempt (nonce, state, xid, opened_at)
    VALUES (gen_random_uuid(), 'rehearsal', pg_current_xact_id(), v_opened_at);
    PERFORM phasegate.begin_counting(phasegate.counters());
    RETURN (phasegate.this_session() || jsonb_build_object(
        'opened_at', v_opened_at,
        'epoch', pg_sequence_last_value('phasegate.epoch'::regclass),
        'immediate', phasegate.immediate_constraints(),
        'tried', phasegate.tried_by_session()) || phasegate.locks_of_session())::text;
END
$$;

-- Begins a phase of the rehearsal: sets its timeouts. They enforce nothing, and the caller has
-- timeouts too.
CREATE FUNCTION phasegate.rehearse(p_request bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_request jsonb := convert_from(p_request, 'UTF8')::jsonb;
BEGIN
    PERFORM phasegate.ensure_rehearsal();
    -- The counters go on from phase to phase, also past what is rolled back between them.
    DELETE FROM phasegate.counted AS c WHERE c.xid = pg_current_xact_id();
    DELETE FROM phasegate.changed_column AS c WHERE c.xid = pg_current_xact_id();
    PERFORM phasegate.begin_counting(phasegate.counters());
    PERFORM phasegate.track_functions();
    PERFORM set_config('application_name', v_request ->> 'application_name', true);
    PERFORM set_config('lock_timeout', v_request ->> 'lock_timeout', true);
    PERFORM set_config('statement_timeout', v_request ->> 'statement_timeout', true);
    PERFORM set_config('idle_in_transaction_session_timeout', v_request ->> 'idle_timeout', true);
END
$$;

-- From here on SET CONSTRAINTS ALL IMMEDIATE passes the interlock once, which is then armed again.
CREATE FUNCTION phasegate.drain_rehearsal() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_attempt phasegate.attempt := phasegate.ensure_rehearsal();
BEGIN
    UPDATE phasegate.attempt AS a SET state = 'rehearsal_draining'
    WHERE a.nonce = v_attempt.nonce;
END
$$;

-- Returns what the session has tried and locked.
CREATE FUNCTION phasegate.measured() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN jsonb_build_object('tried', phasegate.tried_by_session())
           || phasegate.locks_of_session();
END
$$;

-- Returns what the rehearsal has done so far. Raises where a phase that is about to be committed
-- would. Rows that are counted exactly are those since the last call; those of other tables, since
-- the session began.
CREATE FUNCTION phasegate.measure_rehearsal() RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_attempt phasegate.attempt := phasegate.ensure_rehearsal();
    v_effects jsonb;
    v_contents jsonb;
BEGIN
    IF v_attempt.state <> 'rehearsal' THEN
        RAISE EXCEPTION 'the rehearsed phase is not drained'
            USING ERRCODE = 'ZG001';
    END IF;
    PERFORM phasegate.ensure_no_cursor_with_hold();
    v_effects := phasegate.effects();
    PERFORM phasegate.ensure_written_bound();
    v_contents := phasegate.contents();
    DELETE FROM phasegate.counted AS c WHERE c.xid = pg_current_xact_id();
    DELETE FROM phasegate.changed_column AS c WHERE c.xid = pg_current_xact_id();
    RETURN (jsonb_build_object('effects', v_effects, 'contents', v_contents)
            || phasegate.measured())::text;
END
$$;

-- The same for a phase that failed and was rolled back, of which no effect is left.
CREATE FUNCTION phasegate.measure_failed() RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM phasegate.ensure_rehearsal();
    RETURN phasegate.measured()::text;
END
$$;
