-- Closing a phase: the seal, and the row of the journal.

-- Seals the phase. Only the caller that opened it knows what the lock is the hash of.
CREATE FUNCTION phasegate.seal(p_secret bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
    UPDATE phasegate.attempt AS a SET state = 'sealed'
    WHERE a.xid = pg_current_xact_id_if_assigned() AND a.opened_at >= transaction_timestamp()
      AND a.state = 'open' AND a.lock = sha256(p_secret);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this transaction has no open phase with that lock'
            USING ERRCODE = 'ZG001', DATATYPE = 'seal';
    END IF;
END
$$;

-- Raises unless the phase is sealed and drained.
CREATE FUNCTION phasegate.ensure_drained(p_attempt phasegate.attempt) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_attempt.nonce IS NULL OR p_attempt.state <> 'drained' THEN
        RAISE EXCEPTION 'the phase is not sealed and drained'
            USING ERRCODE = 'ZG001';
    END IF;
END
$$;

-- Returns the body of a phase's row of the journal.
CREATE FUNCTION phasegate.journal_body(
    p_attempt phasegate.attempt, p_output bytea, p_effects jsonb
) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_step phasegate.plan_step;
    v_effects jsonb;
    v_session record;
BEGIN
    SELECT s.* INTO STRICT v_step FROM phasegate.plan_step AS s
    WHERE s.plan = p_attempt.plan AND s.position = p_attempt.position;
    SELECT a.client_addr, a.backend_start INTO STRICT v_session
    FROM pg_stat_get_activity(pg_backend_pid()) AS a;
    SELECT coalesce(jsonb_object_agg(e.key, e.value - 'exactly'), '{}') INTO v_effects
    FROM jsonb_each(p_effects) AS e;
    RETURN jsonb_build_object(
        'schema', 'phasegate/journal/1', 'plan', encode(p_attempt.plan, 'hex'),
        'pipeline', v_step.pipeline, 'place', p_attempt.position, 'phase', v_step.phase,
        'input', encode(v_step.input, 'hex'), 'output', convert_from(p_output, 'UTF8'),
        'approvals', p_attempt.approvals, 'effects', v_effects, 'nonce', p_attempt.nonce,
        'xid', p_attempt.xid::text, 'system_identifier', v_step.system_identifier::text,
        'timeline', p_attempt.timeline, 'database', v_step.database, 'role', session_user,
        'from', coalesce(host(v_session.client_addr), 'local'),
        'application_name', current_setting('application_name'),
        'backend_pid', pg_backend_pid(), 'backend_start', v_session.backend_start,
        'epoch', p_attempt.epoch, 'opened_at', p_attempt.opened_at,
        'finished_at', clock_timestamp(), 'program', p_attempt.program)::text;
END
$$;

-- Marks the attempt as finished. The journal has its approvals now.
CREATE FUNCTION phasegate.finish_attempt(p_nonce uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    UPDATE phasegate.attempt AS a
    SET state = 'finished', approvals = NULL, program = NULL, attempted = phasegate.rows_attempted()
    WHERE a.nonce = p_nonce;
END
$$;

-- Writes the row of the journal, whose times are in UTC, and returns its hash. Nothing of the phase
-- comes after it but COMMIT.
CREATE FUNCTION phasegate.finish(p_output bytea) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    v_attempt phasegate.attempt := phasegate.this_attempt();
    v_effects jsonb;
    v_body text;
    v_head bytea;
BEGIN
    PERFORM phasegate.ensure_drained(v_attempt);
    IF p_output IS NULL THEN
        RAISE EXCEPTION 'the phase left no output'
            USING ERRCODE = 'ZG017';
    END IF;
    -- Not from within a statement, whose rows are not counted yet.
    PERFORM phasegate.ensure_message(
        '^(?:SELECT phasegate[.]seal[(]pg_catalog[.]decode[(]''[0-9a-f]*'', ''hex''[)][)]; '
        'SET CONSTRAINTS ALL IMMEDIATE; )?'
        'SELECT phasegate[.]finish[(]pg_catalog[.]decode[(]''[0-9a-f]*'', ''hex''[)][)]'
        '(?:; [A-Z ]+)?$');
    PERFORM phasegate.ensure_no_cursor_with_hold();
    -- After the drain, so that what deferred triggers did counts too.
    v_effects := phasegate.effects();
    PERFORM phasegate.ensure_planned_effects(v_attempt.plan, v_attempt.position, v_effects);
    PERFORM phasegate.ensure_planned_contents(v_attempt.plan, v_attempt.position);
    v_body := phasegate.journal_body(v_attempt, p_output, v_effects);
    SELECT phasegate.next_head(r.head, v_body) INTO v_head
    FROM phasegate.run AS r WHERE r.plan = v_attempt.plan;
    INSERT INTO phasegate.journal (plan, position, nonce, body, hash)
    VALUES (v_attempt.plan, v_attempt.position, v_attempt.nonce, v_body, v_head);
    UPDATE phasegate.run AS r SET committed = v_attempt.position, head = v_head
    WHERE r.plan = v_attempt.plan;
    PERFORM phasegate.finish_attempt(v_attempt.nonce);
    PERFORM phasegate.end_counting();
    -- The next phase of the session counts from zero.
    PERFORM pg_stat_force_next_flush();
    -- A phase may have made its commit less durable than its session's: a receipt is durable.
    PERFORM set_config('synchronous_commit',
                       CASE v_attempt.durability WHEN 'off' THEN 'on'
                                                 ELSE v_attempt.durability END, true);
    RETURN encode(v_head, 'hex');
END
$$;
