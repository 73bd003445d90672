-- Opening a phase. A phase, from its opening to its commit:
--
--   BEGIN; SELECT phasegate.open(request)                       the opening message
--   ...                                                         the statements of the adapter
--   SELECT phasegate.seal(secret); SET CONSTRAINTS ALL IMMEDIATE;
--   SELECT phasegate.finish(output); COMMIT                     the closing message
--
-- The messages are ASCII, with every name qualified, no cast and no operator: no setting of a
-- session changes what they mean. The interlock, at the end, is in the way of every commit.

-- Locks the run of a plan, and returns it: one phase of a plan at a time. Raises if the plan is not
-- admitted.
CREATE FUNCTION phasegate.ensure_admitted(p_plan bytea) RETURNS phasegate.run
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_run phasegate.run;
BEGIN
    SELECT r.* INTO v_run FROM phasegate.run AS r WHERE r.plan = p_plan FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'plan % is not admitted', encode(p_plan, 'hex')
            USING ERRCODE = 'ZG010', HINT = 'An operator admits the plan.';
    END IF;
    RETURN v_run;
END
$$;

-- Returns the planned phase at a position. Raises unless it has this name and input.
CREATE FUNCTION phasegate.ensure_planned_phase(
    p_plan bytea, p_position integer, p_phase text, p_input bytea
) RETURNS phasegate.plan_step
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_step phasegate.plan_step;
BEGIN
    SELECT s.* INTO v_step FROM phasegate.plan_step AS s
    WHERE s.plan = p_plan AND s.position = p_position;
    IF NOT FOUND OR v_step.phase IS DISTINCT FROM p_phase
       OR v_step.input IS DISTINCT FROM p_input THEN
        RAISE EXCEPTION 'phase % at place % is not what was planned', p_phase, p_position
            USING ERRCODE = 'ZG011';
    END IF;
    RETURN v_step;
END
$$;

-- Raises unless the plan is for this cluster, database and role.
CREATE FUNCTION phasegate.ensure_target(p_step phasegate.plan_step, p_session jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (p_step.system_identifier::text, p_step.database, p_step.role)
       IS DISTINCT FROM
       (p_session ->> 'system_identifier', current_database()::text, session_user::text) THEN
        RAISE EXCEPTION 'the plan is not for this database and this role'
            USING ERRCODE = 'ZG021';
    END IF;
END
$$;

-- Raises if the plan is over.
CREATE FUNCTION phasegate.ensure_valid_plan(p_step phasegate.plan_step) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_step.valid_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'plan % is over', encode(p_step.plan, 'hex')
            USING ERRCODE = 'ZG023', HINT = 'Make a new plan with a dry run.';
    END IF;
END
$$;

-- Raises unless the phase is the first one of the plan that is not committed.
CREATE FUNCTION phasegate.ensure_in_order(p_step phasegate.plan_step, p_committed integer)
RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_step.position <> p_committed + 1 THEN
        RAISE EXCEPTION 'phase % is at place %, and % phases of the plan are committed',
            p_step.phase, p_step.position, p_committed USING ERRCODE = 'ZG012';
    END IF;
END
$$;

-- Returns the approval under a nonce. Raises unless it is for this plan and gate, and holds.
CREATE FUNCTION phasegate.ensure_approval(p_step phasegate.plan_step, p_gate text, p_nonce text)
RETURNS phasegate.approval
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_approval phasegate.approval;
BEGIN
    SELECT a.* INTO v_approval FROM phasegate.approval AS a
    WHERE a.nonce = p_nonce AND a.plan = p_step.plan AND a.gate = p_gate
      AND a.expires > clock_timestamp();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'phase % needs an approval of gate % that was admitted, is for '
                        'this plan, and has not expired', p_step.phase, p_gate
            USING ERRCODE = 'ZG013', DATATYPE = p_gate, HINT = 'An operator admits the approval.';
    END IF;
    RETURN v_approval;
END
$$;

-- Spends an approval for each gate of a phase. Returns what the journal has of them, and the
-- earliest end of the plan and the approvals. Raises unless all of them hold.
CREATE FUNCTION phasegate.spend_approvals(p_step phasegate.plan_step, p_nonces jsonb)
RETURNS TABLE (spent jsonb, allowed_until timestamptz, allowed_by text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_gate text;
    v_position bigint;
    v_approval phasegate.approval;
BEGIN
    spent := '[]';
    allowed_until := p_step.valid_until;
    allowed_by := 'the plan';
    FOR v_gate, v_position IN SELECT * FROM unnest(p_step.gates) WITH ORDINALITY LOOP
        v_approval := phasegate.ensure_approval(
            p_step, v_gate, p_nonces ->> (v_position - 1)::integer);
        IF v_approval.expires < allowed_until THEN
            allowed_until := v_approval.expires;
            allowed_by := format('the approval of gate %s', v_gate);
        END IF;
        INSERT INTO phasegate.approval_spent (nonce, position)
        VALUES (v_approval.nonce, p_step.position);
        spent := spent || jsonb_build_object(
            'gate', v_gate, 'approver', v_approval.approver, 'nonce', v_approval.nonce,
            'expires', v_approval.expires, 'comment', v_approval.comment,
            'digests', phasegate.evidence_digests(v_approval.evidence));
    END LOOP;
    RETURN NEXT;
END
$$;

-- Writes the row of an attempt, which arms the interlock. Raises if its nonce was used or claimed.
CREATE FUNCTION phasegate.write_attempt(p_attempt phasegate.attempt) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO phasegate.attempt SELECT (p_attempt).* ON CONFLICT (nonce) DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nonce % was used, or was resolved as rolled back',
            p_attempt.nonce USING ERRCODE = 'ZG019';
    END IF;
END
$$;

-- Sets the timeouts of a phase. Not bounded by the lease, which may be extended: the caller and the
-- interlock watch its end. A phase could undo these: they enforce nothing, and the caller has
-- timeouts too.
CREATE FUNCTION phasegate.set_timeouts(p_request jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_transaction bigint := least((p_request ->> 'phase_timeout')::bigint, 2147478647) + 5000;
BEGIN
    PERFORM set_config('statement_timeout', p_request ->> 'statement_timeout', true);
    PERFORM set_config('idle_in_transaction_session_timeout', p_request ->> 'idle_timeout', true);
    -- PostgreSQL 17. Later than the caller would end the phase: a close that is cancelled has a
    -- certain result, an ended session has none.
    IF current_setting('transaction_timeout', true) IS NOT NULL THEN
        PERFORM set_config('transaction_timeout', v_transaction::text, true);
    END IF;
END
$$;

-- The row of the journal of a phase; nulls if it is not committed.
CREATE FUNCTION phasegate.journal_entry(p_plan bytea, p_position integer)
RETURNS phasegate.journal
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_entry phasegate.journal;
BEGIN
    SELECT j.* INTO v_entry FROM phasegate.journal AS j
    WHERE j.plan = p_plan AND j.position = p_position;
    RETURN v_entry;
END
$$;

-- What the caller reads of a row of the journal.
CREATE FUNCTION phasegate.stored_entry(p_entry phasegate.journal) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.jsonb_build_object(
    'nonce', p_entry.nonce, 'body', p_entry.body, 'hash', pg_catalog.encode(p_entry.hash, 'hex'));

-- The rows of the journal that follow a place, as many as one answer holds: a run that is resumed
-- asks once for some hundred phases.
CREATE FUNCTION phasegate.entries_after(p_plan bytea, p_position integer) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(jsonb_agg(phasegate.stored_entry(e.entry) ORDER BY e.position), '[]')
    FROM (SELECT j AS entry, j.position, sum(length(j.body)) OVER (ORDER BY j.position) AS so_far
          FROM phasegate.journal AS j
          WHERE j.plan = p_plan
            AND j.position > p_position AND j.position <= p_position + 1000) AS e
    WHERE e.so_far <= 1048576;
END;

-- Raises if what a program says of itself is no short text.
CREATE FUNCTION phasegate.ensure_short(p_program jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF octet_length(p_program::text) > 2000 THEN
        RAISE EXCEPTION 'what the program says of itself has % bytes, and 2000 are the most',
            octet_length(p_program::text) USING ERRCODE = 'ZG011';
    END IF;
END
$$;

-- Opens a phase, and returns what the caller needs to know of it. If the phase is committed
-- already, opens nothing and returns its row of the journal, and some of the rows after it.
-- A session plans each statement once, where it would plan five times before it keeps a plan.
CREATE FUNCTION phasegate.open(p_request bytea) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    v_request jsonb := convert_from(p_request, 'UTF8')::jsonb;
    v_attempt phasegate.attempt;
    v_is_new_transaction boolean := pg_current_xact_id_if_assigned() IS NULL;
    v_session jsonb;
    v_run phasegate.run;
    v_step phasegate.plan_step;
    v_entry phasegate.journal;
    v_lease phasegate.kill_switch;
    v_lease_left bigint;
BEGIN
    v_attempt.nonce := (v_request ->> 'nonce')::uuid;
    v_attempt.state := 'open';
    v_attempt.armed := 0;
    v_attempt.opened_at := greatest(clock_timestamp(), transaction_timestamp());
    v_attempt.plan := decode(v_request ->> 'plan', 'hex');
    v_attempt.position := (v_request ->> 'place')::integer;
    v_attempt.program := v_request -> 'program';
    v_attempt.durability := current_setting('synchronous_commit');

    PERFORM phasegate.ensure_session(v_request);
    PERFORM phasegate.ensure_short(v_attempt.program);
    PERFORM set_config('application_name', v_request ->> 'application_name', true);
    PERFORM set_config('lock_timeout', v_request ->> 'lock_timeout', true);

    v_run := phasegate.ensure_admitted(v_attempt.plan);
    v_step := phasegate.ensure_planned_phase(
        v_attempt.plan, v_attempt.position, v_request ->> 'phase',
        decode(v_request ->> 'input', 'hex'));
    v_session := phasegate.this_session()
                 || jsonb_build_object('opened_at', v_attempt.opened_at);
    PERFORM phasegate.ensure_target(v_step, v_session);
    v_entry := phasegate.journal_entry(v_attempt.plan, v_attempt.position);
    IF v_entry.nonce IS NOT NULL THEN
        RETURN (v_session || jsonb_build_object(
            'committed', phasegate.stored_entry(v_entry),
            'committed_next', phasegate.entries_after(v_entry.plan, v_entry.position)))::text;
    END IF;
    PERFORM phasegate.ensure_valid_plan(v_step);
    PERFORM phasegate.ensure_not_rejected(v_attempt.plan);
    PERFORM phasegate.ensure_means_of_run(v_run);
    PERFORM phasegate.ensure_children_counted(v_attempt.plan, v_attempt.position);
    IF v_step.contents IS NOT NULL THEN
        PERFORM phasegate.ensure_bound(v_step.contents);
    END IF;
    PERFORM phasegate.ensure_in_order(v_step, v_run.committed);
    PERFORM phasegate.ensure_counters_at_zero();
    IF NOT v_is_new_transaction THEN
        PERFORM phasegate.ensure_no_open_phase();
    END IF;

    -- Before the switch is read: turning it off then either finds this phase, or is seen by it.
    LOCK TABLE phasegate.phase_in_progress IN ROW SHARE MODE;
    v_lease := phasegate.lease();
    v_lease_left :=
        greatest(1, floor(extract(epoch FROM v_lease.until - clock_timestamp()) * 1000));

    SELECT s.spent, s.allowed_until, s.allowed_by
    INTO v_attempt.approvals, v_attempt.allowed_until, v_attempt.allowed_by
    FROM phasegate.spend_approvals(v_step, v_request -> 'approvals') AS s;
    v_attempt.xid := pg_current_xact_id();
    v_attempt.lock := decode(v_request ->> 'lock', 'hex');
    v_attempt.epoch := v_lease.epoch;
    v_attempt.until := v_lease.until;
    v_attempt.timeline := v_lease.timeline;
    PERFORM phasegate.write_attempt(v_attempt);
    PERFORM phasegate.begin_counting('{}');
    PERFORM phasegate.set_timeouts(v_request);
    RETURN (v_session || jsonb_build_object(
        'xid', pg_current_xact_id()::text, 'epoch', v_lease.epoch,
        'lease_left', v_lease_left))::text;
END
$$;
