-- Settles the fate of an attempt whose commit was not answered, by claiming its nonce. It is for the role that the plan
-- names, and for operators. Its session, if it lives, is
-- ended; then either its row is there, and it was committed; or the nonce is ours, and it never can be.
CREATE FUNCTION phasegate.resolve(p_plan bytea, the_nonce uuid, opened_at timestamptz, of_pid integer, of_backend_start timestamptz, patience interval)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_state text;
    entry phasegate.journal;
    since timestamptz := clock_timestamp();
    milliseconds integer := greatest(ceil(extract(epoch FROM patience) * 1000), 1);
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'phasegate: settling is done in READ COMMITTED, where the other one''s commit is seen' USING ERRCODE = 'ZG022';
    END IF;
    -- A promotion may have lost the admission of the plan, and with it all that came after. Without a plan no phase is open,
    -- and none is committed; asking leaves no row behind.
    IF NOT EXISTS (SELECT FROM phasegate.plan AS p WHERE p.plan = p_plan)
       AND phasegate.may_act_as(session_user, 'phasegate_runner') THEN
        RETURN jsonb_build_object('state', 'rolled back')::text;
    END IF;
    IF NOT phasegate.may_act_as(session_user, 'phasegate_operator')
       AND NOT EXISTS (SELECT FROM phasegate.plan AS p WHERE p.plan = p_plan AND p.role = session_user) THEN
        RAISE EXCEPTION 'phasegate: % has nothing to settle of plan %', session_user, encode(p_plan, 'hex')
            USING ERRCODE = 'ZG022', HINT = 'Settle it as the role that the plan names, or as an operator.';
    END IF;
    PERFORM set_config('statement_timeout', '0', true);
    PERFORM set_config('lock_timeout', milliseconds::text, true);
    -- A runner ends sessions of its own role only, and an operator those of runners, both in this database.
    IF EXISTS (
        SELECT FROM pg_stat_activity AS a
        WHERE a.pid = of_pid AND a.backend_start = of_backend_start AND a.datname = current_database()
          AND (a.usename = session_user OR phasegate.may_act_as(session_user, 'phasegate_operator')
               AND phasegate.may_act_as(a.usename, 'phasegate_runner'))
    ) THEN
        PERFORM pg_terminate_backend(of_pid, milliseconds);
    END IF;
    SELECT j.* INTO entry FROM phasegate.journal AS j WHERE j.nonce = the_nonce AND j.plan = p_plan;
    IF NOT FOUND THEN
        IF settle.opened_at IS NULL OR settle.opened_at < (SELECT r.horizon FROM phasegate.retention AS r) THEN
            RAISE EXCEPTION 'phasegate: the attempt was opened at %, and what is older than % may have been deleted',
                settle.opened_at, (SELECT r.horizon FROM phasegate.retention AS r)
                USING ERRCODE = 'ZG022', HINT = 'Look at the data.';
        END IF;
        -- As old as the claim, whatever the caller says: it fences for a day at least, and not for ever.
        INSERT INTO phasegate.attempt (nonce, state, xid, opened_at, plan)
        VALUES (the_nonce, 'claimed', pg_current_xact_id(), clock_timestamp(), p_plan) ON CONFLICT (nonce) DO NOTHING;
        IF FOUND THEN
            RETURN jsonb_build_object('state', 'rolled back')::text;
        END IF;
        SELECT a.state INTO STRICT found_state FROM phasegate.attempt AS a WHERE a.nonce = the_nonce;
        IF found_state = 'claimed' THEN
            RETURN jsonb_build_object('state', 'rolled back')::text;
        END IF;
        SELECT j.* INTO entry FROM phasegate.journal AS j WHERE j.nonce = the_nonce AND j.plan = p_plan;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'phasegate: nonce % is that of an attempt at another plan', the_nonce USING ERRCODE = 'ZG022';
        END IF;
    END IF;
    RETURN jsonb_build_object('state', 'committed', 'nonce', entry.nonce, 'body', entry.body, 'hash', encode(entry.hash, 'hex'))::text;
END
$$;

-- Deletes the fences of attempts older than this. The journal is never deleted; what is older than the horizon and not
-- in it can no longer be settled.
CREATE FUNCTION phasegate.forget_attempts(older_than interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    deleted bigint;
BEGIN
    IF older_than IS NULL OR older_than < interval '1 day' THEN
        RAISE EXCEPTION 'phasegate: attempts are kept for one day at least, not %', older_than USING ERRCODE = 'ZG020';
    END IF;
    UPDATE phasegate.retention SET horizon = greatest(horizon, clock_timestamp() - older_than);
    DELETE FROM phasegate.attempt AS a WHERE a.opened_at < (SELECT r.horizon FROM phasegate.retention AS r);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    -- A phase deletes what it counted as it finishes: what is left was counted for one that there never was.
    DELETE FROM phasegate.counted AS c WHERE c.xid < pg_snapshot_xmin(pg_current_snapshot());
    RETURN deleted;
END
$$;

GRANT EXECUTE ON FUNCTION phasegate.resolve TO phasegate_runner, phasegate_operator;
GRANT EXECUTE ON FUNCTION phasegate.forget_attempts TO phasegate_operator;
