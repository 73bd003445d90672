-- The kill switch: a lease. OFF unless the row says ON, its epoch is the current one, its time is not over, this is still
-- the cluster, the database and the timeline on which it was turned on, the row was written here and not restored from a
-- dump, and the server was not started since. The last, because a copy of the server's files (a base backup, a snapshot,
-- a clone) has the same row, and nothing else in it tells the copy from the original.
CREATE TABLE phasegate.kill_switch (
    the_only boolean PRIMARY KEY DEFAULT true CHECK (the_only),
    is_on boolean NOT NULL DEFAULT false,
    epoch bigint NOT NULL DEFAULT 0,
    until timestamptz NOT NULL DEFAULT '-infinity',
    system_identifier bigint,
    database oid,
    timeline text,
    written_by xid, -- the transaction that wrote this version of the row: its xmin, unless it was restored
    server_started timestamptz,
    who text NOT NULL DEFAULT session_user,
    why text NOT NULL DEFAULT 'installed',
    at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10);
INSERT INTO phasegate.kill_switch DEFAULT VALUES;

CREATE TABLE phasegate.switch_history (
    at timestamptz NOT NULL,
    is_on boolean NOT NULL,
    epoch bigint NOT NULL,
    until timestamptz NOT NULL, -- a lease that is extended has an entry for each of its ends
    who text NOT NULL,
    why text NOT NULL,
    PRIMARY KEY (epoch, until)
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

-- The timeline of the server's log, which changes when a standby is promoted. Aurora refuses the functions that tell it
-- (55000, or 0A000 in older releases), and an administrator may have revoked them. Then it is the start of the server
-- process: a standby that is promoted has another one than the server before it.
CREATE FUNCTION phasegate.timeline() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR object_not_in_prerequisite_state THEN
    IF pg_is_in_recovery() THEN
        RAISE; -- a standby has no timeline of its own
    END IF;
    RETURN format('started %s', extract(epoch FROM pg_postmaster_start_time()));
END
$$;

-- Raises: the switch is OFF. Its row says who turned it off, once that operator's transaction has ended.
CREATE FUNCTION phasegate.raise_off() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row phasegate.kill_switch;
BEGIN
    SELECT * INTO v_row FROM phasegate.kill_switch;
    RAISE EXCEPTION 'phasegate: the kill switch is OFF'
        USING ERRCODE = 'ZG002',
              DETAIL = CASE WHEN v_row.is_on THEN 'An operator is turning it off.'
                            ELSE format('Turned off at %s by %s: %s', v_row.at, v_row.who, v_row.why) END,
              HINT = 'ON means that execution is allowed. As an operator: SELECT phasegate.switch_on(''why'', ''1 hour'')';
END
$$;

-- Raises unless the lease of this epoch holds now.
CREATE FUNCTION phasegate.refuse_unless_on(opened_epoch bigint, opened_until timestamptz, opened_timeline text)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pg_sequence_last_value('phasegate.epoch'::regclass) IS DISTINCT FROM opened_epoch THEN
        IF (SELECT k.is_on AND k.epoch = pg_sequence_last_value('phasegate.epoch'::regclass) FROM phasegate.kill_switch AS k) THEN
            RAISE EXCEPTION 'phasegate: the kill switch has been turned off and on again since the phase began'
                USING ERRCODE = 'ZG004', HINT = 'Perform the phase again.';
        END IF;
        PERFORM phasegate.raise_off();
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
        PERFORM phasegate.raise_off();
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
    IF lease.written_by IS DISTINCT FROM (SELECT k.xmin FROM phasegate.kill_switch AS k) THEN
        RAISE EXCEPTION 'phasegate: the kill switch was turned on before this database was restored from a dump'
            USING ERRCODE = 'ZG004', HINT = 'An operator turns the switch on here, if it is to be on.';
    END IF;
    IF lease.server_started IS DISTINCT FROM pg_postmaster_start_time() THEN
        RAISE EXCEPTION 'phasegate: the server was started after the kill switch was turned on'
            USING ERRCODE = 'ZG004',
                  HINT = 'A lease ends with the server''s process, since a copy of the server looks like the server itself: '
                         'an operator turns the switch on again.';
    END IF;
    RETURN lease;
END
$$;

-- Writes the switch and its history.
CREATE FUNCTION phasegate.write_switch(p_is_on boolean, p_epoch bigint, p_until timestamptz, p_why text)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_xid xid;
BEGIN
    -- In a savepoint it is not the transaction's own number.
    INSERT INTO phasegate.switch_history AS h (at, is_on, epoch, until, who, why)
    VALUES (v_now, p_is_on, p_epoch, p_until, session_user, p_why)
    RETURNING h.xmin INTO v_xid;
    UPDATE phasegate.kill_switch AS k
    SET is_on = p_is_on, epoch = p_epoch, until = p_until, timeline = phasegate.timeline(),
        system_identifier = (SELECT c.system_identifier FROM pg_control_system() AS c),
        database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
        written_by = v_xid, server_started = pg_postmaster_start_time(),
        who = session_user, why = p_why, at = v_now;
END
$$;

-- The reason to turn the switch on, or to leave it on for longer, and the time: raises unless they will do.
CREATE FUNCTION phasegate.ensure_reason_and_time(p_why text, p_lasts interval) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_why IS NULL OR p_why !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'phasegate: say why the switch is turned on' USING ERRCODE = 'ZG020';
    END IF;
    IF p_lasts IS NULL OR p_lasts <= interval '0' OR p_lasts > interval '1 day' THEN
        RAISE EXCEPTION 'phasegate: a lease lasts longer than nothing and at most one day, not %', p_lasts
            USING ERRCODE = 'ZG020';
    END IF;
END
$$;

-- Begins another epoch, in which no phase that is open now can commit. Refused where the switch is ON and one is open.
CREATE FUNCTION phasegate.switch_on(why text, lasts interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    next_epoch bigint;
    v_phases text;
BEGIN
    PERFORM phasegate.ensure_reason_and_time(why, lasts);
    LOCK TABLE phasegate.switch_history IN EXCLUSIVE MODE; -- one operator at a time
    IF (SELECT s.is_on FROM phasegate.switch_status() AS s) THEN
        SELECT string_agg(format('%s (process %s)', coalesce(p.application_name, p.prepared), p.pid), ', ')
        INTO v_phases FROM (SELECT * FROM phasegate.phases_in_progress() LIMIT 10) AS p;
        IF v_phases IS NOT NULL THEN
            RAISE EXCEPTION 'phasegate: the kill switch is ON, and phases are open'
                USING ERRCODE = 'ZG020',
                      DETAIL = format('Another lease would end %s.', v_phases),
                      HINT = 'To leave it on for longer: SELECT phasegate.extend(''why'', ''1 hour''). '
                             'To end them, turn it off first.';
        END IF;
    END IF;
    next_epoch := greatest(pg_sequence_last_value('phasegate.epoch'::regclass), (SELECT epoch FROM phasegate.kill_switch)) + 1;
    PERFORM setval('phasegate.epoch', next_epoch);
    PERFORM phasegate.write_switch(true, next_epoch, clock_timestamp() + lasts, why);
    RETURN next_epoch;
END
$$;

-- Lets the lease that holds now end later: so long from now. Its epoch stays, and with it the phases that are open.
-- Returns when it ends.
CREATE FUNCTION phasegate.extend(p_why text, p_lasts interval) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_lease phasegate.kill_switch;
    v_until timestamptz;
BEGIN
    PERFORM phasegate.ensure_reason_and_time(p_why, p_lasts);
    LOCK TABLE phasegate.switch_history IN EXCLUSIVE MODE; -- one operator at a time
    v_lease := phasegate.lease();
    v_until := clock_timestamp() + p_lasts;
    IF v_until <= v_lease.until THEN
        RAISE EXCEPTION 'phasegate: the lease ends at % as it is, which is not before %', v_lease.until, v_until
            USING ERRCODE = 'ZG020', HINT = 'To end it, turn the switch off.';
    END IF;
    PERFORM phasegate.write_switch(true, v_lease.epoch, v_until, p_why);
    RETURN v_until;
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
    PERFORM phasegate.write_switch(false, next_epoch, '-infinity', coalesce(why, ''));
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

-- Ends the sessions of these phases. One that the owner may not end (a superuser's; any, where pg_signal_backend could not be
-- granted) is named by a warning: it cannot commit either, and the switch is OFF in any case.
CREATE FUNCTION phasegate.end_sessions(pids integer[]) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_pid integer;
    v_ended integer := 0;
BEGIN
    PERFORM pg_stat_clear_snapshot(); -- or sessions that began since this transaction first looked are not seen
    FOR v_pid IN SELECT a.pid FROM pg_stat_activity AS a WHERE a.pid = ANY (pids) LOOP
        BEGIN
            IF pg_terminate_backend(v_pid) THEN
                v_ended := v_ended + 1;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'phasegate: process % was not ended: %', v_pid, SQLERRM
                USING HINT = 'It cannot commit. GRANT pg_signal_backend TO phasegate_owner, or grant its role to phasegate_owner.';
        END;
    END LOOP;
    RETURN v_ended;
END
$$;

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

-- Waits at most this long for every commit whose checks may have passed; returns whether all of them have ended.
CREATE FUNCTION phasegate.wait_for_commits(p_patience interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_milliseconds bigint := least(greatest(ceil(extract(epoch FROM p_patience) * 1000), 1), 2147483647);
BEGIN
    PERFORM set_config('lock_timeout', v_milliseconds::text, true);
    PERFORM set_config('statement_timeout', '0', true);
    -- The queue is fair: later commits wait behind this, and so it is not passed for ever.
    LOCK TABLE phasegate.kill_switch IN EXCLUSIVE MODE;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;

-- Whether every commit that was let through has ended. Waits at most this long; false means: not known.
CREATE FUNCTION phasegate.drain(patience interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN phasegate.wait_for_commits(patience) AND NOT EXISTS (
        SELECT FROM phasegate.kill_switch AS k
        WHERE k.is_on AND k.epoch = pg_sequence_last_value('phasegate.epoch'::regclass)
    );
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

-- A row that is written by hand moves the epoch: what was open does not commit any more. The functions above have moved
-- it to what they write; `extend`, which does not, says which transaction writes, and no more than that the end is later.
CREATE FUNCTION phasegate.written_by_hand() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF tg_op <> 'UPDATE' OR new.epoch IS DISTINCT FROM pg_sequence_last_value('phasegate.epoch'::regclass)
       OR new.epoch IS NOT DISTINCT FROM old.epoch
          AND NOT (old.is_on AND new.is_on AND new.until > old.until AND new.written_by <> old.written_by) THEN
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
GRANT EXECUTE ON FUNCTION phasegate.switch_on, phasegate.extend, phasegate.switch_off, phasegate.drain, phasegate.wait_for_commits,
    phasegate.end_commits_in_flight TO phasegate_operator;
GRANT EXECUTE ON FUNCTION phasegate.switch_status, phasegate.phases_in_progress, phasegate.commits_in_flight
    TO phasegate_operator, phasegate_runner, phasegate_auditor;
