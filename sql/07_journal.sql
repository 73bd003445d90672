-- The journal: one row for each committed phase, in a chain of hashes for each plan.

-- How far a plan has been performed. The head of the chain stands here, outside the journal: a
-- chain whose tail was cut off is itself valid.
CREATE TABLE phasegate.run (
    plan bytea PRIMARY KEY REFERENCES phasegate.plan,
    committed integer NOT NULL DEFAULT 0,
    head bytea NOT NULL,
    compared_by text -- the session that has compared the fingerprints of its plan last
) WITH (fillfactor = 50);

-- Written once, by the transaction that the row records.
CREATE TABLE phasegate.journal (
    plan bytea NOT NULL REFERENCES phasegate.run,
    position integer NOT NULL,
    nonce uuid NOT NULL UNIQUE,
    body text NOT NULL, -- JSON, kept as the text that was hashed
    hash bytea NOT NULL, -- next_head of the previous hash and body
    PRIMARY KEY (plan, position)
);

-- The first head of a plan's chain.
CREATE FUNCTION phasegate.first_head(p_plan bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.sha256(pg_catalog.convert_to(
    'phasegate/journal/1 ' || pg_catalog.encode(p_plan, 'hex'), 'UTF8'));

-- The head after an entry. The chain is over text, hexadecimal digits with a space between them, so
-- that sha256sum and a shell can recompute it.
CREATE FUNCTION phasegate.next_head(p_head bytea, p_body text) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.sha256(pg_catalog.convert_to(
    pg_catalog.encode(p_head, 'hex') || ' '
    || pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(p_body, 'UTF8')), 'hex'),
    'UTF8'));

CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON phasegate.journal
    FOR EACH STATEMENT EXECUTE FUNCTION phasegate.never_changed();
ALTER TABLE phasegate.journal ENABLE ALWAYS TRIGGER never_changed;

-- The session that has a plan's run locked: it is performing a phase of the plan.
CREATE FUNCTION phasegate.holder_of_run(p_plan bytea)
RETURNS TABLE (pid integer, role text, application_name text, since timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.pid, a.usename::text, a.application_name, a.xact_start
    FROM phasegate.run AS r
    JOIN pg_catalog.pg_locks AS l
        ON l.locktype = 'transactionid' AND l.transactionid = r.xmax
           AND l.mode = 'ExclusiveLock' AND l.granted
    JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE r.plan = p_plan;
END;

-- The sessions that the session of a plan's run waits for, and those that wait for it; process 0
-- is a prepared transaction. Not their queries, which may have personal data.
CREATE FUNCTION phasegate.neighbours_of_run(p_plan bytea)
RETURNS TABLE (holds_up boolean, pid integer, role text, application_name text, since timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT n.holds_up, n.pid, a.usename::text, a.application_name, a.xact_start
    FROM (
        SELECT DISTINCT false AS holds_up, b.pid
        FROM phasegate.holder_of_run(p_plan) AS h,
             LATERAL unnest(pg_blocking_pids(h.pid)) AS b (pid)
        UNION ALL
        SELECT true, w.pid
        FROM phasegate.holder_of_run(p_plan) AS h
        JOIN pg_catalog.pg_stat_activity AS w
            ON w.wait_event_type = 'Lock' AND h.pid = ANY (pg_blocking_pids(w.pid))
    ) AS n LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = n.pid
    ORDER BY n.holds_up, a.xact_start, n.pid LIMIT 200;
END;

-- The journal of one plan, for those who may read of it; only auditors and operators read the
-- table.
CREATE FUNCTION phasegate.journal_of(p_plan bytea)
RETURNS TABLE ("position" integer, nonce uuid, body text, hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT j.position, j.nonce, j.body, j.hash FROM phasegate.journal AS j
    WHERE j.plan = p_plan AND phasegate.may_read(j.plan) ORDER BY j.position;
END;

-- How far a plan has been performed, for those who may read of it; no row where it is not admitted.
CREATE FUNCTION phasegate.progress_of(p_plan bytea)
RETURNS TABLE (admitted_at timestamptz, phases bigint, committed integer,
               last_committed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.admitted_at,
           (SELECT count(*) FROM phasegate.planned_phase AS f WHERE f.plan = p.plan),
           r.committed,
           (SELECT (j.body::jsonb ->> 'finished_at')::timestamptz FROM phasegate.journal AS j
            WHERE j.plan = p.plan AND j.position = r.committed)
    FROM phasegate.plan AS p JOIN phasegate.run AS r ON r.plan = p.plan
    WHERE p.plan = p_plan AND phasegate.may_read(p.plan);
END;

-- Another plan with the same change of which all phases are committed, the last one; no row if
-- there is none. For those who may read of both.
CREATE FUNCTION phasegate.same_change(p_plan bytea)
RETURNS TABLE (plan bytea, committed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT o.plan, (j.body::jsonb ->> 'finished_at')::timestamptz AS committed_at
    FROM phasegate.plan AS p JOIN phasegate.plan AS o ON o.change = p.change AND o.plan <> p.plan
    JOIN phasegate.run AS r ON r.plan = o.plan
    JOIN phasegate.journal AS j ON j.plan = o.plan AND j.position = r.committed
    WHERE p.plan = p_plan AND phasegate.may_read(p.plan) AND phasegate.may_read(o.plan)
      AND r.committed = (SELECT count(*) FROM phasegate.planned_phase AS f WHERE f.plan = o.plan)
    ORDER BY committed_at DESC LIMIT 1;
END;
