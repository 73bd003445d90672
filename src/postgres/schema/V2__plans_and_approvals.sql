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

CREATE TABLE phasegate.rejection (
    nonce text PRIMARY KEY,
    plan bytea NOT NULL REFERENCES phasegate.plan,
    rejected_by text NOT NULL,
    comment text NOT NULL,
    evidence jsonb,
    admitted_by text NOT NULL DEFAULT session_user,
    admitted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX rejection_plan ON phasegate.rejection (plan);

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
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = target ->> 'role') THEN
        RAISE EXCEPTION 'phasegate: not admitted: the plan is to be performed by role %, which there is not', target ->> 'role'
            USING ERRCODE = 'ZG020', HINT = 'Make the plan for the role that performs it.';
    ELSIF NOT phasegate.may_act_as((target ->> 'role')::name, 'phasegate_runner') THEN
        RAISE EXCEPTION 'phasegate: not admitted: the plan is to be performed by role %, which may not perform phases', target ->> 'role'
            USING ERRCODE = 'ZG020',
                  HINT = format('Make the plan for the role that performs it, or GRANT phasegate_runner TO %I.', target ->> 'role');
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

-- The SHA-256 of each text in evidence, so that sha256sum tells which files a row of the journal speaks of. Null if
-- nobody signed.
CREATE FUNCTION phasegate.digests_of(evidence jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given jsonb;
    statements jsonb := '[]';
BEGIN
    FOR given IN SELECT s.given FROM jsonb_array_elements(evidence -> 'statements') WITH ORDINALITY AS s (given, place) ORDER BY s.place LOOP
        statements := statements || jsonb_build_object(
            'approver_sha256', encode(sha256(convert_to(given ->> 'approver', 'UTF8')), 'hex'),
            'statement_sha256', encode(sha256(convert_to(given ->> 'statement', 'UTF8')), 'hex'),
            'signature_sha256', encode(sha256(convert_to(given ->> 'signature', 'UTF8')), 'hex'));
    END LOOP;
    RETURN jsonb_build_object(
        'statements', statements,
        'policy_sha256', encode(sha256(convert_to(evidence ->> 'policy', 'UTF8')), 'hex'),
        'allowed_signers_sha256', encode(sha256(convert_to(evidence ->> 'allowed_signers', 'UTF8')), 'hex'),
        'revoked_keys_sha256', encode(sha256(convert_to(evidence ->> 'revoked_keys', 'UTF8')), 'hex'));
END
$$;

-- Refuses evidence that does not say what is to be admitted: the server verifies no signature, but it can read.
CREATE FUNCTION phasegate.refuse_other_evidence(evidence jsonb, decision text, plan bytea, gate text, approver text, expires timestamptz)
RETURNS void LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given jsonb;
    statement jsonb;
    people text[] := '{}';
    rule jsonb;
BEGIN
    FOR given IN SELECT * FROM jsonb_array_elements(evidence -> 'statements') LOOP
        statement := (given ->> 'statement')::jsonb;
        IF statement ->> 'schema' IS DISTINCT FROM 'phasegate/statement/1'
           OR statement ->> 'decision' IS DISTINCT FROM decision
           OR statement ->> 'plan' IS DISTINCT FROM encode(plan, 'hex')
           OR statement ->> 'gate' IS DISTINCT FROM gate
           OR (statement ->> 'expires')::timestamptz < expires
           OR statement ->> 'expires' IS NULL THEN
            RAISE EXCEPTION 'phasegate: not admitted: what % has signed is another statement', given ->> 'approver'
                USING ERRCODE = 'ZG020', DETAIL = statement::text;
        END IF;
        people := people || (given ->> 'approver');
    END LOOP;
    rule := (evidence ->> 'policy')::jsonb -> 'gates' -> gate;
    IF people = '{}' OR array_to_string(people, ', ') IS DISTINCT FROM approver THEN
        RAISE EXCEPTION 'phasegate: not admitted: % have signed, and it is to be admitted for %', people, approver USING ERRCODE = 'ZG020';
    END IF;
    IF decision = 'approve' AND (rule -> 'needs' IS NULL OR (rule ->> 'needs')::bigint
                                 > (SELECT count(DISTINCT p) FROM unnest(people) AS p)) THEN
        RAISE EXCEPTION 'phasegate: not admitted: of the approvals that the policy demands for gate %, these are not all', gate
            USING ERRCODE = 'ZG020', DETAIL = coalesce(rule::text, '(the policy does not have the gate)');
    END IF;
    -- Whoever stands for one of two gates that need different people does not stand for the other.
    IF decision = 'approve' AND EXISTS (
        SELECT FROM phasegate.approval AS a, jsonb_array_elements(a.evidence -> 'statements') AS s
        WHERE a.plan = refuse_other_evidence.plan AND s ->> 'approver' = ANY (people)
          AND (rule -> 'other_people_than' ? a.gate
               OR (a.evidence ->> 'policy')::jsonb -> 'gates' -> a.gate -> 'other_people_than' ? refuse_other_evidence.gate)
    ) THEN
        RAISE EXCEPTION 'phasegate: not admitted: gate % needs other people', gate USING ERRCODE = 'ZG020';
    END IF;
END
$$;

-- Admitting the same approval again changes nothing; another one under the same nonce is refused.
CREATE FUNCTION phasegate.admit_approval(
    nonce text, plan bytea, gate text, approver text, expires timestamptz, comment text, evidence jsonb DEFAULT NULL,
    decision text DEFAULT 'approve'
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF decision IS DISTINCT FROM 'approve' THEN
        RAISE EXCEPTION 'phasegate: not admitted: it is no approval: %', decision
            USING ERRCODE = 'ZG020', HINT = 'A rejection is admitted as one: Operator::admit_rejection.';
    END IF;
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
    -- One at a time for each plan, so that of two gates which need different people each sees the other.
    PERFORM FROM phasegate.plan AS p WHERE p.plan = admit_approval.plan FOR NO KEY UPDATE;
    IF evidence IS NOT NULL THEN
        PERFORM phasegate.refuse_other_evidence(evidence, decision, plan, gate, approver, expires);
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

-- From here on no phase of the plan is opened, and none that is open passes the interlock; one that has passed it already is
-- waited for by phasegate.wait_for_commits(). There is no way back: another plan is made.
CREATE FUNCTION phasegate.admit_rejection(
    nonce text, plan bytea, gate text, approver text, expires timestamptz, comment text, evidence jsonb, decision text
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF decision IS DISTINCT FROM 'reject' THEN
        RAISE EXCEPTION 'phasegate: not admitted: it is no rejection: %', decision USING ERRCODE = 'ZG020';
    END IF;
    IF NOT EXISTS (SELECT FROM phasegate.plan AS p WHERE p.plan = admit_rejection.plan) THEN
        RAISE EXCEPTION 'phasegate: not admitted: plan % is not', encode(plan, 'hex')
            USING ERRCODE = 'ZG020', HINT = 'Admit the plan first; nothing of it is performed before.';
    END IF;
    IF evidence IS NOT NULL THEN
        PERFORM phasegate.refuse_other_evidence(evidence, decision, plan, gate, approver, expires);
    END IF;
    INSERT INTO phasegate.rejection (nonce, plan, rejected_by, comment, evidence)
    VALUES (admit_rejection.nonce, admit_rejection.plan, approver, admit_rejection.comment, admit_rejection.evidence)
    ON CONFLICT (nonce) DO NOTHING;
    IF NOT EXISTS (
        SELECT FROM phasegate.rejection AS r
        WHERE (r.nonce, r.plan, r.rejected_by) = (admit_rejection.nonce, admit_rejection.plan, approver)
    ) THEN
        RAISE EXCEPTION 'phasegate: not admitted: nonce % is that of another rejection', nonce USING ERRCODE = 'ZG020';
    END IF;
END
$$;

-- Raises if somebody has rejected the plan.
CREATE FUNCTION phasegate.refuse_rejected(plan bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rejection phasegate.rejection;
BEGIN
    SELECT r.* INTO rejection FROM phasegate.rejection AS r WHERE r.plan = refuse_rejected.plan ORDER BY r.admitted_at LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'phasegate: % has rejected the plan: %', rejection.rejected_by, rejection.comment
            USING ERRCODE = 'ZG024', DETAIL = jsonb_build_array(rejection.rejected_by, rejection.comment)::text,
                  HINT = 'Make another plan.';
    END IF;
END
$$;

-- Whether a plan is the business of whoever asks: its own role, operators and auditors.
CREATE FUNCTION phasegate.may_read(the_plan bytea) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT phasegate.may_act_as(session_user, 'phasegate_operator')
        OR phasegate.may_act_as(session_user, 'phasegate_auditor')
        OR EXISTS (SELECT FROM phasegate.plan AS p WHERE p.plan = the_plan AND p.role = session_user);
END;

-- What was said to a plan and admitted, for whoever performs it: no row of it holds a secret.
CREATE FUNCTION phasegate.approvals_of(plan bytea)
RETURNS TABLE (decision text, nonce text, gate text, approver text, admitted_at timestamptz, expires timestamptz, comment text, evidence text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'approve', a.nonce, a.gate, a.approver, a.admitted_at, a.expires, a.comment, a.evidence::text
    FROM phasegate.approval AS a WHERE a.plan = approvals_of.plan AND phasegate.may_read(a.plan)
    UNION ALL
    SELECT 'reject', r.nonce, '', r.rejected_by, r.admitted_at, NULL, r.comment, r.evidence::text
    FROM phasegate.rejection AS r WHERE r.plan = approvals_of.plan AND phasegate.may_read(r.plan)
    ORDER BY 5, 2;
$$;

GRANT SELECT ON phasegate.plan, phasegate.planned_phase, phasegate.planned_effect, phasegate.approval, phasegate.approval_spent,
                phasegate.rejection
    TO phasegate_auditor, phasegate_operator;
GRANT EXECUTE ON FUNCTION phasegate.admit_plan, phasegate.admit_approval, phasegate.admit_rejection TO phasegate_operator;
GRANT EXECUTE ON FUNCTION phasegate.approvals_of TO phasegate_runner, phasegate_operator, phasegate_auditor;
