-- Attempts at phases, and how a transaction finds its own.

-- One row for each attempt: while its transaction is open, what the interlock checks; after that, a
-- fence against its nonce. An attempt that was rolled back leaves no row. A nonce that was resolved
-- as rolled back leaves a row in state `claimed`, so that it can never be opened. A rehearsal is an
-- attempt without a plan, in a state from which no function leads to a commit.
CREATE TABLE phasegate.attempt (
    nonce uuid PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('open', 'sealed', 'drained', 'finished', 'claimed',
                                         'rehearsal', 'rehearsal_draining')),
    armed integer NOT NULL DEFAULT 0, -- an update of it queues the interlock once more
    xid xid8 NOT NULL,
    opened_at timestamptz NOT NULL,
    plan bytea,
    position integer,
    lock bytea, -- SHA-256 of the secret that seals it
    epoch bigint,
    until timestamptz,
    timeline text,
    approvals jsonb,
    durability text, -- synchronous_commit, as the session had it
    allowed_until timestamptz, -- the earliest end of the plan and the approvals
    allowed_by text, -- which of them that is
    program jsonb, -- what the caller says of itself
    attempted numeric -- rows_attempted(), when it was finished
);
-- Not unique: a database that was copied into another cluster meets its old xids again.
CREATE INDEX attempt_xid ON phasegate.attempt (xid);

-- Up to when rows of attempts may have been deleted.
CREATE TABLE phasegate.retention (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    horizon timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO phasegate.retention DEFAULT VALUES;

-- The attempt that this transaction has opened; nulls if there is none. A session keeps its plans:
-- one that was made when the table was empty would read all of it when it is full, so that those
-- who look for a row of a table that grows with the phases are to use its index. What has no index
-- then seems to cost very much, which is why they have jit off.
CREATE FUNCTION phasegate.this_attempt() RETURNS phasegate.attempt
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_attempt phasegate.attempt;
BEGIN
    SELECT a.* INTO v_attempt FROM phasegate.attempt AS a
    WHERE a.xid = pg_current_xact_id_if_assigned() AND a.opened_at >= transaction_timestamp()
      AND a.state <> 'claimed';
    RETURN v_attempt;
END
$$;

-- Raises if this transaction has opened a phase.
CREATE FUNCTION phasegate.ensure_no_open_phase() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (phasegate.this_attempt()).nonce IS NOT NULL THEN
        RAISE EXCEPTION 'this transaction has opened a phase already'
            USING ERRCODE = 'ZG012';
    END IF;
END
$$;

-- Raises if a cursor WITH HOLD is open: it is materialised after the deferred triggers, and may
-- call a function that writes.
CREATE FUNCTION phasegate.ensure_no_cursor_with_hold() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_cursors AS c WHERE c.is_holdable) THEN
        RAISE EXCEPTION 'a cursor WITH HOLD would run after the interlock'
            USING ERRCODE = 'ZG005', HINT = 'Close the cursor, or declare it without HOLD.';
    END IF;
END
$$;
