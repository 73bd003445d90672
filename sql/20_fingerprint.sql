-- What a plan's statements mean: the definitions of the tables, views and functions that its
-- rehearsal used. A plan has the SHA-256 of each; when it is admitted, and when a session opens its
-- first phase of it, they are compared.
--
-- A definition is told by names, so that a copy of the database has the same. It leaves out what
-- changes nothing of what a statement does: owners, privileges, statistics, indexes, storage.

-- The objects that a definition can be told of, with the name under which a plan has each.
CREATE VIEW phasegate.defined AS
SELECT 'pg_class'::regclass AS catalog, c.oid,
       format('%s %I.%I', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                         ELSE 'table' END, n.nspname, c.relname) AS name
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'phasegate')
UNION ALL
SELECT 'pg_proc'::regclass, p.oid,
       format('%s %s', CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate'
                                      ELSE 'function' END, p.oid::regprocedure)
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'phasegate')
  AND n.oid <> pg_my_temp_schema();

-- Returns what a domain or an enumeration is; null for another type. Neither this nor the next two
-- are in SQL, which would be planned at each call, of each column.
CREATE FUNCTION phasegate.type_definition(p_type oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN (
        SELECT CASE t.typtype
               WHEN 'd' THEN jsonb_build_array(
                   format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault,
                   (SELECT jsonb_agg(pg_get_constraintdef(k.oid) ORDER BY k.conname)
                    FROM pg_constraint AS k WHERE k.contypid = t.oid))
               WHEN 'e' THEN (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder)
                              FROM pg_enum AS e WHERE e.enumtypid = t.oid)
               END
        FROM pg_type AS t WHERE t.oid = p_type);
END
$$;

-- Returns the definition of a table or view, as text.
CREATE FUNCTION phasegate.table_definition(p_table oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_array(
            c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
            pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid),
            CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
            CASE WHEN c.relkind = 'v' THEN c.reloptions END,
            (SELECT jsonb_agg(jsonb_build_array(
                        a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                        a.attidentity,
                        a.attgenerated, o.collnamespace::regnamespace, o.collname,
                        pg_get_expr(d.adbin, d.adrelid), phasegate.type_definition(a.atttypid))
                    ORDER BY a.attnum)
             FROM pg_attribute AS a
             LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             LEFT JOIN pg_collation AS o ON o.oid = a.attcollation
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
            (SELECT jsonb_agg(jsonb_build_array(k.conname, pg_get_constraintdef(k.oid))
                              ORDER BY k.conname)
             FROM pg_constraint AS k
             -- A column that is not null is told with the column: PostgreSQL 18 has a
             -- constraint too.
             WHERE k.conrelid = c.oid AND k.contype NOT IN ('t', 'n')),
            -- An index that is not unique changes nothing of what a statement does.
            (SELECT jsonb_agg(pg_get_indexdef(i.indexrelid) ORDER BY pg_get_indexdef(i.indexrelid))
             FROM pg_index AS i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)),
            (SELECT jsonb_agg(jsonb_build_array(pg_get_triggerdef(t.oid), t.tgenabled)
                              ORDER BY t.tgname)
             FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
             WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
               AND p.pronamespace <> 'phasegate'::regnamespace),
            (SELECT jsonb_agg(jsonb_build_array(pg_get_ruledef(r.oid), r.ev_enabled)
                              ORDER BY r.rulename)
             FROM pg_rewrite AS r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
            (SELECT jsonb_agg(jsonb_build_array(
                        p.polname, p.polcmd, p.polpermissive,
                        (SELECT jsonb_agg(coalesce(m.rolname, 'public') ORDER BY m.rolname)
                         FROM unnest(p.polroles) AS member
                         LEFT JOIN pg_roles AS m ON m.oid = member),
                        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
                    ORDER BY p.polname)
             FROM pg_policy AS p WHERE p.polrelid = c.oid),
            (SELECT jsonb_agg(format('%I.%I', n.nspname, q.relname) ORDER BY i.inhseqno)
             FROM pg_inherits AS i JOIN pg_class AS q ON q.oid = i.inhparent
             JOIN pg_namespace AS n ON n.oid = q.relnamespace
             WHERE i.inhrelid = c.oid))::text
        FROM pg_class AS c WHERE c.oid = p_table);
END
$$;

-- Returns the definition of a function, as text; null if it is gone.
CREATE FUNCTION phasegate.function_definition(p_function oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN (
        SELECT CASE p.prokind
               WHEN 'a' THEN jsonb_build_array(
                   g.aggkind, g.aggtransfn::regprocedure::text, g.aggfinalfn::text,
                   g.aggcombinefn::text, g.agginitval, format_type(g.aggtranstype, NULL),
                   pg_get_function_result(p.oid))::text
               ELSE pg_get_functiondef(p.oid)
               END
        FROM pg_proc AS p LEFT JOIN pg_aggregate AS g ON g.aggfnoid = p.oid
        WHERE p.oid = p_function);
END
$$;

-- Returns the SHA-256 of a definition, as hexadecimal digits.
CREATE FUNCTION phasegate.fingerprint(p_catalog oid, p_object oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_definition text := CASE p_catalog WHEN 'pg_class'::regclass
                         THEN phasegate.table_definition(p_object)
                         ELSE phasegate.function_definition(p_object) END;
BEGIN
    RETURN encode(sha256(convert_to(v_definition, 'UTF8')), 'hex');
END
$$;

-- Whether a text has a name in it, as a word by itself, in any case.
CREATE FUNCTION phasegate.names_it(p_text text, p_name name) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.strpos(pg_catalog.lower(p_text), pg_catalog.lower(p_name))
           OPERATOR(pg_catalog.>) 0
   AND p_text OPERATOR(pg_catalog.~*)
       ('(^|[^[:alnum:]_$])' OPERATOR(pg_catalog.||)
        pg_catalog.regexp_replace(p_name, '([^[:alnum:]_])', '\\\1', 'g')
        OPERATOR(pg_catalog.||) '($|[^[:alnum:]_$])');

-- Returns the words of a text, in lower case, as the server reads names.
CREATE FUNCTION phasegate.words(p_text text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT DISTINCT w FROM regexp_split_to_table(
        lower(p_text COLLATE "C"), '[^[:alnum:]_$]+' COLLATE "C") AS w
    WHERE w <> '';
END;

-- Returns the body of a function as text. A dump prints the other form in another way.
CREATE FUNCTION phasegate.function_body(p_function oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(pg_get_function_sqlbody(p.oid), p.prosrc, '') FROM pg_proc AS p
    WHERE p.oid = p_function;
END;

-- The functions that this transaction may have performed: those that the server counted, those of
-- the triggers of its tables, those that the tables themselves depend on, and those that the
-- statements, or the body of one of these, name. A function that is inlined is not counted, so that
-- only its name tells of it. Each text is split into words once, and no text is compared with each
-- name but those of more than one word.
CREATE FUNCTION phasegate.functions_used(p_statements text[]) RETURNS SETOF oid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    WITH RECURSIVE own AS MATERIALIZED (
        SELECT p.oid, p.proname, lower(p.proname::text COLLATE "C") AS word,
               p.proname::text COLLATE "C" ~ '[^[:alnum:]_$]' AS is_many_words
        FROM phasegate.defined AS d JOIN pg_proc AS p ON p.oid = d.oid
        WHERE d.catalog = 'pg_proc'::regclass
    ), used (oid) AS (
        SELECT f.funcid FROM pg_stat_xact_user_functions AS f JOIN own AS o ON o.oid = f.funcid
        UNION
        SELECT t.tgfoid FROM phasegate.own_lock AS l JOIN pg_trigger AS t ON t.tgrelid = l.relation
        JOIN own AS o ON o.oid = t.tgfoid WHERE NOT t.tgisinternal
        UNION
        -- What the tables and views depend on themselves: by their rules, constraints, defaults
        -- and policies.
        SELECT d.refobjid FROM phasegate.own_lock AS l CROSS JOIN LATERAL (
            SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite AS r
            WHERE r.ev_class = l.relation
            UNION ALL
            SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k
            WHERE k.conrelid = l.relation
            UNION ALL
            SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef AS a WHERE a.adrelid = l.relation
            UNION ALL
            SELECT 'pg_policy'::regclass, p.oid FROM pg_policy AS p WHERE p.polrelid = l.relation
        ) AS part (catalog, oid)
        JOIN pg_depend AS d ON d.classid = part.catalog AND d.objid = part.oid
                           AND d.refclassid = 'pg_proc'::regclass
        JOIN own AS o ON o.oid = d.refobjid
        UNION
        SELECT o.oid FROM unnest(p_statements) AS s (statement)
        CROSS JOIN LATERAL phasegate.words(s.statement) AS w JOIN own AS o ON o.word = w
        UNION
        SELECT o.oid FROM own AS o, unnest(p_statements) AS s (statement)
        WHERE o.is_many_words AND phasegate.names_it(s.statement, o.proname)
        UNION
        SELECT n.oid FROM used AS u CROSS JOIN LATERAL (
            SELECT o.oid FROM phasegate.function_body(u.oid) AS b
            CROSS JOIN LATERAL phasegate.words(b) AS w JOIN own AS o ON o.word = w
            UNION ALL
            SELECT o.oid FROM own AS o
            WHERE o.is_many_words
              AND phasegate.names_it(phasegate.function_body(u.oid), o.proname)
            UNION ALL
            SELECT o.oid FROM pg_aggregate AS g JOIN own AS o ON o.oid IN (
                g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn,
                g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn)
            WHERE g.aggfnoid = u.oid
        ) AS n
    )
    SELECT u.oid FROM used AS u;
$$;

-- Returns what this transaction has used, with the fingerprint of each; and whether the functions
-- are all that ran, or those that are named only: the server counts them if the schema's owner may
-- set `track_functions`.
CREATE FUNCTION phasegate.measure_means(p_statements bytea) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_statements text[] := ARRAY(SELECT jsonb_array_elements_text(
        convert_from(p_statements, 'UTF8')::jsonb));
    v_objects jsonb;
BEGIN
    PERFORM phasegate.ensure_rehearsal();
    SELECT coalesce(jsonb_object_agg(d.name, phasegate.fingerprint(d.catalog, d.oid)), '{}')
    INTO v_objects
    FROM phasegate.defined AS d
    WHERE d.catalog = 'pg_class'::regclass
          AND d.oid IN (SELECT l.relation FROM phasegate.own_lock AS l WHERE l.granted)
       OR d.catalog = 'pg_proc'::regclass
          AND d.oid IN (SELECT phasegate.functions_used(v_statements));
    RETURN jsonb_build_object(
        'objects', v_objects,
        'all_functions', has_parameter_privilege(current_user, 'track_functions', 'SET'))::text;
END
$$;

-- Has the server count the functions of this transaction, where the schema's owner may.
CREATE FUNCTION phasegate.track_functions() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF has_parameter_privilege(current_user, 'track_functions', 'SET') THEN
        PERFORM set_config('track_functions', 'all', true);
    END IF;
END
$$;

-- Returns the objects whose definitions are no longer those of a plan, in order.
CREATE FUNCTION phasegate.changed_means(p_means jsonb) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
BEGIN ATOMIC
    WITH present AS MATERIALIZED (
        SELECT d.name, phasegate.fingerprint(d.catalog, d.oid) AS fingerprint
        FROM phasegate.defined AS d WHERE p_means -> 'objects' ? d.name
    )
    SELECT coalesce(array_agg(m.key ORDER BY m.key), '{}')
    FROM jsonb_each_text(p_means -> 'objects') AS m
    LEFT JOIN present AS p ON p.name = m.key
    WHERE p.fingerprint IS DISTINCT FROM m.value;
END;

-- Raises if what a plan's statements mean has changed since the rehearsal.
CREATE FUNCTION phasegate.ensure_means(p_means jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_changed text[] := phasegate.changed_means(p_means);
BEGIN
    IF cardinality(v_changed) > 0 THEN
        RAISE EXCEPTION 'since the rehearsal, % of the objects that it used have changed: %',
            cardinality(v_changed), array_to_string(v_changed[1:20], ', ')
            USING ERRCODE = 'ZG026', DATATYPE = array_to_json(v_changed[1:100])::text,
                  HINT = 'Restore them, or rehearse again and have the new plan approved. '
                         'Compare with \d and pg_get_functiondef.';
    END IF;
END
$$;

-- Raises if what a plan's statements mean has changed. Compares once for each session: the run of a
-- plan names the session that has compared last.
CREATE FUNCTION phasegate.ensure_means_of_run(p_run phasegate.run) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_means jsonb;
    v_session text;
BEGIN
    SELECT format('%s %s', pg_backend_pid(), a.backend_start) INTO v_session
    FROM pg_stat_get_activity(pg_backend_pid()) AS a;
    IF p_run.compared_by = v_session THEN
        RETURN;
    END IF;
    SELECT p.means INTO v_means FROM phasegate.plan AS p WHERE p.plan = p_run.plan;
    IF v_means IS NOT NULL THEN
        PERFORM phasegate.ensure_means(v_means);
        UPDATE phasegate.run AS r SET compared_by = v_session WHERE r.plan = p_run.plan;
    END IF;
END
$$;
