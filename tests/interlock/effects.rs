//! What the journal says that a phase did.

use phasegate::Error;

use crate::hand::rolled_back_by;
use crate::pipeline::{Draft, TABLE};
use crate::server::{Database, all, database};

/// A database in which the runner may write these tables too.
fn with(tables: &str, granted: &str) -> Database {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "{tables}; GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {granted} TO {runner}"
    ));
    database
}

fn phase(database: &Database, statements: &[&str]) -> Result<u64, Error> {
    phase_that_changes(database, statements, "")
}

/// Performs the statements in a phase which is planned to change `tables`, as `journalled` names them.
fn phase_that_changes(
    database: &Database,
    statements: &[&str],
    tables: &str,
) -> Result<u64, Error> {
    let names = tables
        .split(", ")
        .filter_map(|table| table.split(" +").next());
    let draft = names
        .filter(|name| !name.is_empty() && *name != TABLE)
        .fold(Draft::of(&["a"]), |draft, name| {
            database.sql(&format!("SELECT phasegate.protect('{name}')"));
            draft.and(name)
        });
    database.draft_by(&draft, |_, tx| {
        for statement in statements {
            tx.execute(*statement, &[])?;
        }
        Ok(1)
    })
}

/// The effects in the journal: each table, with the rows inserted, updated and deleted.
fn journalled(database: &Database) -> String {
    database.ask(
        "SELECT coalesce(string_agg(format('%s +%s ~%s -%s', e.key, e.value ->> 'inserted', \
                e.value ->> 'updated', e.value ->> 'deleted'), ', ' ORDER BY e.key), '') \
         FROM phasegate.journal AS j, jsonb_each(j.body::jsonb -> 'effects') AS e",
    )
}

#[track_caller]
fn effects(database: &Database, statements: &[&str], expected: &str) {
    assert_eq!(
        phase_that_changes(database, statements, expected).unwrap(),
        1
    );
    assert_eq!(journalled(database), expected, "{statements:?}");
}

/// Asserts that a phase of these statements is rolled back because of what no counter sees.
#[track_caller]
fn uncountable(database: &Database, statements: &[&str], table: &str) {
    let rollback = rolled_back_by(database, phase(database, statements), "ZG006");
    assert!(rollback.to_string().contains(table), "{rollback}");
}

#[test]
fn rows_inserted_updated_and_deleted_are_counted_for_each_table() {
    let database = with("CREATE TABLE other (n int)", "other");
    effects(
        &database,
        &[
            "INSERT INTO item SELECT 'n' || g, 'draft' FROM generate_series(1, 5) AS g",
            "UPDATE item SET state = 'x' WHERE name <= 'n3'",
            "DELETE FROM item WHERE name = 'n1'",
            "INSERT INTO other VALUES (1), (2)",
        ],
        "public.item +5 ~3 -1, public.other +2 ~0 -0",
    );
}

#[test]
fn what_reads_or_changes_nothing_has_no_effect() {
    effects(
        &database(),
        &[
            "SELECT * FROM item FOR UPDATE",
            "UPDATE item SET state = 'x' WHERE false",
            "INSERT INTO item VALUES ('a') ON CONFLICT DO NOTHING",
            "DELETE FROM item",
        ],
        "public.item +1 ~0 -1",
    );
    effects(&database(), &["SELECT * FROM item", "DELETE FROM item"], "");
}

#[test]
fn merge_and_on_conflict_are_counted_as_what_they_do() {
    effects(
        &database(),
        &[
            "INSERT INTO item VALUES ('a', '1'), ('b', '1')",
            "INSERT INTO item VALUES ('b', '2'), ('c', '2') ON CONFLICT (name) DO UPDATE SET state = '2'",
            "MERGE INTO item USING (VALUES ('a'), ('d')) AS s (n) ON name = n \
               WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (n)",
        ],
        "public.item +4 ~1 -1",
    );
}

#[test]
fn triggers_functions_cascades_and_copies_are_counted() {
    let database = with(
        "CREATE TABLE log (what text); CREATE TABLE town (name text PRIMARY KEY); \
         CREATE TABLE street (town text REFERENCES town ON DELETE CASCADE); \
         INSERT INTO town VALUES ('a'); INSERT INTO street VALUES ('a'), ('a'), ('a'); \
         CREATE TABLE copied (n int); \
         CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
           AS $$ BEGIN INSERT INTO public.log VALUES ('twice'), ('twice'); RETURN NULL; END $$; \
         CREATE TRIGGER logs AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION logs(); \
         CREATE FUNCTION writes() RETURNS void LANGUAGE sql SECURITY DEFINER \
           AS $$ UPDATE public.item SET state = 'x' $$; \
         CREATE FUNCTION copies() RETURNS void LANGUAGE plpgsql SECURITY DEFINER \
           AS $$ BEGIN COPY public.copied FROM PROGRAM 'seq 7'; END $$",
        "town",
    );
    effects(
        &database,
        &[
            "INSERT INTO item VALUES ('a'), ('b')",
            "SELECT writes()",
            "DELETE FROM town",
            "SELECT copies()",
        ],
        "public.copied +7 ~0 -0, public.item +2 ~2 -0, public.log +4 ~0 -0, \
         public.street +0 ~0 -3, public.town +0 ~0 -1",
    );
}

#[test]
fn a_constraint_trigger_in_the_drain_is_counted() {
    let database = with("CREATE TABLE late (n int)", "late");
    database.at_commit("INSERT INTO public.late VALUES (1)");
    effects(
        &database,
        &["INSERT INTO item VALUES ('a'), ('b')"],
        "public.item +2 ~0 -0, public.late +2 ~0 -0",
    );
}

const SALE: &str = "CREATE TABLE sale (year int, what text) PARTITION BY LIST (year); \
    CREATE TABLE sale_1 PARTITION OF sale FOR VALUES IN (1); \
    CREATE TABLE sale_2 PARTITION OF sale FOR VALUES IN (2) PARTITION BY LIST (what); \
    CREATE TABLE sale_2_a PARTITION OF sale_2 DEFAULT";

#[test]
fn a_partition_counts_for_its_root_and_a_row_that_moves_is_deleted_and_inserted() {
    let database = with(SALE, "sale, sale_1");
    let statements = [
        "INSERT INTO sale VALUES (1, 'x'), (2, 'y')",
        "INSERT INTO sale_1 VALUES (1, 'z')",
        "UPDATE sale SET year = 2 WHERE what = 'x'",
        "UPDATE sale SET what = 'w' WHERE what = 'y'",
    ];
    effects(&database, &statements, "public.sale +4 ~1 -1");
    // Counted by statements, such a row is updated.
    let database = with(
        &format!("{SALE}; SELECT phasegate.protect('sale', 'statements')"),
        "sale, sale_1",
    );
    effects(&database, &statements, "public.sale +3 ~2 -0");
}

#[test]
fn a_childs_rows_count_for_the_child_or_where_statements_count_for_the_table_named() {
    let database = with(
        "CREATE TABLE child () INHERITS (item); INSERT INTO child VALUES ('c'); \
         SELECT phasegate.protect('item', 'statements')",
        "child",
    );
    let statements = [
        "INSERT INTO item VALUES ('a')",
        "UPDATE item SET state = 'x'",
    ];
    effects(&database, &statements, "public.item +1 ~2 -0");
    let itself = ["UPDATE child SET state = 'y'"];
    assert_eq!(
        phase_that_changes(&database, &itself, "public.child").unwrap(),
        1
    );
    let counted = journalled(&database);
    assert!(counted.contains("public.child +0 ~1 -0"), "{counted}");

    let database = with(
        "CREATE TABLE child () INHERITS (item); INSERT INTO child VALUES ('c'); SELECT phasegate.protect('item')",
        "child",
    );
    phase_that_changes(&database, &statements, "public.child").unwrap();
    assert_eq!(
        journalled(&database),
        "public.child +0 ~1 -0, public.item +1 ~1 -0"
    );
}

#[test]
fn what_a_savepoint_took_back_is_not_counted() {
    let database = database();
    let done = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute("INSERT INTO item VALUES ('kept', 'draft')", &[])?;
        let failed = tx.savepoint(|tx| {
            tx.execute("INSERT INTO item VALUES ('b'), ('c')", &[])?;
            Err::<(), _>(phasegate::Failure::new("taken back"))
        });
        assert!(failed.is_err());
        Ok(1)
    });
    assert_eq!(done.unwrap(), 1);
    assert_eq!(database.items(), all(&["kept"], "draft"));
    assert_eq!(journalled(&database), "public.item +1 ~0 -0");
}

#[test]
fn a_table_that_was_written_in_nothing_but_a_savepoint_that_was_taken_back_is_not_named() {
    let database = database();
    let done = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let failed = tx.savepoint(|tx| {
            tx.execute("INSERT INTO item VALUES ('b'), ('c')", &[])?;
            Err::<(), _>(phasegate::Failure::new("taken back"))
        });
        assert!(failed.is_err());
        Ok(1)
    });
    assert_eq!(done.unwrap(), 1);
    assert_eq!(journalled(&database), "");
}

#[test]
fn truncate_is_refused_by_name_however_it_is_said() {
    let database = with(
        "CREATE TABLE other (n int); INSERT INTO other VALUES (1); \
         CREATE FUNCTION empties() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ TRUNCATE public.other $$",
        "other",
    );
    for truncate in [
        "TRUNCATE other",
        "TRUNCATE other CASCADE",
        "DO $$ BEGIN TRUNCATE other; END $$",
        "SELECT empties()",
    ] {
        uncountable(
            &database,
            &["INSERT INTO other VALUES (2)", truncate],
            "public.other",
        );
        // It would hide what came before it.
        uncountable(
            &database,
            &[truncate, "INSERT INTO other VALUES (2)"],
            "public.other",
        );
    }
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM other"), 1);
}

#[test]
fn a_truncate_that_a_savepoint_took_back_hides_nothing() {
    let database = with("CREATE TABLE other (n int)", "other");
    database.sql("SELECT phasegate.protect('other')");
    let done = database.draft_by(&Draft::of(&["a"]).and("public.other"), |_, tx| {
        tx.execute("INSERT INTO other VALUES (1), (2), (3)", &[])?;
        let failed = tx.savepoint(|tx| {
            tx.execute("TRUNCATE other", &[])?;
            Err::<(), _>(phasegate::Failure::new("taken back"))
        });
        assert!(failed.is_err());
        Ok(1)
    });
    assert_eq!(done.unwrap(), 1);
    assert_eq!(journalled(&database), "public.other +3 ~0 -0");
}

#[test]
fn ddl_of_an_owners_function_that_rewrites_or_removes_a_table_is_refused_by_name() {
    let database = with("CREATE TABLE other (n int)", "other");
    for ddl in [
        "ALTER TABLE public.other ADD COLUMN m int DEFAULT 1",
        "ALTER TABLE public.other ALTER COLUMN n TYPE text",
        "ALTER TABLE public.other RENAME TO another",
        "CREATE TABLE public.made AS SELECT 1 AS n",
    ] {
        database.sql(&format!(
            "CREATE OR REPLACE FUNCTION changes() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN {ddl}; END $f$"
        ));
        let name = if ddl.contains("made") {
            "public.made"
        } else {
            "public.another"
        };
        let name = if ddl.contains("ADD") || ddl.contains("TYPE") {
            "public.other"
        } else {
            name
        };
        uncountable(&database, &["SELECT changes()"], name);
    }
    // The strongest lock that a phase may take by itself.
    database.sql("DROP FUNCTION changes()");
    uncountable(
        &database,
        &["LOCK TABLE other IN ACCESS EXCLUSIVE MODE"],
        "public.other",
    );
    effects(&database, &["LOCK TABLE other IN EXCLUSIVE MODE"], "");
}

#[test]
fn a_phase_in_which_an_owners_function_drops_a_table_is_refused_whatever_that_table_was() {
    for ddl in [
        "DROP TABLE public.other",
        "DROP TABLE public.item CASCADE",
        "DROP SCHEMA apart CASCADE",
        "UPDATE public.item SET state = 'x'; DROP TABLE public.item",
        "CREATE TABLE public.made AS SELECT 1 AS n; DROP TABLE public.made",
    ] {
        let database = with(
            "CREATE TABLE other (n int); CREATE SCHEMA apart; CREATE TABLE apart.kept (n int); \
             INSERT INTO item VALUES ('b', 'draft')",
            "other",
        );
        database.sql(&format!(
            "CREATE FUNCTION drops() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN {ddl}; END $f$"
        ));
        for before in ["SELECT 1", "INSERT INTO item VALUES ('a', 'draft')"] {
            let rollback = crate::server::rollback(phase(&database, &[before, "SELECT drops()"]));
            let said = rollback.failure().and_then(phasegate::Failure::sqlstate);
            let said = said.map(postgres::error::SqlState::code);
            assert_eq!(said, Some("ZG006"), "{ddl}: {rollback}");
            assert_eq!(database.items(), all(&["b"], "draft"));
        }
        // What a savepoint takes back is there, and of guarded tables where statements are counted.
        database.sql("SELECT phasegate.protect('item', 'statements')");
        let back = "DO $$ BEGIN PERFORM drops(); RAISE 'back'; EXCEPTION WHEN raise_exception THEN NULL; END $$";
        effects(&database, &[back], "");
    }
}

/// A database in which the function `changes` performs `ddl` with its owner's rights.
fn with_ddl(ddl: &str) -> Database {
    let database = with(
        "CREATE TABLE other (n int CHECK (n > 0)); CREATE INDEX other_n ON other (n); \
         CREATE SEQUENCE numbers; CREATE VIEW seen AS SELECT n FROM other; \
         CREATE MATERIALIZED VIEW sums AS SELECT 1 AS n; CREATE UNIQUE INDEX one ON sums (n); \
         ALTER TABLE other ADD CONSTRAINT later CHECK (n < 100) NOT VALID",
        "other",
    );
    database.sql(&format!(
        "CREATE FUNCTION changes() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN {ddl}; END $f$"
    ));
    database
}

#[test]
fn ddl_of_an_owners_function_is_refused_by_the_name_of_what_it_changes() {
    for (ddl, said) in [
        (
            "CREATE INDEX by_n ON other (n)",
            "the table public.other was altered, analyzed or given an index",
        ),
        (
            "CREATE STATISTICS s ON n, (n + 1) FROM other",
            "the table public.other was altered",
        ),
        (
            "ALTER TABLE other SET (fillfactor = 50)",
            "the table public.other was altered",
        ),
        (
            "ALTER TABLE other VALIDATE CONSTRAINT later",
            "the table public.other was altered",
        ),
        (
            "ALTER TABLE other CLUSTER ON other_n",
            "the table public.other was altered",
        ),
        (
            "COMMENT ON TABLE other IS 'changed'",
            "the table public.other was altered",
        ),
        (
            "ANALYZE other",
            "the table public.other was altered, analyzed",
        ),
        (
            "CREATE TRIGGER t BEFORE INSERT ON other EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "a constraint or a trigger",
        ),
        (
            "REINDEX INDEX other_n",
            "the index public.other_n was made or rebuilt",
        ),
        (
            "CREATE OR REPLACE VIEW seen AS SELECT n FROM other WHERE n > 1",
            "the view public.seen was made or replaced",
        ),
        (
            "CREATE VIEW another AS SELECT 1 AS n",
            "the view public.another was made or replaced",
        ),
        (
            "ALTER SEQUENCE numbers INCREMENT BY 5",
            "the sequence public.numbers was made or altered",
        ),
        (
            "CREATE SEQUENCE others",
            "the sequence public.others was made or altered",
        ),
        (
            "REFRESH MATERIALIZED VIEW sums",
            "the materialized view public.sums was refreshed or altered",
        ),
        (
            "REFRESH MATERIALIZED VIEW CONCURRENTLY sums",
            "the materialized view public.sums was refreshed or altered",
        ),
        (
            "CREATE TEMPORARY TABLE scratch AS SELECT 1 AS n",
            ".scratch was made or altered",
        ),
        (
            "TRUNCATE other",
            "the table public.other was truncated, made or altered",
        ),
    ] {
        let database = with_ddl(ddl);
        for before in ["SELECT 1", "INSERT INTO item VALUES ('a', 'draft')"] {
            uncountable(&database, &[before, "SELECT changes()"], said);
        }
    }
}

#[test]
fn a_function_that_makes_and_drops_a_temporary_table_is_named_as_a_cause() {
    let database = with_ddl("CREATE TEMPORARY TABLE scratch (n int); DROP TABLE scratch");
    let rolled_back = crate::server::rollback(phase(&database, &["SELECT changes()"]));
    let text = rolled_back.to_string();
    assert!(text.contains("makes and drops a temporary table"), "{text}");
}

#[test]
fn ddl_that_leaves_no_lock_stays_open_to_an_owners_function() {
    let database = with_ddl(
        "CREATE FUNCTION public.made() RETURNS int LANGUAGE sql RETURN 1; \
         COMMENT ON FUNCTION public.made IS 'made'; CREATE TYPE public.mood AS ENUM ('good'); \
         GRANT SELECT ON public.other TO PUBLIC",
    );
    effects(&database, &["SELECT changes()"], "");
    assert_eq!(database.ask::<i32>("SELECT made()"), 1);
    // What a phase may lock by itself.
    for mode in ["ROW SHARE", "ROW EXCLUSIVE", "EXCLUSIVE"] {
        let lock = format!("LOCK TABLE item IN {mode} MODE");
        effects(&crate::server::database(), &[&lock], "");
    }
    for mode in ["SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE"] {
        let lock = format!("LOCK TABLE item IN {mode} MODE");
        uncountable(&crate::server::database(), &[&lock], "public.item");
    }
}

#[test]
fn large_objects_and_sequences_stay_uncounted() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE SEQUENCE numbers; GRANT ALL ON SEQUENCE numbers TO {runner}"
    ));
    effects(
        &database,
        &["SELECT lo_create(4711)", "SELECT setval('numbers', 99)"],
        "",
    );
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM pg_largeobject_metadata"),
        1
    );
    assert_eq!(database.ask::<i64>("SELECT last_value FROM numbers"), 99);
}

#[test]
fn a_setting_of_the_session_does_not_change_how_a_table_is_called() {
    let database = with(r#"CREATE TABLE "Odd ""one""" (n int)"#, r#""Odd ""one""""#);
    effects(
        &database,
        &[
            "SET quote_all_identifiers = on",
            "INSERT INTO item VALUES ('a')",
            r#"INSERT INTO "Odd ""one""" VALUES (1)"#,
        ],
        r#"public."Odd ""one""" +1 ~0 -0, public.item +1 ~0 -0"#,
    );
}
