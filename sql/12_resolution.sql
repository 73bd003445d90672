-- Resolution of an attempt whose commit was not confirmed, by claiming its nonce; and the deletion
-- of attempts that are too old to be resolved.

-- Raises unless the transaction is READ COMMITTED, in which a commit of another session is visible.
CREATE FUNCTION phasegate.ensure_resolvable_isolation() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an attempt is resolved in READ COMMITTED, where the commit of '
                        'its session is visible' USING ERRCODE = 'ZG022';
    END IF;
END
$$;

-- Raises unless the session's role is that of the plan, or an operator.
CREATE FUNCTION phasegate.ensure_may_resolve(p_plan bytea) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT phasegate.may_act_as(session_user, 'phasegate_operator')
       AND NOT EXISTS (SELECT FROM phasegate.plan AS p
                       WHERE p.plan = p_plan AND p.role = session_user) THEN
        RAISE EXCEPTION '% may not resolve an attempt of plan %',
            session_user, encode(p_plan, 'hex')
            USING ERRCODE = 'ZG022',
                  HINT = 'Resolve it as the role that the plan names, or as an operator.';
    END IF;
END
$$;

-- Raises if the attempt is so old that its row may have been deleted.
CREATE FUNCTION phasegate.ensure_not_forgotten(p_opened_at timestamptz) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_horizon timestamptz := (SELECT r.horizon FROM phasegate.retention AS r);
BEGIN
    IF p_opened_at IS NULL OR p_opened_at < v_horizon THEN
        RAISE EXCEPTION 'the attempt was opened at %, and what is older than % may have '
                        'been deleted', p_opened_at, v_horizon
            USING ERRCODE = 'ZG022', HINT = 'Look at the data.';
    END IF;
END
$$;

-- Ends the session of an attempt, if it lives. A runner ends sessions of its own role only, and an
-- operator those of runners, both in this database.
CREATE FUNCTION phasegate.end_session_of_attempt(
    p_pid integer, p_backend_start timestamptz, p_milliseconds integer
) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_stat_activity AS a
        WHERE a.pid = p_pid AND a.backend_start = p_backend_start
          AND a.datname = current_database()
          AND (a.usename = session_user
               OR phasegate.may_act_as(session_user, 'phasegate_operator')
                  AND phasegate.may_act_as(a.usename, 'phasegate_runner'))
    ) THEN
        PERFORM pg_terminate_backend(p_pid, p_milliseconds);
    END IF;
END
$$;

-- Claims a nonce, so that no phase can be opened with it; returns whether the nonce is claimed. The
-- row is as old as the claim, whatever the caller says: it is a fence for a day at least.
CREATE FUNCTION phasegate.claim_nonce(p_nonce uuid, p_plan bytea) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_state text;
BEGIN
    INSERT INTO phasegate.attempt (nonce, state, xid, opened_at, plan)
    VALUES (p_nonce, 'claimed', pg_current_xact_id(), clock_timestamp(), p_plan)
    ON CONFLICT (nonce) DO NOTHING;
    IF FOUND THEN
        RETURN true;
    END IF;
    SELECT a.state INTO STRICT v_state FROM phasegate.attempt AS a WHERE a.nonce = p_nonce;
    RETURN v_state = 'claimed';
END
$$;

-- Resolves an attempt whose commit was not confirmed, for the plan's role and for operators. Its
-- session, if it lives, is ended. Then either its row is in the journal, and it was committed; or
-- its nonce is claimed, and it never can be.
CREATE FUNCTION phasegate.resolve(
    p_plan bytea, p_nonce uuid, p_opened_at timestamptz, p_pid integer,
    p_backend_start timestamptz, p_patience interval
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rolled_back text := jsonb_build_object('state', 'rolled back')::text;
    v_entry phasegate.journal;
    v_milliseconds integer := greatest(ceil(extract(epoch FROM p_patience) * 1000), 1);
BEGIN
    PERFORM phasegate.ensure_resolvable_isolation();
    -- A promotion may have lost the admission of the plan, and with it everything after. Without a
    -- plan no phase is open, and none is committed; the question leaves no row.
    IF NOT EXISTS (SELECT FROM phasegate.plan AS p WHERE p.plan = p_plan)
       AND phasegate.may_act_as(session_user, 'phasegate_runner') THEN
        RETURN v_rolled_back;
    END IF;
    PERFORM phasegate.ensure_may_resolve(p_plan);
    PERFORM set_config('statement_timeout', '0', true);
    PERFORM set_config('lock_timeout', v_milliseconds::text, true);
    PERFORM phasegate.end_session_of_attempt(p_pid, p_backend_start, v_milliseconds);
    SELECT j.* INTO v_entry FROM phasegate.journal AS j
    WHERE j.nonce = p_nonce AND j.plan = p_plan;
    IF NOT FOUND THEN
        PERFORM phasegate.ensure_not_forgotten(p_opened_at);
        IF phasegate.claim_nonce(p_nonce, p_plan) THEN
            RETURN v_rolled_back;
        END IF;
        -- It was committed after the first look.
        SELECT j.* INTO v_entry FROM phasegate.journal AS j
        WHERE j.nonce = p_nonce AND j.plan = p_plan;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'nonce % is that of an attempt at another plan', p_nonce
                USING ERRCODE = 'ZG022';
        END IF;
    END IF;
    RETURN jsonb_build_object('state', 'committed', 'nonce', v_entry.nonce, 'body', v_entry.body,
                              'hash', encode(v_entry.hash, 'hex'))::text;
END
$$;

-- Deletes what is older than this and nothing needs any more, and returns how many rows of each.
-- Attempts: one that is older than the horizon and not in the journal can no longer be resolved.
-- Changes of the switch: those before the last one. Counters: of transactions that have ended. The
-- journal, plans, approvals and their evidence are never deleted.
CREATE FUNCTION phasegate.housekeep(p_older_than interval)
RETURNS TABLE (attempts bigint, switch_changes bigint, counters bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_horizon timestamptz := clock_timestamp() - p_older_than;
BEGIN
    IF p_older_than IS NULL OR p_older_than < interval '1 day' THEN
        RAISE EXCEPTION 'records are kept for one day at least, not %', p_older_than
            USING ERRCODE = 'ZG020';
    END IF;
    UPDATE phasegate.retention SET horizon = greatest(horizon, v_horizon);
    DELETE FROM phasegate.attempt AS a
    WHERE a.opened_at < (SELECT r.horizon FROM phasegate.retention AS r);
    GET DIAGNOSTICS attempts = ROW_COUNT;
    -- A phase deletes what it counted as it finishes: these rows belong to no phase.
    DELETE FROM phasegate.counted AS c WHERE c.xid < pg_snapshot_xmin(pg_current_snapshot());
    GET DIAGNOSTICS counters = ROW_COUNT;
    -- Last: from here to the end of the transaction an operator who turns the switch waits. One who
    -- turns it off has done so before that.
    DELETE FROM phasegate.switch_history AS h
    WHERE h.at < v_horizon AND h.epoch < (SELECT k.epoch FROM phasegate.kill_switch AS k);
    GET DIAGNOSTICS switch_changes = ROW_COUNT;
    RETURN NEXT;
END
$$;
