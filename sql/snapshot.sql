-- Prints the installed schema, one object a line, in an order that depends on nothing but names. An
-- auditor compares a database with what this release installs:
--
--   psql -XAtq -f sql/snapshot.sql | diff sql/installed.txt -
--
-- The lines are the same on PostgreSQL 15 to 18. A definition is a line of its own where the server
-- prints it as it was written; the text of a function's or a view's body is a digest.
SET search_path = pg_catalog, pg_temp;
WITH namespace AS (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_namespace AS n
    WHERE n.nspname = 'phasegate'
), privilege (object, privileges) AS (
    -- Privileges of others than the owner, whose own ones differ between versions.
    SELECT a.object, string_agg(format('%s TO %s', a.privileges, a.grantee), '; '
                                ORDER BY a.grantee COLLATE "C")
    FROM (
        SELECT o.object, CASE x.grantee WHEN 0 THEN 'PUBLIC'
                              ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
               string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type COLLATE "C")
                   AS privileges
        FROM (
            SELECT n.oid, n.nspowner, n.nspacl FROM namespace AS n
            UNION ALL
            SELECT c.oid, c.relowner, c.relacl FROM pg_class AS c
            WHERE c.relnamespace = (SELECT n.oid FROM namespace AS n)
            UNION ALL
            SELECT p.oid, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
            FROM pg_proc AS p WHERE p.pronamespace = (SELECT n.oid FROM namespace AS n)
        ) AS o (object, owner, acl), aclexplode(o.acl) AS x
        WHERE x.grantee <> o.owner GROUP BY o.object, x.grantee
    ) AS a
    GROUP BY a.object
), relation AS (
    SELECT c.*, format('owner %s', pg_get_userbyid(c.relowner))
                || coalesce('; ' || p.privileges, '') AS access
    FROM pg_class AS c LEFT JOIN privilege AS p ON p.object = c.oid
    WHERE c.relnamespace = (SELECT n.oid FROM namespace AS n)
), line (kind, name, part, text) AS (
    SELECT 1, r.rolname::text, '',
           format('role %s: %s', r.rolname, concat_ws(', ',
               CASE WHEN r.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
               CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
               CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
               CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
               CASE WHEN r.rolreplication THEN 'REPLICATION' END,
               CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
               (SELECT 'member of ' || string_agg(g.rolname, ', ' ORDER BY g.rolname COLLATE "C")
                FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
                WHERE m.member = r.oid)))
    FROM pg_roles AS r
    WHERE r.rolname IN ('phasegate_owner', 'phasegate_operator', 'phasegate_runner',
                        'phasegate_auditor')
    UNION ALL
    SELECT 2, '', '', format('schema %s: owner %s', n.nspname, pg_get_userbyid(n.nspowner))
                      || coalesce('; ' || p.privileges, '')
    FROM namespace AS n LEFT JOIN privilege AS p ON p.object = n.oid
    UNION ALL
    SELECT 3, r.relname, '',
           format('%s %s: ', CASE r.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view'
                                            WHEN 'S' THEN 'sequence' ELSE r.relkind::text END,
                  r.relname)
           || CASE r.relpersistence WHEN 'u' THEN 'unlogged; ' ELSE '' END
           || coalesce(array_to_string(r.reloptions, ', ') || '; ', '')
           || CASE r.relkind
                  -- Without the aliases of columns, which PostgreSQL 16 prints more of.
                  WHEN 'v' THEN format('sha256 %s; ', encode(sha256(convert_to(regexp_replace(
                      pg_get_viewdef(r.oid), '(?<!FROM |JOIN )\m[a-z]\.(?=[a-z_]+\M[^(])', '',
                      'g'), 'UTF8')), 'hex'))
                  WHEN 'S' THEN (
                      SELECT format('%s, start %s, minimum %s; ', s.seqtypid::regtype, s.seqstart,
                                    s.seqmin)
                      FROM pg_sequence AS s WHERE s.seqrelid = r.oid)
                  ELSE '' END
           || r.access
    FROM relation AS r WHERE r.relkind NOT IN ('i', 't')
    UNION ALL
    SELECT 3, r.relname, '1' || lpad(a.attnum::text, 4, '0'),
           format('    column %s %s', a.attname, format_type(a.atttypid, a.atttypmod))
           || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
           || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
           || coalesce('; ' || a.attacl::text, '')
    FROM relation AS r
    JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind IN ('r', 'v')
    UNION ALL
    -- Without NOT NULL, which is a constraint from PostgreSQL 18 on.
    SELECT 3, r.relname, '2' || c.conname,
           format('    constraint %s %s', c.conname, pg_get_constraintdef(c.oid))
    FROM relation AS r JOIN pg_constraint AS c ON c.conrelid = r.oid
    WHERE c.contype NOT IN ('n', 't')
    UNION ALL
    SELECT 3, r.relname, '3' || x.relname, format('    index %s', pg_get_indexdef(i.indexrelid))
    FROM relation AS r JOIN pg_index AS i ON i.indrelid = r.oid
    JOIN pg_class AS x ON x.oid = i.indexrelid
    UNION ALL
    SELECT 3, r.relname, '4' || t.tgname,
           format('    trigger %s; enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
    FROM relation AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 4, p.oid::regprocedure::text, '',
           format('function %s(%s) returns %s', p.proname, pg_get_function_arguments(p.oid),
                  coalesce(pg_get_function_result(p.oid), 'its OUT parameters'))
    FROM pg_proc AS p WHERE p.pronamespace = (SELECT n.oid FROM namespace AS n)
    UNION ALL
    SELECT 4, p.oid::regprocedure::text, '1',
           '    ' || concat_ws('; ', concat_ws(' ', l.lanname,
               CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable'
                                  ELSE 'volatile' END,
               CASE WHEN p.proisstrict THEN 'strict' END,
               CASE WHEN p.prosecdef THEN 'security definer' END),
               nullif(array_to_string(p.proconfig, ', '), ''),
               format('owner %s', pg_get_userbyid(p.proowner)), x.privileges)
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
    LEFT JOIN privilege AS x ON x.object = p.oid
    WHERE p.pronamespace = (SELECT n.oid FROM namespace AS n)
    UNION ALL
    SELECT 4, p.oid::regprocedure::text, '2',
           format('    sha256 %s', encode(sha256(convert_to(
               coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), 'UTF8')), 'hex'))
    FROM pg_proc AS p WHERE p.pronamespace = (SELECT n.oid FROM namespace AS n)
)
SELECT l.text FROM line AS l ORDER BY l.kind, l.name COLLATE "C", l.part COLLATE "C";
