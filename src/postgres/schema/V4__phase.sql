-- A phase, from its opening to its commit:
--
--   BEGIN; SELECT phasegate.open(request)                       the opening message
--   ...                                                         whatever the adapter says
--   SELECT phasegate.seal(secret); SET CONSTRAINTS ALL IMMEDIATE;
--   SELECT phasegate.finish(output); COMMIT                     the closing message
--
-- The messages are ASCII, with every name qualified, no cast and no operator: nothing in a session's settings changes
-- what they mean. The interlock, at the end, stands in every way to a commit.

-- Refuses a session that nothing is to be opened in.
CREATE FUNCTION phasegate.refuse_session(request jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    power record;
    powers text[] := '{}';
BEGIN
    IF request -> 'protocol' IS DISTINCT FROM '1'::jsonb THEN
        RAISE EXCEPTION 'phasegate: the caller speaks protocol %, and this install speaks 1', request -> 'protocol'
            USING ERRCODE = 'ZG017', HINT = 'Install the schema with the release that performs the phases.';
    END IF;
    IF transaction_timestamp() <> statement_timestamp() THEN
        RAISE EXCEPTION 'phasegate: the session was in a transaction already'
            USING ERRCODE = 'ZG016', DETAIL = 'in_transaction', HINT = 'Give each phase a session of its own.';
    END IF;
    -- In an older snapshot a rejection that has come since would not be seen.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'phasegate: the transaction is %, and a phase is READ COMMITTED',
            upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'ZG016', DETAIL = 'isolation', HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;
    IF current_setting('role') <> 'none' THEN
        RAISE EXCEPTION 'phasegate: the session of role % acts as %', session_user, current_setting('role')
            USING ERRCODE = 'ZG016', DETAIL = current_setting('role'), HINT = 'Take the SET ROLE out of what opens the session.';
    END IF;
    IF NOT current_setting('track_counts')::boolean THEN
        RAISE EXCEPTION 'phasegate: track_counts is off, so that effects would not be counted'
            USING ERRCODE = 'ZG015', HINT = 'Set track_counts = on.';
    END IF;
    IF (request ->> 'refuse_powers')::boolean AND phasegate.may_have_powers(session_user) THEN
        FOR power IN SELECT * FROM phasegate.powers_of(session_user::text) LOOP
            powers := powers || (power.what || '; mend it with: ' || power.mend);
        END LOOP;
        IF powers <> '{}' THEN
            RAISE EXCEPTION 'phasegate: role % could get round the interlock: %', session_user, array_to_string(powers, ' | ')
                USING ERRCODE = 'ZG018', DETAIL = to_jsonb(powers)::text;
        END IF;
    END IF;
END
$$;

-- Who is at this end, and how old the session is.
CREATE FUNCTION phasegate.this_session() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_start timestamptz;
BEGIN
    SELECT a.backend_start INTO v_start FROM pg_stat_get_activity(pg_backend_pid()) AS a;
    IF v_start IS NULL THEN
        RAISE EXCEPTION 'phasegate: phasegate_owner may not see when this session of % began', session_user
            USING ERRCODE = 'ZG015',
                  HINT = format('GRANT %I TO phasegate_owner, or GRANT pg_read_all_stats TO phasegate_owner.', session_user);
    END IF;
    RETURN jsonb_build_object(
        'system_identifier', (SELECT c.system_identifier::text FROM pg_control_system() AS c),
        'database', current_database(), 'role', session_user, 'timeline', phasegate.timeline(),
        'backend_pid', pg_backend_pid(), 'backend_start', v_start,
        'session_age', extract(epoch FROM clock_timestamp() - v_start));
END
$$;

-- Opens a phase, or refuses. If the phase is committed already, answers its row of the journal and opens nothing.
CREATE FUNCTION phasegate.open(request_bytes bytea) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    request jsonb := convert_from(request_bytes, 'UTF8')::jsonb;
    the_plan bytea := decode(request ->> 'plan', 'hex');
    the_place integer := (request ->> 'place')::integer;
    the_nonce uuid := (request ->> 'nonce')::uuid;
    durability text := current_setting('synchronous_commit');
    now timestamptz := greatest(clock_timestamp(), transaction_timestamp());
    is_new_transaction boolean := pg_current_xact_id_if_assigned() IS NULL;
    answer jsonb;
    planned record;
    run phasegate.run;
    entry phasegate.journal;
    lease phasegate.kill_switch;
    lease_left bigint;
    spent jsonb := '[]';
    the_gate text;
    gate_place bigint;
    approval phasegate.approval;
    in_no_savepoint boolean;
    v_allowed_until timestamptz;
    v_allowed_by text := 'the plan';
BEGIN
    PERFORM phasegate.refuse_session(request);

    PERFORM set_config('application_name', request ->> 'application_name', true);
    PERFORM set_config('lock_timeout', request ->> 'lock_timeout', true);

    -- One phase of a plan at a time: another runner of it waits here.
    SELECT r.* INTO run FROM phasegate.run AS r WHERE r.plan = the_plan FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'phasegate: plan % is not admitted', request ->> 'plan'
            USING ERRCODE = 'ZG010', HINT = 'An operator admits the plan.';
    END IF;
    SELECT f.phase, f.input, f.gates, p.system_identifier, p.database, p.role, p.valid_until INTO planned
    FROM phasegate.planned_phase AS f JOIN phasegate.plan AS p ON p.plan = f.plan
    WHERE f.plan = the_plan AND f.place = the_place;
    IF NOT FOUND OR planned.phase IS DISTINCT FROM request ->> 'phase'
       OR planned.input IS DISTINCT FROM decode(request ->> 'input', 'hex') THEN
        RAISE EXCEPTION 'phasegate: phase % at place % is not what was planned', request ->> 'phase', the_place
            USING ERRCODE = 'ZG011';
    END IF;
    answer := phasegate.this_session() || jsonb_build_object('opened_at', now);
    IF (planned.system_identifier::text, planned.database, planned.role)
       IS DISTINCT FROM (answer ->> 'system_identifier', current_database()::text, session_user::text) THEN
        RAISE EXCEPTION 'phasegate: the plan is not for this database and this role' USING ERRCODE = 'ZG021';
    END IF;
    SELECT j.* INTO entry FROM phasegate.journal AS j WHERE j.plan = the_plan AND j.place = the_place;
    IF FOUND THEN
        RETURN (answer || jsonb_build_object('committed', jsonb_build_object(
            'nonce', entry.nonce, 'body', entry.body, 'hash', encode(entry.hash, 'hex'))))::text;
    END IF;
    IF planned.valid_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'phasegate: plan % is over', request ->> 'plan' USING ERRCODE = 'ZG023', HINT = 'Make a new plan with a dry run.';
    END IF;
    PERFORM phasegate.refuse_rejected(the_plan);
    PERFORM phasegate.ensure_children_counted(the_plan, the_place);
    IF the_place <> run.committed + 1 THEN
        RAISE EXCEPTION 'phasegate: phase % is at place %, and % phases of the plan are committed',
            planned.phase, the_place, run.committed USING ERRCODE = 'ZG012';
    END IF;
    IF NOT is_new_transaction AND (phasegate.this_attempt()).nonce IS NOT NULL THEN
        RAISE EXCEPTION 'phasegate: this transaction has opened a phase already' USING ERRCODE = 'ZG012';
    END IF;

    -- Before the switch is read: whoever turns it off then either finds this phase, or is seen by it.
    LOCK TABLE phasegate.phase_in_progress IN ROW SHARE MODE;
    lease := phasegate.lease();
    lease_left := greatest(1, floor(extract(epoch FROM lease.until - clock_timestamp()) * 1000));

    v_allowed_until := planned.valid_until;
    FOR the_gate, gate_place IN SELECT * FROM unnest(planned.gates) WITH ORDINALITY LOOP
        SELECT a.* INTO approval FROM phasegate.approval AS a
        WHERE a.nonce = request -> 'approvals' ->> (gate_place - 1)::integer
          AND a.plan = the_plan AND a.gate = the_gate AND a.expires > clock_timestamp();
        IF NOT FOUND THEN
            RAISE EXCEPTION 'phasegate: phase % needs an approval of gate % that was admitted, is for this plan, and has not expired',
                planned.phase, the_gate USING ERRCODE = 'ZG013', DETAIL = the_gate, HINT = 'An operator admits the approval.';
        END IF;
        IF approval.expires < v_allowed_until THEN
            v_allowed_until := approval.expires;
            v_allowed_by := format('the approval of gate %s', the_gate);
        END IF;
        INSERT INTO phasegate.approval_spent (nonce, place)
        VALUES (approval.nonce, the_place);
        spent := spent || jsonb_build_object(
            'gate', the_gate, 'approver', approval.approver, 'nonce', approval.nonce, 'expires', approval.expires,
            'comment', approval.comment, 'digests', phasegate.digests_of(approval.evidence),
            'evidence', approval.evidence);
    END LOOP;

    INSERT INTO phasegate.attempt (nonce, state, xid, opened_at, plan, place, lock, epoch, until, timeline, approvals, durability,
                                   allowed_until, allowed_by)
    VALUES (the_nonce, 'open', pg_current_xact_id(), now, the_plan, the_place, decode(request ->> 'lock', 'hex'),
            lease.epoch, lease.until, lease.timeline, spent, durability,
            v_allowed_until, v_allowed_by)
    ON CONFLICT (nonce) DO NOTHING RETURNING xmin = pg_current_xact_id()::xid INTO in_no_savepoint;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'phasegate: nonce % was used, or its fate has been settled', the_nonce USING ERRCODE = 'ZG019';
    END IF;
    IF in_no_savepoint THEN
        PERFORM setval('phasegate.open_here', pg_current_xact_id()::text::bigint), set_config('phasegate.open_here', 'yes', true);
    END IF;

    -- Not bounded by the lease, which may be extended: its end is for the caller to watch, and for the interlock. A phase could
    -- undo these: they enforce nothing, and the caller bounds itself too.
    PERFORM set_config('statement_timeout', request ->> 'statement_timeout', true);
    PERFORM set_config('idle_in_transaction_session_timeout', request ->> 'idle_timeout', true);
    IF current_setting('transaction_timeout', true) IS NOT NULL THEN
        -- Later than who opened it would end it: a close that is cancelled has a certain answer, an ended one has none.
        PERFORM set_config('transaction_timeout', (least((request ->> 'phase_timeout')::bigint, 2147478647) + 5000)::text, true);
    END IF;
    RETURN (answer || jsonb_build_object(
        'xid', pg_current_xact_id()::text, 'epoch', lease.epoch, 'lease_left', lease_left))::text;
END
$$;

-- Seals the phase: only who opened it knows what the lock is the hash of.
CREATE FUNCTION phasegate.seal(secret bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE phasegate.attempt AS a SET state = 'sealed'
    WHERE a.xid = pg_current_xact_id_if_assigned() AND a.opened_at >= transaction_timestamp()
      AND a.state = 'open' AND a.lock = sha256(secret);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'phasegate: not sealed: this transaction has no open phase with that lock' USING ERRCODE = 'ZG001';
    END IF;
END
$$;

-- Writes the row of the journal, whose moments are in UTC. Nothing of the phase comes after it but COMMIT.
CREATE FUNCTION phasegate.finish(output bytea) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    this phasegate.attempt := phasegate.this_attempt();
    run phasegate.run;
    seen jsonb;
    body text;
    new_head bytea;
BEGIN
    IF this.nonce IS NULL OR this.state <> 'drained' THEN
        RAISE EXCEPTION 'phasegate: not finished: the phase is not sealed and drained' USING ERRCODE = 'ZG001';
    END IF;
    IF output IS NULL THEN
        RAISE EXCEPTION 'phasegate: not finished: the phase left no output' USING ERRCODE = 'ZG017';
    END IF;
    PERFORM phasegate.refuse_cursors_with_hold();
    -- After the drain, so that what deferred triggers did counts too.
    seen := phasegate.effects();
    PERFORM phasegate.refuse_unplanned_effects(this.plan, this.place, seen);
    SELECT r.* INTO run FROM phasegate.run AS r WHERE r.plan = this.plan;
    SELECT jsonb_build_object(
        'schema', 'phasegate/journal/1', 'plan', encode(this.plan, 'hex'), 'pipeline', p.pipeline, 'place', this.place,
        'phase', f.phase, 'input', encode(f.input, 'hex'), 'output', convert_from(output, 'UTF8'),
        'approvals', this.approvals,
        'effects', (SELECT coalesce(jsonb_object_agg(s.key, s.value - 'exactly'), '{}') FROM jsonb_each(seen) AS s), 'nonce', this.nonce, 'xid', this.xid::text,
        'system_identifier', p.system_identifier::text, 'timeline', this.timeline, 'database', p.database,
        'role', session_user, 'from', coalesce(host(a.client_addr), 'local'),
        'application_name', current_setting('application_name'), 'backend_pid', pg_backend_pid(),
        'backend_start', a.backend_start, 'epoch', this.epoch, 'opened_at', this.opened_at,
        'finished_at', clock_timestamp())::text
    INTO STRICT body
    FROM phasegate.plan AS p JOIN phasegate.planned_phase AS f ON f.plan = p.plan AND f.place = this.place,
         pg_stat_get_activity(pg_backend_pid()) AS a
    WHERE p.plan = this.plan;
    new_head := phasegate.next_head(run.head, body);
    INSERT INTO phasegate.journal (plan, place, nonce, body, hash) VALUES (this.plan, this.place, this.nonce, body, new_head);
    UPDATE phasegate.run AS r SET committed = this.place, head = new_head WHERE r.plan = this.plan;
    -- What was approved stands in the journal now.
    UPDATE phasegate.attempt AS a SET state = 'finished', approvals = NULL WHERE a.nonce = this.nonce;
    PERFORM setval('phasegate.open_here', 0);
    -- A phase may have made its commit less durable than its session's: a receipt is durable.
    PERFORM set_config('synchronous_commit', CASE this.durability WHEN 'off' THEN 'on' ELSE this.durability END, true);
    RETURN encode(new_head, 'hex');
END
$$;

-- Such a cursor is materialised after the deferred triggers, and may call a function that writes.
CREATE FUNCTION phasegate.refuse_cursors_with_hold() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_cursors AS c WHERE c.is_holdable) THEN
        RAISE EXCEPTION 'phasegate: a cursor WITH HOLD would run after the interlock'
            USING ERRCODE = 'ZG005', HINT = 'Close the cursor, or declare it without HOLD.';
    END IF;
END
$$;

-- The interlock. Deferred, it fires inside every COMMIT; SET CONSTRAINTS ALL IMMEDIATE fires it as well, and a sealed
-- phase is then armed anew, so that exactly one event is pending at any time. So is a rehearsal that drains; and in no
-- state does it let one pass.
CREATE FUNCTION phasegate.interlock() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this phasegate.attempt;
BEGIN
    SELECT a.* INTO STRICT this FROM phasegate.attempt AS a WHERE a.nonce = new.nonce;
    IF this.state IN ('sealed', 'rehearsal_draining') THEN
        SET CONSTRAINTS phasegate.interlock DEFERRED;
        UPDATE phasegate.attempt AS a
        SET state = CASE this.state WHEN 'sealed' THEN 'drained' ELSE 'rehearsal' END, armed = a.armed + 1
        WHERE a.nonce = this.nonce;
        RETURN NULL;
    END IF;
    IF this.state = 'rehearsal' THEN
        RAISE EXCEPTION 'phasegate: commit refused: this is a rehearsal, which is rolled back whatever it did'
            USING ERRCODE = 'ZG001', HINT = 'What is to be committed is performed live. To check deferred constraints inside a phase, name them in SET CONSTRAINTS instead of saying ALL.';
    END IF;
    IF this.state <> 'finished' THEN
        RAISE EXCEPTION 'phasegate: commit refused: the phase is %, not finished', this.state
            USING ERRCODE = 'ZG001', HINT = 'What the adapter returns ends the phase. To check deferred constraints before that, name them in SET CONSTRAINTS instead of saying ALL.';
    END IF;
    PERFORM phasegate.refuse_cursors_with_hold();
    -- Held until the commit is over: who turns the switch off waits for it, and whoever comes later sees another epoch.
    LOCK TABLE phasegate.kill_switch IN ROW SHARE MODE;
    -- Its end as it is now: an operator may have extended the lease, which is the same as long as its epoch is.
    SELECT k.until INTO this.until FROM phasegate.kill_switch AS k WHERE k.epoch = this.epoch;
    PERFORM phasegate.refuse_unless_on(this.epoch, this.until, this.timeline);
    PERFORM phasegate.refuse_rejected(this.plan);
    IF this.allowed_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'phasegate: commit refused: % was over at %', this.allowed_by, this.allowed_until
            USING ERRCODE = CASE this.allowed_by WHEN 'the plan' THEN 'ZG023' ELSE 'ZG013' END,
                  HINT = 'What is approved is committed while it holds: have it approved for longer, or make the phase shorter.';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER interlock AFTER INSERT OR UPDATE OF armed ON phasegate.attempt
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.state <> 'claimed') EXECUTE FUNCTION phasegate.interlock();
ALTER TABLE phasegate.attempt ENABLE ALWAYS TRIGGER interlock;

GRANT EXECUTE ON FUNCTION phasegate.open, phasegate.seal, phasegate.finish TO phasegate_runner;
