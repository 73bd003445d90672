-- The third kind of guard, `contents`: beside their numbers, the columns that a phase changes and
-- the values that it gives them. Rows are counted as by `statements`; three more triggers after
-- each statement read the rows of its transition tables.
--
-- For each column, a number stands for all of its changes: the sum over the rows of a hash of the
-- new value less that of the old one, each seeded by the key of its row. So neither the order of
-- the rows counts, nor in how many statements they are changed, nor what is changed and changed
-- back. The hash has 64 bits and is not cryptographic: it is there against another program, another
-- parameter, another trigger, and not against values that are searched for their hash.
--
-- What is not the same in every run is left out:
--
--   a time between the beginning of the transaction and now, and today's date: the word "now"
--   identity columns and defaults of sequences, where a row is inserted; generated columns
--   what triggers write: audit tables have old rows whole, of which other sessions write a part
--
-- The columns themselves are named in every case.

-- Changes of columns by this transaction, for each statement. As `counted`, transactional and
-- unlogged.
CREATE UNLOGGED TABLE phasegate.changed_column (
    xid xid8 NOT NULL,
    began timestamptz NOT NULL DEFAULT transaction_timestamp(),
    relation oid NOT NULL,
    op text NOT NULL, -- inserted, updated, deleted
    by_trigger boolean NOT NULL,
    name text NOT NULL, -- as the server prints it; * stands for the row
    rows bigint NOT NULL,
    -- Those that got a time of this transaction; and rows that had one before, and have one again.
    now bigint NOT NULL,
    again bigint NOT NULL,
    digest numeric -- null where no value is told
);

-- The columns of a table: whether each is of the key, drawn from a sequence, or generated; and
-- whether it may have the time of the transaction (t), or its date (d).
CREATE FUNCTION phasegate.contents_columns(p_table oid)
RETURNS TABLE (number smallint, name text, is_key boolean, is_drawn boolean, is_generated boolean,
               may_be_now "char")
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
BEGIN ATOMIC
    SELECT a.attnum, quote_ident(a.attname), coalesce(a.attnum = ANY (k.conkey), false),
           a.attidentity <> '' OR a.attgenerated = ''
               AND coalesce(pg_get_expr(d.adbin, d.adrelid), '') LIKE 'nextval(%',
           a.attgenerated <> '',
           CASE a.atttypid WHEN 'timestamptz'::regtype THEN 't'::"char"
                           WHEN 'date'::regtype THEN 'd'::"char" END
    FROM pg_attribute AS a
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_constraint AS k ON k.conrelid = a.attrelid AND k.contype = 'p'
    WHERE a.attrelid = p_table AND a.attnum > 0 AND NOT a.attisdropped;
END;

-- Returns SQL for one column: what is computed of each changed row, what is added up over the rows,
-- and the line of the result. The changed row is called n, and o as it was, and their columns c
-- with their number. d says whether the column differs; the texts of a column that may be a time
-- of this transaction are computed once, and called t and u. A text begins with a sign, so that
-- none is that of null.
--
-- Of a type only its output function is called, which a superuser has created: no operator and no
-- cast, which any role may have made for a type of its own. record_image_ne compares the bytes.
CREATE FUNCTION phasegate.contents_cell(
    p_number smallint, p_name text, p_is_bound boolean, p_may_be_now "char", p_op text,
    OUT of_row text, OUT sums text, OUT line text
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_text text := 'CASE num_nulls(%s) WHEN 0 THEN format(''=%%s'', %1$s) ELSE '''' END';
    v_word text := 'CASE WHEN %s COLLATE "C" BETWEEN %s THEN ''now'' ELSE %1$s END';
    v_hash text := 'coalesce(sum(hashtextextended(%s COLLATE "C", w.seed)) FILTER (WHERE %s), 0)';
    v_between text := CASE p_may_be_now WHEN 't' THEN 'v_from AND v_until'
                                        ELSE 'v_first_day AND v_last_day' END;
    v_new text := format(v_text, 'w.n' || p_number);
    v_old text := format(v_text, 'w.o' || p_number);
    v_now text := '0';
    v_again text := '0';
    v_replaced text := 'w.d' || p_number;
BEGIN
    IF p_op = 'INSERT' THEN
        of_row := format('n.c%s AS n%1$s, num_nulls(n.c%1$s) = 0 AS d%1$s', p_number);
    ELSE
        of_row := format('n.c%s AS n%1$s, o.c%1$s AS o%1$s, '
                         'record_image_ne(ROW(n.c%1$s), ROW(o.c%1$s)) AS d%1$s', p_number);
    END IF;
    IF p_may_be_now IS NOT NULL THEN
        of_row := of_row || format(', %s AS t%s', format(v_word,
            format(v_text, 'n.c' || p_number), v_between), p_number);
        v_new := format('w.t%s', p_number);
        v_now := format('count(*) FILTER (WHERE %s = ''now'')', v_new);
    END IF;
    IF p_may_be_now IS NOT NULL AND p_op = 'UPDATE' THEN
        of_row := of_row || format(', %s AS u%s', format(v_word,
            format(v_text, 'o.c' || p_number), v_between), p_number);
        v_old := format('w.u%s', p_number);
        v_again := format('count(*) FILTER (WHERE %s = ''now'' AND %s = ''now'')', v_new, v_old);
        -- What the time of this transaction replaces is not bound.
        v_replaced := format('%s AND (%s <> ''now'' OR %s = ''now'')', v_replaced, v_new, v_old);
    END IF;
    sums := format('count(*) FILTER (WHERE w.d%1$s) AS r%1$s, %2$s AS f%1$s, %3$s AS a%1$s, '
                   '%4$s AS h%1$s', p_number, v_now, v_again,
                   format(v_hash, v_new, 'w.d' || p_number)
                   || CASE p_op WHEN 'UPDATE' THEN ' - ' || format(v_hash, v_old, v_replaced)
                                ELSE '' END);
    line := format('(%L, s.r%s, s.f%2$s, s.a%2$s, %s)', p_name, p_number,
                   CASE WHEN p_is_bound THEN format('s.h%s', p_number) ELSE 'NULL::numeric' END);
END
$$;

-- Returns a statement that adds up the columns of the rows that p_rows has.
CREATE FUNCTION phasegate.contents_sum(
    p_op text, p_rows text, p_seed text, p_of_row text, p_sums text, p_lines text
) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN format($sum$
        INSERT INTO phasegate.changed_column
            (xid, relation, op, by_trigger, name, rows, now, again, digest)
        SELECT pg_current_xact_id(), tg_relid, %L, v_by_trigger, v.name, v.rows, v.now, v.again,
               CASE WHEN NOT v_by_trigger THEN v.digest END
        FROM (SELECT %s
              FROM (SELECT %s AS seed,
                           %s
                    FROM %s OFFSET 0) AS w) AS s
        CROSS JOIN LATERAL (VALUES
            %s) AS v (name, rows, now, again, digest)
        WHERE v.rows > 0 OR v.again > 0;$sum$, p_op, p_sums, p_seed, p_of_row, p_rows, p_lines);

-- Returns the hash of columns by which rows are told apart, as SQL; '0' if there are none. They are
-- ordered by name: a partition may have them in another order than its root.
CREATE FUNCTION phasegate.contents_seed(p_row text, p_numbers smallint[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN coalesce('hashtextextended((' || (
           SELECT string_agg(format('format(''%%L,'', %s.c%s)', p_row, t.number), ' || '
                             ORDER BY t.place)
           FROM unnest(p_numbers) WITH ORDINALITY AS t (number, place))
       || ') COLLATE "C", 0)', '0');

-- Returns the statement for the inserted or updated rows of a table. An inserted row without a key
-- of its own is bound as a whole too, under the name *.
CREATE FUNCTION phasegate.contents_written(p_table oid, p_op text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_columns text;
    v_of_row text;
    v_sums text;
    v_lines text;
    v_key smallint[];
    v_own_key smallint[];
    v_fixed smallint[];
BEGIN
    SELECT string_agg(format('r.%s AS c%s', t.name, t.number), ', ' ORDER BY t.number),
           string_agg(c.of_row, E',\n                           ' ORDER BY t.number),
           string_agg(c.sums, E',\n                     ' ORDER BY t.number),
           string_agg(c.line, E',\n            ' ORDER BY t.number),
           array_agg(t.number ORDER BY t.name) FILTER (WHERE t.is_key),
           array_agg(t.number ORDER BY t.name)
               FILTER (WHERE t.is_key AND NOT t.is_drawn AND NOT t.is_generated),
           array_agg(t.number ORDER BY t.name)
               FILTER (WHERE t.may_be_now IS NULL AND NOT t.is_drawn AND NOT t.is_generated)
    INTO v_columns, v_of_row, v_sums, v_lines, v_key, v_own_key, v_fixed
    FROM phasegate.contents_columns(p_table) AS t
    CROSS JOIN LATERAL phasegate.contents_cell(
        t.number, t.name, NOT t.is_generated AND (p_op = 'UPDATE' OR NOT t.is_drawn),
        t.may_be_now, p_op) AS c;
    IF p_op = 'UPDATE' THEN
        v_columns := 'SELECT row_number() OVER () AS i, ' || v_columns;
        RETURN phasegate.contents_sum(
            'updated', format('(%s FROM phasegate_old_rows AS r) AS o '
                              'JOIN (%1$s FROM phasegate_rows AS r) AS n ON n.i = o.i', v_columns),
            phasegate.contents_seed('o', v_key), v_of_row, v_sums, v_lines);
    END IF;
    IF v_own_key IS NULL AND v_fixed IS NOT NULL THEN
        v_of_row := v_of_row
                    || format(', %s::text AS whole', phasegate.contents_seed('n', v_fixed));
        v_sums := v_sums || ', count(*) FILTER (WHERE NOT v_by_trigger) AS r0, '
                            'sum(hashtextextended(w.whole COLLATE "C", w.seed)) AS h0';
        v_lines := v_lines || ', (''*'', s.r0, 0, 0, s.h0)';
    END IF;
    RETURN phasegate.contents_sum(
        'inserted', format('(SELECT %s FROM phasegate_rows AS r) AS n', v_columns),
        phasegate.contents_seed('n', v_own_key), v_of_row, v_sums, v_lines);
END
$$;

-- Returns the statement for the deleted rows of a table, of which only the key is bound.
CREATE FUNCTION phasegate.contents_deleted(p_table oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_columns text;
    v_key smallint[];
BEGIN
    SELECT string_agg(format('r.%s AS c%s', t.name, t.number), ', ' ORDER BY t.number),
           array_agg(t.number ORDER BY t.name) FILTER (WHERE t.is_key)
    INTO v_columns, v_key
    FROM phasegate.contents_columns(p_table) AS t;
    RETURN format($deleted$
        INSERT INTO phasegate.changed_column
            (xid, relation, op, by_trigger, name, rows, now, again, digest)
        SELECT pg_current_xact_id(), tg_relid, 'deleted', v_by_trigger, '*', count(*), 0, 0,
               CASE WHEN NOT v_by_trigger THEN %s END
        FROM (SELECT %s FROM phasegate_rows AS r) AS o HAVING count(*) > 0;$deleted$,
        CASE WHEN v_key IS NULL THEN 'NULL::numeric'
             ELSE format('sum(%s)', phasegate.contents_seed('o', v_key)) END, v_columns);
END
$$;

-- Returns the body of the function that reads the changed rows of one table. It names the columns:
-- if they change, the table does not count as guarded until `protect` makes the function again.
CREATE FUNCTION phasegate.contents_body(p_table oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_pairs text := '';
BEGIN
    IF (SELECT c.relkind FROM pg_class AS c WHERE c.oid = p_table) = 'p' THEN
        v_pairs := $pairs$
        PERFORM phasegate.ensure_pairs(tg_relid, (SELECT count(*) FROM phasegate_old_rows),
                                       (SELECT count(*) FROM phasegate_rows));$pairs$;
    END IF;
    RETURN format($body$
DECLARE
    v_by_trigger boolean := pg_trigger_depth() > 1;
    v_from text := format('=%%s', transaction_timestamp());
    v_until text := format('=%%s', clock_timestamp());
    v_first_day text := format('=%%s', timezone('Etc/GMT+12', transaction_timestamp())::date);
    v_last_day text := format('=%%s', timezone('Etc/GMT-14', clock_timestamp())::date);
BEGIN
    IF phasegate.statement_number() IS NULL THEN
        RETURN NULL;
    ELSIF tg_op = 'INSERT' THEN%s
    ELSIF tg_op = 'UPDATE' THEN%s%s
    ELSE%s
    END IF;
    RETURN NULL;
END
$body$,
        phasegate.contents_written(p_table, 'INSERT'), v_pairs,
        phasegate.contents_written(p_table, 'UPDATE'), phasegate.contents_deleted(p_table));
END
$$;

-- Raises if an update has moved rows to a partition whose trigger did not take them: then the rows
-- of the two transition tables do not belong together.
CREATE FUNCTION phasegate.ensure_pairs(p_table oid, p_old bigint, p_new bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_old <> p_new THEN
        RAISE EXCEPTION 'an update of % has moved rows to a partition that did not take them',
            p_table::regclass
            USING ERRCODE = 'ZG006', HINT = 'Delete these rows by DELETE.';
    END IF;
END
$$;

-- Whether the table has the three triggers that `protect` creates for contents, which call the
-- function that its columns ask for; null or false otherwise.
CREATE FUNCTION phasegate.is_bound_by_contents(p_table oid) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN (
        SELECT count(*) = 3 AND count(DISTINCT t.tgtype) = 3 AND count(DISTINCT t.tgfoid) = 1
               AND bool_and(t.tgenabled = 'A' AND t.tgnargs = 0
                            AND pg_get_expr(t.tgqual, t.tgrelid) = phasegate.contents_when()
                            AND cardinality(t.tgattr::smallint[]) = 0
                            AND t.tgtype IN (4, 8, 16)
                            AND t.tgnewtable IS NOT DISTINCT FROM
                                CASE WHEN t.tgtype <> 8 THEN 'phasegate_rows' END
                            AND t.tgoldtable IS NOT DISTINCT FROM
                                CASE t.tgtype WHEN 8 THEN 'phasegate_rows'
                                              WHEN 16 THEN 'phasegate_old_rows' END)
               AND bool_and(p.prosecdef AND p.proconfig = phasegate.contents_settings()
                            AND p.proowner = 'phasegate_owner'::regrole
                            AND p.prosrc = phasegate.contents_body(p_table))
        FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE t.tgrelid = p_table AND t.tgname LIKE 'phasegate\_contents\_%');
END
$$;

-- The condition of such a trigger, as the server prints it: other sessions pay for no call. A phase
-- that unsets this has the guard refuse its statement.
CREATE FUNCTION phasegate.contents_when() RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN '(current_setting(''phasegate.open_here''::text, true) = ''yes''::text)';

-- The settings of such a function, as the catalog has them. Those that say how values are written
-- are fixed; rows are paired by hash, since the plan may be made for one row, and used for many.
CREATE FUNCTION phasegate.contents_settings() RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN ARRAY['search_path=pg_catalog, phasegate, pg_temp', 'TimeZone=UTC', 'DateStyle=ISO, MDY',
             'IntervalStyle=postgres', 'extra_float_digits=1', 'bytea_output=hex',
             'lc_monetary=C', 'quote_all_identifiers=off', 'enable_nestloop=off', 'jit=off',
             'plan_cache_mode=force_generic_plan'];

-- Makes the function that reads the changed rows of a table, and returns its name. Called by
-- `protect`, for the table's owner only, as the owner of the schema.
CREATE FUNCTION phasegate.make_contents_function(p_table regclass) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_name text;
BEGIN
    PERFORM phasegate.ensure_owned_by_session(p_table, 'guard it');
    IF (SELECT count(*) FROM phasegate.contents_columns(p_table)) > 300 THEN
        RAISE EXCEPTION '% has more than 300 columns, which a guard by contents does not read',
            p_table
            USING ERRCODE = 'ZG020', HINT = 'Guard it by ''counters'' or ''statements''.';
    END IF;
    SELECT p.proname INTO v_name FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE t.tgrelid = p_table AND p.pronamespace = 'phasegate'::regnamespace
      AND p.proname LIKE 'contents\_of\_%'
      -- The owner of another table may have given it a trigger that calls this one.
      AND NOT EXISTS (SELECT FROM pg_trigger AS o
                      WHERE o.tgfoid = p.oid AND o.tgrelid <> t.tgrelid)
    LIMIT 1;
    v_name := coalesce(v_name, 'contents_of_' || right(replace(gen_random_uuid()::text, '-', ''),
                                                       20));
    EXECUTE format('CREATE OR REPLACE FUNCTION phasegate.%I() RETURNS trigger LANGUAGE plpgsql '
                   'VOLATILE SECURITY DEFINER SET search_path = pg_catalog, phasegate, pg_temp '
                   'SET timezone = ''UTC'' SET datestyle = ''ISO, MDY'' '
                   'SET intervalstyle = ''postgres'' SET extra_float_digits = 1 '
                   'SET bytea_output = ''hex'' SET lc_monetary = ''C'' '
                   'SET quote_all_identifiers = off SET enable_nestloop = off SET jit = off '
                   'SET plan_cache_mode = force_generic_plan '
                   'AS %L', v_name, phasegate.contents_body(p_table));
    EXECUTE format('GRANT EXECUTE ON FUNCTION phasegate.%I() TO PUBLIC', v_name);
    RETURN v_name;
END
$$;

-- Drops those of these functions that no trigger calls.
CREATE FUNCTION phasegate.drop_contents_functions() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_name text;
BEGIN
    FOR v_name IN
        SELECT p.proname FROM pg_proc AS p
        WHERE p.pronamespace = 'phasegate'::regnamespace AND p.proname LIKE 'contents\_of\_%'
          AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = p.oid)
    LOOP
        EXECUTE format('DROP FUNCTION phasegate.%I()', v_name);
    END LOOP;
END
$$;

-- Creates the triggers that read the changed rows of one table.
CREATE FUNCTION phasegate.create_contents(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_function text := phasegate.make_contents_function(p_table);
    v_trigger text;
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER phasegate_contents_inserted AFTER INSERT ON %s '
        'REFERENCING NEW TABLE AS phasegate_rows '
        'FOR EACH STATEMENT WHEN (%s) EXECUTE FUNCTION phasegate.%I()',
        p_table, phasegate.contents_when(), v_function);
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER phasegate_contents_updated AFTER UPDATE ON %s '
        'REFERENCING NEW TABLE AS phasegate_rows OLD TABLE AS phasegate_old_rows '
        'FOR EACH STATEMENT WHEN (%s) EXECUTE FUNCTION phasegate.%I()',
        p_table, phasegate.contents_when(), v_function);
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER phasegate_contents_deleted AFTER DELETE ON %s '
        'REFERENCING OLD TABLE AS phasegate_rows '
        'FOR EACH STATEMENT WHEN (%s) EXECUTE FUNCTION phasegate.%I()',
        p_table, phasegate.contents_when(), v_function);
    FOREACH v_trigger IN ARRAY ARRAY['inserted', 'updated', 'deleted'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER phasegate_contents_%s',
                       p_table, v_trigger);
    END LOOP;
END
$$;

-- Drops the triggers that read the changed rows of one table, and what they call.
CREATE FUNCTION phasegate.drop_contents(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_trigger name;
BEGIN
    FOR v_trigger IN
        SELECT t.tgname FROM pg_trigger AS t
        WHERE t.tgrelid = p_table AND t.tgname LIKE 'phasegate\_contents\_%'
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', v_trigger, p_table);
    END LOOP;
    IF FOUND THEN
        PERFORM phasegate.drop_contents_functions();
    END IF;
END
$$;

-- Returns what this transaction has changed in tables guarded by contents: {table: {op: {column:
-- {rows, now, again, values}}}}; the op of changes by triggers ends with "by triggers". A partition
-- counts for its root. The digest is that of 64 bits, as hexadecimal digits.
CREATE FUNCTION phasegate.contents() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
BEGIN
    RETURN (
        WITH changed AS (
            SELECT format('%I.%I', n.nspname, c.relname) AS relation, k.op, k.by_trigger, k.name,
                   sum(k.rows) AS rows, sum(k.now) AS now, sum(k.again) AS again,
                   CASE WHEN bool_and(k.digest IS NOT NULL)
                        THEN mod(sum(k.digest), 18446744073709551616) END AS digest
            FROM phasegate.changed_column AS k
            JOIN pg_class AS c ON c.oid = coalesce(pg_partition_root(k.relation), k.relation)
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE k.xid = pg_current_xact_id_if_assigned() AND k.began = transaction_timestamp()
            GROUP BY n.nspname, c.relname, k.op, k.by_trigger, k.name
        ), by_op AS (
            SELECT k.relation, k.op || CASE WHEN k.by_trigger THEN ' by triggers' ELSE '' END
                       AS op,
                   jsonb_object_agg(k.name, jsonb_strip_nulls(jsonb_build_object(
                       'rows', k.rows, 'now', nullif(k.now, 0), 'again', nullif(k.again, 0),
                       'values', phasegate.digits(k.digest)))) AS columns
            FROM changed AS k GROUP BY 1, 2
        )
        SELECT coalesce(jsonb_object_agg(t.relation, t.ops), '{}')
        FROM (SELECT o.relation, jsonb_object_agg(o.op, o.columns) AS ops
              FROM by_op AS o GROUP BY o.relation) AS t);
END
$$;

-- Returns a number modulo 2^64 as 16 hexadecimal digits.
CREATE FUNCTION phasegate.digits(p_number numeric) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN lpad(to_hex(CASE WHEN p_number >= 9223372036854775808 THEN p_number - 18446744073709551616
                        WHEN p_number < -9223372036854775808 THEN p_number + 18446744073709551616
                        ELSE p_number END::bigint), 16, '0');

-- Raises unless every table of which the plan names columns is guarded by contents, with all that
-- inherits from it.
CREATE FUNCTION phasegate.ensure_bound(p_contents jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_table text;
BEGIN
    SELECT k.name INTO v_table
    FROM jsonb_object_keys(coalesce(p_contents, '{}')) AS k (name)
    LEFT JOIN LATERAL parse_ident(k.name) AS i ON true
    LEFT JOIN pg_namespace AS n ON n.nspname = i[1]
    LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = i[2]
    WHERE c.oid IS NULL OR EXISTS (
        SELECT FROM phasegate.local_children(c.oid::regclass) AS t
        WHERE phasegate.is_bound_by_contents(t) IS NOT TRUE)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the plan names columns of %, which is not guarded by contents, or not as '
                        'its columns are now', v_table
            USING ERRCODE = 'ZG025',
                  HINT = format('Its owner guards it: SELECT phasegate.protect(%L, ''contents'')',
                                v_table);
    END IF;
END
$$;

-- Raises if this transaction has written a table whose columns have changed since it was guarded by
-- contents: those that are new were not read.
CREATE FUNCTION phasegate.ensure_written_bound() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_table regclass;
BEGIN
    SELECT k.relation INTO v_table
    FROM (SELECT DISTINCT c.relation FROM phasegate.counted AS c
          WHERE c.xid = pg_current_xact_id_if_assigned()) AS k
    WHERE phasegate.chosen_kind(k.relation) = 'contents'
      AND phasegate.is_bound_by_contents(k.relation) IS NOT TRUE
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the columns of % have changed since it was guarded by contents', v_table
            USING ERRCODE = 'ZG025',
                  HINT = format('Its owner guards it again: SELECT phasegate.protect(%L)',
                                v_table);
    END IF;
END
$$;

-- Returns how the columns that a phase has changed differ from those that its plan names: each that
-- the plan does not have, and each that got other values than the plan binds.
CREATE FUNCTION phasegate.compare_contents(p_planned jsonb, p_seen jsonb)
RETURNS TABLE (relation text, op text, name text, rows bigint, is_planned boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH planned AS (
        SELECT t.key AS relation, o.key AS op, c.key AS name, c.value AS said
        FROM jsonb_each(p_planned) AS t, jsonb_each(t.value) AS o, jsonb_each(o.value) AS c
    ), seen AS (
        SELECT t.key AS relation, o.key AS op, c.key AS name, c.value AS said
        FROM jsonb_each(p_seen) AS t, jsonb_each(t.value) AS o, jsonb_each(o.value) AS c
        WHERE p_planned ? t.key AND (c.value ->> 'rows')::bigint > 0
    )
    SELECT coalesce(s.relation, p.relation), coalesce(s.op, p.op), coalesce(s.name, p.name),
           coalesce((s.said ->> 'rows')::bigint, 0), p.name IS NOT NULL
    FROM planned AS p
    FULL JOIN seen AS s ON s.relation = p.relation AND s.op = p.op AND s.name = p.name
    WHERE p.name IS NULL
       OR p.said ? 'values' AND p.said ->> 'values'
          IS DISTINCT FROM coalesce(s.said ->> 'values', '0000000000000000');
END;

-- Raises unless a phase has changed the columns that its plan names, and no other, on tables that
-- are guarded by contents. Deletes what was read of them.
CREATE FUNCTION phasegate.ensure_planned_contents(p_plan bytea, p_position integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_planned jsonb := (SELECT f.contents FROM phasegate.planned_phase AS f
                        WHERE f.plan = p_plan AND f.position = p_position);
    v_columns jsonb;
    v_first text;
    v_detail text;
BEGIN
    IF v_planned IS NOT NULL THEN
        PERFORM phasegate.ensure_bound(v_planned);
        SELECT jsonb_agg(jsonb_build_object('table', c.relation, 'kind', c.op, 'column', c.name,
                                            'rows', c.rows, 'planned', c.is_planned)
                         ORDER BY c.relation, c.op, c.name),
               min(format('%s %s %s', c.relation, c.op, c.name)),
               string_agg(format('%s %s %s: %s', c.relation, c.op, c.name,
                                 CASE WHEN c.is_planned THEN 'other values than were rehearsed'
                                      ELSE format('%s rows get another value; not in the plan',
                                                  c.rows) END),
                          E'\n' ORDER BY c.relation, c.op, c.name)
        INTO v_columns, v_first, v_detail
        FROM phasegate.compare_contents(v_planned, phasegate.contents()) AS c;
        IF v_columns IS NOT NULL THEN
            RAISE EXCEPTION 'the phase did not write what was rehearsed: %', v_first
                USING ERRCODE = 'ZG027', DETAIL = v_detail, DATATYPE = v_columns::text,
                      HINT = 'Rehearse again and have the new plan approved, or fix what the phase '
                             'does.';
        END IF;
    END IF;
    DELETE FROM phasegate.changed_column AS c WHERE c.xid = pg_current_xact_id();
END
$$;
