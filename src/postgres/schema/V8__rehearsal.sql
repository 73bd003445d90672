-- A rehearsal: a whole run in one transaction, which nothing lets commit.
--
--   BEGIN; SELECT phasegate.open_rehearsal(request)             the opening message
--   SAVEPOINT ..; SELECT phasegate.rehearse(request)            of each phase
--   ...                                                         whatever the adapter says
--   SELECT phasegate.drain_rehearsal(); SET CONSTRAINTS ALL IMMEDIATE;
--   SELECT phasegate.measure_rehearsal(); RELEASE ..            the end of the phase
--   ROLLBACK
--
-- It needs no plan, no approval and no switch, since it cannot be committed: its attempt is in a state from which no
-- function leads to one that the interlock lets pass. Under guard it writes as a phase does, and it is found, and ended,
-- as a phase is.

-- Rows that this session has tried to write so far, for each table, whether it still holds a lock on it or a savepoint has
-- given that back.
CREATE FUNCTION phasegate.tried_by_session() RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
BEGIN ATOMIC
    WITH tried AS (
        SELECT CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE c.oid END AS root,
               sum(pg_stat_get_xact_tuples_inserted(c.oid)) AS inserted,
               sum(pg_stat_get_xact_tuples_updated(c.oid)) AS updated,
               sum(pg_stat_get_xact_tuples_deleted(c.oid)) AS deleted
        FROM pg_class AS c
        WHERE c.relkind IN ('r', 'm') AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'phasegate'::regnamespace)
        GROUP BY 1
    )
    SELECT coalesce(jsonb_object_agg(format('%I.%I', n.nspname, c.relname), jsonb_build_object(
               'inserted', t.inserted, 'updated', t.updated, 'deleted', t.deleted)), '{}')
    FROM tried AS t JOIN pg_class AS c ON c.oid = t.root JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE t.inserted + t.updated + t.deleted > 0;
END;

-- The locks of this session on tables, the strongest on each, and the sequences that it has moved: such a lock is held
-- until the transaction ends, even if the savepoint in which it was taken is rolled back.
CREATE FUNCTION phasegate.locks_of_session() RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
BEGIN ATOMIC
    WITH held AS (
        SELECT DISTINCT ON (c.oid) c.relkind, l.mode, format('%I.%I', n.nspname, c.relname) AS name
        FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
          AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
          AND n.nspname NOT IN ('pg_catalog', 'phasegate')
          AND (c.relkind IN ('r', 'p', 'm', 'f') OR c.relkind = 'S' AND l.mode = 'RowExclusiveLock')
        ORDER BY c.oid, array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock',
            'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock', 'AccessShareLock'], l.mode)
    )
    SELECT jsonb_build_object(
        'locks', coalesce(jsonb_object_agg(h.name, h.mode) FILTER (WHERE h.relkind <> 'S'), '{}'),
        'sequences', coalesce(jsonb_agg(h.name ORDER BY h.name) FILTER (WHERE h.relkind = 'S'), '[]'))
    FROM held AS h;
END;

-- Raises unless a rehearsal is open in this transaction.
CREATE FUNCTION phasegate.refuse_unless_rehearsal() RETURNS phasegate.attempt
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this phasegate.attempt := phasegate.this_attempt();
BEGIN
    IF this.state IS NULL OR this.state NOT IN ('rehearsal', 'rehearsal_draining') THEN
        RAISE EXCEPTION 'phasegate: no rehearsal is open in this transaction' USING ERRCODE = 'ZG001';
    END IF;
    RETURN this;
END
$$;

-- Opens a rehearsal, or refuses. Answers which constraints are checked at once although they need not be: after a drain
-- they are to be so again.
CREATE FUNCTION phasegate.open_rehearsal(request_bytes bytea) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
DECLARE
    request jsonb := convert_from(request_bytes, 'UTF8')::jsonb;
    now timestamptz := greatest(clock_timestamp(), transaction_timestamp());
    immediate jsonb;
BEGIN
    PERFORM phasegate.refuse_session(request);
    PERFORM set_config('application_name', request ->> 'application_name', true);
    IF (phasegate.this_attempt()).nonce IS NOT NULL THEN
        RAISE EXCEPTION 'phasegate: this transaction has opened a phase already' USING ERRCODE = 'ZG012';
    END IF;
    -- Whoever turns the switch off finds it by this, and ends it.
    LOCK TABLE phasegate.phase_in_progress IN ROW SHARE MODE;
    INSERT INTO phasegate.attempt (nonce, state, xid, opened_at)
    VALUES (gen_random_uuid(), 'rehearsal', pg_current_xact_id(), now);
    -- SET CONSTRAINTS means by a name all that have it: one that is to be checked late stays so, and with it any of its
    -- name. And it needs USAGE on the schema.
    SELECT coalesce(jsonb_agg(DISTINCT format('%I.%I', n.nspname, c.conname)), '[]') INTO immediate
    FROM pg_constraint AS c JOIN pg_namespace AS n ON n.oid = c.connamespace
    WHERE c.condeferrable AND NOT c.condeferred AND has_schema_privilege(session_user, n.oid, 'USAGE')
      AND NOT EXISTS (
          SELECT FROM pg_constraint AS o
          WHERE o.connamespace = c.connamespace AND o.conname = c.conname AND o.condeferred
      );
    RETURN (phasegate.this_session() || jsonb_build_object(
        'opened_at', now, 'epoch', pg_sequence_last_value('phasegate.epoch'::regclass), 'immediate', immediate,
        'tried', phasegate.tried_by_session()) || phasegate.locks_of_session())::text;
END
$$;

-- Begins a phase of the rehearsal: sets its timeouts. They are not a wall, and the caller bounds itself too.
CREATE FUNCTION phasegate.rehearse(request_bytes bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    request jsonb := convert_from(request_bytes, 'UTF8')::jsonb;
BEGIN
    PERFORM phasegate.refuse_unless_rehearsal();
    -- The statistics go on from phase to phase, also past what is undone between them.
    DELETE FROM phasegate.counted AS c WHERE c.xid = pg_current_xact_id();
    INSERT INTO phasegate.counted (xid, relation, inserted, updated, deleted, came_before, went_before)
    SELECT pg_current_xact_id(), c.oid, 0, 0, 0,
           pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid),
           pg_stat_get_xact_tuples_deleted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid)
    FROM pg_class AS c
    WHERE c.relispartition AND c.relkind = 'r'
      AND pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid)
          + pg_stat_get_xact_tuples_deleted(c.oid) > 0;
    PERFORM set_config('application_name', request ->> 'application_name', true);
    PERFORM set_config('lock_timeout', request ->> 'lock_timeout', true);
    PERFORM set_config('statement_timeout', request ->> 'statement_timeout', true);
    PERFORM set_config('idle_in_transaction_session_timeout', request ->> 'idle_timeout', true);
END
$$;

-- From here on SET CONSTRAINTS ALL IMMEDIATE passes the interlock once, which is then armed anew.
CREATE FUNCTION phasegate.drain_rehearsal() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this phasegate.attempt := phasegate.refuse_unless_rehearsal();
BEGIN
    UPDATE phasegate.attempt AS a SET state = 'rehearsal_draining' WHERE a.nonce = this.nonce;
END
$$;

-- What the rehearsal has done so far, refused where a phase would be that is about to be committed. Rows that are counted
-- exactly are those since it was last measured; those of other tables, since the session began.
CREATE FUNCTION phasegate.measure_rehearsal() RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this phasegate.attempt := phasegate.refuse_unless_rehearsal();
    effects jsonb;
BEGIN
    IF this.state <> 'rehearsal' THEN
        RAISE EXCEPTION 'phasegate: not measured: the rehearsed phase is not drained' USING ERRCODE = 'ZG001';
    END IF;
    PERFORM phasegate.refuse_cursors_with_hold();
    effects := phasegate.effects();
    DELETE FROM phasegate.counted AS c WHERE c.xid = pg_current_xact_id();
    RETURN (jsonb_build_object('effects', effects, 'tried', phasegate.tried_by_session())
            || phasegate.locks_of_session())::text;
END
$$;

-- Whether the switch has been turned off since this epoch was the current one.
CREATE FUNCTION phasegate.switched_off_since(epoch bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pg_sequence_last_value('phasegate.epoch'::regclass) IS NOT DISTINCT FROM switched_off_since.epoch THEN
        RETURN false;
    END IF;
    RETURN NOT (SELECT s.is_on FROM phasegate.switch_status() AS s);
END
$$;

GRANT EXECUTE ON FUNCTION phasegate.open_rehearsal, phasegate.rehearse, phasegate.drain_rehearsal, phasegate.measure_rehearsal,
    phasegate.switched_off_since TO phasegate_runner;
