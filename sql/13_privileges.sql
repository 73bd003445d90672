-- Privileges that bypass the interlock or the guard: what a runner role may not have, and the
-- command that removes each. One view for each kind, and one function over all of them.

-- The functions that are granted to operators only. Its body is a string: pg_depend does not know
-- the functions in an array, and pg_dump would put a parsed body before them.
CREATE FUNCTION phasegate.operator_functions() RETURNS regproc[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT '{phasegate.switch_on, phasegate.extend, phasegate.switch_off, phasegate.drain,
             phasegate.wait_for_commits, phasegate.end_commits_in_flight, phasegate.admit_plan,
             phasegate.admit_approval, phasegate.admit_rejection,
             phasegate.housekeep}'::regproc[]
$$;

-- Memberships, with what a REVOKE has to say: from PostgreSQL 16 on it revokes what its own role
-- has granted, unless it names another grantor.
CREATE VIEW phasegate.role_membership AS
SELECT m.roleid AS role, m.member, m.admin_option,
       CASE WHEN m.grantor <> 10 AND current_setting('server_version_num')::integer >= 160000
            THEN format(' GRANTED BY %I', pg_get_userbyid(m.grantor)) ELSE '' END AS granted_by
FROM pg_auth_members AS m;

-- Tables that inherit from a guarded table, or that a guarded table inherits from, and that have no
-- guard: what is written there bypasses the guard. `protect` is the table to protect.
CREATE VIEW phasegate.unguarded_relative AS
WITH RECURSIVE above (oid) AS (
    SELECT i.inhparent FROM phasegate.guarded_table AS g
    JOIN pg_inherits AS i ON i.inhrelid = g.relation
    UNION
    SELECT i.inhparent FROM above AS b JOIN pg_inherits AS i ON i.inhrelid = b.oid
), below (oid, protect) AS (
    SELECT g.relation, g.relation FROM phasegate.guarded_table AS g
    UNION
    SELECT i.inhrelid, b.protect FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.oid
), from_root (oid, protect) AS (
    SELECT a.oid, a.oid FROM above AS a
    WHERE NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = a.oid)
    UNION
    SELECT i.inhrelid, r.protect FROM from_root AS r JOIN pg_inherits AS i ON i.inhparent = r.oid
)
SELECT x.oid AS relation, x.protect
FROM (SELECT b.oid, b.protect FROM below AS b
      UNION ALL
      SELECT r.oid, r.protect FROM from_root AS r WHERE r.oid IN (SELECT a.oid FROM above AS a)
     ) AS x
WHERE x.oid NOT IN (SELECT g.relation FROM phasegate.guarded_table AS g);

-- Tables that were put under guard and have none.
CREATE VIEW phasegate.lost_guard AS
SELECT c.oid AS relation
FROM phasegate.protected_table AS p JOIN pg_namespace AS n ON n.nspname = p.schema_name
JOIN pg_class AS c
    ON c.relnamespace = n.oid AND c.relname = p.table_name AND c.relkind IN ('r', 'p')
WHERE NOT EXISTS (SELECT FROM pg_trigger AS t
                  WHERE t.tgrelid = c.oid AND t.tgfoid = 'phasegate.guard()'::regprocedure);

-- Triggers of the interlock, the guard and the counting that are not as they were created, and what
-- else keeps rows from being counted.
CREATE VIEW phasegate.altered_trigger AS
SELECT format('the trigger %s on %s is not enabled always', t.tgname, t.tgrelid::regclass)
           AS finding,
       format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.tgrelid::regclass, t.tgname) AS remedy
FROM pg_trigger AS t
WHERE t.tgenabled <> 'A' AND NOT t.tgisinternal AND t.tgrelid = 'phasegate.attempt'::regclass
UNION ALL
SELECT format('the trigger %s on %s is not as it was put there', t.tgname, t.tgrelid::regclass),
       format('SELECT phasegate.protect(%L)', t.tgrelid::regclass)
FROM pg_trigger AS t
WHERE t.tgfoid = 'phasegate.guard()'::regprocedure
  AND NOT phasegate.is_whole(t)
UNION ALL
SELECT format('the triggers that count the rows of %s are not as they were put there',
              k.relation::regclass),
       format('SELECT phasegate.protect(%L)', k.relation::regclass)
FROM phasegate.guard_kinds AS k
WHERE k.kind IS NULL AND k.relation IN (SELECT g.relation FROM phasegate.guarded_table AS g)
UNION ALL
-- While it runs, the server does not count, nor afterwards until the end of the statement around
-- it. Only a superuser can make one. Objects of the server itself have lower oids.
SELECT format('the function %s sets track_counts, and rows that are written then are not counted',
              p.oid::regprocedure),
       format('ALTER ROUTINE %s RESET track_counts', p.oid::regprocedure)
FROM pg_proc AS p
WHERE p.oid >= 16384 AND EXISTS (
    SELECT FROM unnest(p.proconfig) AS s WHERE starts_with(s, 'track_counts='));

-- Objects of this database that a role other than the first superuser owns, and whose owner may
-- bypass the guard: pg_shdepend has the owner of everything but what initdb has created.
CREATE VIEW phasegate.owned_object AS
SELECT d.refobjid AS owner, d.classid AS catalog, d.objid AS object
FROM pg_shdepend AS d
WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
  AND (d.dbid = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database())
       AND d.classid IN ('pg_class'::regclass, 'pg_namespace'::regclass, 'pg_proc'::regclass,
                         'pg_type'::regclass)
       OR d.dbid = 0 AND d.classid = 'pg_database'::regclass
          AND d.objid = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database()));

-- Privileges by which their grantee bypasses the interlock or the guard.
CREATE VIEW phasegate.bypass_grant AS
SELECT x.grantee, format('it has %s on the database', x.privilege_type) AS finding,
       format('REVOKE %s ON DATABASE %I', x.privilege_type, d.datname) AS remedy
FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS x
WHERE d.datname = current_database() AND x.privilege_type IN ('CREATE', 'TEMPORARY')
  AND x.grantee <> d.datdba
UNION ALL
SELECT x.grantee, format('it has CREATE on the schema %I', n.nspname),
       format('REVOKE CREATE ON SCHEMA %I', n.nspname)
FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
WHERE x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner
UNION ALL
SELECT x.grantee, format('it may replace the guard of %s by another trigger', c.oid::regclass),
       format('REVOKE TRIGGER ON %s', c.oid::regclass)
FROM phasegate.guarded_table AS g JOIN pg_class AS c ON c.oid = g.relation,
     aclexplode(c.relacl) AS x
WHERE x.privilege_type = 'TRIGGER' AND x.grantee <> c.relowner
UNION ALL
SELECT x.grantee, format('it may set %s', p.parname),
       format('REVOKE SET, ALTER SYSTEM ON PARAMETER %s', p.parname)
FROM pg_parameter_acl AS p, aclexplode(p.paracl) AS x
WHERE p.parname IN ('session_replication_role', 'track_counts')
UNION ALL
-- To revoke a privilege on a table revokes it on its columns too.
SELECT x.grantee,
       format(CASE WHEN bool_and(x.privilege_type = 'SELECT')
                   THEN 'it may read %s, which only functions read'
                   ELSE 'it may change %s, which only functions change' END, c.oid::regclass),
       format('REVOKE %s ON %s%s', string_agg(DISTINCT x.privilege_type, ', '),
              CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END, c.oid::regclass)
FROM pg_class AS c, LATERAL (
         SELECT e.grantee, e.privilege_type FROM aclexplode(c.relacl) AS e
         UNION ALL
         SELECT e.grantee, e.privilege_type FROM pg_attribute AS t, aclexplode(t.attacl) AS e
         WHERE t.attrelid = c.oid
     ) AS x
WHERE c.relnamespace = 'phasegate'::regnamespace
  AND (x.privilege_type <> 'SELECT' OR c.relkind = 'S')
  AND x.grantee <> c.relowner
GROUP BY x.grantee, c.oid, c.relkind
UNION ALL
SELECT x.grantee, format('it may call phasegate.%s, which only operators call', p.proname),
       format('REVOKE EXECUTE ON FUNCTION phasegate.%s', p.proname)
FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x
WHERE p.oid = ANY (phasegate.operator_functions()) AND x.grantee <> p.proowner;

-- Returns a role that is no superuser and the roles that it is a member of, and which of those are
-- privileged themselves: to be a member of one is reported, and what that may do is not. The owner
-- of the database is a member of pg_database_owner; that it owns the database is reported.
CREATE FUNCTION phasegate.acting_roles(p_role oid)
RETURNS TABLE (role oid, name name, is_privileged boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid, r.rolname,
           r.oid <> p_role
           AND (r.rolsuper OR r.rolcreaterole
                -- Those that read everything read phasegate.secret, by which rows are counted.
                OR r.rolname IN ('phasegate_owner', 'phasegate_operator', 'pg_read_all_data',
                                 'pg_write_all_data', 'pg_read_server_files',
                                 'pg_write_server_files', 'pg_execute_server_program'))
    FROM pg_roles AS r
    WHERE r.oid = p_role
       OR pg_has_role(p_role, r.oid, 'MEMBER') AND r.rolname <> 'pg_database_owner';
END;

-- Memberships of a role that bypass the interlock, or end its own. Through another role, that
-- role's privileges are for its other members, and the remedy is that this role leaves it.
CREATE FUNCTION phasegate.bypass_by_membership(p_role oid)
RETURNS TABLE (finding text, via name, remedy text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH acting AS (
        SELECT a.role, a.name, a.is_privileged FROM phasegate.acting_roles(p_role) AS a
    ), direct AS (
        -- Except those that make it a runner.
        SELECT m.role, format('REVOKE %I FROM %I%s', pg_get_userbyid(m.role),
                              pg_get_userbyid(p_role), m.granted_by) AS remedy
        FROM phasegate.role_membership AS m
        WHERE m.member = p_role AND NOT phasegate.is_runner(m.role)
    )
    SELECT format('it is a member of %I', a.name), b.name,
           coalesce(d.remedy, format('REVOKE %I FROM %I%s', a.name, b.name, m.granted_by))
    FROM acting AS a JOIN phasegate.role_membership AS m ON m.role = a.role
    JOIN acting AS b ON b.role = m.member
    LEFT JOIN direct AS d ON b.role <> p_role AND pg_has_role(d.role, b.role, 'MEMBER')
    WHERE a.is_privileged AND NOT b.is_privileged
    UNION ALL
    -- A role that is no runner any more is not under guard.
    SELECT format('it may take away %I, and with it the guard', pg_get_userbyid(m.role)), a.name,
           format('REVOKE ADMIN OPTION FOR %I FROM %I%s', pg_get_userbyid(m.role), a.name,
                  m.granted_by)
    FROM phasegate.role_membership AS m JOIN acting AS a ON a.role = m.member
    WHERE m.admin_option AND NOT a.is_privileged AND phasegate.is_runner(m.role);
END;

-- How the owner of a relation bypasses the guard: by altering a guarded table; or by a rule or a
-- trigger of another table that other roles write, since it runs outside of a phase. Null if it
-- does not. `p_role` is the role that is asked about, which may own a table that only itself
-- writes.
CREATE FUNCTION phasegate.relation_finding(p_relation oid, p_role oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE
        WHEN c.oid IN (SELECT g.relation FROM phasegate.guarded_table AS g)
            THEN format('it owns %s, which is under guard', c.oid::regclass)
        WHEN c.relkind IN ('r', 'p', 'v', 'f')
             AND (c.relowner <> p_role
                  OR EXISTS (SELECT FROM aclexplode(c.relacl) AS x
                             WHERE x.grantee <> c.relowner AND x.privilege_type
                                   IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
                  OR EXISTS (SELECT FROM pg_attribute AS t, aclexplode(t.attacl) AS x
                             WHERE t.attrelid = c.oid AND x.grantee <> c.relowner
                               AND x.privilege_type IN ('INSERT', 'UPDATE')))
            THEN format('it owns %s, which other roles may write', c.oid::regclass) END
    FROM pg_class AS c WHERE c.oid = p_relation;
END;

-- How the owner of an object bypasses the guard, and the command against it; nulls if it does not.
CREATE FUNCTION phasegate.ownership_finding(
    p_catalog regclass, p_object oid, p_role oid, OUT finding text, OUT remedy text
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_name text;
BEGIN
    CASE p_catalog
        WHEN 'pg_class'::regclass THEN
            finding := phasegate.relation_finding(p_object, p_role);
            remedy := format('ALTER TABLE %s OWNER TO another_role', p_object::regclass);
        WHEN 'pg_namespace'::regclass THEN
            SELECT quote_ident(n.nspname) INTO v_name FROM pg_namespace AS n
            WHERE n.oid = p_object;
            finding := format('it owns the schema %s', v_name);
            remedy := format('ALTER SCHEMA %s OWNER TO another_role', v_name);
        WHEN 'pg_database'::regclass THEN
            finding := 'it owns the database';
            remedy := format('ALTER DATABASE %I OWNER TO another_role', current_database());
        WHEN 'pg_proc'::regclass THEN
            finding := format('it owns the function %s', p_object::regprocedure);
            remedy := format('ALTER ROUTINE %s OWNER TO another_role', p_object::regprocedure);
        ELSE
            IF (SELECT t.typtype = 'd' FROM pg_type AS t WHERE t.oid = p_object) THEN
                finding := format('it owns the domain %s', p_object::regtype);
                remedy := format('ALTER DOMAIN %s OWNER TO another_role', p_object::regtype);
            END IF;
    END CASE;
END
$$;

-- Which of these roles may write a table without a guard. To protect another one is the remedy.
CREATE FUNCTION phasegate.bypass_by_table(
    p_table oid, p_protect oid, p_state text, p_roles oid[]
) RETURNS TABLE (finding text, via name, remedy text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('it may write %s, %s', p_table::regclass, p_state), pg_get_userbyid(a.role),
           format('SELECT phasegate.protect(%L)', p_protect::regclass)
    FROM unnest(p_roles) AS a (role)
    WHERE has_table_privilege(a.role, p_table, 'INSERT, UPDATE, DELETE, TRUNCATE')
       OR has_any_column_privilege(a.role, p_table, 'INSERT, UPDATE');
END;

-- What these roles, all that a role acts as, own or may write, and bypass the guard by.
CREATE FUNCTION phasegate.bypass_by_object(p_role oid, p_roles oid[])
RETURNS TABLE (finding text, via name, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_relatives oid[] := '{}'::oid[];
BEGIN
    RETURN QUERY SELECT f.finding, pg_get_userbyid(o.owner), f.remedy
    FROM phasegate.owned_object AS o
    CROSS JOIN LATERAL phasegate.ownership_finding(o.catalog, o.object, p_role) AS f
    WHERE o.owner = ANY (p_roles) AND f.finding IS NOT NULL;
    RETURN QUERY SELECT g.finding, pg_get_userbyid(coalesce(nullif(g.grantee, 0), p_role)),
           format('%s FROM %s', g.remedy, CASE g.grantee WHEN 0 THEN 'PUBLIC'
                  ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
    FROM phasegate.bypass_grant AS g WHERE g.grantee = 0 OR g.grantee = ANY (p_roles);
    -- Without inheritance there are no relatives to look for.
    IF EXISTS (SELECT FROM pg_inherits) THEN
        v_relatives := ARRAY(SELECT r.relation FROM phasegate.unguarded_relative AS r);
        RETURN QUERY SELECT w.finding, w.via, w.remedy
        FROM phasegate.unguarded_relative AS r CROSS JOIN LATERAL phasegate.bypass_by_table(
            r.relation, r.protect, 'which has no guard, and has one above or below it', p_roles)
            AS w;
    END IF;
    RETURN QUERY SELECT w.finding, w.via, w.remedy
    FROM phasegate.lost_guard AS l CROSS JOIN LATERAL phasegate.bypass_by_table(
        l.relation, l.relation, 'which was put under guard, and has none', p_roles) AS w
    WHERE l.relation <> ALL (v_relatives);
END
$$;

-- What a role bypasses the interlock or the guard by, itself or as a role that it is a member of.
CREATE FUNCTION phasegate.bypass_findings(p_role text)
RETURNS TABLE (finding text, via name, remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_role record;
    v_has_privileged boolean;
    v_roles oid[];
BEGIN
    -- An administrator is two of: it creates roles, owns the database, installed the schema; or the
    -- first superuser. To take its privileges would lock it out: the remedy is to use another role.
    SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole,
           r.oid = 10
           OR r.rolcreaterole::integer + (d.datdba = r.oid)::integer
              + coalesce(pg_has_role(r.oid, to_regrole('phasegate_owner')::oid, 'MEMBER'),
                         false)::integer >= 2 AS is_administrator
    INTO v_role
    FROM pg_roles AS r JOIN pg_database AS d ON d.datname = current_database()
    WHERE r.rolname::text = p_role;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    via := v_role.rolname;
    RETURN QUERY SELECT t.finding, v_role.rolname, t.remedy FROM phasegate.altered_trigger AS t;
    IF v_role.is_administrator THEN
        finding := 'it is an administrator, and another role has to be the runner';
        remedy := 'CREATE ROLE another_role LOGIN; GRANT phasegate_runner TO another_role';
        RETURN NEXT;
        RETURN;
    END IF;
    -- A superuser is a member of every role, and needs no privilege.
    IF v_role.rolsuper THEN
        finding := 'it is a superuser';
        remedy := format('ALTER ROLE %I NOSUPERUSER', via);
        RETURN NEXT;
        RETURN;
    END IF;
    IF v_role.rolcreaterole THEN
        finding := 'it can create roles';
        remedy := format('ALTER ROLE %I NOCREATEROLE', via);
        RETURN NEXT;
    END IF;
    IF via IN ('phasegate_owner', 'phasegate_operator') THEN
        finding := format('it is %I', via);
        remedy := format('ALTER ROLE %I NOLOGIN', via);
        RETURN NEXT;
    END IF;
    SELECT array_agg(a.role) FILTER (WHERE NOT a.is_privileged), bool_or(a.is_privileged)
    INTO v_roles, v_has_privileged FROM phasegate.acting_roles(v_role.oid) AS a;
    -- Every membership that is reported is one of these two.
    IF v_has_privileged OR EXISTS (
        SELECT FROM pg_auth_members AS m WHERE m.member = ANY (v_roles) AND m.admin_option
    ) THEN
        RETURN QUERY SELECT m.finding, m.via, m.remedy
        FROM phasegate.bypass_by_membership(v_role.oid) AS m;
    END IF;
    RETURN QUERY SELECT o.finding, o.via, o.remedy
    FROM phasegate.bypass_by_object(v_role.oid, v_roles) AS o;
END
$$;

-- Returns the privileges of a role that bypass the interlock, each with the command that removes
-- it.
CREATE FUNCTION phasegate.bypass_privileges(p_role text) RETURNS TABLE (privilege text, remedy text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
    RETURN QUERY SELECT DISTINCT ON (f.finding, f.remedy)
           CASE WHEN f.via::text = p_role THEN f.finding
                ELSE format('as %I, %s', f.via, f.finding) END,
           f.remedy
    FROM phasegate.bypass_findings(p_role) AS f
    ORDER BY f.finding, f.remedy, f.via::text <> p_role;
END
$$;

-- Whether bypass_privileges could return a row: true where it does, and seldom where it does not.
-- Every run asks this, in a session that has planned nothing yet, where bypass_privileges takes
-- some 3 ms of CPU time more. A test compares the two.
CREATE FUNCTION phasegate.may_bypass(p_role name) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    v_acting oid[];
    v_is_privileged boolean;
    v_guarded oid[];
    v_are_whole boolean;
BEGIN
    -- The owner of the database is a member of pg_database_owner.
    SELECT array_agg(r.oid),
           bool_or(r.rolsuper OR r.rolcreaterole
                   OR r.rolname IN ('phasegate_owner', 'phasegate_operator', 'pg_read_all_data',
                                    'pg_write_all_data', 'pg_read_server_files',
                                    'pg_write_server_files', 'pg_execute_server_program',
                                    'pg_database_owner')
                   OR pg_has_role(p_role, r.oid, 'MEMBER WITH ADMIN OPTION'))
    INTO v_acting, v_is_privileged
    FROM pg_roles AS r WHERE pg_has_role(p_role, r.oid, 'MEMBER');
    IF v_is_privileged IS NOT FALSE THEN
        RETURN true;
    END IF;
    SELECT coalesce(array_agg(k.relation), '{}'), bool_and(k.kind IS NOT NULL) IS NOT FALSE
    INTO v_guarded, v_are_whole FROM phasegate.guard_kinds AS k;
    RETURN NOT v_are_whole
        OR EXISTS (SELECT FROM pg_trigger AS t
                   WHERE t.tgrelid = 'phasegate.attempt'::regclass AND NOT t.tgisinternal
                     AND t.tgenabled <> 'A')
        OR EXISTS (SELECT FROM pg_proc AS p
                   WHERE p.oid >= 16384 AND EXISTS (
                       SELECT FROM unnest(p.proconfig) AS s WHERE starts_with(s, 'track_counts=')))
        OR EXISTS (SELECT FROM phasegate.protected_table AS p
                   JOIN pg_namespace AS n ON n.nspname = p.schema_name
                   JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.table_name
                   WHERE c.oid <> ALL (v_guarded))
        OR EXISTS (SELECT FROM phasegate.owned_object AS o WHERE o.owner = ANY (v_acting))
        OR EXISTS (SELECT FROM pg_inherits AS i
                   WHERE (i.inhrelid = ANY (v_guarded)) <> (i.inhparent = ANY (v_guarded)))
        OR EXISTS (SELECT FROM unnest(v_acting) AS a
                   WHERE has_database_privilege(a, current_database(), 'CREATE, TEMPORARY')
                      OR has_parameter_privilege(a, 'session_replication_role', 'SET, ALTER SYSTEM')
                      OR has_parameter_privilege(a, 'track_counts', 'SET, ALTER SYSTEM'))
        OR EXISTS (SELECT FROM pg_namespace AS n, unnest(v_acting) AS a
                   WHERE n.nspowner = a OR has_schema_privilege(a, n.oid, 'CREATE'))
        OR EXISTS (SELECT FROM pg_class AS c, unnest(v_acting) AS a
                   WHERE c.oid = ANY (v_guarded)
                     AND (c.relowner = a OR has_table_privilege(a, c.oid, 'TRIGGER')))
        OR EXISTS (SELECT FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid
                   WHERE d.classid = 'pg_class'::regclass
                     AND d.refclassid = 'pg_namespace'::regclass
                     AND d.refobjid = 'phasegate'::regnamespace
                     AND (EXISTS (SELECT FROM aclexplode(c.relacl) AS x
                                  WHERE (x.privilege_type <> 'SELECT' OR c.relkind = 'S')
                                    AND (x.grantee = 0 OR x.grantee = ANY (v_acting)))
                          OR EXISTS (SELECT FROM pg_attribute AS t
                                     WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL)))
        OR EXISTS (SELECT FROM unnest(phasegate.operator_functions()) AS f, unnest(v_acting) AS a
                   WHERE has_function_privilege(a, f::oid, 'EXECUTE'));
END
$$;
