-- Names that have to be quoted: capitals, quotes, dots, spaces, an emoji, words of SQL, and as long as names can be.
CREATE SCHEMA "Odd ""Näme"" 🦀";
SET search_path = "Odd ""Näme"" 🦀";
CREATE TABLE "select" ("from" integer PRIMARY KEY, "where" text);
CREATE TABLE "a.b" ("c.d" integer PRIMARY KEY, "E" integer REFERENCES "select" ON DELETE SET NULL);
CREATE TABLE "Ta ble" ("id" integer PRIMARY KEY, "it's" text, "100%" integer NOT NULL DEFAULT 0);
CREATE TABLE "quo""te" ("""" integer PRIMARY KEY, "\" text);
CREATE TABLE "🦀" ("🦀" integer PRIMARY KEY, v integer);
CREATE TABLE "sixty-three bytes: äöü, and as many more as there have to be" (id integer PRIMARY KEY, v integer);
CREATE TABLE "Parts" (id integer, "Key" integer, PRIMARY KEY (id, "Key")) PARTITION BY LIST ("Key");
CREATE TABLE "Part 0" PARTITION OF "Parts" FOR VALUES IN (0);
CREATE TABLE "Part ""1""" PARTITION OF "Parts" FOR VALUES IN (1);
CREATE TABLE "Part 🦀" PARTITION OF "Parts" DEFAULT;

CREATE FUNCTION "Trig ger"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO "Odd ""Näme"" 🦀"."🦀" VALUES (new.id, 1) ON CONFLICT ("🦀") DO UPDATE SET v = "🦀".v + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER "Trig ger" AFTER INSERT OR UPDATE ON "Ta ble" FOR EACH ROW EXECUTE FUNCTION "Trig ger"();
CREATE VIEW "View" AS SELECT "from" AS "as", "where" FROM "select";
CREATE FUNCTION touch(p_id bigint) RETURNS bigint LANGUAGE sql SET search_path = "Odd ""Näme"" 🦀" AS $$
    INSERT INTO "Parts" VALUES (p_id, p_id % 3) ON CONFLICT DO NOTHING;
    UPDATE "Parts" SET "Key" = ("Key" + 1) % 3 WHERE id = p_id;
    SELECT p_id;
$$;

INSERT INTO "select" SELECT g, 'w' FROM generate_series(1, 20) AS g;
INSERT INTO "a.b" SELECT g, g FROM generate_series(1, 20) AS g;
INSERT INTO "Ta ble" SELECT g, 't' FROM generate_series(1, 20) AS g;
INSERT INTO "quo""te" SELECT g, 'q' FROM generate_series(1, 20) AS g;
INSERT INTO "🦀" SELECT 100 + g, g FROM generate_series(1, 20) AS g;
INSERT INTO "sixty-three bytes: äöü, and as many more as there have to be" SELECT g, g FROM generate_series(1, 20) AS g;
INSERT INTO "Parts" SELECT g, g % 4 FROM generate_series(1, 20) AS g;
RESET search_path;
