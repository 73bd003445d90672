-- The roles, which belong to the whole cluster, and the schema: created where they are missing, and
-- an error where another role has created them otherwise. Run at every install, before the
-- versions. No superuser is needed; an error names the privilege that is missing.
DO $roles$
DECLARE
    v_role text;
    v_found text;
    v_is_superuser boolean := pg_catalog.current_setting('is_superuser') = 'on';
    v_is_16 boolean := pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['phasegate_owner', 'phasegate_operator', 'phasegate_runner',
                                  'phasegate_auditor'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = v_role) THEN
                EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', v_role);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- an install into another database of the cluster was faster
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'role % does not exist, and % may not create it',
                    v_role, current_user
                    USING ERRCODE = '42501', HINT = pg_catalog.format(
                        'A role with CREATEROLE does: CREATE ROLE phasegate_owner; '
                        'CREATE ROLE phasegate_operator; CREATE ROLE phasegate_runner; '
                        'CREATE ROLE phasegate_auditor; '
                        'GRANT phasegate_owner TO %I', current_user);
        END;
    END LOOP;

    -- None of them logs in, and none has an attribute that its members would not expect.
    SELECT pg_catalog.string_agg(pg_catalog.format('%I has %s', r.rolname, a.attribute), ', ')
    INTO v_found
    FROM pg_catalog.pg_roles AS r, LATERAL (VALUES
        ('LOGIN', r.rolcanlogin), ('SUPERUSER', r.rolsuper), ('CREATEROLE', r.rolcreaterole),
        ('CREATEDB', r.rolcreatedb), ('REPLICATION', r.rolreplication),
        ('BYPASSRLS', r.rolbypassrls)
    ) AS a (attribute, has)
    WHERE a.has AND r.rolname IN ('phasegate_owner', 'phasegate_operator', 'phasegate_runner',
                                  'phasegate_auditor');
    IF v_found IS NOT NULL THEN
        RAISE EXCEPTION 'the roles of the schema have attributes that none of them '
                        'may have: %', v_found
            USING ERRCODE = 'ZG020',
                  HINT = 'Remove them: ALTER ROLE .. NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB '
                         'NOREPLICATION NOBYPASSRLS.';
    END IF;

    -- A member that can act as the owner can replace any function. Superusers can do that anyway;
    -- so can the role that installs, and one that can make itself a member: by ADMIN OPTION, and
    -- before PostgreSQL 16 by CREATEROLE. So two administrators may take turns.
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(m.rolname), ', ') INTO v_found
    FROM pg_catalog.pg_auth_members AS a JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
    WHERE a.roleid = (SELECT r.oid FROM pg_catalog.pg_roles AS r
                      WHERE r.rolname = 'phasegate_owner')
      AND NOT m.rolsuper AND m.rolname <> current_user
      AND NOT CASE WHEN v_is_16
                   THEN pg_catalog.pg_has_role(m.rolname, 'phasegate_owner',
                                               'MEMBER WITH ADMIN OPTION')
                   ELSE m.rolcreaterole END
      AND pg_catalog.pg_has_role(m.rolname, 'phasegate_owner',
                                 CASE WHEN v_is_16 THEN 'USAGE, SET' ELSE 'MEMBER' END);
    IF v_found IS NOT NULL THEN
        RAISE EXCEPTION '% can change the schema as a member of phasegate_owner', v_found
            USING ERRCODE = 'ZG020',
                  HINT = pg_catalog.format(
                      'REVOKE phasegate_owner FROM %s; or install as that role. If it administers '
                      'the database too: GRANT phasegate_owner TO %s WITH ADMIN OPTION.',
                      v_found, v_found);
    END IF;

    -- Until the end of the install, which revokes it again.
    IF NOT v_is_superuser
       AND NOT pg_catalog.pg_has_role('phasegate_owner',
                                      CASE WHEN v_is_16 THEN 'SET' ELSE 'MEMBER' END) THEN
        BEGIN
            EXECUTE 'GRANT phasegate_owner TO CURRENT_USER'
                    || CASE WHEN v_is_16 THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION '% is not a member of phasegate_owner, and may not make '
                            'itself one', current_user
                USING ERRCODE = '42501', HINT = pg_catalog.format(
                    'A role with ADMIN OPTION on phasegate_owner (with CREATEROLE, before '
                    'PostgreSQL 16) does: GRANT phasegate_owner TO %I', current_user);
        END;
    END IF;

    -- To end sessions that can no longer commit, and to name the sessions that wait for each other.
    -- Where they cannot be granted, `Installed::lacking` says what is lost, and what helps. The
    -- administrators of some services can grant pg_monitor, which includes pg_read_all_stats, and
    -- not that alone.
    FOR v_role, v_found IN VALUES
        ('pg_signal_backend', 'pg_signal_backend'), ('pg_read_all_stats', 'pg_read_all_stats'),
        ('pg_monitor', 'pg_read_all_stats')
    LOOP
        IF NOT pg_catalog.pg_has_role('phasegate_owner', v_found, 'MEMBER') THEN
            BEGIN
                EXECUTE pg_catalog.format('GRANT %I TO phasegate_owner', v_role);
            EXCEPTION WHEN insufficient_privilege THEN
                NULL;
            END;
        END IF;
    END LOOP;

    -- To see which functions a rehearsal performs.
    IF NOT pg_catalog.has_parameter_privilege('phasegate_owner', 'track_functions', 'SET') THEN
        BEGIN
            GRANT SET ON PARAMETER track_functions TO phasegate_owner;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
    END IF;

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'phasegate') THEN
        BEGIN
            CREATE SCHEMA phasegate AUTHORIZATION phasegate_owner;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION '% may not create a schema in the database %',
                current_user, current_database()
                USING ERRCODE = '42501', HINT = pg_catalog.format(
                    'Its owner does: GRANT CREATE ON DATABASE %I TO %I',
                    current_database(), current_user);
        END;
    END IF;

    -- The owner of the schema owns everything in it. Another role may have put an object there for
    -- a superuser to call.
    SELECT pg_catalog.string_agg(f.finding, ', ') INTO v_found
    FROM (
        SELECT pg_catalog.format('the schema belongs to %I',
                                 pg_catalog.pg_get_userbyid(n.nspowner)) AS finding
        FROM pg_catalog.pg_namespace AS n
        WHERE n.nspname = 'phasegate'
          AND pg_catalog.pg_get_userbyid(n.nspowner) <> 'phasegate_owner'
        UNION ALL
        SELECT pg_catalog.format('%s may create objects in the schema', CASE x.grantee
                   WHEN 0 THEN 'PUBLIC'
                   ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END)
        FROM pg_catalog.pg_namespace AS n, pg_catalog.aclexplode(n.nspacl) AS x
        WHERE n.nspname = 'phasegate' AND x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner
        UNION ALL
        SELECT pg_catalog.format('%s belongs to %I', o.name, pg_catalog.pg_get_userbyid(o.owner))
        FROM (
            SELECT p.oid::pg_catalog.regprocedure::text, p.proowner, p.pronamespace
            FROM pg_catalog.pg_proc AS p
            UNION ALL
            SELECT c.relname::text, c.relowner, c.relnamespace FROM pg_catalog.pg_class AS c
            UNION ALL
            SELECT t.typname::text, t.typowner, t.typnamespace FROM pg_catalog.pg_type AS t
            UNION ALL
            SELECT o.oprname::text, o.oprowner, o.oprnamespace FROM pg_catalog.pg_operator AS o
        ) AS o (name, owner, namespace)
        JOIN pg_catalog.pg_namespace AS n ON n.oid = o.namespace
        WHERE n.nspname = 'phasegate'
          AND pg_catalog.pg_get_userbyid(o.owner) <> 'phasegate_owner'
        LIMIT 10
    ) AS f;
    IF v_found IS NOT NULL THEN
        RAISE EXCEPTION 'the schema phasegate has objects of other roles: %', v_found
            USING ERRCODE = 'ZG020',
                  HINT = 'Look at who created them, and drop or rename the schema: roles that '
                         'trust the schema would run such a function.';
    END IF;
END
$roles$;

-- The versions are applied as the owner.
SET LOCAL ROLE phasegate_owner;

-- No role may call a new function until that is granted.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
