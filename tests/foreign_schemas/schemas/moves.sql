-- Partitions of two levels, one of which drops what is moved to it, and the ways by which a row gets there.
CREATE SCHEMA moves;
CREATE FUNCTION moves.drops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;

CREATE TABLE moves.part (k integer, n integer, v integer NOT NULL DEFAULT 0, PRIMARY KEY (k, n)) PARTITION BY LIST (k);
CREATE TABLE moves.kept PARTITION OF moves.part FOR VALUES IN (0);
CREATE TABLE moves.middle PARTITION OF moves.part FOR VALUES IN (1) PARTITION BY RANGE (n);
CREATE TABLE moves.low PARTITION OF moves.middle FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE moves.high PARTITION OF moves.middle FOR VALUES FROM (100) TO (MAXVALUE);
CREATE TABLE moves.other PARTITION OF moves.part FOR VALUES IN (2);
CREATE TRIGGER drops BEFORE INSERT ON moves.low FOR EACH ROW EXECUTE FUNCTION moves.drops();
INSERT INTO moves.part SELECT 0, g FROM generate_series(1, 10) AS g;
INSERT INTO moves.part VALUES (0, 101), (0, 102), (1, 201), (1, 202), (1, 203), (1, 204);

CREATE TABLE moves.plain (id integer PRIMARY KEY);
INSERT INTO moves.plain SELECT generate_series(1, 5);
CREATE TABLE moves.erased (id integer PRIMARY KEY);
INSERT INTO moves.erased SELECT generate_series(1, 10);
CREATE RULE erase AS ON DELETE TO moves.erased DO INSTEAD DELETE FROM moves.plain WHERE id = old.id;
CREATE VIEW moves.retired AS SELECT k, n FROM moves.part WHERE k = 0;
CREATE RULE retire AS ON DELETE TO moves.retired
    DO INSTEAD UPDATE moves.part SET k = 1 WHERE k = old.k AND n = old.n;

CREATE TABLE moves.parent (k integer PRIMARY KEY);
CREATE TABLE moves.follower (
    k integer REFERENCES moves.parent ON UPDATE CASCADE ON DELETE CASCADE, n integer
) PARTITION BY LIST (k);
CREATE TABLE moves.follower_0 PARTITION OF moves.follower FOR VALUES IN (0);
CREATE TABLE moves.follower_1 PARTITION OF moves.follower FOR VALUES IN (1);
CREATE TRIGGER drops BEFORE INSERT ON moves.follower_1 FOR EACH ROW EXECUTE FUNCTION moves.drops();
INSERT INTO moves.parent VALUES (0);
INSERT INTO moves.follower SELECT 0, g FROM generate_series(1, 10) AS g;

-- A trigger is not told the text of a statement in such a function.
CREATE FUNCTION moves.by_sql() RETURNS void LANGUAGE sql AS $$
    MERGE INTO moves.part AS p USING generate_series(1, 3) AS g ON p.k = 0 AND p.n = g WHEN MATCHED THEN UPDATE SET k = 1;
$$;
CREATE FUNCTION moves.update_by_sql() RETURNS void LANGUAGE sql AS $$
    UPDATE moves.part SET k = 1 WHERE n <= 3;
$$;
CREATE FUNCTION moves.by_plpgsql() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    MERGE INTO moves.part AS p USING generate_series(1, 3) AS g ON p.k = 0 AND p.n = g WHEN MATCHED THEN UPDATE SET k = 2;
END
$$;
