-- The kill switch: a lease. OFF unless the row says ON, its epoch is the current one, its time is not over, and this is
-- still the cluster and the timeline on which it was turned on.
CREATE TABLE phasegate.kill_switch (
    the_only boolean PRIMARY KEY DEFAULT true CHECK (the_only),
    is_on boolean NOT NULL DEFAULT false,
    epoch bigint NOT NULL DEFAULT 0,
    until timestamptz NOT NULL DEFAULT '-infinity',
    system_identifier bigint,
    database oid,
    timeline text,
    who text NOT NULL DEFAULT session_user,
    why text NOT NULL DEFAULT 'installed',
    at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10);
INSERT INTO phasegate.kill_switch DEFAULT VALUES;

CREATE TABLE phasegate.switch_history (
    at timestamptz NOT NULL,
    is_on boolean NOT NULL,
    epoch bigint PRIMARY KEY,
    until timestamptz NOT NULL,
    who text NOT NULL,
    why text NOT NULL
);

-- The current epoch. A sequence, because it belongs to no snapshot: a change of it counts at once, for every
-- transaction at every isolation level, and before the one that made it has committed. Who turns it on uses setval, which
-- is logged as it is; nextval is logged ahead, and a crash would move it, which is for those who turn it off.
CREATE SEQUENCE phasegate.epoch AS bigint MINVALUE 0 START 0;
SELECT pg_catalog.setval('phasegate.epoch', 0);

-- Locked by every open phase, so that phases can be found: their rows are invisible, and their names could be forged.
CREATE TABLE phasegate.phase_in_progress ();

-- Whether a role may act as another one, by what it inherits or by SET ROLE. A role that is missing,
-- as in a database that was restored into another cluster, has no members. From PostgreSQL 16 on the
-- role that created another one is a member of it with ADMIN OPTION alone, and may not act as it.
-- Pins no search_path, so that the caller's query takes it in: its names were looked up when it was created.
CREATE FUNCTION phasegate.may_act_as(p_role name, p_other text) RETURNS boolean
LANGUAGE sql STABLE
RETURN pg_catalog.pg_has_role(p_role, pg_catalog.to_regrole(p_other)::oid,
    CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 160000
         THEN 'USAGE, SET' ELSE 'MEMBER' END) IS TRUE;

CREATE FUNCTION phasegate.timeline() RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8);

-- Raises unless the lease of this epoch holds now.
CREATE FUNCTION phasegate.refuse_unless_on(opened_epoch bigint, opened_until timestamptz, opened_timeline text)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pg_sequence_last_value('phasegate.epoch'::regclass) IS DISTINCT FROM opened_epoch THEN
        IF (SELECT k.is_on FROM phasegate.kill_switch AS k) THEN
            RAISE EXCEPTION 'phasegate: the kill switch has been turned off and on again since the phase began'
                USING ERRCODE = 'ZG004', HINT = 'Perform the phase again.';
        END IF;
        RAISE EXCEPTION 'phasegate: the kill switch is OFF'
            USING ERRCODE = 'ZG002', HINT = 'ON means that execution is allowed: an operator turns it on.';
    END IF;
    IF opened_timeline IS DISTINCT FROM phasegate.timeline() THEN
        RAISE EXCEPTION 'phasegate: the server has been promoted since the kill switch was turned on'
            USING ERRCODE = 'ZG004', HINT = 'A lease does not outlive its timeline: an operator turns the switch on again.';
    END IF;
    IF opened_until IS NULL OR opened_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'phasegate: the lease of the kill switch is over'
            USING ERRCODE = 'ZG003', DETAIL = format('It ended at %s.', opened_until),
                  HINT = 'An operator turns the switch on for longer.';
    END IF;
END
$$;

-- The lease that holds now; raises if none does.
CREATE FUNCTION phasegate.lease() RETURNS phasegate.kill_switch
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lease phasegate.kill_switch;
BEGIN
    SELECT * INTO lease FROM phasegate.kill_switch;
    IF lease.is_on IS NOT TRUE OR lease.epoch IS DISTINCT FROM pg_sequence_last_value('phasegate.epoch'::regclass) THEN
        RAISE EXCEPTION 'phasegate: the kill switch is OFF'
            USING ERRCODE = 'ZG002', HINT = 'ON means that execution is allowed: an operator turns it on.';
    END IF;
    IF lease.system_identifier IS DISTINCT FROM (SELECT c.system_identifier FROM pg_control_system() AS c) THEN
        RAISE EXCEPTION 'phasegate: the kill switch was turned on in another cluster, of which this is a copy'
            USING ERRCODE = 'ZG004', HINT = 'An operator turns the switch on here, if it is to be on.';
    END IF;
    IF lease.database IS DISTINCT FROM (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) THEN
        RAISE EXCEPTION 'phasegate: the kill switch was turned on in another database, of which this is a copy'
            USING ERRCODE = 'ZG004', HINT = 'An operator turns the switch on here, if it is to be on.';
    END IF;
    PERFORM phasegate.refuse_unless_on(lease.epoch, lease.until, lease.timeline);
    RETURN lease;
END
$$;

CREATE FUNCTION phasegate.switch_on(why text, lasts interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    next_epoch bigint;
BEGIN
    IF why IS NULL OR why !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'phasegate: say why the switch is turned on' USING ERRCODE = 'ZG020';
    END IF;
    IF lasts IS NULL OR lasts <= interval '0' OR lasts > interval '1 day' THEN
        RAISE EXCEPTION 'phasegate: a lease lasts longer than nothing and at most one day, not %', lasts
            USING ERRCODE = 'ZG020';
    END IF;
    LOCK TABLE phasegate.switch_history IN EXCLUSIVE MODE; -- one operator at a time
    next_epoch := greatest(pg_sequence_last_value('phasegate.epoch'::regclass), (SELECT epoch FROM phasegate.kill_switch)) + 1;
    PERFORM setval('phasegate.epoch', next_epoch);
    UPDATE phasegate.kill_switch AS k
    SET is_on = true, epoch = next_epoch, until = clock_timestamp() + lasts, timeline = phasegate.timeline(),
        system_identifier = (SELECT c.system_identifier FROM pg_control_system() AS c),
        database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
        who = session_user, why = switch_on.why, at = clock_timestamp();
    INSERT INTO phasegate.switch_history SELECT k.at, k.is_on, k.epoch, k.until, k.who, k.why FROM phasegate.kill_switch AS k;
    RETURN next_epoch;
END
$$;

-- Waits for nobody but another operator. From the first setval on, no check of the switch passes; a commit whose check
-- has passed before may still be in flight, which phasegate.drain() waits for.
CREATE FUNCTION phasegate.switch_off(why text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    next_epoch bigint;
BEGIN
    -- In one step: with setval, of a value that was read before, an epoch that others have ended could come back.
    PERFORM nextval('phasegate.epoch');
    PERFORM phasegate.stop_phases();
    -- Durable here, and without waiting for a standby, which may be dead: no lease outlives a promotion anyway.
    PERFORM set_config('synchronous_commit', 'local', true);
    LOCK TABLE phasegate.switch_history IN EXCLUSIVE MODE;
    -- Again, for the case that an operator had been turning it on.
    next_epoch := greatest(pg_sequence_last_value('phasegate.epoch'::regclass), (SELECT epoch FROM phasegate.kill_switch)) + 1;
    PERFORM setval('phasegate.epoch', next_epoch);
    UPDATE phasegate.kill_switch AS k
    SET is_on = false, epoch = next_epoch, until = '-infinity', who = session_user,
        why = coalesce(switch_off.why, ''), at = clock_timestamp();
    INSERT INTO phasegate.switch_history SELECT k.at, k.is_on, k.epoch, k.until, k.who, k.why FROM phasegate.kill_switch AS k;
    PERFORM phasegate.stop_phases();
    RETURN next_epoch;
END
$$;

-- Who holds a lock of this mode on one of our tables. A prepared transaction has no session, but a name.
CREATE FUNCTION phasegate.holders_of(our_table regclass, lock_mode text)
RETURNS TABLE (pid integer, backend_start timestamptz, who text, application_name text, since timestamptz, prepared text)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT l.pid, a.backend_start, coalesce(a.usename, p.owner)::text, a.application_name, coalesce(a.xact_start, p.prepared), p.gid
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    -- By the lock on its own number: its virtual number is the session's, or after a restart another.
    LEFT JOIN pg_catalog.pg_locks AS x
        ON l.pid IS NULL AND x.pid IS NULL AND x.virtualtransaction = l.virtualtransaction
           AND x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock'
    LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = x.transactionid
    WHERE l.locktype = 'relation' AND l.relation = our_table AND l.mode = lock_mode AND l.granted
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
      AND l.pid IS DISTINCT FROM pg_backend_pid();
END;

CREATE FUNCTION phasegate.phases_in_progress()
RETURNS TABLE (pid integer, backend_start timestamptz, who text, application_name text, since timestamptz, prepared text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM phasegate.holders_of('phasegate.phase_in_progress', 'RowShareLock');
END;

-- Commits whose check of the switch has passed, or is about to be made.
CREATE FUNCTION phasegate.commits_in_flight()
RETURNS TABLE (pid integer, backend_start timestamptz, who text, application_name text, since timestamptz, prepared text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM phasegate.holders_of('phasegate.kill_switch', 'RowShareLock');
END;

-- Ends the sessions of these phases. One that belongs to a superuser cannot be ended by us; it cannot commit either.
CREATE FUNCTION phasegate.end_sessions(pids integer[]) RETURNS integer
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.pg_stat_clear_snapshot(); -- or sessions that began since this transaction first looked are not seen
    SELECT count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(a.pid))::integer
    FROM pg_catalog.pg_stat_activity AS a JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid AND NOT r.rolsuper
    WHERE a.pid = ANY (pids);
END;

-- Ends the phases that have not come to their commit. Meaningful once the epoch has moved: they cannot commit any more.
CREATE FUNCTION phasegate.stop_phases() RETURNS integer
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT phasegate.end_sessions(pg_catalog.array_agg(p.pid))
    FROM phasegate.holders_of('phasegate.phase_in_progress', 'RowShareLock') AS p
    WHERE p.pid NOT IN (SELECT c.pid FROM phasegate.holders_of('phasegate.kill_switch', 'RowShareLock') AS c WHERE c.pid IS NOT NULL);
END;

-- Ends the commits that hold the draining up, for example because a synchronous standby is dead. What they commit stays
-- committed on this server.
CREATE FUNCTION phasegate.end_commits_in_flight() RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT phasegate.end_sessions(pg_catalog.array_agg(c.pid))
    FROM phasegate.holders_of('phasegate.kill_switch', 'RowShareLock') AS c;
END;

-- Whether every commit that was let through has ended. Waits at most this long; false means: not known.
CREATE FUNCTION phasegate.drain(patience interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    milliseconds bigint := least(greatest(ceil(extract(epoch FROM patience) * 1000), 1), 2147483647);
BEGIN
    PERFORM set_config('lock_timeout', milliseconds::text, true);
    PERFORM set_config('statement_timeout', '0', true);
    -- The queue is fair: later commits wait behind this, and so it is not passed for ever.
    LOCK TABLE phasegate.kill_switch IN EXCLUSIVE MODE;
    RETURN NOT EXISTS (
        SELECT FROM phasegate.kill_switch AS k
        WHERE k.is_on AND k.epoch = pg_sequence_last_value('phasegate.epoch'::regclass)
    );
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;

-- What the row, the sequence and the clock say together, without waiting for anybody.
CREATE FUNCTION phasegate.switch_status()
RETURNS TABLE (is_on boolean, epoch bigint, until timestamptz, who text, why text, at timestamptz, refusal text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    is_on := true;
    BEGIN
        PERFORM phasegate.lease();
    EXCEPTION WHEN SQLSTATE 'ZG002' OR SQLSTATE 'ZG003' OR SQLSTATE 'ZG004' THEN
        is_on := false;
        refusal := SQLERRM;
    END;
    SELECT k.epoch, k.until, k.who, k.why, k.at INTO epoch, until, who, why, at FROM phasegate.kill_switch AS k;
    RETURN NEXT;
END
$$;

-- Whoever writes the row by hand moves the epoch: what was open does not commit any more. The functions above have moved
-- it to what they write.
CREATE FUNCTION phasegate.written_by_hand() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF tg_op <> 'UPDATE' OR new.epoch IS NOT DISTINCT FROM old.epoch
       OR new.epoch IS DISTINCT FROM pg_sequence_last_value('phasegate.epoch'::regclass) THEN
        PERFORM nextval('phasegate.epoch');
    END IF;
    RETURN coalesce(new, old);
END
$$;
CREATE TRIGGER written_by_hand BEFORE INSERT OR UPDATE OR DELETE ON phasegate.kill_switch
    FOR EACH ROW EXECUTE FUNCTION phasegate.written_by_hand();
CREATE TRIGGER emptied_by_hand BEFORE TRUNCATE ON phasegate.kill_switch
    FOR EACH STATEMENT EXECUTE FUNCTION phasegate.written_by_hand();
ALTER TABLE phasegate.kill_switch ENABLE ALWAYS TRIGGER written_by_hand;
ALTER TABLE phasegate.kill_switch ENABLE ALWAYS TRIGGER emptied_by_hand;

GRANT USAGE ON SCHEMA phasegate TO phasegate_operator, phasegate_runner, phasegate_auditor;
GRANT SELECT ON phasegate.kill_switch, phasegate.switch_history TO phasegate_auditor, phasegate_operator;
GRANT EXECUTE ON FUNCTION phasegate.switch_on, phasegate.switch_off, phasegate.drain, phasegate.end_commits_in_flight
    TO phasegate_operator;
GRANT EXECUTE ON FUNCTION phasegate.switch_status, phasegate.phases_in_progress, phasegate.commits_in_flight
    TO phasegate_operator, phasegate_runner, phasegate_auditor;
