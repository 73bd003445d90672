-- Events in partitions of two levels: rows that move, rows that a partition drops, columns in another order.
CREATE SCHEMA events;
CREATE TABLE events.event (
    id integer NOT NULL,
    kind integer NOT NULL,
    at integer NOT NULL DEFAULT 0,
    body text,
    PRIMARY KEY (kind, id, at)
) PARTITION BY LIST (kind);
CREATE TABLE events.by_time PARTITION OF events.event FOR VALUES IN (0) PARTITION BY RANGE (at);
CREATE TABLE events.early PARTITION OF events.by_time FOR VALUES FROM (MINVALUE) TO (50);
CREATE TABLE events.late PARTITION OF events.by_time FOR VALUES FROM (50) TO (100);
CREATE TABLE events.whenever PARTITION OF events.by_time DEFAULT;
CREATE TABLE events.spread PARTITION OF events.event FOR VALUES IN (1) PARTITION BY HASH (id);
CREATE TABLE events.spread_0 PARTITION OF events.spread FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events.spread_1 PARTITION OF events.spread FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events.drops (gone text, body text, at integer NOT NULL DEFAULT 0, id integer NOT NULL, kind integer NOT NULL);
ALTER TABLE events.drops DROP COLUMN gone;
ALTER TABLE events.event ATTACH PARTITION events.drops FOR VALUES IN (2);
CREATE TABLE events.others PARTITION OF events.event DEFAULT;
CREATE TABLE events.note (
    event integer NOT NULL, kind integer NOT NULL, at integer NOT NULL, note text,
    FOREIGN KEY (kind, event, at) REFERENCES events.event (kind, id, at) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE events.summary (kind integer PRIMARY KEY, seen integer NOT NULL);
CREATE TABLE events.plain (id integer PRIMARY KEY, v integer NOT NULL);

CREATE FUNCTION events.drop_odd() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.id % 2 = 1 THEN RETURN NULL; END IF;
    RETURN new;
END
$$;
CREATE TRIGGER drop_odd BEFORE INSERT ON events.drops FOR EACH ROW EXECUTE FUNCTION events.drop_odd();
CREATE TRIGGER drop_odd BEFORE INSERT ON events.late FOR EACH ROW EXECUTE FUNCTION events.drop_odd();
CREATE TRIGGER drop_odd BEFORE UPDATE ON events.others FOR EACH ROW EXECUTE FUNCTION events.drop_odd();
CREATE FUNCTION events.summarize() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events.summary AS s VALUES (coalesce(new.kind, old.kind), 1)
    ON CONFLICT (kind) DO UPDATE SET seen = s.seen + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER summarize AFTER INSERT OR DELETE ON events.event FOR EACH ROW EXECUTE FUNCTION events.summarize();
CREATE FUNCTION events.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.body := coalesce(new.body, '') || '.';
    RETURN new;
END
$$;
CREATE TRIGGER stamp BEFORE UPDATE ON events.spread_1 FOR EACH ROW EXECUTE FUNCTION events.stamp();

CREATE FUNCTION events.touch(p_id bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    UPDATE events.event SET kind = (kind + 1) % 3 WHERE id = p_id;
    INSERT INTO events.plain VALUES (p_id, 1) ON CONFLICT (id) DO UPDATE SET v = events.plain.v + 1;
    RETURN p_id;
END
$$;

INSERT INTO events.event SELECT g, g % 5, g * 3 FROM generate_series(1, 40) AS g;
INSERT INTO events.note SELECT id, kind, at, 'n' FROM events.event WHERE id % 3 = 0;
INSERT INTO events.plain SELECT g, g FROM generate_series(1, 20) AS g;
