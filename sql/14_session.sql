-- What a session must be for a phase or a rehearsal to be opened in it: one function for each
-- check. What the caller reads, and no person does, stands in an error's field DATATYPE, which
-- clients do not show unless they are asked.

-- Raises unless the caller speaks the protocol of this schema.
CREATE FUNCTION phasegate.ensure_protocol(p_request jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_request -> 'protocol' IS DISTINCT FROM '1'::jsonb THEN
        RAISE EXCEPTION 'the caller speaks protocol %, and this install speaks 1',
            p_request -> 'protocol'
            USING ERRCODE = 'ZG017',
                  HINT = 'Install the schema with the release that performs the phases.';
    END IF;
END
$$;

-- Raises unless the transaction has begun with this message, in READ COMMITTED. In an older
-- snapshot a later rejection would not be seen.
CREATE FUNCTION phasegate.ensure_new_transaction() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF transaction_timestamp() <> statement_timestamp() THEN
        RAISE EXCEPTION 'the session was in a transaction already'
            USING ERRCODE = 'ZG016', DATATYPE = 'in_transaction',
                  HINT = 'Give the phase a new session.';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the transaction is %, and a phase is READ COMMITTED',
            upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'ZG016', DATATYPE = 'isolation',
                  HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;
END
$$;

-- Raises if the session acts as another role than its own.
CREATE FUNCTION phasegate.ensure_own_role() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('role') <> 'none' THEN
        RAISE EXCEPTION 'the session of role % acts as %',
            session_user, current_setting('role')
            USING ERRCODE = 'ZG016', DATATYPE = 'acting_role',
                  HINT = 'Take the SET ROLE out of what opens the session.';
    END IF;
END
$$;

-- Raises unless the server counts rows in this session.
CREATE FUNCTION phasegate.ensure_track_counts() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT current_setting('track_counts')::boolean THEN
        RAISE EXCEPTION 'track_counts is off, so that effects would not be counted'
            USING ERRCODE = 'ZG015', HINT = 'Set track_counts = on.';
    END IF;
END
$$;

-- Raises if the session's role has privileges that bypass the interlock.
CREATE FUNCTION phasegate.ensure_no_bypass_privileges() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_found text[];
BEGIN
    IF NOT phasegate.may_bypass(session_user) THEN
        RETURN;
    END IF;
    v_found := ARRAY(
        SELECT b.privilege || '; remedy: ' || b.remedy
        FROM phasegate.bypass_privileges(session_user::text) AS b);
    IF v_found <> '{}' THEN
        RAISE EXCEPTION 'role % has privileges that bypass the interlock', session_user
            USING ERRCODE = 'ZG018', DETAIL = array_to_string(v_found, E'\n'),
                  DATATYPE = to_jsonb(v_found)::text;
    END IF;
END
$$;

-- Raises if a session that is kept for the next phase has what no statement of the caller resets:
-- statements that the phase before prepared by SQL. Those of the driver are its own.
CREATE FUNCTION phasegate.ensure_nothing_prepared() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_prepared_statements AS s WHERE s.from_sql) THEN
        RAISE EXCEPTION 'an earlier phase of the session has prepared statements'
            USING ERRCODE = 'ZG016', DATATYPE = 'prepared',
                  HINT = 'Give the phase a new session.';
    END IF;
END
$$;

-- Raises unless a phase or a rehearsal may be opened in this session.
CREATE FUNCTION phasegate.ensure_session(p_request jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM phasegate.ensure_protocol(p_request);
    PERFORM phasegate.ensure_new_transaction();
    PERFORM phasegate.ensure_own_role();
    PERFORM phasegate.ensure_track_counts();
    IF (p_request ->> 'kept')::boolean THEN
        PERFORM phasegate.ensure_nothing_prepared();
    END IF;
    IF (p_request ->> 'refuse_privileged_role')::boolean THEN
        PERFORM phasegate.ensure_no_bypass_privileges();
    END IF;
END
$$;

-- Returns which server and session this is, and how old the session is.
CREATE FUNCTION phasegate.this_session() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_start timestamptz;
BEGIN
    SELECT a.backend_start INTO v_start FROM pg_stat_get_activity(pg_backend_pid()) AS a;
    IF v_start IS NULL THEN
        RAISE EXCEPTION 'phasegate_owner may not see when this session of % began',
            session_user
            USING ERRCODE = 'ZG015',
                  HINT = format('GRANT %I TO phasegate_owner, or '
                                'GRANT pg_read_all_stats TO phasegate_owner.', session_user);
    END IF;
    RETURN jsonb_build_object(
        'system_identifier', (SELECT c.system_identifier::text FROM pg_control_system() AS c),
        'database', current_database(), 'role', session_user, 'timeline', phasegate.timeline(),
        'backend_pid', pg_backend_pid(), 'backend_start', v_start,
        'session_age', extract(epoch FROM clock_timestamp() - v_start));
END
$$;
