-- How far a plan has been performed. The head of the journal's chain stands here, outside the journal: a chain whose
-- tail was cut off is itself valid.
CREATE TABLE phasegate.run (
    plan bytea PRIMARY KEY REFERENCES phasegate.plan,
    committed integer NOT NULL DEFAULT 0,
    head bytea NOT NULL
) WITH (fillfactor = 50);

-- An attempt at a phase: the latch of its transaction while it is open, and its fence for ever. What was rolled back
-- leaves no row; a nonce whose fate somebody had to settle leaves one that is claimed, so that it can never be opened. A
-- rehearsal is an attempt that has no plan, and that nothing leads to its commit.
CREATE TABLE phasegate.attempt (
    nonce uuid PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('open', 'sealed', 'drained', 'finished', 'claimed', 'rehearsal', 'rehearsal_draining')),
    armed integer NOT NULL DEFAULT 0, -- a change of it queues the interlock once more
    xid xid8 NOT NULL,
    opened_at timestamptz NOT NULL,
    plan bytea,
    place integer,
    lock bytea, -- SHA-256 of the secret that seals it
    epoch bigint,
    until timestamptz,
    timeline text,
    approvals jsonb,
    durability text, -- synchronous_commit, as the session had it
    allowed_until timestamptz, -- when the plan, or the first of the approvals, is over
    allowed_by text -- which of them that is
) WITH (fillfactor = 40);
-- Not unique: a database that was copied into another cluster meets its old numbers again.
CREATE INDEX attempt_xid ON phasegate.attempt (xid);

-- By what a session knows its own open phase without looking for the row, which every statement on a guarded table would
-- pay for: `open` sets it to the number of its transaction, `finish` to 0, and currval is what this session has last set.
-- Nobody can forge that, since nobody but the owner has a privilege on it; nor does it outlive its transaction, whose
-- number no other one has. A savepoint that is taken back would not take it back: in one, `open` does not set it, and
-- the row is looked for; so it is in a rehearsal. The setting phasegate.open_here, which anybody may change, says no more
-- than that there is a currval to look at, without which the server would raise.
CREATE SEQUENCE phasegate.open_here AS bigint MINVALUE 0 START 0;

-- One row for each committed phase. Written once, by the transaction that it tells of.
CREATE TABLE phasegate.journal (
    plan bytea NOT NULL REFERENCES phasegate.run,
    place integer NOT NULL,
    nonce uuid NOT NULL UNIQUE,
    body text NOT NULL, -- JSON, kept as the text that was hashed
    hash bytea NOT NULL, -- next_head of the hash before it and body
    PRIMARY KEY (plan, place)
);

CREATE TABLE phasegate.retention (
    the_only boolean PRIMARY KEY DEFAULT true CHECK (the_only),
    horizon timestamptz NOT NULL DEFAULT '-infinity' -- attempts from before it may have been deleted
);
INSERT INTO phasegate.retention DEFAULT VALUES;

-- What the chain of a plan begins with.
CREATE FUNCTION phasegate.first_head(plan bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.sha256(pg_catalog.convert_to('phasegate/journal/1 ' || pg_catalog.encode(plan, 'hex'), 'UTF8'));

-- What it goes on with. A chain over text, hexadecimal digits with a space between them, so that sha256sum and a shell
-- can recompute it.
CREATE FUNCTION phasegate.next_head(head bytea, body text) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.encode(head, 'hex') || ' '
    || pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(body, 'UTF8')), 'hex'), 'UTF8'));

CREATE FUNCTION phasegate.never_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'phasegate: the journal is written once; % is refused', tg_op USING ERRCODE = 'ZG008';
END
$$;
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON phasegate.journal
    FOR EACH STATEMENT EXECUTE FUNCTION phasegate.never_changed();
ALTER TABLE phasegate.journal ENABLE ALWAYS TRIGGER never_changed;

-- The attempt that this transaction has opened.
CREATE FUNCTION phasegate.this_attempt() RETURNS phasegate.attempt
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    attempt phasegate.attempt;
BEGIN
    SELECT a.* INTO attempt FROM phasegate.attempt AS a
    WHERE a.xid = pg_current_xact_id_if_assigned() AND a.opened_at >= transaction_timestamp() AND a.state <> 'claimed';
    RETURN attempt;
END
$$;

-- Who has a plan's run locked: the session that is performing a phase of it.
CREATE FUNCTION phasegate.holder_of_run(plan bytea)
RETURNS TABLE (pid integer, who text, application_name text, since timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.pid, a.usename::text, a.application_name, a.xact_start
    FROM phasegate.run AS r
    JOIN pg_catalog.pg_locks AS l ON l.locktype = 'transactionid' AND l.transactionid = r.xmax
         AND l.mode = 'ExclusiveLock' AND l.granted
    JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE r.plan = holder_of_run.plan;
END;

-- The journal of one plan, for whoever performs it; phasegate.journal itself is the auditor's.
CREATE FUNCTION phasegate.journal_of(plan bytea)
RETURNS TABLE (place integer, nonce uuid, body text, hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT j.place, j.nonce, j.body, j.hash FROM phasegate.journal AS j WHERE j.plan = journal_of.plan AND phasegate.may_read(j.plan)
    ORDER BY j.place;
END;

-- How far a plan has been performed, for its own role, operators and auditors; no row where it is not admitted.
CREATE FUNCTION phasegate.progress_of(p_plan bytea)
RETURNS TABLE (admitted_at timestamptz, phases bigint, committed integer, last_committed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.admitted_at, (SELECT count(*) FROM phasegate.planned_phase AS f WHERE f.plan = p.plan), r.committed,
           (SELECT (j.body::jsonb ->> 'finished_at')::timestamptz FROM phasegate.journal AS j
            WHERE j.plan = p.plan AND j.place = r.committed)
    FROM phasegate.plan AS p JOIN phasegate.run AS r ON r.plan = p.plan
    WHERE p.plan = p_plan AND phasegate.may_read(p.plan);
END;

GRANT SELECT ON phasegate.run, phasegate.attempt, phasegate.journal, phasegate.retention
    TO phasegate_auditor, phasegate_operator;
GRANT EXECUTE ON FUNCTION phasegate.holder_of_run, phasegate.journal_of, phasegate.progress_of
    TO phasegate_runner, phasegate_operator, phasegate_auditor;
