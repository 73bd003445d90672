-- Plans: what an operator admits, and what a phase may then do. The tables, and admission.

CREATE TABLE phasegate.plan (
    plan bytea PRIMARY KEY, -- SHA-256 of bytes
    bytes bytea NOT NULL,
    pipeline text NOT NULL,
    system_identifier bigint NOT NULL,
    database text NOT NULL,
    role text NOT NULL,
    valid_until timestamptz NOT NULL,
    change bytea NOT NULL, -- SHA-256 of what is changed, whoever makes the plan, and when
    means jsonb, -- the fingerprints of what its statements use; null if they are not known
    admitted_by text NOT NULL DEFAULT session_user,
    admitted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE phasegate.planned_phase (
    plan bytea NOT NULL REFERENCES phasegate.plan,
    position integer NOT NULL CHECK (position > 0), -- counted from 1
    phase text NOT NULL,
    gates text[] NOT NULL,
    input bytea NOT NULL, -- SHA-256
    -- What it does to the columns of tables guarded by contents; null where the plan has none.
    contents jsonb,
    PRIMARY KEY (plan, position)
);

-- What a phase does to a table. A phase changes no table that has no row here.
CREATE TABLE phasegate.planned_effect (
    plan bytea NOT NULL,
    position integer NOT NULL,
    relation text NOT NULL, -- as the server prints its name, with its schema
    inserted bigint NOT NULL CHECK (inserted >= 0),
    updated bigint NOT NULL CHECK (updated >= 0),
    deleted bigint NOT NULL CHECK (deleted >= 0),
    -- Rows more or fewer, for each of the three counts that is not 0.
    tolerance bigint NOT NULL CHECK (tolerance >= 0),
    PRIMARY KEY (plan, position, relation),
    FOREIGN KEY (plan, position) REFERENCES phasegate.planned_phase
);

-- A planned phase, with what its plan says of all of them.
CREATE VIEW phasegate.plan_step AS
SELECT f.plan, f.position, f.phase, f.input, f.gates, f.contents,
       p.pipeline, p.system_identifier, p.database, p.role, p.valid_until
FROM phasegate.planned_phase AS f JOIN phasegate.plan AS p ON p.plan = f.plan;

-- Raises unless the plan is of the format that this schema knows.
CREATE FUNCTION phasegate.ensure_plan_format(p_content jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_content ->> 'schema' IS DISTINCT FROM 'phasegate/plan/2' THEN
        RAISE EXCEPTION 'the plan is of schema %, and this install knows '
                        'phasegate/plan/2',
            coalesce(p_content ->> 'schema', '(none)') USING ERRCODE = 'ZG020';
    END IF;
END
$$;

-- Raises unless the plan is for this cluster and database.
CREATE FUNCTION phasegate.ensure_plan_of_this_database(p_target jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_here jsonb := jsonb_build_object(
        'system_identifier', (SELECT c.system_identifier::text FROM pg_control_system() AS c),
        'database', current_database());
BEGIN
    IF p_target -> 'role' IS NULL OR p_target - 'role' <> v_here THEN
        RAISE EXCEPTION 'the plan is for %, and this is %',
            p_target - 'role', v_here
            USING ERRCODE = 'ZG020', HINT = 'Admit the plan in the database that it was made for.';
    END IF;
END
$$;

-- Raises unless the plan's role exists and may perform phases.
CREATE FUNCTION phasegate.ensure_plan_role(p_role text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = p_role) THEN
        RAISE EXCEPTION 'the role % of the plan does not exist', p_role
            USING ERRCODE = 'ZG020', HINT = 'Make the plan for the role that performs it.';
    ELSIF NOT phasegate.may_act_as(p_role::name, 'phasegate_runner') THEN
        RAISE EXCEPTION 'the role % of the plan may not perform phases',
            p_role
            USING ERRCODE = 'ZG020',
                  HINT = format('Make the plan for the role that performs it, or '
                                'GRANT phasegate_runner TO %I.', p_role);
    END IF;
END
$$;

-- Writes the phases of a plan and their effects.
CREATE FUNCTION phasegate.write_planned_phases(p_plan bytea, p_phases jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO phasegate.planned_phase (plan, position, phase, gates, input, contents)
    SELECT p_plan, f.position, f.phase ->> 'name',
           ARRAY(SELECT jsonb_array_elements_text(f.phase -> 'gates')),
           decode(f.phase ->> 'input', 'hex'), f.phase -> 'contents'
    FROM jsonb_array_elements(p_phases) WITH ORDINALITY AS f (phase, position);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the plan has no phase' USING ERRCODE = 'ZG020';
    END IF;
    INSERT INTO phasegate.planned_effect
        (plan, position, relation, inserted, updated, deleted, tolerance)
    SELECT p_plan, f.position, e.relation, (e.rows ->> 'inserted')::bigint,
           (e.rows ->> 'updated')::bigint, (e.rows ->> 'deleted')::bigint,
           (e.rows ->> 'tolerance')::bigint
    FROM jsonb_array_elements(p_phases) WITH ORDINALITY AS f (phase, position),
         jsonb_each(f.phase -> 'effects') AS e (relation, rows);
END
$$;

-- Admits a plan and returns its digest. The same bytes a second time change nothing.
CREATE FUNCTION phasegate.admit_plan(p_bytes bytea) RETURNS bytea
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_plan bytea := sha256(p_bytes);
    v_content jsonb := convert_from(p_bytes, 'UTF8')::jsonb;
    v_target jsonb := v_content -> 'target';
    v_valid_until timestamptz :=
        coalesce((v_content ->> 'valid_until')::timestamptz, 'infinity');
BEGIN
    PERFORM phasegate.ensure_plan_format(v_content);
    PERFORM phasegate.ensure_plan_of_this_database(v_target);
    PERFORM phasegate.ensure_plan_role(v_target ->> 'role');
    INSERT INTO phasegate.plan
        (plan, bytes, pipeline, system_identifier, database, role, valid_until, change, means)
    VALUES (v_plan, p_bytes, v_content ->> 'pipeline',
            (v_target ->> 'system_identifier')::bigint, v_target ->> 'database',
            v_target ->> 'role', v_valid_until, decode(v_content ->> 'change', 'hex'),
            v_content -> 'means')
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN v_plan;
    END IF;
    IF v_valid_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'the plan was valid until %', v_valid_until
            USING ERRCODE = 'ZG020', HINT = 'Make a new plan with a dry run.';
    END IF;
    PERFORM phasegate.ensure_means(v_content -> 'means');
    PERFORM phasegate.write_planned_phases(v_plan, v_content -> 'phases');
    PERFORM phasegate.ensure_countable(v_plan);
    PERFORM phasegate.ensure_bound(f.contents) FROM phasegate.planned_phase AS f
    WHERE f.plan = v_plan;
    INSERT INTO phasegate.run (plan, head) VALUES (v_plan, phasegate.first_head(v_plan));
    RETURN v_plan;
END
$$;

-- Whether the session's role may read of a plan: the plan's own role, operators and auditors.
CREATE FUNCTION phasegate.may_read(p_plan bytea) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT phasegate.may_act_as(session_user, 'phasegate_operator')
        OR phasegate.may_act_as(session_user, 'phasegate_auditor')
        OR EXISTS (SELECT FROM phasegate.plan AS p WHERE p.plan = p_plan AND p.role = session_user);
END;

-- The bytes of a plan, for those who may read of it; null if it is not admitted.
CREATE FUNCTION phasegate.plan_bytes(p_plan bytea) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.bytes FROM phasegate.plan AS p
    WHERE p.plan = p_plan AND phasegate.may_read(p.plan);
END;
