-- What stands between a plan and its run: the checks of the opening, all of them at once, and
-- without opening anything. Whoever asks changes nothing, and no other session waits.

-- Raises if the condition named by p_check does not hold for the rest of a plan. Those of the role
-- and the target are about the session that asks.
CREATE FUNCTION phasegate.ensure_ready(p_check text, p_plan phasegate.plan, p_committed integer)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_step phasegate.plan_step;
    v_gate text;
BEGIN
    SELECT s.* INTO v_step FROM phasegate.plan_step AS s
    WHERE s.plan = p_plan.plan AND s.position = p_committed + 1;
    CASE p_check
        WHEN 'role' THEN
            PERFORM phasegate.ensure_plan_role(p_plan.role);
            PERFORM phasegate.ensure_no_bypass_privileges();
        WHEN 'target' THEN
            PERFORM phasegate.ensure_target(v_step, phasegate.this_session());
        WHEN 'validity' THEN
            PERFORM phasegate.ensure_valid_plan(v_step);
        WHEN 'rejections' THEN
            PERFORM phasegate.ensure_not_rejected(p_plan.plan);
        WHEN 'definitions' THEN
            PERFORM phasegate.ensure_means(p_plan.means);
        WHEN 'tables' THEN
            PERFORM phasegate.ensure_countable(p_plan.plan);
            PERFORM phasegate.ensure_children_counted(p_plan.plan, f.position),
                    phasegate.ensure_bound(f.contents)
            FROM phasegate.planned_phase AS f
            WHERE f.plan = p_plan.plan AND f.position > p_committed;
        WHEN 'approvals' THEN
            SELECT g INTO v_gate FROM phasegate.open_gates(p_plan.plan, p_committed) AS g
            WHERE NOT EXISTS (SELECT FROM phasegate.approval AS a
                              WHERE a.plan = p_plan.plan AND a.gate = g
                                AND a.expires > clock_timestamp())
            LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'gate % has no approval that is admitted and has not expired',
                    v_gate
                    USING ERRCODE = 'ZG013', HINT = 'An operator admits the approval.';
            END IF;
        WHEN 'switch' THEN
            PERFORM phasegate.lease();
    END CASE;
END
$$;

-- The gates of the phases of a plan that are not committed.
CREATE FUNCTION phasegate.open_gates(p_plan bytea, p_committed integer) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT DISTINCT g FROM phasegate.planned_phase AS f, unnest(f.gates) AS g
    WHERE f.plan = p_plan AND f.position > p_committed ORDER BY g;
END;

-- Returns what each check of a plan found: null where its condition holds, else the error that the
-- run would be refused with. Without the plan, or the privilege to read of it, there is no check.
CREATE FUNCTION phasegate.preflight(p_plan bytea) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' AS $$
DECLARE
    v_plan phasegate.plan;
    v_run phasegate.run;
    v_check text;
    v_checks text[] := ARRAY['validity', 'rejections', 'definitions', 'tables', 'approvals',
                             'switch'];
    v_found jsonb := '{}'::jsonb;
    v_state text;
    v_message text;
    v_hint text;
BEGIN
    SELECT p.* INTO v_plan FROM phasegate.plan AS p
    WHERE p.plan = p_plan AND phasegate.may_read(p.plan);
    IF NOT FOUND THEN
        RETURN jsonb_build_object('admitted', NULL)::text;
    END IF;
    SELECT r.* INTO v_run FROM phasegate.run AS r WHERE r.plan = p_plan;
    IF v_plan.role = session_user THEN
        v_checks := ARRAY['role', 'target'] || v_checks;
    END IF;
    IF v_run.committed < (SELECT count(*) FROM phasegate.planned_phase AS f
                          WHERE f.plan = p_plan) THEN
        FOREACH v_check IN ARRAY v_checks LOOP
            BEGIN
                PERFORM phasegate.ensure_ready(v_check, v_plan, v_run.committed);
                v_found := v_found || jsonb_build_object(v_check, NULL);
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT,
                                        v_hint = PG_EXCEPTION_HINT;
                v_found := v_found || jsonb_build_object(v_check, jsonb_build_object(
                    'sqlstate', v_state, 'message', v_message, 'hint', v_hint));
            END;
        END LOOP;
    END IF;
    RETURN jsonb_build_object(
        'admitted', jsonb_build_object('by', v_plan.admitted_by, 'at', v_plan.admitted_at),
        'committed', v_run.committed,
        'checks', v_found,
        'lease_left', (SELECT extract(epoch FROM k.until - clock_timestamp())
                       FROM phasegate.kill_switch AS k WHERE isfinite(k.until)),
        'approvals', (SELECT coalesce(jsonb_object_agg(a.gate, a.until), '{}')
                      FROM (SELECT a.gate, max(a.expires) AS until FROM phasegate.approval AS a
                            WHERE a.plan = p_plan AND a.expires > clock_timestamp()
                            GROUP BY a.gate) AS a))::text;
END
$$;
