-- Tables that write each other: cascades in chains and in a circle, partitions, inheritance, and
-- triggers of rows that write, undo and skip, as the value of a row says. `truth` has one row for
-- each row that was written and stands.
CREATE TABLE truth (rel oid, op text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
  INSERT INTO public.truth VALUES (tg_relid, tg_op); RETURN NULL; END $$;
CREATE TABLE a (id int PRIMARY KEY, v int, up int REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE b (id int PRIMARY KEY, v int, a int REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE c (id int PRIMARY KEY, v int, b int REFERENCES b ON DELETE SET NULL ON UPDATE CASCADE,
                a int REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE log (id int, v int);
CREATE TABLE m1 (id int PRIMARY KEY, v int, o int);
CREATE TABLE m2 (id int PRIMARY KEY, v int,
                 o int REFERENCES m1 ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE p (id int, k int, v int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE p0 PARTITION OF p FOR VALUES IN (0);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY RANGE (id);
CREATE TABLE p10 PARTITION OF p1 FOR VALUES FROM (0) TO (50);
CREATE TABLE p11 PARTITION OF p1 FOR VALUES FROM (50) TO (1000000);
CREATE TABLE h (id int, v int);
CREATE TABLE h1 () INHERITS (h);
INSERT INTO a SELECT g, g, nullif(g / 3, 0) FROM generate_series(1, 60) AS g;
INSERT INTO b SELECT g, g, g FROM generate_series(1, 60) AS g;
INSERT INTO c SELECT g, g, g, 61 - g FROM generate_series(1, 60) AS g;
INSERT INTO m1 SELECT g, g, 61 - g FROM generate_series(1, 60) AS g;
INSERT INTO m2 SELECT g, g, g FROM generate_series(1, 60) AS g;
ALTER TABLE m1 ADD FOREIGN KEY (o) REFERENCES m2 ON DELETE CASCADE ON UPDATE CASCADE;
INSERT INTO p SELECT g, g % 2, g FROM generate_series(1, 60) AS g;
INSERT INTO h SELECT g, g FROM generate_series(1, 30) AS g;
INSERT INTO h1 SELECT g, g FROM generate_series(31, 60) AS g;
INSERT INTO log SELECT g, g FROM generate_series(1, 60) AS g;
CREATE SEQUENCE ids START 2000;
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql SET work_mem = '1MB' AS $$
DECLARE
  r record := CASE WHEN tg_op = 'DELETE' THEN old ELSE new END;
BEGIN
  IF pg_trigger_depth() < 3 THEN
    CASE r.v % 41
      WHEN 1 THEN INSERT INTO log VALUES (r.id, 30);
      WHEN 2 THEN
        EXECUTE format('INSERT INTO %I (id, v) VALUES (nextval(''ids''), 30)', tg_table_name);
      WHEN 3 THEN
        BEGIN
          EXECUTE format('INSERT INTO %I (id, v) VALUES (nextval(''ids''), 30)', tg_table_name);
          RAISE 'x';
        EXCEPTION WHEN raise_exception THEN NULL; END;
      WHEN 5 THEN
        BEGIN INSERT INTO m1 VALUES (r.id, 30); EXCEPTION WHEN unique_violation THEN NULL; END;
      WHEN 6 THEN RETURN NULL;
      WHEN 7 THEN EXECUTE format('UPDATE %I SET v = 30 WHERE id = 5', tg_table_name);
      WHEN 9 THEN
        BEGIN
          DELETE FROM c WHERE id = r.id; DELETE FROM log WHERE id = r.id;
        EXCEPTION WHEN others THEN NULL; END;
      ELSE NULL;
    END CASE;
  END IF;
  RETURN r;
END $$;
CREATE FUNCTION f(t text, k int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  CASE k % 9
    WHEN 0 THEN EXECUTE format('INSERT INTO %I (id, v) VALUES (nextval(''ids''), 30)', t);
    WHEN 3 THEN INSERT INTO log VALUES (k, 30);
    WHEN 4 THEN
      BEGIN
        INSERT INTO m1 VALUES (k, 30);
      EXCEPTION WHEN unique_violation THEN UPDATE m1 SET v = 30 WHERE id = k; END;
    ELSE NULL;
  END CASE;
  RETURN nextval('ids');
END $$;
DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY '{a, b, c, log, m1, m2, p0, p10, p11, h, h1}'::text[] LOOP
    EXECUTE format('CREATE TRIGGER zz_truth AFTER INSERT OR UPDATE OR DELETE ON %I '
                   'FOR EACH ROW EXECUTE FUNCTION note()', t);
    IF t NOT LIKE 'p%' THEN
      EXECUTE format('CREATE TRIGGER mm_trouble BEFORE INSERT OR UPDATE OR DELETE ON %I '
                     'FOR EACH ROW EXECUTE FUNCTION trouble()', t);
    END IF;
  END LOOP;
  FOREACH t IN ARRAY '{a, b, c, log, m1, m2, p, h}'::text[] LOOP
    PERFORM phasegate.protect(t::regclass);
  END LOOP;
END $$;
