-- What operators call: turn the switch on, extend the lease, turn it off, wait for the commits that
-- were let through. After the lease.

-- Returns the sessions that hold a lock of this mode on a table of the schema. A prepared
-- transaction has no session, but a name.
CREATE FUNCTION phasegate.lock_holders(p_table regclass, p_mode text)
RETURNS TABLE (pid integer, backend_start timestamptz, role text, application_name text,
               since timestamptz, prepared text)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT l.pid, a.backend_start, coalesce(a.usename, p.owner)::text, a.application_name,
           coalesce(a.xact_start, p.prepared), p.gid
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    -- By the lock on its transaction id: the virtual id is the session's, and another one after a
    -- restart.
    LEFT JOIN pg_catalog.pg_locks AS x
        ON l.pid IS NULL AND x.pid IS NULL AND x.virtualtransaction = l.virtualtransaction
           AND x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock'
    LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = x.transactionid
    WHERE l.locktype = 'relation' AND l.relation = p_table AND l.mode = p_mode AND l.granted
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                        WHERE d.datname = current_database())
      AND l.pid IS DISTINCT FROM pg_backend_pid();
END;

CREATE FUNCTION phasegate.phases_in_progress()
RETURNS TABLE (pid integer, backend_start timestamptz, role text, application_name text,
               since timestamptz, prepared text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM phasegate.lock_holders('phasegate.phase_in_progress', 'RowShareLock');
END;

-- Commits whose check of the switch has passed, or is about to be made.
CREATE FUNCTION phasegate.commits_in_flight()
RETURNS TABLE (pid integer, backend_start timestamptz, role text, application_name text,
               since timestamptz, prepared text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT * FROM phasegate.lock_holders('phasegate.kill_switch', 'RowShareLock');
END;

-- Ends these sessions and returns how many. A session that the owner may not end (a superuser's;
-- any, where pg_signal_backend could not be granted) is named by a warning: it cannot commit
-- either, and the switch is OFF in any case.
CREATE FUNCTION phasegate.end_sessions(p_pids integer[]) RETURNS integer
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_pid integer;
    v_ended integer := 0;
BEGIN
    -- Otherwise sessions that began since this transaction first looked are not seen.
    PERFORM pg_stat_clear_snapshot();
    FOR v_pid IN SELECT a.pid FROM pg_stat_activity AS a WHERE a.pid = ANY (p_pids) LOOP
        BEGIN
            IF pg_terminate_backend(v_pid) THEN
                v_ended := v_ended + 1;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'process % was not ended: %', v_pid, SQLERRM
                USING HINT = 'It cannot commit. GRANT pg_signal_backend TO phasegate_owner, '
                             'or grant its role to phasegate_owner.';
        END;
    END LOOP;
    RETURN v_ended;
END
$$;

-- Ends the phases that have not reached their commit. To be called once the epoch has moved: they
-- cannot commit any more.
CREATE FUNCTION phasegate.stop_phases() RETURNS integer
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT phasegate.end_sessions(pg_catalog.array_agg(p.pid))
    FROM phasegate.lock_holders('phasegate.phase_in_progress', 'RowShareLock') AS p
    WHERE p.pid NOT IN (
        SELECT c.pid FROM phasegate.lock_holders('phasegate.kill_switch', 'RowShareLock') AS c
        WHERE c.pid IS NOT NULL);
END;

-- Ends the commits that delay a drain, for example because a synchronous standby is dead. What they
-- commit stays committed on this server.
CREATE FUNCTION phasegate.end_commits_in_flight() RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT phasegate.end_sessions(pg_catalog.array_agg(c.pid))
    FROM phasegate.lock_holders('phasegate.kill_switch', 'RowShareLock') AS c;
END;

-- Raises unless there is a reason, and the lease is longer than nothing and at most one day.
CREATE FUNCTION phasegate.ensure_reason_and_time(p_reason text, p_duration interval) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_reason IS NULL OR p_reason !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'the reason is missing' USING
            ERRCODE = 'ZG020', HINT = 'Give the reason for which the switch is turned on.';
    END IF;
    IF p_duration IS NULL OR p_duration <= interval '0' OR p_duration > interval '1 day' THEN
        RAISE EXCEPTION 'a lease lasts longer than nothing and at most one day, not %',
            p_duration USING ERRCODE = 'ZG020';
    END IF;
END
$$;

-- Raises if the switch is ON and phases are open: another lease would end them.
CREATE FUNCTION phasegate.ensure_no_phase_to_end() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_phases text;
BEGIN
    IF NOT (SELECT s.is_on FROM phasegate.switch_status() AS s) THEN
        RETURN;
    END IF;
    SELECT string_agg(format('%s (process %s)', coalesce(p.application_name, p.prepared), p.pid),
                      ', ')
    INTO v_phases FROM (SELECT * FROM phasegate.phases_in_progress() LIMIT 10) AS p;
    IF v_phases IS NOT NULL THEN
        RAISE EXCEPTION 'the kill switch is ON, and phases are open' USING
            ERRCODE = 'ZG020',
            DETAIL = format('Another lease would end %s.', v_phases),
            HINT = 'To leave it on for longer: SELECT phasegate.extend(''reason'', ''1 hour''). '
                   'To end them, turn it off first.';
    END IF;
END
$$;

-- Writes the switch and its history.
CREATE FUNCTION phasegate.write_switch(
    p_is_on boolean, p_epoch bigint, p_until timestamptz, p_reason text
) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_xid xid;
BEGIN
    -- In a savepoint the xmin is not the id of the top-level transaction.
    INSERT INTO phasegate.switch_history AS h (at, is_on, epoch, until, actor, reason)
    VALUES (v_now, p_is_on, p_epoch, p_until, session_user, p_reason)
    RETURNING h.xmin INTO v_xid;
    UPDATE phasegate.kill_switch AS k
    SET is_on = p_is_on, epoch = p_epoch, until = p_until, timeline = phasegate.timeline(),
        system_identifier = (SELECT c.system_identifier FROM pg_control_system() AS c),
        database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
        written_by = v_xid, server_started = pg_postmaster_start_time(),
        actor = session_user, reason = p_reason, at = v_now;
END
$$;

-- The epoch after the current one, and after that of the row.
CREATE FUNCTION phasegate.next_epoch() RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT greatest(pg_sequence_last_value('phasegate.epoch'::regclass),
                    (SELECT k.epoch FROM phasegate.kill_switch AS k)) + 1;
END;

-- Begins another epoch, in which no phase that is open now can commit, and returns it. Raises where
-- the switch is ON and a phase is open.
CREATE FUNCTION phasegate.switch_on(p_reason text, p_duration interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_epoch bigint;
BEGIN
    PERFORM phasegate.ensure_reason_and_time(p_reason, p_duration);
    LOCK TABLE phasegate.switch_history IN EXCLUSIVE MODE; -- one operator at a time
    PERFORM phasegate.ensure_no_phase_to_end();
    v_epoch := phasegate.next_epoch();
    PERFORM setval('phasegate.epoch', v_epoch);
    PERFORM phasegate.write_switch(true, v_epoch, clock_timestamp() + p_duration, p_reason);
    RETURN v_epoch;
END
$$;

-- Moves the end of the current lease to this long from now, and returns it. The epoch stays, and
-- with it the phases that are open.
CREATE FUNCTION phasegate.extend(p_reason text, p_duration interval) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_lease phasegate.kill_switch;
    v_until timestamptz;
BEGIN
    PERFORM phasegate.ensure_reason_and_time(p_reason, p_duration);
    LOCK TABLE phasegate.switch_history IN EXCLUSIVE MODE; -- one operator at a time
    v_lease := phasegate.lease();
    v_until := clock_timestamp() + p_duration;
    IF v_until <= v_lease.until THEN
        RAISE EXCEPTION 'the lease ends at % already, which is not before %',
            v_lease.until, v_until
            USING ERRCODE = 'ZG020', HINT = 'To end it, turn the switch off.';
    END IF;
    PERFORM phasegate.write_switch(true, v_lease.epoch, v_until, p_reason);
    RETURN v_until;
END
$$;

-- Turns the switch off and returns the new epoch. Waits only for another operator. From the nextval
-- on, no check of the switch passes; a commit whose check has passed before may still be in flight,
-- which phasegate.drain() waits for.
CREATE FUNCTION phasegate.switch_off(p_reason text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_epoch bigint;
BEGIN
    -- In one step: setval, of a value that was read before, could bring back an epoch that ended.
    PERFORM nextval('phasegate.epoch');
    PERFORM phasegate.stop_phases();
    -- Durable here, without waiting for a standby, which may be dead: no lease outlives a
    -- promotion.
    PERFORM set_config('synchronous_commit', 'local', true);
    LOCK TABLE phasegate.switch_history IN EXCLUSIVE MODE;
    -- Again, in case another operator was turning it on.
    v_epoch := phasegate.next_epoch();
    PERFORM setval('phasegate.epoch', v_epoch);
    PERFORM phasegate.write_switch(false, v_epoch, '-infinity', coalesce(p_reason, ''));
    PERFORM phasegate.stop_phases();
    RETURN v_epoch;
END
$$;

-- Waits at most this long for every commit whose checks may have passed; returns whether all of
-- them have ended.
CREATE FUNCTION phasegate.wait_for_commits(p_patience interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_milliseconds bigint :=
        least(greatest(ceil(extract(epoch FROM p_patience) * 1000), 1), 2147483647);
BEGIN
    PERFORM set_config('lock_timeout', v_milliseconds::text, true);
    PERFORM set_config('statement_timeout', '0', true);
    -- The lock queue is fair: later commits wait behind this lock.
    LOCK TABLE phasegate.kill_switch IN EXCLUSIVE MODE;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;

-- Returns whether every commit that was let through has ended, after waiting at most this long;
-- false means: not known.
CREATE FUNCTION phasegate.drain(p_patience interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN phasegate.wait_for_commits(p_patience) AND NOT EXISTS (
        SELECT FROM phasegate.kill_switch AS k
        WHERE k.is_on AND k.epoch = pg_sequence_last_value('phasegate.epoch'::regclass)
    );
END
$$;

-- The state of the switch by row, sequence and clock, without waiting for any lock.
CREATE FUNCTION phasegate.switch_status()
RETURNS TABLE (is_on boolean, epoch bigint, until timestamptz, actor text, reason text,
               at timestamptz, refusal text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    is_on := true;
    BEGIN
        PERFORM phasegate.lease();
    EXCEPTION WHEN SQLSTATE 'ZG002' OR SQLSTATE 'ZG003' OR SQLSTATE 'ZG004' THEN
        is_on := false;
        refusal := SQLERRM;
    END;
    SELECT k.epoch, k.until, k.actor, k.reason, k.at INTO epoch, until, actor, reason, at
    FROM phasegate.kill_switch AS k;
    RETURN NEXT;
END
$$;

-- Returns whether the switch has been turned off since this epoch was the current one.
CREATE FUNCTION phasegate.switched_off_since(p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pg_sequence_last_value('phasegate.epoch'::regclass) IS NOT DISTINCT FROM p_epoch THEN
        RETURN false;
    END IF;
    RETURN NOT (SELECT s.is_on FROM phasegate.switch_status() AS s);
END
$$;
