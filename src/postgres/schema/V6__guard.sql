-- The guard of a table that phases write: who may perform phases changes it inside an open phase, and nowhere else.
CREATE FUNCTION phasegate.guard() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    state text;
BEGIN
    IF tg_op <> 'TRUNCATE' AND coalesce(current_setting('phasegate.open_here', true), '') = 'yes'
       AND currval('phasegate.open_here') = pg_current_xact_id_if_assigned()::text::bigint THEN
        RETURN NULL;
    END IF;
    IF NOT phasegate.may_act_as(session_user, 'phasegate_runner')
       OR (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = session_user) THEN
        RETURN NULL;
    END IF;
    IF tg_op = 'TRUNCATE' THEN
        RAISE EXCEPTION 'phasegate: TRUNCATE of %.% is refused: no counter sees it', tg_table_schema, tg_table_name
            USING ERRCODE = 'ZG006', HINT = 'Use DELETE.';
    END IF;
    -- A phase that was opened in a savepoint, and a rehearsal, has its row only.
    state := (phasegate.this_attempt()).state;
    IF state IS NULL THEN
        RAISE EXCEPTION 'phasegate: %.% is under guard: role % writes it inside an open phase only', tg_table_schema, tg_table_name, session_user
            USING ERRCODE = 'ZG007';
    ELSIF state = 'finished' THEN
        RAISE EXCEPTION 'phasegate: %.% is under guard, and the phase is finished', tg_table_schema, tg_table_name
            USING ERRCODE = 'ZG007';
    END IF;
    RETURN NULL;
END
$$;

-- The tables that were put under guard, by name: a guard that was dropped alone, or that went with a table whose place another
-- one took, is missed.
CREATE TABLE phasegate.protected_table (
    in_schema text NOT NULL,
    named text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (in_schema, named)
);

-- Called by `protect`. Any role may: it records what is so.
CREATE FUNCTION phasegate.record_protection(p_table regclass) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO phasegate.protected_table (in_schema, named)
    SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = p_table AND c.oid IN (SELECT t.tgrelid FROM pg_trigger AS t WHERE t.tgfoid = 'phasegate.guard()'::regprocedure)
    ON CONFLICT DO NOTHING;
END;

-- Called by `unprotect`. For the table's owner alone. The caller is the session's role: as a definer's function has it.
CREATE FUNCTION phasegate.forget_protection(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_caller name := coalesce(nullif(current_setting('role'), 'none'), session_user);
BEGIN
    IF NOT pg_has_role(v_caller, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = p_table), 'USAGE') THEN
        RAISE EXCEPTION 'phasegate: % must be the owner of % to take its guard away', v_caller, p_table
            USING ERRCODE = '42501';
    END IF;
    DELETE FROM phasegate.protected_table AS p USING pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = p_table AND p.in_schema = n.nspname AND p.named = c.relname;
END
$$;

-- Puts a table under guard, with its partitions, and has its rows counted. Called by who owns them. A partition that is attached later is put
-- under guard by calling it again.
-- To make a trigger takes a lock that every writer of the table queues behind: it is waited for briefly, and not taken where
-- nothing is to do.
CREATE FUNCTION phasegate.protect(guarded regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    one regclass;
    ours text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = guarded AND c.relkind IN ('r', 'p')) THEN
        RAISE EXCEPTION 'phasegate: % is not a table', guarded USING ERRCODE = 'ZG020', HINT = 'Protect the tables that it writes.';
    END IF;
    -- Making a trigger would say so too, but not where nothing is to do.
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = guarded), 'USAGE') THEN
        RAISE EXCEPTION 'phasegate: % must be the owner of % to protect it', current_user, guarded
            USING ERRCODE = '42501';
    END IF;
    -- A statement fires the triggers of the table that it names, and of no other.
    SELECT i.inhparent INTO one FROM pg_inherits AS i
    WHERE i.inhrelid = guarded AND i.inhparent NOT IN (SELECT * FROM phasegate.guarded_tables());
    IF FOUND THEN
        RAISE EXCEPTION 'phasegate: % can be written through %, which has no guard', guarded, one
            USING ERRCODE = 'ZG020', HINT = format('Protect that: SELECT phasegate.protect(%L)', one);
    END IF;
    SELECT c.oid::regclass INTO one
    FROM phasegate.with_children(guarded) AS t JOIN pg_class AS c ON c.oid = t AND c.relkind = 'f';
    IF FOUND THEN
        RAISE EXCEPTION 'phasegate: % has the foreign table % for a partition, whose rows no counter sees', guarded, one
            USING ERRCODE = 'ZG020', HINT = 'Detach it while phases write the table.';
    END IF;
    FOR one IN SELECT * FROM phasegate.with_children(guarded) LOOP
        CONTINUE WHEN one IN (SELECT * FROM phasegate.guarded_tables()) AND phasegate.counts_exactly(one);
        EXECUTE format('CREATE OR REPLACE TRIGGER phasegate_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION phasegate.guard()', one);
        EXECUTE format('CREATE OR REPLACE TRIGGER phasegate_count_inserted AFTER INSERT ON %s '
                       'REFERENCING NEW TABLE AS phasegate_rows FOR EACH STATEMENT EXECUTE FUNCTION phasegate.count_rows()', one);
        IF (SELECT c.relkind = 'p' FROM pg_class AS c WHERE c.oid = one) THEN
            EXECUTE format('CREATE OR REPLACE TRIGGER phasegate_count_updated AFTER UPDATE ON %s '
                           'REFERENCING NEW TABLE AS phasegate_rows OLD TABLE AS phasegate_old_rows '
                           'FOR EACH STATEMENT EXECUTE FUNCTION phasegate.count_rows(''moves'')', one);
        ELSE
            EXECUTE format('CREATE OR REPLACE TRIGGER phasegate_count_updated AFTER UPDATE ON %s '
                           'REFERENCING NEW TABLE AS phasegate_rows FOR EACH STATEMENT EXECUTE FUNCTION phasegate.count_rows()', one);
        END IF;
        EXECUTE format('CREATE OR REPLACE TRIGGER phasegate_count_deleted AFTER DELETE ON %s '
                       'REFERENCING OLD TABLE AS phasegate_rows FOR EACH STATEMENT EXECUTE FUNCTION phasegate.count_rows()', one);
        FOREACH ours IN ARRAY ARRAY['guard', 'count_inserted', 'count_updated', 'count_deleted'] LOOP
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', one, 'phasegate_' || ours);
        END LOOP;
    END LOOP;
    PERFORM phasegate.record_protection(t) FROM phasegate.with_children(guarded) AS t;
END
$$;

CREATE FUNCTION phasegate.unprotect(guarded regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    one regclass;
    ours text;
BEGIN
    FOR one IN SELECT * FROM phasegate.with_children(guarded) LOOP
        FOREACH ours IN ARRAY ARRAY['guard', 'count_inserted', 'count_updated', 'count_deleted'] LOOP
            EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', 'phasegate_' || ours, one);
        END LOOP;
        PERFORM phasegate.forget_protection(one);
    END LOOP;
END
$$;

-- Whether a guard is as `protect` makes it: enabled always; for each statement before any write, of whatever column; on no
-- condition.
CREATE FUNCTION phasegate.is_whole(tgenabled "char", tgtype smallint, tgqual pg_node_tree, tgattr int2vector) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN tgenabled = 'A' AND tgtype = 62 AND tgqual IS NULL AND cardinality(tgattr::smallint[]) = 0;

-- The tables under guard.
CREATE FUNCTION phasegate.guarded_tables() RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.tgrelid::regclass FROM pg_catalog.pg_trigger AS t
    WHERE t.tgfoid = 'phasegate.guard()'::regprocedure AND phasegate.is_whole(t.tgenabled, t.tgtype, t.tgqual, t.tgattr);
END;

-- Raises unless the rows of every table that the plan names are counted here, under that name.
CREATE FUNCTION phasegate.refuse_uncountable(the_plan bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
DECLARE
    named text;
    its regclass;
    root regclass;
BEGIN
    FOR named IN SELECT DISTINCT e.relation FROM phasegate.planned_effect AS e WHERE e.plan = the_plan ORDER BY e.relation LOOP
        -- By its name and not through the catalog's own search, for which one has to be allowed into the schema.
        SELECT c.oid, pg_partition_root(c.oid) INTO its, root
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE format('%I.%I', n.nspname, c.relname) = named AND c.relkind IN ('r', 'p');
        IF NOT FOUND THEN
            RAISE EXCEPTION 'phasegate: not admitted: the plan names %, and there is no such table here', named
                USING ERRCODE = 'ZG020', HINT = 'A simulator names tables as the server prints them, with their schema.';
        ELSIF root <> its THEN
            RAISE EXCEPTION 'phasegate: not admitted: the plan names %, which is a partition of %', named, root
                USING ERRCODE = 'ZG020', HINT = 'The rows of a partition are counted as those of its root: a simulator names that.';
        ELSIF its NOT IN (SELECT * FROM phasegate.guarded_tables())
              OR EXISTS (SELECT FROM phasegate.with_children(its) AS c WHERE NOT phasegate.counts_exactly(c)) THEN
            RAISE EXCEPTION 'phasegate: not admitted: the plan changes %, which is not under guard', named
                USING ERRCODE = 'ZG020',
                      HINT = format('Its owner puts it under guard, with its partitions: SELECT phasegate.protect(%L)', named);
        END IF;
    END LOOP;
END
$$;

-- Raises if a partition, or a table that inherits, of a table that the phase changes was made since the plan was admitted, and
-- is not counted: the phase could not be committed, and would say so after all its work.
CREATE FUNCTION phasegate.ensure_children_counted(p_plan bytea, p_place integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_child regclass;
    v_root text;
BEGIN
    SELECT t, e.relation INTO v_child, v_root
    FROM phasegate.planned_effect AS e CROSS JOIN LATERAL parse_ident(e.relation) AS i
    JOIN pg_namespace AS n ON n.nspname = i[1]
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = i[2] AND c.relhassubclass
    CROSS JOIN LATERAL phasegate.with_children(c.oid::regclass) AS t
    WHERE e.plan = p_plan AND e.place = p_place AND NOT phasegate.counts_exactly(t) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'phasegate: the rows of %, a part of %, are not counted', v_child, v_root
            USING ERRCODE = 'ZG025',
                  HINT = format('It came after the plan was admitted. Its owner puts it under guard: SELECT phasegate.protect(%L)', v_root);
    END IF;
END
$$;

-- The functions that are granted to operators alone. Its body is a string: pg_depend knows nothing of the functions in an
-- array, and pg_dump would put a parsed body before them.
CREATE FUNCTION phasegate.of_operators() RETURNS regproc[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT '{phasegate.switch_on, phasegate.extend, phasegate.switch_off, phasegate.drain, phasegate.wait_for_commits, phasegate.end_commits_in_flight,
             phasegate.admit_plan, phasegate.admit_approval, phasegate.admit_rejection}'::regproc[]
        || to_regproc('phasegate.forget_attempts') -- which comes later
$$;

-- As may_act_as, by the role's number: a role that is dropped meanwhile raises nothing.
CREATE FUNCTION phasegate.is_runner(p_role oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN pg_has_role(p_role, to_regrole('phasegate_runner')::oid,
    CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'USAGE, SET' ELSE 'MEMBER' END) IS TRUE;

-- What `role` could get round the interlock by, itself or as a role that it is a member of, and the command that mends it.
CREATE FUNCTION phasegate.powers_of(role text) RETURNS TABLE (what text, mend text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
    WITH RECURSIVE self AS (
        SELECT r.* FROM pg_roles AS r WHERE r.rolname::text = role
    ), acting AS (
        -- Being a member of the powerful is reported as such, and what they may do is not said again.
        SELECT r.oid, r.rolname, r.oid <> self.oid AND (r.rolsuper OR r.rolcreaterole OR r.rolname IN (
                   'phasegate_owner', 'phasegate_operator', 'pg_write_all_data', 'pg_write_server_files',
                   'pg_execute_server_program')) AS is_powerful
        FROM pg_roles AS r, self
        -- A superuser is a member of every role: nothing more need be said of one. The owner of the database is one of
        -- pg_database_owner: that it owns the database is said.
        WHERE r.oid = self.oid
           OR NOT self.rolsuper AND pg_has_role(self.oid, r.oid, 'MEMBER') AND r.rolname <> 'pg_database_owner'
    ), administrator AS (
        -- Two of: creates roles, owns the database, installed the schema; or the first superuser. What takes these
        -- from it locks it out: the remedy is another role.
        SELECT self.rolname FROM self JOIN pg_database AS d ON d.datname = current_database()
        WHERE self.oid = 10
           OR self.rolcreaterole::integer + (d.datdba = self.oid)::integer
              + coalesce(pg_has_role(self.oid, to_regrole('phasegate_owner')::oid, 'MEMBER'), false)::integer >= 2
    ), membership AS (
        -- From PostgreSQL 16 on a REVOKE takes back what its own role has granted, unless it names another one.
        SELECT m.roleid, m.member, m.admin_option,
               CASE WHEN m.grantor <> 10 AND current_setting('server_version_num')::integer >= 160000
                    THEN format(' GRANTED BY %I', pg_get_userbyid(m.grantor)) ELSE '' END AS granted_by
        FROM pg_auth_members AS m
    ), direct AS (
        -- The roles that the role is a direct member of, except those that make it a runner.
        SELECT d.oid, format('REVOKE %I FROM %I%s', d.rolname, self.rolname, m.granted_by) AS mend
        FROM self JOIN membership AS m ON m.member = self.oid JOIN pg_roles AS d ON d.oid = m.roleid
        WHERE NOT phasegate.is_runner(d.oid)
    ), guarded (oid) AS (
        SELECT DISTINCT g::oid FROM phasegate.guarded_tables() AS g
    ), above (oid) AS (
        SELECT i.inhparent FROM guarded AS g JOIN pg_inherits AS i ON i.inhrelid = g.oid
        UNION
        SELECT i.inhparent FROM above AS b JOIN pg_inherits AS i ON i.inhrelid = b.oid
    ), related (oid, of) AS (
        -- Below a guarded table, and above one: what is written there passes its guard by.
        SELECT c::oid, g.oid FROM guarded AS g CROSS JOIN phasegate.with_children(g.oid) AS c
        UNION ALL
        SELECT c::oid, b.oid FROM above AS b CROSS JOIN phasegate.with_children(b.oid) AS c
        WHERE c::oid IN (SELECT x.oid FROM above AS x)
          AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = b.oid)
    ), writable (oid, of, what) AS (
        SELECT r.oid, r.of, 'which has no guard, and has one above or below it' FROM related AS r
        WHERE r.oid NOT IN (SELECT g.oid FROM guarded AS g)
        UNION ALL
        SELECT c.oid, c.oid, 'which was put under guard, and has none'
        FROM phasegate.protected_table AS p JOIN pg_namespace AS n ON n.nspname = p.in_schema
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.named AND c.relkind IN ('r', 'p')
        WHERE c.oid NOT IN (SELECT r.oid FROM related AS r)
          AND NOT EXISTS (SELECT FROM pg_trigger AS t
                          WHERE t.tgrelid = c.oid AND t.tgfoid = 'phasegate.guard()'::regprocedure)
    ), owned (owner, what, mend) AS (
        SELECT c.relowner, format('it owns %s, which is under guard', c.oid::regclass),
               format('ALTER TABLE %s OWNER TO another_role', c.oid::regclass)
        FROM guarded AS g JOIN pg_class AS c ON c.oid = g.oid
        UNION ALL
        SELECT n.nspowner, format('it owns the schema %I', n.nspname), format('ALTER SCHEMA %I OWNER TO another_role', n.nspname)
        FROM pg_namespace AS n
        UNION ALL
        SELECT d.datdba, 'it owns the database', format('ALTER DATABASE %I OWNER TO another_role', d.datname)
        FROM pg_database AS d WHERE d.datname = current_database()
        UNION ALL
        -- Another role that writes such a table performs its rules and triggers, which write guarded tables outside a phase.
        SELECT c.relowner, format('it owns %s, which other roles may write', c.oid::regclass),
               format('ALTER TABLE %s OWNER TO another_role', c.oid::regclass)
        FROM pg_class AS c, self
        WHERE c.relkind IN ('r', 'p', 'v', 'f') AND c.oid NOT IN (SELECT g.oid FROM guarded AS g)
          AND (c.relowner <> self.oid OR EXISTS (
                   SELECT FROM aclexplode(c.relacl) AS x
                   WHERE x.grantee <> c.relowner AND x.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
               OR EXISTS (
                   SELECT FROM pg_attribute AS t, aclexplode(t.attacl) AS x
                   WHERE t.attrelid = c.oid AND x.grantee <> c.relowner AND x.privilege_type IN ('INSERT', 'UPDATE')))
        UNION ALL
        SELECT p.proowner, format('it owns the function %s', p.oid::regprocedure),
               format('ALTER ROUTINE %s OWNER TO another_role', p.oid::regprocedure)
        FROM pg_proc AS p
        UNION ALL
        SELECT t.typowner, format('it owns the domain %s', t.oid::regtype),
               format('ALTER DOMAIN %s OWNER TO another_role', t.oid::regtype)
        FROM pg_type AS t WHERE t.typtype = 'd'
    ), granted (grantee, what, mend) AS (
        SELECT x.grantee, format('it has %s on the database', x.privilege_type),
               format('REVOKE %s ON DATABASE %I', x.privilege_type, d.datname)
        FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS x
        WHERE d.datname = current_database() AND x.privilege_type IN ('CREATE', 'TEMPORARY') AND x.grantee <> d.datdba
        UNION ALL
        SELECT x.grantee, format('it has CREATE on the schema %I', n.nspname), format('REVOKE CREATE ON SCHEMA %I', n.nspname)
        FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
        WHERE x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner
        UNION ALL
        SELECT x.grantee, format('it may replace the guard of %s by a trigger of its own', c.oid::regclass),
               format('REVOKE TRIGGER ON %s', c.oid::regclass)
        FROM guarded AS g JOIN pg_class AS c ON c.oid = g.oid, aclexplode(c.relacl) AS x
        WHERE x.privilege_type = 'TRIGGER' AND x.grantee <> c.relowner
        UNION ALL
        SELECT x.grantee, format('it may set %s', p.parname), format('REVOKE SET, ALTER SYSTEM ON PARAMETER %s', p.parname)
        FROM pg_parameter_acl AS p, aclexplode(p.paracl) AS x
        WHERE p.parname IN ('session_replication_role', 'track_counts')
        UNION ALL
        -- What is revoked on a table is revoked on its columns too.
        SELECT x.grantee, format('it may change %s, which only functions change', c.oid::regclass),
               format('REVOKE %s ON %s%s', string_agg(DISTINCT x.privilege_type, ', '),
                      CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END, c.oid::regclass)
        FROM pg_class AS c, (
                 SELECT c.oid, e.* FROM pg_class AS c, aclexplode(c.relacl) AS e
                 UNION ALL
                 SELECT t.attrelid, e.* FROM pg_attribute AS t, aclexplode(t.attacl) AS e
             ) AS x
        WHERE x.oid = c.oid AND c.relnamespace = 'phasegate'::regnamespace AND x.privilege_type <> 'SELECT' AND x.grantee <> c.relowner
        GROUP BY x.grantee, c.oid, c.relkind
        UNION ALL
        SELECT x.grantee, format('it may call phasegate.%s, which only operators call', p.proname),
               format('REVOKE EXECUTE ON FUNCTION phasegate.%s', p.proname)
        FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x
        WHERE p.oid = ANY (phasegate.of_operators()) AND x.grantee <> p.proowner
    ), power (what, via, mend) AS (
        SELECT 'it is a superuser', self.rolname, format('ALTER ROLE %I NOSUPERUSER', self.rolname) FROM self WHERE self.rolsuper
        UNION ALL
        SELECT 'it can create roles', self.rolname, format('ALTER ROLE %I NOCREATEROLE', self.rolname)
        FROM self WHERE self.rolcreaterole
        UNION ALL
        SELECT format('it is %I', self.rolname), self.rolname, format('ALTER ROLE %I NOLOGIN', self.rolname)
        FROM self WHERE self.rolname IN ('phasegate_owner', 'phasegate_operator')
        UNION ALL
        SELECT 'it is an administrator, and another role has to be the runner', a.rolname,
               'CREATE ROLE another_role LOGIN; GRANT phasegate_runner TO another_role'
        FROM administrator AS a
        UNION ALL
        -- Through another role: what that has of it is for its other members, and the runner leaves it.
        SELECT format('it is a member of %I', a.rolname), by.rolname,
               coalesce(d.mend, format('REVOKE %I FROM %I%s', a.rolname, by.rolname, m.granted_by))
        FROM acting AS a JOIN membership AS m ON m.roleid = a.oid JOIN acting AS by ON by.oid = m.member
        CROSS JOIN self LEFT JOIN direct AS d ON by.oid <> self.oid AND pg_has_role(d.oid, by.oid, 'MEMBER')
        WHERE a.is_powerful AND NOT by.is_powerful
        UNION ALL
        -- Who is no runner any more is not under guard.
        SELECT format('it may take away %I, and with it the guard', x.rolname), a.rolname,
               format('REVOKE ADMIN OPTION FOR %I FROM %I%s', x.rolname, a.rolname, m.granted_by)
        FROM membership AS m JOIN acting AS a ON a.oid = m.member JOIN pg_roles AS x ON x.oid = m.roleid
        WHERE m.admin_option AND NOT a.is_powerful AND phasegate.is_runner(x.oid)
        UNION ALL
        SELECT o.what, a.rolname, o.mend FROM owned AS o JOIN acting AS a ON a.oid = o.owner WHERE NOT a.is_powerful
        UNION ALL
        SELECT g.what, coalesce(a.rolname, self.rolname), g.mend || ' FROM ' || coalesce(quote_ident(a.rolname), 'PUBLIC')
        FROM granted AS g CROSS JOIN self LEFT JOIN acting AS a ON a.oid = g.grantee
        WHERE g.grantee = 0 OR NOT a.is_powerful
        UNION ALL
        SELECT format('it may write %s, %s', r.oid::regclass, r.what), a.rolname,
               format('SELECT phasegate.protect(%L)', r.of::regclass)
        FROM writable AS r CROSS JOIN acting AS a
        WHERE NOT a.is_powerful
          AND (has_table_privilege(a.oid, r.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
               OR has_any_column_privilege(a.oid, r.oid, 'INSERT, UPDATE'))
        UNION ALL
        SELECT format('the trigger %s on %s is not enabled always', t.tgname, t.tgrelid::regclass), self.rolname,
               format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.tgrelid::regclass, t.tgname)
        FROM pg_trigger AS t, self
        WHERE t.tgenabled <> 'A' AND NOT t.tgisinternal AND t.tgrelid = 'phasegate.attempt'::regclass
        UNION ALL
        SELECT format('the trigger %s on %s is not as it was put there', t.tgname, t.tgrelid::regclass), self.rolname,
               format('SELECT phasegate.protect(%L)', t.tgrelid::regclass)
        FROM pg_trigger AS t, self
        WHERE t.tgfoid = 'phasegate.guard()'::regprocedure AND NOT phasegate.is_whole(t.tgenabled, t.tgtype, t.tgqual, t.tgattr)
        UNION ALL
        SELECT format('the triggers that count the rows of %s are not as they were put there', t.tgrelid::regclass), self.rolname,
               format('SELECT phasegate.protect(%L)', t.tgrelid::regclass)
        FROM pg_trigger AS t, self
        WHERE t.tgfoid = 'phasegate.guard()'::regprocedure AND NOT phasegate.counts_exactly(t.tgrelid)
    )
    SELECT DISTINCT ON (p.what, p.mend)
           CASE WHEN p.via = self.rolname THEN p.what ELSE format('as %I, %s', p.via, p.what) END, p.mend
    FROM power AS p, self
    WHERE CASE WHEN EXISTS (SELECT FROM administrator) THEN p.what LIKE 'it is an administrator, %'
               WHEN self.rolsuper THEN p.what = 'it is a superuser' ELSE true END
       OR p.what LIKE 'the trigger%'
    ORDER BY p.what, p.mend, p.via <> self.rolname;
$$;

-- Whether `powers_of` could find anything: true where it does, and seldom where it does not. Each run asks this, in a session
-- that has planned nothing yet, where every table and every word of a query costs time.
CREATE FUNCTION phasegate.may_have_powers(role name) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    acting oid[];
    is_powerful boolean;
    guarded oid[];
    is_whole boolean;
BEGIN
    -- Whoever owns the database is a member of pg_database_owner.
    SELECT array_agg(r.oid), bool_or(r.rolsuper OR r.rolcreaterole OR r.rolname IN (
               'phasegate_owner', 'phasegate_operator', 'pg_write_all_data', 'pg_write_server_files',
               'pg_execute_server_program', 'pg_database_owner')
               OR pg_has_role(role, r.oid, 'MEMBER WITH ADMIN OPTION'))
    INTO acting, is_powerful
    FROM pg_roles AS r WHERE pg_has_role(role, r.oid, 'MEMBER');
    IF is_powerful IS NOT FALSE THEN
        RETURN true;
    END IF;
    -- The interlock; on other tables a guard and three that count, each as `protect` makes it.
    SELECT array_agg(o.tgrelid), bool_and(o.is_whole) INTO guarded, is_whole
    FROM (
        SELECT t.tgrelid, bool_and(t.tgenabled = 'A') AND (
                   t.tgrelid = 'phasegate.attempt'::regclass
                   OR array_agg(t.tgtype ORDER BY t.tgtype) = '{4, 8, 16, 62}'
                   -- IS TRUE, since what is null bool_and leaves out.
                   AND bool_and((t.tgqual IS NULL AND CASE t.tgtype
                       WHEN 62 THEN t.tgfoid = 'phasegate.guard()'::regprocedure AND cardinality(t.tgattr::smallint[]) = 0
                       WHEN 8 THEN t.tgfoid = 'phasegate.count_rows()'::regprocedure AND t.tgoldtable = 'phasegate_rows'
                       ELSE t.tgfoid = 'phasegate.count_rows()'::regprocedure AND t.tgnewtable = 'phasegate_rows'
                            AND (t.tgnargs = 0 AND t.tgoldtable IS NULL
                                 OR t.tgnargs = 1 AND t.tgoldtable = 'phasegate_old_rows' AND t.tgtype = 16) END) IS TRUE)
                   -- A partitioned table's rows may move.
                   AND bool_or(t.tgnargs = 1) = bool_or(EXISTS (
                       SELECT FROM pg_class AS c WHERE c.oid = t.tgrelid AND c.relkind = 'p'))) AS is_whole
        FROM pg_trigger AS t
        WHERE t.tgfoid IN ('phasegate.guard()'::regprocedure, 'phasegate.count_rows()'::regprocedure)
           OR t.tgrelid = 'phasegate.attempt'::regclass AND NOT t.tgisinternal
        GROUP BY t.tgrelid
    ) AS o;
    RETURN is_whole IS NOT TRUE
        OR EXISTS (SELECT FROM phasegate.protected_table AS p JOIN pg_namespace AS n ON n.nspname = p.in_schema
                   JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.named
                   WHERE c.oid <> ALL (guarded))
        OR EXISTS (SELECT FROM pg_shdepend AS d
                   WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = ANY (acting) AND d.deptype = 'o'
                     AND d.dbid = (SELECT o.oid FROM pg_database AS o WHERE o.datname = current_database())
                     AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass))
        OR EXISTS (SELECT FROM pg_inherits AS i WHERE (i.inhrelid = ANY (guarded)) <> (i.inhparent = ANY (guarded)))
        OR EXISTS (SELECT FROM unnest(acting) AS a
                   WHERE has_database_privilege(a, current_database(), 'CREATE, TEMPORARY')
                      OR has_parameter_privilege(a, 'session_replication_role', 'SET, ALTER SYSTEM')
                      OR has_parameter_privilege(a, 'track_counts', 'SET, ALTER SYSTEM'))
        OR EXISTS (SELECT FROM pg_namespace AS n, unnest(acting) AS a
                   WHERE n.nspowner = a OR has_schema_privilege(a, n.oid, 'CREATE'))
        OR EXISTS (SELECT FROM pg_class AS c, unnest(acting) AS a
                   WHERE c.oid = ANY (guarded) AND (c.relowner = a OR has_table_privilege(a, c.oid, 'TRIGGER')))
        OR EXISTS (SELECT FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid
                   WHERE d.classid = 'pg_class'::regclass
                     AND d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'phasegate'::regnamespace
                     AND (EXISTS (SELECT FROM aclexplode(c.relacl) AS x
                                  WHERE x.privilege_type <> 'SELECT' AND (x.grantee = 0 OR x.grantee = ANY (acting)))
                          OR EXISTS (SELECT FROM pg_attribute AS t WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL)))
        OR EXISTS (SELECT FROM unnest(phasegate.of_operators()) AS f, unnest(acting) AS a
                   WHERE has_function_privilege(a, f::oid, 'EXECUTE'));
END
$$;

-- A trigger is created by the owner of its table, who must be allowed to name the function.
GRANT USAGE ON SCHEMA phasegate TO PUBLIC;
GRANT EXECUTE ON FUNCTION phasegate.guard, phasegate.with_children, phasegate.protect, phasegate.unprotect, phasegate.guarded_tables, phasegate.is_whole,
    phasegate.record_protection, phasegate.forget_protection TO PUBLIC;
GRANT EXECUTE ON FUNCTION phasegate.powers_of TO phasegate_operator, phasegate_runner, phasegate_auditor;
