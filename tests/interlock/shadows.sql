-- Shadows of every name that the functions, views, triggers and constraints of the schema phasegate use, made
-- from their texts in the catalog: a relation, a type, functions and operators, each of which rings an alarm when
-- it runs as another role than the one that made it.
CREATE TABLE public.ran (who text, what text);
CREATE SEQUENCE public.alarm; -- rings also where the transaction is rolled back
GRANT INSERT ON public.ran TO PUBLIC;
GRANT USAGE ON SEQUENCE public.alarm TO PUBLIC;

CREATE TABLE public.source AS
SELECT pg_get_functiondef(p.oid) AS text FROM pg_proc AS p WHERE p.pronamespace = 'phasegate'::regnamespace
UNION ALL
SELECT pg_get_viewdef(c.oid) FROM pg_class AS c WHERE c.relnamespace = 'phasegate'::regnamespace AND c.relkind = 'v'
UNION ALL
SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'phasegate'::regnamespace
UNION ALL
SELECT pg_get_constraintdef(c.oid) FROM pg_constraint AS c WHERE c.connamespace = 'phasegate'::regnamespace
UNION ALL
SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d JOIN pg_class AS c ON c.oid = d.adrelid
WHERE c.relnamespace = 'phasegate'::regnamespace
UNION ALL
SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'phasegate'::regnamespace;

-- Comments and literals are searched too: a name in one of them may be meant for EXECUTE, or for a cast to regclass.
CREATE TABLE public.word AS
SELECT DISTINCT lower(m[1])::name AS word
FROM public.source AS s, regexp_matches(s.text, '([A-Za-z_][A-Za-z0-9_]*)', 'g') AS m WHERE length(m[1]) < 60;

-- A relation and a type of one name do not go together: `types` says which of the two is made.
CREATE FUNCTION public.shadows(types boolean) RETURNS TABLE (what text, sql text)
LANGUAGE sql SET search_path = '' AS $$
    WITH simple AS (
        SELECT t.oid, format('%I.%I', n.nspname, t.typname) AS name, t.typname
        FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
        WHERE n.nspname IN ('pg_catalog', 'phasegate') AND t.typtype IN ('b', 'c', 'd', 'e') AND t.typname NOT LIKE E'\\_%'
    ), relation AS (
        SELECT w.word, coalesce(
                   (SELECT string_agg(format('CAST(NULL AS %s) AS %I', pg_catalog.format_type(a.atttypid, NULL), a.attname), ', '
                                      ORDER BY a.attnum)
                    FROM pg_catalog.pg_attribute AS a
                    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid <> 'pg_catalog.anyarray'::pg_catalog.regtype
                      AND a.attrelid = coalesce(to_regclass(format('phasegate.%I', w.word)), to_regclass(format('pg_catalog.%I', w.word)))),
                   'true AS x') AS columns
        FROM public.word AS w
        WHERE NOT (types AND EXISTS (SELECT FROM simple AS s WHERE s.typname = w.word))
    )
    SELECT 'relation ' || r.word, format('CREATE VIEW HERE.%I AS SELECT %s FROM HERE.evil(%L) AS ran; GRANT ALL ON HERE.%1$I TO PUBLIC; '
        'CREATE TRIGGER evil INSTEAD OF INSERT OR UPDATE OR DELETE ON HERE.%1$I FOR EACH ROW EXECUTE FUNCTION HERE.evil_trigger()',
        r.word, r.columns, 'relation ' || r.word)
    FROM relation AS r
    UNION ALL
    SELECT 'type ' || s.typname, format('CREATE DOMAIN HERE.%I AS %s CHECK (HERE.evil(%L))', s.typname, s.name, 'type ' || s.typname)
    FROM simple AS s JOIN public.word AS w ON w.word = s.typname WHERE types
    UNION ALL
    SELECT 'function ' || p.proname, format(
        'CREATE FUNCTION HERE.%I(%s) RETURNS %s%s LANGUAGE plpgsql AS $b$ BEGIN PERFORM HERE.evil(%L); RETURN %s; END $b$',
        p.proname, args.list, CASE WHEN p.proretset THEN 'SETOF ' END, pg_catalog.format_type(p.prorettype, NULL), 'function ' || p.proname,
        CASE WHEN p.proretset OR p.prorettype = 'pg_catalog.void'::pg_catalog.regtype THEN '' ELSE 'NULL' END)
    FROM pg_catalog.pg_proc AS p JOIN public.word AS w ON w.word = p.proname,
         LATERAL (SELECT coalesce(string_agg(CASE WHEN p.provariadic <> 0 AND a.place = p.pronargs THEN 'VARIADIC ' ELSE '' END
                                             || pg_catalog.format_type(a.type, NULL), ', ' ORDER BY a.place), '') AS list,
                         coalesce(bool_or(t.typtype = 'p' AND t.typname !~ '^any.'), false) AS pseudo,
                         coalesce(bool_or(t.typname ~ '^any.'), false) AS polymorphic
                  FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place) JOIN pg_catalog.pg_type AS t ON t.oid = a.type) AS args,
         pg_catalog.pg_type AS t
    WHERE p.pronamespace IN ('pg_catalog'::pg_catalog.regnamespace, 'phasegate'::pg_catalog.regnamespace)
      AND t.oid = p.prorettype AND NOT args.pseudo AND args.list !~ '"any"'
      AND (t.typtype <> 'p' OR t.typname IN ('record', 'void', 'trigger') OR t.typname ~ '^any.' AND args.polymorphic)
    UNION ALL
    SELECT 'operator ' || o.oprname, format(
        'CREATE FUNCTION HERE.op_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $b$ BEGIN PERFORM HERE.evil(%L); RETURN NULL; END $b$; '
        'CREATE OPERATOR HERE.%s (LEFTARG = %2$s, RIGHTARG = %3$s, FUNCTION = HERE.op_%1$s)', o.oid,
        pg_catalog.format_type(o.oprleft, NULL), pg_catalog.format_type(o.oprright, NULL), pg_catalog.format_type(o.oprresult, NULL),
        'operator ' || o.oprname, o.oprname)
    FROM pg_catalog.pg_operator AS o
    WHERE o.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace AND o.oprleft <> 0
      AND EXISTS (SELECT FROM public.source AS s WHERE position(o.oprname::text IN s.text) > 0)
$$;

CREATE TABLE public.shadow AS
SELECT t.types, s.what, s.sql FROM unnest(ARRAY[false, true]) AS t (types), public.shadows(t.types) AS s;
GRANT SELECT ON public.shadow TO PUBLIC;

-- Makes them in a schema, by and for the role that calls it. `guilty` says which role they may not run as.
CREATE FUNCTION public.make_shadows(place text, types boolean, guilty text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    shadow record;
    made bigint := 0;
BEGIN
    EXECUTE replace(replace(
        'CREATE FUNCTION HERE.evil(what text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp '
        'AS $b$ BEGIN '
        'IF GUILTY THEN PERFORM nextval(''public.alarm''); INSERT INTO public.ran VALUES (current_user, what); END IF; '
        'RETURN true; END $b$; '
        'CREATE FUNCTION HERE.evil_trigger() RETURNS trigger LANGUAGE plpgsql AS $b$ BEGIN '
        'PERFORM HERE.evil(tg_table_name::text); RETURN NULL; END $b$', 'HERE', place), 'GUILTY', guilty);
    FOR shadow IN SELECT s.what, s.sql FROM public.shadow AS s WHERE s.types = make_shadows.types LOOP
        BEGIN
            EXECUTE replace(shadow.sql, 'HERE', place);
        EXCEPTION WHEN OTHERS THEN
            RAISE EXCEPTION '%: %: %', shadow.what, SQLERRM, shadow.sql;
        END;
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
