-- The interlock: the deferred trigger inside every commit of a phase. After everything it checks.

-- Raises unless the attempt is finished, with what to do instead.
CREATE FUNCTION phasegate.ensure_finished(p_state text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_state = 'rehearsal' THEN
        RAISE EXCEPTION 'commit refused: this is a rehearsal, which is rolled back '
                        'whatever it did'
            USING ERRCODE = 'ZG001',
                  HINT = 'What is to be committed is performed live. To check deferred '
                         'constraints inside a phase, name them in SET CONSTRAINTS instead of '
                         'ALL.';
    END IF;
    IF p_state <> 'finished' THEN
        RAISE EXCEPTION 'commit refused: the phase is %, not finished', p_state
            USING ERRCODE = 'ZG001',
                  HINT = 'What the adapter returns ends the phase. To check deferred constraints '
                         'before that, name them in SET CONSTRAINTS instead of ALL.';
    END IF;
END
$$;

-- Raises if rows were written after the phase was finished: by the statement that finished it, of
-- which the guard knows before it begins only.
CREATE FUNCTION phasegate.ensure_nothing_written_since(p_attempted numeric) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF phasegate.rows_attempted() IS DISTINCT FROM p_attempted THEN
        RAISE EXCEPTION 'commit refused: rows were written after the phase was finished'
            USING ERRCODE = 'ZG007';
    END IF;
END
$$;

-- Raises if the plan, or an approval of the phase, is over.
CREATE FUNCTION phasegate.ensure_still_allowed(p_attempt phasegate.attempt) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_attempt.allowed_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'commit refused: % was over at %',
            p_attempt.allowed_by, p_attempt.allowed_until
            USING ERRCODE = CASE p_attempt.allowed_by WHEN 'the plan' THEN 'ZG023' ELSE 'ZG013' END,
                  HINT = 'What is approved is committed while it holds: have it approved for '
                         'longer, or make the phase shorter.';
    END IF;
END
$$;

-- Deferred, it fires inside every COMMIT. SET CONSTRAINTS ALL IMMEDIATE fires it as well, and a
-- sealed phase is then armed again, so that exactly one event is pending at any time. So is a
-- rehearsal that drains; no state of a rehearsal passes.
CREATE FUNCTION phasegate.interlock() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_attempt phasegate.attempt;
BEGIN
    SELECT a.* INTO STRICT v_attempt FROM phasegate.attempt AS a WHERE a.nonce = new.nonce;
    IF v_attempt.state IN ('sealed', 'rehearsal_draining') THEN
        SET CONSTRAINTS phasegate.interlock DEFERRED;
        UPDATE phasegate.attempt AS a
        SET state = CASE v_attempt.state WHEN 'sealed' THEN 'drained' ELSE 'rehearsal' END,
            armed = a.armed + 1
        WHERE a.nonce = v_attempt.nonce;
        RETURN NULL;
    END IF;
    PERFORM phasegate.ensure_finished(v_attempt.state);
    PERFORM phasegate.ensure_nothing_written_since(v_attempt.attempted);
    PERFORM phasegate.ensure_no_cursor_with_hold();
    -- Held until the commit is over: turning the switch off waits for it, and a commit that comes
    -- later sees another epoch.
    LOCK TABLE phasegate.kill_switch IN ROW SHARE MODE;
    -- The end as it is now: an operator may have extended the lease, within the same epoch.
    SELECT k.until INTO v_attempt.until FROM phasegate.kill_switch AS k
    WHERE k.epoch = v_attempt.epoch;
    PERFORM phasegate.ensure_lease_holds(v_attempt.epoch, v_attempt.until, v_attempt.timeline);
    PERFORM phasegate.ensure_not_rejected(v_attempt.plan);
    PERFORM phasegate.ensure_still_allowed(v_attempt);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER interlock AFTER INSERT OR UPDATE OF armed ON phasegate.attempt
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.state <> 'claimed')
    EXECUTE FUNCTION phasegate.interlock();
ALTER TABLE phasegate.attempt ENABLE ALWAYS TRIGGER interlock;
