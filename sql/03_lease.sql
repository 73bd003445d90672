-- The kill switch: a lease. It is OFF unless all of this holds: the row says ON, its epoch is the
-- current one, its time is not over, the cluster, database and timeline are those on which it was
-- turned on, the row was written here and not restored from a dump, and the server was not started
-- since. The last condition is needed because a copy of the server's files (a base backup, a
-- snapshot, a clone) has the same row, and nothing else tells the copy from the original.

CREATE TABLE phasegate.kill_switch (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    is_on boolean NOT NULL DEFAULT false,
    epoch bigint NOT NULL DEFAULT 0,
    until timestamptz NOT NULL DEFAULT '-infinity',
    system_identifier bigint,
    database oid,
    timeline text,
    written_by xid, -- the xmin of this version of the row, unless it was restored from a dump
    server_started timestamptz,
    actor text NOT NULL DEFAULT session_user,
    reason text NOT NULL DEFAULT 'installed',
    at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10);
INSERT INTO phasegate.kill_switch DEFAULT VALUES;

CREATE TABLE phasegate.switch_history (
    at timestamptz NOT NULL,
    is_on boolean NOT NULL,
    epoch bigint NOT NULL,
    until timestamptz NOT NULL, -- a lease that is extended has one entry for each end
    actor text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (epoch, until)
);

-- The current epoch. A sequence, because it belongs to no snapshot: a change takes effect at once,
-- for every transaction at every isolation level, before its own transaction commits. Turning the
-- switch on uses setval, which is logged as it is. Turning it off uses nextval, which is logged
-- ahead: a crash then moves the epoch further, which is safe only in that direction.
CREATE SEQUENCE phasegate.epoch AS bigint MINVALUE 0 START 0;
SELECT pg_catalog.setval('phasegate.epoch', 0);

-- Locked by every open phase. The lock is how other sessions find the phase: its rows are not
-- visible to them, and an application_name can be forged.
CREATE TABLE phasegate.phase_in_progress ();

-- The timeline of the server's log, which changes when a standby is promoted. Aurora refuses the
-- functions that read it (55000, or 0A000 in older releases), and EXECUTE on them may have been
-- revoked. Then it is the start time of the server process: a promoted standby has another one.
CREATE FUNCTION phasegate.timeline() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
EXCEPTION
    WHEN insufficient_privilege OR feature_not_supported OR object_not_in_prerequisite_state THEN
        IF pg_is_in_recovery() THEN
            RAISE; -- a standby has no timeline of its own
        END IF;
        RETURN format('started %s', extract(epoch FROM pg_postmaster_start_time()));
END
$$;

-- Raises that the switch is OFF. The row tells who turned it off, once that transaction has ended.
CREATE FUNCTION phasegate.raise_off() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_switch phasegate.kill_switch;
BEGIN
    SELECT * INTO v_switch FROM phasegate.kill_switch;
    RAISE EXCEPTION 'the kill switch is OFF' USING
        ERRCODE = 'ZG002',
        DETAIL = CASE WHEN v_switch.is_on THEN 'An operator is turning it off.'
                      ELSE format('Turned off at %s by %s: %s',
                                  v_switch.at, v_switch.actor, v_switch.reason) END,
        HINT = 'ON means that execution is allowed. As an operator: '
               'SELECT phasegate.switch_on(''reason'', ''1 hour'')';
END
$$;

-- Raises unless this is the current epoch.
CREATE FUNCTION phasegate.ensure_current_epoch(p_epoch bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_is_on boolean;
BEGIN
    IF pg_sequence_last_value('phasegate.epoch'::regclass) IS NOT DISTINCT FROM p_epoch THEN
        RETURN;
    END IF;
    SELECT k.is_on AND k.epoch = pg_sequence_last_value('phasegate.epoch'::regclass) INTO v_is_on
    FROM phasegate.kill_switch AS k;
    IF v_is_on THEN
        RAISE EXCEPTION 'the kill switch has been turned off and on again since the '
                        'phase began'
            USING ERRCODE = 'ZG004', HINT = 'Perform the phase again.';
    END IF;
    PERFORM phasegate.raise_off();
END
$$;

-- Raises unless a lease of this epoch, end and timeline holds now.
CREATE FUNCTION phasegate.ensure_lease_holds(
    p_epoch bigint, p_until timestamptz, p_timeline text
) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM phasegate.ensure_current_epoch(p_epoch);
    IF p_timeline IS DISTINCT FROM phasegate.timeline() THEN
        RAISE EXCEPTION 'the server has been promoted since the kill switch was '
                        'turned on'
            USING ERRCODE = 'ZG004',
                  HINT = 'A lease does not outlive its timeline: an operator turns the switch on '
                         'again.';
    END IF;
    IF p_until IS NULL OR p_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'the lease of the kill switch is over'
            USING ERRCODE = 'ZG003', DETAIL = format('It ended at %s.', p_until),
                  HINT = 'An operator turns the switch on for longer.';
    END IF;
END
$$;

-- Raises if the row was written in another cluster or database, of which this is a copy.
CREATE FUNCTION phasegate.ensure_lease_of_this_database(p_lease phasegate.kill_switch)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_lease.system_identifier
       IS DISTINCT FROM (SELECT c.system_identifier FROM pg_control_system() AS c) THEN
        RAISE EXCEPTION 'the kill switch was turned on in another cluster, of which '
                        'this is a copy'
            USING ERRCODE = 'ZG004',
                  HINT = 'An operator turns the switch on here, if it is to be on.';
    END IF;
    IF p_lease.database
       IS DISTINCT FROM (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    THEN
        RAISE EXCEPTION 'the kill switch was turned on in another database, of which '
                        'this is a copy'
            USING ERRCODE = 'ZG004',
                  HINT = 'An operator turns the switch on here, if it is to be on.';
    END IF;
END
$$;

-- Raises if the row was restored from a dump, or the server was started after it was written.
CREATE FUNCTION phasegate.ensure_lease_of_this_server(p_lease phasegate.kill_switch)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_lease.written_by IS DISTINCT FROM (SELECT k.xmin FROM phasegate.kill_switch AS k) THEN
        RAISE EXCEPTION 'the kill switch was turned on before this database was '
                        'restored from a dump'
            USING ERRCODE = 'ZG004',
                  HINT = 'An operator turns the switch on here, if it is to be on.';
    END IF;
    IF p_lease.server_started IS DISTINCT FROM pg_postmaster_start_time() THEN
        RAISE EXCEPTION 'the server was started after the kill switch was turned on'
            USING ERRCODE = 'ZG004',
                  HINT = 'A lease ends with the server''s process, since a copy of the server '
                         'looks like the server itself: an operator turns the switch on again.';
    END IF;
END
$$;

-- Returns the lease that holds now; raises if none does.
CREATE FUNCTION phasegate.lease() RETURNS phasegate.kill_switch
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_lease phasegate.kill_switch;
BEGIN
    SELECT * INTO v_lease FROM phasegate.kill_switch;
    IF v_lease.is_on IS NOT TRUE
       OR v_lease.epoch IS DISTINCT FROM pg_sequence_last_value('phasegate.epoch'::regclass) THEN
        PERFORM phasegate.raise_off();
    END IF;
    PERFORM phasegate.ensure_lease_of_this_database(v_lease);
    PERFORM phasegate.ensure_lease_holds(v_lease.epoch, v_lease.until, v_lease.timeline);
    PERFORM phasegate.ensure_lease_of_this_server(v_lease);
    RETURN v_lease;
END
$$;

-- A row that is written by hand moves the epoch, so that no open phase can commit. The functions of
-- the switch have moved the epoch to what they write. `extend` does not move it: it names the
-- transaction that writes, and changes nothing but a later end.
CREATE FUNCTION phasegate.written_by_hand() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF tg_op <> 'UPDATE'
       OR new.epoch IS DISTINCT FROM pg_sequence_last_value('phasegate.epoch'::regclass)
       OR new.epoch IS NOT DISTINCT FROM old.epoch
          AND NOT (old.is_on AND new.is_on AND new.until > old.until
                   AND new.written_by <> old.written_by) THEN
        PERFORM nextval('phasegate.epoch');
    END IF;
    RETURN coalesce(new, old);
END
$$;
CREATE TRIGGER written_by_hand BEFORE INSERT OR UPDATE OR DELETE ON phasegate.kill_switch
    FOR EACH ROW EXECUTE FUNCTION phasegate.written_by_hand();
CREATE TRIGGER emptied_by_hand BEFORE TRUNCATE ON phasegate.kill_switch
    FOR EACH STATEMENT EXECUTE FUNCTION phasegate.written_by_hand();
ALTER TABLE phasegate.kill_switch ENABLE ALWAYS TRIGGER written_by_hand;
ALTER TABLE phasegate.kill_switch ENABLE ALWAYS TRIGGER emptied_by_hand;
