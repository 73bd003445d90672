//! What the digest of a column stands for: the change of each row, however it is made; and what is left out of it.

use std::collections::BTreeMap;

use phasegate::plan::{ColumnChange, PlannedContents};

use crate::server::Database;
use crate::{rehearse, shop};

/// What a rehearsal of these statements does to the columns of the tables.
fn contents(database: &Database, statements: &[&str]) -> BTreeMap<String, PlannedContents> {
    let report = rehearse(database, &|tx| {
        for statement in statements {
            tx.execute(*statement, &[])?;
        }
        Ok(())
    });
    let mut report = report.unwrap_or_else(|error| panic!("{statements:?}: {error:?}"));
    report.phases.remove(0).contents
}

/// The digests of one table: `updated currency=0123..`, with `-` for a value that is not compared.
fn digests(database: &Database, table: &str, statements: &[&str]) -> Vec<String> {
    let contents = contents(database, statements);
    let Some(table) = contents.get(table) else {
        return Vec::new();
    };
    let changes = table.changes().iter();
    let columns = changes.flat_map(|(change, columns)| columns.iter().map(move |c| (change, c)));
    columns
        .map(|(change, (name, column))| {
            format!("{change} {name}={}", column.values().unwrap_or("-"))
        })
        .collect()
}

/// Asserts that the ways of doing something are the same to the digests of the table.
#[track_caller]
fn same(database: &Database, table: &str, ways: &[&[&str]]) {
    let first = digests(database, table, ways[0]);
    assert!(first.iter().any(|one| !one.ends_with("=-")), "{first:?}");
    for way in &ways[1..] {
        assert_eq!(digests(database, table, way), first, "{way:?}");
    }
}

/// Asserts that any two of them differ.
#[track_caller]
fn different(database: &Database, table: &str, ways: &[&[&str]]) {
    let all: Vec<_> = ways
        .iter()
        .map(|way| digests(database, table, way))
        .collect();
    for (i, first) in all.iter().enumerate() {
        assert!(!first.is_empty(), "{:?}", ways[i]);
        for (j, second) in all.iter().enumerate().skip(i + 1) {
            assert_ne!(first, second, "{:?} and {:?}", ways[i], ways[j]);
        }
    }
}

/// A shop, and a table of it that the statements create, guarded by contents.
fn with(table: &str, create: &str) -> Database {
    let database = shop();
    database.sql(create);
    database.sql(&format!(
        "SELECT phasegate.protect('{table}', 'contents'); \
         GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA shop TO {0}; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA shop TO {0}",
        database.runner.name()
    ));
    database
}

#[test]
fn order_chunks_detours_and_savepoints_do_not_matter() {
    same(
        &shop(),
        "shop.orders",
        &[
            &["UPDATE shop.orders SET status = 'billed' WHERE id <= 3"],
            &[
                "UPDATE shop.orders SET status = 'billed' WHERE id = 3",
                "UPDATE shop.orders SET status = 'billed' WHERE id = 1",
                "UPDATE shop.orders SET status = 'billed' WHERE id = 2",
            ],
            &[
                "UPDATE shop.orders SET status = 'open' WHERE id <= 3",
                "UPDATE shop.orders SET status = 'billed' WHERE id <= 3",
            ],
            &["DO $$ BEGIN \
                 UPDATE shop.orders SET status = 'billed' WHERE id <= 3; \
                 BEGIN UPDATE shop.orders SET status = 'lost', cents = 0; RAISE 'no'; \
                 EXCEPTION WHEN OTHERS THEN NULL; END; END $$"],
            &[
                "MERGE INTO shop.orders AS o USING generate_series(1, 3) AS i ON o.id = i \
               WHEN MATCHED THEN UPDATE SET status = 'billed'",
            ],
            &[
                "INSERT INTO shop.orders SELECT * FROM shop.orders WHERE id <= 3 \
               ON CONFLICT (id) DO UPDATE SET status = 'billed'",
            ],
            &[
                "WITH a AS (UPDATE shop.orders SET status = 'billed' WHERE id = 1) \
               UPDATE shop.orders SET status = 'billed' WHERE id IN (2, 3)",
            ],
        ],
    );
}

#[test]
fn what_is_changed_and_changed_back_is_no_change() {
    let database = shop();
    let contents = contents(
        &database,
        &[
            "UPDATE shop.orders SET status = 'billed' WHERE id <= 3",
            "UPDATE shop.orders SET status = 'new' WHERE id <= 3",
        ],
    );
    let updated = &contents["shop.orders"].changes()[&ColumnChange::Updated];
    assert_eq!(updated["status"].values(), Some("0000000000000000"));
}

#[test]
fn which_row_gets_which_value_matters() {
    different(
        &shop(),
        "shop.orders",
        &[
            &["UPDATE shop.orders SET status = CASE id WHEN 1 THEN 'a' ELSE 'b' END WHERE id <= 2"],
            &["UPDATE shop.orders SET status = CASE id WHEN 2 THEN 'a' ELSE 'b' END WHERE id <= 2"],
            &[
                "UPDATE shop.orders SET status = CASE id WHEN 1 THEN 'a' ELSE 'b' END WHERE id IN (1, 3)",
            ],
            &["UPDATE shop.orders SET status = 'a' WHERE id = 1"],
            &["UPDATE shop.orders SET status = NULL WHERE id = 1"],
            &["UPDATE shop.orders SET status = '' WHERE id = 1"],
            &["UPDATE shop.orders SET status = 'NULL' WHERE id = 1"],
            &["UPDATE shop.orders SET status = 'now' WHERE id = 1"],
            &["UPDATE shop.orders SET status = '=now' WHERE id = 1"],
            &["UPDATE shop.orders SET cents = 1 WHERE id = 2"],
            &["UPDATE shop.orders SET cents = 11 WHERE id = 2"],
            &["DELETE FROM shop.orders WHERE id = 1"],
            &["DELETE FROM shop.orders WHERE id = 2"],
            &["UPDATE shop.orders SET id = 101 WHERE id = 1"],
            &["UPDATE shop.orders SET id = 101 WHERE id = 2"],
            &["INSERT INTO shop.orders VALUES (101, 'DE', 'EUR', 1, 'new')"],
            &["INSERT INTO shop.orders VALUES (101, 'DE', 'EUR', 2, 'new')"],
            &["INSERT INTO shop.orders VALUES (102, 'DE', 'EUR', 1, 'new')"],
            &["INSERT INTO shop.orders VALUES (102, 'DE', 'EUR', 1, NULL)"],
        ],
    );
}

/// By one statement as by many: the rows of before and after are paired by their place, by each plan that joins them.
#[test]
fn rows_are_paired_whatever_becomes_of_their_key() {
    let database = shop();
    same(
        &database,
        "shop.orders",
        &[
            &["UPDATE shop.orders SET id = id + 100, status = 'moved'"],
            &[
                "DO $$ DECLARE v int; BEGIN FOR v IN SELECT id FROM shop.orders ORDER BY id DESC LOOP \
                 UPDATE shop.orders SET id = id + 100, status = 'moved' WHERE id = v; END LOOP; END $$",
            ],
        ],
    );
}

#[test]
fn rows_without_a_key_are_bound_as_a_whole() {
    let database = with(
        "shop.line",
        "CREATE TABLE shop.line (of int, \"What it Is\" text)",
    );
    let line = "shop.line";
    same(
        &database,
        line,
        &[
            &["INSERT INTO shop.line VALUES (1, 'a'), (2, 'b')"],
            &[
                "INSERT INTO shop.line VALUES (2, 'b')",
                "INSERT INTO shop.line VALUES (1, 'a')",
            ],
        ],
    );
    different(
        &database,
        line,
        &[
            &["INSERT INTO shop.line VALUES (1, 'a'), (2, 'b')"],
            &["INSERT INTO shop.line VALUES (2, 'a'), (1, 'b')"],
            &["INSERT INTO shop.line VALUES (1, 'a'), (2, NULL)"],
        ],
    );
    let names = digests(
        &database,
        line,
        &[
            "INSERT INTO shop.line VALUES (1, 'a')",
            "UPDATE shop.line SET \"What it Is\" = 'b'",
            "DELETE FROM shop.line",
        ],
    );
    let names: Vec<_> = names
        .iter()
        .map(|one| one.split('=').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "deleted *",
            "updated \"What it Is\"",
            "inserted \"What it Is\"",
            "inserted *",
            "inserted of",
        ]
    );
}

/// Times of the transaction, drawn keys, generated columns: named, and the same in every run.
#[test]
fn what_differs_in_every_run_is_left_out() {
    let database = with(
        "shop.event",
        "CREATE TABLE shop.event (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
           serial serial, what text, length int GENERATED ALWAYS AS (length(what)) STORED, \
           at timestamptz DEFAULT now(), clock timestamptz DEFAULT clock_timestamp(), \
           day date DEFAULT current_date, until timestamptz DEFAULT 'infinity')",
    );
    let insert: &[&str] = &["INSERT INTO shop.event (what) VALUES ('a'), ('b')"];
    let once = digests(&database, "shop.event", insert);
    assert_eq!(digests(&database, "shop.event", insert), once);
    let bound: Vec<_> = once.iter().filter(|one| !one.ends_with("=-")).collect();
    assert_eq!(bound.len(), 6, "{once:?}");
    // Where it is another day already, or still.
    for zone in ["Pacific/Kiritimati", "Etc/GMT+12"] {
        let set = format!("SET LOCAL timezone = '{zone}'");
        let elsewhere = digests(&database, "shop.event", &[&set, insert[0]]);
        assert_eq!(elsewhere, once, "{zone}");
    }
    assert_eq!(
        digests(
            &database,
            "shop.event",
            &["INSERT INTO shop.event (what) VALUES ('b'), ('a')"]
        ),
        once,
        "rows whose keys are drawn are told apart by nothing"
    );
    different(
        &database,
        "shop.event",
        &[
            insert,
            &["INSERT INTO shop.event (what) VALUES ('a'), ('c')"],
            &["INSERT INTO shop.event (what, at) VALUES ('a', 'epoch'), ('b', now())"],
            &[
                "INSERT INTO shop.event (what, at) VALUES ('a', now() - interval '1 h'), ('b', now())",
            ],
            &["INSERT INTO shop.event (what, until) VALUES ('a', '2030-01-01'), ('b', 'infinity')"],
        ],
    );
}

/// A value has one text in each zone and style of a session.
#[test]
fn settings_of_the_session_do_not_matter() {
    let database = with(
        "shop.typed",
        "CREATE TABLE shop.typed (id int PRIMARY KEY, t timestamptz, i interval, f float8, b bytea, m money, \
           a int[], j jsonb, r numrange, c shop.setting)",
    );
    let insert = "INSERT INTO shop.typed VALUES (1, '2026-01-02 03:04:05+00', '1 day 2 h', 0.1, '\\x00ff', \
                  '1.50', '{1,2}', '{\"a\": 1}', '[1,2)', ROW(1))";
    same(
        &database,
        "shop.typed",
        &[
            &[insert],
            &[
                "SET LOCAL timezone = 'Asia/Tokyo'",
                "SET LOCAL datestyle = 'German'",
                "SET LOCAL intervalstyle = 'iso_8601'",
                "SET LOCAL extra_float_digits = 0",
                "SET LOCAL bytea_output = 'escape'",
                insert,
            ],
        ],
    );
}

#[test]
fn a_partition_counts_for_its_root() {
    let database = with(
        "shop.measure",
        "CREATE TABLE shop.measure (day int, name text, value int, PRIMARY KEY (day, name)) PARTITION BY RANGE (day); \
         CREATE TABLE shop.early PARTITION OF shop.measure FOR VALUES FROM (0) TO (10); \
         CREATE TABLE shop.late (value int, name text NOT NULL, day int NOT NULL, extra int); \
         ALTER TABLE shop.late DROP extra; \
         ALTER TABLE shop.measure ATTACH PARTITION shop.late FOR VALUES FROM (10) TO (20); \
         INSERT INTO shop.measure SELECT i, 'm' || i, i FROM generate_series(1, 19) AS i",
    );
    same(
        &database,
        "shop.measure",
        &[
            &["UPDATE shop.measure SET value = 0"],
            &[
                "UPDATE shop.early SET value = 0",
                "UPDATE shop.late SET value = 0",
            ],
            &["DO $$ BEGIN FOR i IN 1 .. 19 LOOP \
                 UPDATE shop.measure SET value = 0 WHERE day = i; END LOOP; END $$"],
        ],
    );
    same(
        &database,
        "shop.measure",
        &[
            &["INSERT INTO shop.measure VALUES (0, 'a', 1), (10, 'b', 2)"],
            &[
                "INSERT INTO shop.late (day, name, value) VALUES (10, 'b', 2)",
                "INSERT INTO shop.early VALUES (0, 'a', 1)",
            ],
        ],
    );
    same(
        &database,
        "shop.measure",
        &[
            &["DELETE FROM shop.measure WHERE day IN (5, 15)"],
            &[
                "DELETE FROM shop.late WHERE day = 15",
                "DELETE FROM shop.early WHERE day = 5",
            ],
        ],
    );
}

/// A row that moves from one partition to another is deleted and inserted to the partitions, and updated to the root.
#[test]
fn a_row_that_moves_to_another_partition_is_bound() {
    let database = with(
        "shop.measure",
        "CREATE TABLE shop.measure (day int, value int) PARTITION BY RANGE (day); \
         CREATE TABLE shop.early PARTITION OF shop.measure FOR VALUES FROM (0) TO (10); \
         CREATE TABLE shop.late PARTITION OF shop.measure FOR VALUES FROM (10) TO (20); \
         INSERT INTO shop.measure SELECT i, i FROM generate_series(1, 19) AS i",
    );
    different(
        &database,
        "shop.measure",
        &[
            &["UPDATE shop.measure SET day = day + 10 WHERE day < 5"],
            &["UPDATE shop.measure SET day = day + 11 WHERE day < 5"],
            &["UPDATE shop.measure SET day = day + 10 WHERE day < 4"],
        ],
    );
}

#[test]
fn rows_that_a_cascade_changes_are_bound_and_those_of_triggers_named() {
    let database = with(
        "shop.item",
        "CREATE TABLE shop.item (id int PRIMARY KEY, of int REFERENCES shop.orders ON DELETE CASCADE ON UPDATE CASCADE); \
         INSERT INTO shop.item SELECT i, 1 + i / 10 FROM generate_series(1, 30) AS i",
    );
    let deleted = digests(
        &database,
        "shop.item",
        &["DELETE FROM shop.orders WHERE id = 2"],
    );
    assert_eq!(deleted.len(), 1);
    assert!(
        deleted[0].starts_with("deleted *=") && !deleted[0].ends_with("=-"),
        "{deleted:?}"
    );
    let noted = digests(
        &database,
        "shop.noted",
        &["UPDATE shop.orders SET status = 'x' WHERE id = 2"],
    );
    assert_eq!(
        noted,
        [
            "inserted by triggers id=-",
            "inserted by triggers sort=-",
            "inserted by triggers was=-"
        ]
    );
}
