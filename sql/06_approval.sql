-- Approvals and rejections: what an operator admits after a plan, and what a phase spends. The
-- server verifies no signature: the operator's program does, before it admits.

CREATE TABLE phasegate.approval (
    nonce text PRIMARY KEY,
    plan bytea NOT NULL REFERENCES phasegate.plan,
    gate text NOT NULL,
    approver text NOT NULL,
    expires timestamptz NOT NULL,
    comment text NOT NULL,
    evidence jsonb, -- the signed statements, and the rules they were judged by; null if unsigned
    admitted_by text NOT NULL DEFAULT session_user,
    admitted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What was admitted is what was signed.
CREATE FUNCTION phasegate.never_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'table %.% is written once; % is refused',
        tg_table_schema, tg_table_name, tg_op
        USING ERRCODE = 'ZG008';
END
$$;
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON phasegate.approval
    FOR EACH STATEMENT EXECUTE FUNCTION phasegate.never_changed();
ALTER TABLE phasegate.approval ENABLE ALWAYS TRIGGER never_changed;

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
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON phasegate.rejection
    FOR EACH STATEMENT EXECUTE FUNCTION phasegate.never_changed();
ALTER TABLE phasegate.rejection ENABLE ALWAYS TRIGGER never_changed;

-- One row, written by the transaction of the phase that the approval allowed: rolled back, the
-- approval is unspent; committed, it is spent for ever.
CREATE TABLE phasegate.approval_spent (
    nonce text NOT NULL REFERENCES phasegate.approval,
    position integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (nonce, position)
);

-- The SHA-256 of each text in evidence. A row of the journal has these: the evidence itself is kept
-- once, with its approval, and a change of it is found by the chain. Null if unsigned.
CREATE FUNCTION phasegate.evidence_digests(p_evidence jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_given jsonb;
    v_statements jsonb := '[]'::jsonb;
BEGIN
    FOR v_given IN
        SELECT s.given
        FROM jsonb_array_elements(p_evidence -> 'statements') WITH ORDINALITY AS s (given, position)
        ORDER BY s.position
    LOOP
        v_statements := v_statements || jsonb_build_object(
            'approver_sha256', phasegate.text_digest(v_given ->> 'approver'),
            'statement_sha256', phasegate.text_digest(v_given ->> 'statement'),
            'signature_sha256', phasegate.text_digest(v_given ->> 'signature'));
    END LOOP;
    RETURN jsonb_build_object(
        'statements', v_statements,
        'policy_sha256', phasegate.text_digest(p_evidence ->> 'policy'),
        'allowed_signers_sha256', phasegate.text_digest(p_evidence ->> 'allowed_signers'),
        'revoked_keys_sha256', phasegate.text_digest(p_evidence ->> 'revoked_keys'));
END
$$;

-- The SHA-256 of a text, in hexadecimal digits.
CREATE FUNCTION phasegate.text_digest(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(p_text, 'UTF8')), 'hex');

-- Raises unless a signed statement says what is to be admitted.
CREATE FUNCTION phasegate.ensure_statement(
    p_given jsonb, p_decision text, p_plan bytea, p_gate text, p_expires timestamptz
) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_statement jsonb := (p_given ->> 'statement')::jsonb;
BEGIN
    IF v_statement ->> 'schema' IS DISTINCT FROM 'phasegate/statement/1'
       OR v_statement ->> 'decision' IS DISTINCT FROM p_decision
       OR v_statement ->> 'plan' IS DISTINCT FROM encode(p_plan, 'hex')
       OR v_statement ->> 'gate' IS DISTINCT FROM p_gate
       OR (v_statement ->> 'expires')::timestamptz < p_expires
       OR v_statement ->> 'expires' IS NULL THEN
        RAISE EXCEPTION 'what % has signed is another statement',
            p_given ->> 'approver'
            USING ERRCODE = 'ZG020', DETAIL = format('The statement is %s.', v_statement);
    END IF;
END
$$;

-- Raises unless as many people have signed as the policy needs for the gate.
CREATE FUNCTION phasegate.ensure_enough_approvers(p_rule jsonb, p_gate text, p_people text[])
RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_rule -> 'needs' IS NULL
       OR (p_rule ->> 'needs')::bigint
          > (SELECT count(DISTINCT p.person) FROM unnest(p_people) AS p (person)) THEN
        RAISE EXCEPTION 'gate % needs more approvals by its policy', p_gate
            USING ERRCODE = 'ZG020',
                  DETAIL = coalesce(format('The rule is %s.', p_rule),
                                    'The policy does not have the gate.');
    END IF;
END
$$;

-- Raises if one of these people has approved a gate of the plan that needs other people than this
-- one, by the policy of either.
CREATE FUNCTION phasegate.ensure_other_people(
    p_plan bytea, p_rule jsonb, p_gate text, p_people text[]
) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM phasegate.approval AS a, jsonb_array_elements(a.evidence -> 'statements') AS s
        WHERE a.plan = p_plan AND s ->> 'approver' = ANY (p_people)
          AND (p_rule -> 'other_people_than' ? a.gate
               OR (a.evidence ->> 'policy')::jsonb -> 'gates' -> a.gate
                  -> 'other_people_than' ? p_gate)
    ) THEN
        RAISE EXCEPTION 'gate % needs other people', p_gate
            USING ERRCODE = 'ZG020';
    END IF;
END
$$;

-- Raises unless the evidence says what is to be admitted. The server cannot verify a signature, but
-- it can read.
CREATE FUNCTION phasegate.ensure_evidence(
    p_evidence jsonb, p_decision text, p_plan bytea, p_gate text, p_approver text,
    p_expires timestamptz
) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_given jsonb;
    v_people text[] := '{}'::text[];
    v_rule jsonb := (p_evidence ->> 'policy')::jsonb -> 'gates' -> p_gate;
BEGIN
    FOR v_given IN SELECT * FROM jsonb_array_elements(p_evidence -> 'statements') LOOP
        PERFORM phasegate.ensure_statement(v_given, p_decision, p_plan, p_gate, p_expires);
        v_people := v_people || (v_given ->> 'approver');
    END LOOP;
    IF v_people = '{}' OR array_to_string(v_people, ', ') IS DISTINCT FROM p_approver THEN
        RAISE EXCEPTION '% have signed, and it is to be admitted for %',
            v_people, p_approver USING ERRCODE = 'ZG020';
    END IF;
    IF p_decision = 'approve' THEN
        PERFORM phasegate.ensure_enough_approvers(v_rule, p_gate, v_people);
        PERFORM phasegate.ensure_other_people(p_plan, v_rule, p_gate, v_people);
    END IF;
END
$$;

-- Raises unless an admitted plan has a phase behind the gate.
CREATE FUNCTION phasegate.ensure_planned_gate(p_plan bytea, p_gate text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM phasegate.planned_phase AS p WHERE p.plan = p_plan AND p_gate = ANY (p.gates)
    ) THEN
        RAISE EXCEPTION 'no admitted plan % has a phase behind gate %',
            encode(p_plan, 'hex'), p_gate
            USING ERRCODE = 'ZG020', HINT = 'Admit the plan first.';
    END IF;
END
$$;

-- Admits an approval. The same one a second time changes nothing; another one under the same nonce
-- is an error.
CREATE FUNCTION phasegate.admit_approval(
    p_nonce text, p_plan bytea, p_gate text, p_approver text, p_expires timestamptz,
    p_comment text, p_evidence jsonb DEFAULT NULL, p_decision text DEFAULT 'approve'
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_decision IS DISTINCT FROM 'approve' THEN
        RAISE EXCEPTION 'the decision is not an approval: %', p_decision
            USING ERRCODE = 'ZG020',
                  HINT = 'A rejection is admitted as one: Operator::admit_rejection.';
    END IF;
    IF p_expires <= clock_timestamp() THEN
        RAISE EXCEPTION 'the approval expired at %', p_expires
            USING ERRCODE = 'ZG020';
    END IF;
    PERFORM phasegate.ensure_planned_gate(p_plan, p_gate);
    -- One at a time for each plan: two gates that need different people then see each other.
    PERFORM FROM phasegate.plan AS p WHERE p.plan = p_plan FOR NO KEY UPDATE;
    IF p_evidence IS NOT NULL THEN
        PERFORM phasegate.ensure_evidence(
            p_evidence, p_decision, p_plan, p_gate, p_approver, p_expires);
    END IF;
    INSERT INTO phasegate.approval (nonce, plan, gate, approver, expires, comment, evidence)
    VALUES (p_nonce, p_plan, p_gate, p_approver, p_expires, p_comment, p_evidence)
    ON CONFLICT (nonce) DO NOTHING;
    IF NOT EXISTS (
        SELECT FROM phasegate.approval AS a
        WHERE (a.nonce, a.plan, a.gate, a.approver, a.expires)
              = (p_nonce, p_plan, p_gate, p_approver, p_expires)
          AND a.evidence -> 'statements' IS NOT DISTINCT FROM p_evidence -> 'statements'
    ) THEN
        RAISE EXCEPTION 'nonce % is that of another approval', p_nonce
            USING ERRCODE = 'ZG020';
    END IF;
END
$$;

-- Admits a rejection. From then on no phase of the plan is opened, and none that is open passes the
-- interlock; phasegate.wait_for_commits() waits for those that have passed it. It cannot be undone:
-- another plan is made.
CREATE FUNCTION phasegate.admit_rejection(
    p_nonce text, p_plan bytea, p_gate text, p_approver text, p_expires timestamptz,
    p_comment text, p_evidence jsonb, p_decision text
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_decision IS DISTINCT FROM 'reject' THEN
        RAISE EXCEPTION 'the decision is not a rejection: %', p_decision
            USING ERRCODE = 'ZG020';
    END IF;
    IF NOT EXISTS (SELECT FROM phasegate.plan AS p WHERE p.plan = p_plan) THEN
        RAISE EXCEPTION 'plan % is not admitted', encode(p_plan, 'hex')
            USING ERRCODE = 'ZG020',
                  HINT = 'Admit the plan first; nothing of it is performed before.';
    END IF;
    IF p_evidence IS NOT NULL THEN
        PERFORM phasegate.ensure_evidence(
            p_evidence, p_decision, p_plan, p_gate, p_approver, p_expires);
    END IF;
    INSERT INTO phasegate.rejection (nonce, plan, rejected_by, comment, evidence)
    VALUES (p_nonce, p_plan, p_approver, p_comment, p_evidence)
    ON CONFLICT (nonce) DO NOTHING;
    IF NOT EXISTS (
        SELECT FROM phasegate.rejection AS r
        WHERE (r.nonce, r.plan, r.rejected_by) = (p_nonce, p_plan, p_approver)
    ) THEN
        RAISE EXCEPTION 'nonce % is that of another rejection', p_nonce
            USING ERRCODE = 'ZG020';
    END IF;
END
$$;

-- Raises if the plan was rejected.
CREATE FUNCTION phasegate.ensure_not_rejected(p_plan bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rejection phasegate.rejection;
BEGIN
    SELECT r.* INTO v_rejection FROM phasegate.rejection AS r
    WHERE r.plan = p_plan ORDER BY r.admitted_at LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% has rejected the plan: %',
            v_rejection.rejected_by, v_rejection.comment
            USING ERRCODE = 'ZG024',
                  DATATYPE = jsonb_build_array(v_rejection.rejected_by, v_rejection.comment)::text,
                  HINT = 'Make another plan.';
    END IF;
END
$$;

-- The approvals and rejections of a plan, for those who may read of it. No row holds a secret.
CREATE FUNCTION phasegate.approvals_of(p_plan bytea)
RETURNS TABLE (decision text, nonce text, gate text, approver text, admitted_at timestamptz,
               expires timestamptz, comment text, evidence text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'approve', a.nonce, a.gate, a.approver, a.admitted_at, a.expires, a.comment,
           a.evidence::text
    FROM phasegate.approval AS a WHERE a.plan = p_plan AND phasegate.may_read(a.plan)
    UNION ALL
    SELECT 'reject', r.nonce, '', r.rejected_by, r.admitted_at, NULL, r.comment, r.evidence::text
    FROM phasegate.rejection AS r WHERE r.plan = p_plan AND phasegate.may_read(r.plan)
    ORDER BY 5, 2
$$;
