-- The guard of a table that phases write: who may perform phases changes it inside an open phase, and nowhere else.
CREATE FUNCTION phasegate.guard() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    state text;
BEGIN
    IF NOT pg_has_role(session_user, 'phasegate_runner', 'MEMBER')
       OR (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = session_user) THEN
        RETURN NULL;
    END IF;
    IF tg_op = 'TRUNCATE' THEN
        RAISE EXCEPTION 'phasegate: TRUNCATE of %.% is refused: no counter sees it', tg_table_schema, tg_table_name
            USING ERRCODE = 'ZG006', HINT = 'Use DELETE.';
    END IF;
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

-- A table, and everything that inherits from it.
CREATE FUNCTION phasegate.with_children(root regclass) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE tree (oid) AS (
        SELECT root::oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN tree AS t ON i.inhparent = t.oid
    )
    SELECT tree.oid::regclass FROM tree;
END;

-- Puts a table under guard, with its partitions. Called by who owns them. A partition that is attached later is put
-- under guard by calling it again.
CREATE FUNCTION phasegate.protect(guarded regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = guarded AND c.relkind IN ('r', 'p')) THEN
        RAISE EXCEPTION 'phasegate: % is not a table', guarded USING ERRCODE = 'ZG020', HINT = 'Protect the tables that it writes.';
    END IF;
    FOR one IN SELECT * FROM phasegate.with_children(guarded) LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER phasegate_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION phasegate.guard()', one);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER phasegate_guard', one);
    END LOOP;
END
$$;

CREATE FUNCTION phasegate.unprotect(guarded regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one regclass;
BEGIN
    FOR one IN SELECT * FROM phasegate.with_children(guarded) LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS phasegate_guard ON %s', one);
    END LOOP;
END
$$;

-- The tables under guard.
CREATE FUNCTION phasegate.guarded_tables() RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.tgrelid::regclass FROM pg_catalog.pg_trigger AS t
    WHERE t.tgfoid = 'phasegate.guard()'::regprocedure AND t.tgenabled = 'A';
END;

-- What `role` could get round the interlock by, itself or as a role that it is a member of, and the command that mends it.
CREATE FUNCTION phasegate.powers_of(role text) RETURNS TABLE (what text, mend text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH self AS (
        SELECT r.* FROM pg_roles AS r WHERE r.rolname::text = role
    ), acting AS (
        -- A superuser is a member of every role: nothing more need be said of one.
        SELECT r.* FROM pg_roles AS r, self
        WHERE r.oid = self.oid OR (NOT self.rolsuper AND pg_has_role(self.oid, r.oid, 'MEMBER'))
    ), power (what, via, mend) AS (
        SELECT 'it is a superuser', a.rolname, format('ALTER ROLE %I NOSUPERUSER', a.rolname) FROM acting AS a WHERE a.rolsuper
        UNION ALL
        SELECT 'it can create roles', a.rolname, format('ALTER ROLE %I NOCREATEROLE', a.rolname) FROM acting AS a WHERE a.rolcreaterole
        UNION ALL
        SELECT format('it is a member of %I', a.rolname), self.rolname, format('REVOKE %I FROM %I', a.rolname, self.rolname)
        FROM acting AS a, self
        WHERE a.rolname IN ('phasegate_owner', 'phasegate_operator', 'pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program')
        UNION ALL
        SELECT format('it owns %s, which is under guard', g), a.rolname, format('ALTER TABLE %s OWNER TO another_role', g)
        FROM phasegate.guarded_tables() AS g JOIN pg_class AS c ON c.oid = g JOIN acting AS a ON a.oid = c.relowner
        UNION ALL
        SELECT format('it may write %s, a partition or child of a table under guard, which has none itself', i.inhrelid::regclass),
               a.rolname, format('SELECT phasegate.protect(%L)', i.inhparent::regclass)
        FROM phasegate.guarded_tables() AS g JOIN pg_inherits AS i ON i.inhparent = g CROSS JOIN acting AS a
        WHERE i.inhrelid::regclass NOT IN (SELECT * FROM phasegate.guarded_tables())
          AND has_table_privilege(a.oid, i.inhrelid, 'INSERT, UPDATE, DELETE, TRUNCATE')
        UNION ALL
        SELECT format('it has %s on the database', p.name), a.rolname,
               format('REVOKE %s ON DATABASE %I FROM %s', p.name, current_database(), g.who)
        FROM acting AS a CROSS JOIN (VALUES ('CREATE'), ('TEMPORARY')) AS p (name)
        JOIN pg_database AS d ON d.datname = current_database(),
        LATERAL (
            SELECT coalesce(string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', '), quote_ident(a.rolname)) AS who
            FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS x
            WHERE x.privilege_type = p.name AND x.grantee IN (0, a.oid)
        ) AS g
        WHERE has_database_privilege(a.oid, d.oid, p.name)
        UNION ALL
        SELECT format('it has CREATE on the schema %I', n.nspname), a.rolname,
               format('REVOKE CREATE ON SCHEMA %I FROM %s', n.nspname, g.who)
        FROM acting AS a CROSS JOIN pg_namespace AS n,
        LATERAL (
            SELECT coalesce(string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', '), quote_ident(a.rolname)) AS who
            FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS x
            WHERE x.privilege_type = 'CREATE' AND x.grantee IN (0, a.oid)
        ) AS g
        WHERE has_schema_privilege(a.oid, n.oid, 'CREATE')
        UNION ALL
        SELECT format('it may set %s', p.name), a.rolname, format('REVOKE SET, ALTER SYSTEM ON PARAMETER %s FROM %I', p.name, a.rolname)
        FROM acting AS a CROSS JOIN (VALUES ('session_replication_role'), ('track_counts')) AS p (name)
        WHERE has_parameter_privilege(a.oid, p.name, 'SET, ALTER SYSTEM')
        UNION ALL
        SELECT format('the trigger %s on %s is not enabled always', t.tgname, t.tgrelid::regclass), self.rolname,
               format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.tgrelid::regclass, t.tgname)
        FROM pg_trigger AS t, self
        WHERE t.tgenabled <> 'A' AND NOT t.tgisinternal
          AND (t.tgrelid = 'phasegate.attempt'::regclass OR t.tgfoid = 'phasegate.guard()'::regprocedure)
    )
    SELECT DISTINCT ON (p.what, p.mend)
           CASE WHEN p.via = self.rolname THEN p.what ELSE format('as %I, %s', p.via, p.what) END, p.mend
    FROM power AS p, self
    WHERE NOT self.rolsuper OR p.what = 'it is a superuser' OR p.what LIKE 'the trigger %'
    ORDER BY p.what, p.mend, p.via <> self.rolname;
END;

-- A trigger is created by the owner of its table, who must be allowed to name the function.
GRANT USAGE ON SCHEMA phasegate TO PUBLIC;
GRANT EXECUTE ON FUNCTION phasegate.guard, phasegate.with_children, phasegate.protect, phasegate.unprotect, phasegate.guarded_tables TO PUBLIC;
GRANT EXECUTE ON FUNCTION phasegate.powers_of TO phasegate_operator, phasegate_runner, phasegate_auditor;
