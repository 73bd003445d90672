-- What an operator admits: plans, whose phases may then be performed, and approvals, which may then be spent. The
-- server cannot verify a signature; whoever admits an approval has.
CREATE TABLE phasegate.plan (
    plan bytea PRIMARY KEY, -- SHA-256 of bytes
    bytes bytea NOT NULL,
    pipeline text NOT NULL,
    system_identifier bigint NOT NULL,
    database text NOT NULL,
    role text NOT NULL,
    valid_until timestamptz NOT NULL,
    admitted_by text NOT NULL DEFAULT session_user,
    admitted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE phasegate.planned_phase (
    plan bytea NOT NULL REFERENCES phasegate.plan,
    place integer NOT NULL CHECK (place > 0), -- counted from 1
    phase text NOT NULL,
    gates text[] NOT NULL,
    input bytea NOT NULL, -- SHA-256
    PRIMARY KEY (plan, place)
);

-- What a phase does to a table. A table that is not here it does not change.
CREATE TABLE phasegate.planned_effect (
    plan bytea NOT NULL,
    place integer NOT NULL,
    relation text NOT NULL, -- as the server prints its name, with its schema
    inserted bigint NOT NULL CHECK (inserted >= 0),
    updated bigint NOT NULL CHECK (updated >= 0),
    deleted bigint NOT NULL CHECK (deleted >= 0),
    tolerance bigint NOT NULL CHECK (tolerance >= 0), -- rows more or fewer, for each of the three, where it is not 0
    PRIMARY KEY (plan, place, relation),
    FOREIGN KEY (plan, place) REFERENCES phasegate.planned_phase
);

CREATE TABLE phasegate.approval (
    nonce text PRIMARY KEY,
    plan bytea NOT NULL REFERENCES phasegate.plan,
    gate text NOT NULL,
    approver text NOT NULL,
    expires timestamptz NOT NULL,
    comment text NOT NULL,
    evidence jsonb, -- what was signed, and the rules by which whoever admitted it has judged it; null if nobody signed
    admitted_by text NOT NULL DEFAULT session_user,
    admitted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row in the transaction of the phase that the approval allowed: rolled back, it is unspent; committed, it is
-- spent for ever.
CREATE TABLE phasegate.approval_spent (
    nonce text NOT NULL REFERENCES phasegate.approval,
    place integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (nonce, place)
);

-- Answers the digest. Admitting the same bytes again changes nothing.
CREATE FUNCTION phasegate.admit_plan(plan_bytes bytea) RETURNS bytea
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    digest bytea := sha256(plan_bytes);
    content jsonb := convert_from(plan_bytes, 'UTF8')::jsonb;
    target jsonb := content -> 'target';
    valid_until timestamptz := coalesce((content ->> 'valid_until')::timestamptz, 'infinity');
    here jsonb := jsonb_build_object(
        'system_identifier', (SELECT c.system_identifier::text FROM pg_control_system() AS c),
        'database', current_database());
BEGIN
    IF content ->> 'schema' IS DISTINCT FROM 'phasegate/plan/1' THEN
        RAISE EXCEPTION 'phasegate: not admitted: the plan is of schema %, and this install knows phasegate/plan/1',
            coalesce(content ->> 'schema', '(none)') USING ERRCODE = 'ZG020';
    END IF;
    IF target -> 'role' IS NULL OR target - 'role' <> here THEN
        RAISE EXCEPTION 'phasegate: not admitted: the plan is for %, and this is %', target - 'role', here
            USING ERRCODE = 'ZG020', HINT = 'Admit the plan in the database that it was made for.';
    END IF;
    INSERT INTO phasegate.plan (plan, bytes, pipeline, system_identifier, database, role, valid_until)
    VALUES (digest, plan_bytes, content ->> 'pipeline', (target ->> 'system_identifier')::bigint,
            target ->> 'database', target ->> 'role', valid_until)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        IF valid_until <= clock_timestamp() THEN
            RAISE EXCEPTION 'phasegate: not admitted: the plan was valid until %', valid_until
                USING ERRCODE = 'ZG020', HINT = 'Make a new plan with a dry run.';
        END IF;
        INSERT INTO phasegate.planned_phase (plan, place, phase, gates, input)
        SELECT digest, p.place, p.phase ->> 'name',
               ARRAY(SELECT jsonb_array_elements_text(p.phase -> 'gates')), decode(p.phase ->> 'input', 'hex')
        FROM jsonb_array_elements(content -> 'phases') WITH ORDINALITY AS p (phase, place);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'phasegate: not admitted: the plan has no phase' USING ERRCODE = 'ZG020';
        END IF;
        INSERT INTO phasegate.planned_effect (plan, place, relation, inserted, updated, deleted, tolerance)
        SELECT digest, p.place, e.relation, (e.rows ->> 'inserted')::bigint, (e.rows ->> 'updated')::bigint,
               (e.rows ->> 'deleted')::bigint, (e.rows ->> 'tolerance')::bigint
        FROM jsonb_array_elements(content -> 'phases') WITH ORDINALITY AS p (phase, place),
             jsonb_each(p.phase -> 'effects') AS e (relation, rows);
        PERFORM phasegate.refuse_uncountable(digest);
        INSERT INTO phasegate.run (plan, head) VALUES (digest, phasegate.first_head(digest));
    END IF;
    RETURN digest;
END
$$;

-- Admitting the same approval again changes nothing; another one under the same nonce is refused.
CREATE FUNCTION phasegate.admit_approval(
    nonce text, plan bytea, gate text, approver text, expires timestamptz, comment text, evidence jsonb DEFAULT NULL
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF expires <= clock_timestamp() THEN
        RAISE EXCEPTION 'phasegate: not admitted: the approval expired at %', expires USING ERRCODE = 'ZG020';
    END IF;
    IF NOT EXISTS (
        SELECT FROM phasegate.planned_phase AS p
        WHERE p.plan = admit_approval.plan AND admit_approval.gate = ANY (p.gates)
    ) THEN
        RAISE EXCEPTION 'phasegate: not admitted: no admitted plan % has a phase behind gate %', encode(plan, 'hex'), gate
            USING ERRCODE = 'ZG020', HINT = 'Admit the plan first.';
    END IF;
    INSERT INTO phasegate.approval (nonce, plan, gate, approver, expires, comment, evidence)
    VALUES (admit_approval.nonce, admit_approval.plan, admit_approval.gate, admit_approval.approver,
            admit_approval.expires, admit_approval.comment, admit_approval.evidence)
    ON CONFLICT (nonce) DO NOTHING;
    IF NOT EXISTS (
        SELECT FROM phasegate.approval AS a
        WHERE (a.nonce, a.plan, a.gate, a.approver, a.expires) = (admit_approval.nonce, admit_approval.plan,
               admit_approval.gate, admit_approval.approver, admit_approval.expires)
          AND a.evidence -> 'statements' IS NOT DISTINCT FROM admit_approval.evidence -> 'statements'
    ) THEN
        RAISE EXCEPTION 'phasegate: not admitted: nonce % is that of another approval', nonce USING ERRCODE = 'ZG020';
    END IF;
END
$$;

GRANT SELECT ON phasegate.plan, phasegate.planned_phase, phasegate.planned_effect, phasegate.approval, phasegate.approval_spent
    TO phasegate_auditor, phasegate_operator;
GRANT EXECUTE ON FUNCTION phasegate.admit_plan, phasegate.admit_approval TO phasegate_operator;
