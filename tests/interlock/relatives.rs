//! The guard, and the tables that inherit from one another: a statement fires the triggers of the table
//! that it names.

use phasegate::schema::{Guard, protect_as};
use phasegate::{Error, error::RefusalReason};

use crate::hand::{does, psql, refuses};
use crate::pipeline::Draft;
use crate::server::{Database, database, refusal, rollback};

/// A partitioned table `sale`, with a partition for each of two years, the later in two halves, all
/// of which the runner may write.
fn sales() -> Database {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE sale (year int, half int, what text) PARTITION BY LIST (year); \
         CREATE TABLE sale_1 PARTITION OF sale FOR VALUES IN (1); \
         CREATE TABLE sale_2 PARTITION OF sale FOR VALUES IN (2) PARTITION BY LIST (half); \
         CREATE TABLE sale_2_1 PARTITION OF sale_2 FOR VALUES IN (1); \
         CREATE TABLE sale_2_2 PARTITION OF sale_2 FOR VALUES IN (2); \
         SELECT phasegate.protect('sale'); \
         GRANT SELECT, INSERT, UPDATE, DELETE ON sale, sale_1, sale_2, sale_2_1, sale_2_2 TO {}",
        database.runner.name()
    ));
    database
}

fn run(database: &Database) -> Result<u64, Error> {
    database.draft_by(&Draft::of(&["a"]), |_, tx| {
        Ok(tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?)
    })
}

/// The tables without a guard because of which the role is refused, with what remedies it.
#[track_caller]
fn refused_for(database: &Database) -> Vec<(String, String)> {
    let refused = refusal(run(database));
    let RefusalReason::PrivilegedRole { privileges, .. } = refused.reason() else {
        panic!("{refused}");
    };
    let named = |power: &String| {
        let (what, remedy) = power.split_once("; remedy: ").unwrap();
        let table = what.strip_prefix("it may write ").unwrap();
        let table = table.strip_suffix(", which has no guard, and has one above or below it");
        (table.unwrap().to_owned(), remedy.to_owned())
    };
    privileges.iter().map(named).collect()
}

fn pair(table: &str, protect: &str) -> (String, String) {
    (
        format!("public.{table}"),
        format!("SELECT phasegate.protect('public.{protect}')"),
    )
}

#[test]
fn a_partitioned_table_is_guarded_by_every_way_into_it() {
    let database = sales();
    database.sql("INSERT INTO sale VALUES (1, 1, 'x')");
    for table in ["sale", "sale_1", "sale_2", "sale_2_1", "sale_2_2"] {
        for statement in [
            format!("INSERT INTO {table} VALUES (2, 1, 'x')"),
            format!("UPDATE {table} SET what = 'y'"),
            format!("DELETE FROM {table}"),
        ] {
            refuses(&mut psql(&database), &statement, "ZG007");
        }
    }
    // A row that would move.
    refuses(&mut psql(&database), "UPDATE sale SET year = 2", "ZG007");
    assert_eq!(run(&database).unwrap(), 1);
}

#[test]
fn a_partition_that_is_attached_later_is_open_by_its_own_name_and_its_writer_is_refused_until_it_is_guarded()
 {
    let database = sales();
    database.sql(&format!(
        "CREATE TABLE sale_3 PARTITION OF sale FOR VALUES IN (3); GRANT INSERT ON sale_3 TO {}",
        database.runner.name()
    ));
    refuses(
        &mut psql(&database),
        "INSERT INTO sale VALUES (3, 1, 'x')",
        "ZG007",
    );
    does(
        &mut psql(&database),
        "INSERT INTO sale_3 VALUES (3, 1, 'x')",
    );

    assert_eq!(refused_for(&database), [pair("sale_3", "sale")]);
    database.sql("SELECT phasegate.protect('public.sale')");
    refuses(
        &mut psql(&database),
        "INSERT INTO sale_3 VALUES (3, 1, 'x')",
        "ZG007",
    );
    assert_eq!(run(&database).unwrap(), 1);
}

#[test]
fn a_partition_of_a_partition_that_is_attached_later_is_found_too() {
    let database = sales();
    database.sql(&format!(
        "CREATE TABLE sale_3 PARTITION OF sale FOR VALUES IN (3) PARTITION BY LIST (half); \
         CREATE TABLE sale_3_1 PARTITION OF sale_3 FOR VALUES IN (1); \
         GRANT DELETE ON sale_3_1 TO {}",
        database.runner.name()
    ));
    assert_eq!(refused_for(&database), [pair("sale_3_1", "sale")]);
    database.sql("SELECT phasegate.protect('public.sale')");
    assert_eq!(run(&database).unwrap(), 1);
}

#[test]
fn the_privilege_on_one_column_is_enough_to_be_refused() {
    let database = sales();
    database.sql(&format!(
        "CREATE TABLE sale_3 PARTITION OF sale FOR VALUES IN (3); GRANT UPDATE (what) ON sale_3 TO {}",
        database.runner.name()
    ));
    assert_eq!(refused_for(&database), [pair("sale_3", "sale")]);
}

#[test]
fn a_partition_that_nobody_may_write_by_its_own_name_refuses_nobody() {
    let database = sales();
    database.sql("CREATE TABLE sale_3 PARTITION OF sale FOR VALUES IN (3)");
    refuses(
        &mut psql(&database),
        "INSERT INTO sale_3 VALUES (3, 1, 'x')",
        "42501",
    );
    assert_eq!(run(&database).unwrap(), 1);
}

#[test]
fn the_children_of_a_table_are_guarded_with_it() {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE child () INHERITS (item); SELECT phasegate.protect('item'); \
         GRANT INSERT, UPDATE ON child TO {}",
        database.runner.name()
    ));
    refuses(
        &mut psql(&database),
        "INSERT INTO child VALUES ('x')",
        "ZG007",
    );
    assert_eq!(run(&database).unwrap(), 1);
    // One that comes later.
    database.sql(&format!(
        "CREATE TABLE late () INHERITS (child); GRANT INSERT ON late TO {}",
        database.runner.name()
    ));
    does(&mut psql(&database), "INSERT INTO late VALUES ('x')");
    let found: String = database.ask(&format!(
        "SELECT remedy FROM phasegate.bypass_privileges('{}') \
         WHERE privilege LIKE '%public.late%' AND remedy LIKE '%public.item%'",
        database.runner.name()
    ));
    assert_eq!(found, "SELECT phasegate.protect('public.item')");
}

#[test]
fn a_table_that_can_be_written_through_an_unguarded_parent_is_not_put_under_guard_alone() {
    let database = database();
    database.sql(
        "CREATE TABLE year (year int) PARTITION BY LIST (year); \
         CREATE TABLE year_1 PARTITION OF year FOR VALUES IN (1); \
         CREATE TABLE base (name text); CREATE TABLE derived () INHERITS (base)",
    );
    for (child, parent) in [("year_1", "year"), ("derived", "base")] {
        let mut admin = database.admin();
        let refused = phasegate::schema::protect(&mut admin, child)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains(&format!("{child} can be written through public.{parent}")),
            "{refused}"
        );
        phasegate::schema::protect(&mut admin, parent).unwrap();
        phasegate::schema::protect(&mut admin, child).unwrap();
    }
}

#[test]
fn a_guarded_table_that_is_given_a_parent_later_is_open_through_it_and_its_writer_is_refused() {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE grand (name text); CREATE TABLE parent (name text, state text) INHERITS (grand); \
         ALTER TABLE item INHERIT parent; INSERT INTO item VALUES ('b', 'draft'); \
         GRANT SELECT, UPDATE ON parent TO {}",
        database.runner.name()
    ));
    refuses(&mut psql(&database), "UPDATE item SET state = 'x'", "ZG007");
    does(&mut psql(&database), "UPDATE parent SET state = 'x'");
    assert_eq!(
        database.items(),
        [("b".to_owned(), "x".to_owned())],
        "it is open"
    );

    assert_eq!(refused_for(&database), [pair("parent", "grand")]);
    database.sql("SELECT phasegate.protect('public.grand')");
    refuses(
        &mut psql(&database),
        "UPDATE parent SET state = 'y'",
        "ZG007",
    );
    assert_eq!(run(&database).unwrap(), 1);
}

#[test]
fn protecting_what_is_protected_takes_no_lock_and_a_writer_is_waited_for_briefly() {
    let database = database();
    let mut writer = database.admin();
    writer
        .batch_execute("BEGIN; INSERT INTO item VALUES ('theirs', 'draft')")
        .unwrap();
    phasegate::schema::protect(&mut database.admin(), "item").unwrap();
    database.sql("CREATE TABLE other (n int)");
    let mut other = database.admin();
    other
        .batch_execute("BEGIN; INSERT INTO other VALUES (1)")
        .unwrap();
    let begun = std::time::Instant::now();
    refuses(
        &mut database.admin(),
        "SELECT phasegate.protect('other')",
        "55P03",
    );
    assert!(begun.elapsed() < std::time::Duration::from_secs(4));
    // Between two transactions of writers it is had.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(2_500));
            other.batch_execute("COMMIT").unwrap();
        });
        phasegate::schema::protect(&mut database.admin(), "other").unwrap();
    });
}

#[test]
fn foreign_partitions_are_not_counted_by_statements() {
    let database = database();
    database.sql(
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing; \
         CREATE TABLE far (k int) PARTITION BY LIST (k); \
         CREATE FOREIGN TABLE far_away PARTITION OF far FOR VALUES IN (1) SERVER elsewhere",
    );
    let refused = protect_as(&mut database.admin(), "far", Guard::Statements).unwrap_err();
    let refused = format!("{refused}; {}", refused.hint().unwrap());
    assert!(
        refused.contains("public.far has the foreign table public.far_away for a partition"),
        "{refused}"
    );
    assert!(refused.contains("Detach it"), "{refused}");
}

/// A table under guard with a partition here and one in another table, by way of a foreign table.
fn with_a_foreign_partition() -> Option<Database> {
    let database = database();
    let there: bool = database
        .ask("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw')");
    if !there {
        #[allow(clippy::print_stdout)]
        {
            println!("not proved here: this server has no extension postgres_fdw");
        }
        return None;
    }
    let (runner, far) = (database.runner.name(), database.role("far"));
    let far = far.name();
    database.sql(&format!(
        "CREATE EXTENSION postgres_fdw; CREATE TABLE away (k int, n int); GRANT ALL ON away TO {far}; \
         DO $$ BEGIN EXECUTE format('CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw \
             OPTIONS (host %L, port %L, dbname %L)', \
             trim('\"' FROM split_part(current_setting('unix_socket_directories'), ',', 1)), \
             current_setting('port'), current_database()); END $$; \
         CREATE USER MAPPING FOR PUBLIC SERVER other OPTIONS (user '{far}', password_required 'false'); \
         CREATE TABLE sale (k int, n int) PARTITION BY LIST (k); \
         CREATE TABLE sale_1 PARTITION OF sale FOR VALUES IN (1); \
         CREATE FOREIGN TABLE sale_2 PARTITION OF sale FOR VALUES IN (2) SERVER other \
             OPTIONS (table_name 'away'); \
         GRANT SELECT, INSERT, UPDATE, DELETE ON sale TO {runner}"
    ));
    phasegate::schema::protect(&mut database.admin(), "sale").unwrap();
    Some(database)
}

#[test]
fn other_roles_write_a_foreign_partition_of_a_guarded_table_as_before() {
    let Some(database) = with_a_foreign_partition() else {
        return;
    };
    database.sql(
        "INSERT INTO sale VALUES (1, 1), (2, 1); UPDATE sale SET n = 7; DELETE FROM sale WHERE k = 2; \
         INSERT INTO sale VALUES (2, 3)",
    );
    assert_eq!(database.ask::<i64>("SELECT sum(n) FROM sale"), 10);
    let mut admin = database.admin();
    phasegate::schema::protect(&mut admin, "sale").unwrap();
    phasegate::schema::unprotect(&mut admin, "sale").unwrap();
}

#[test]
fn a_phase_writes_the_partitions_that_are_here() {
    let Some(database) = with_a_foreign_partition() else {
        return;
    };
    let draft = |name: &str| Draft::of(&[name]).and("public.sale");
    let here = database.draft_by(&draft("here"), |_, tx| {
        tx.execute("INSERT INTO sale VALUES (1, 1), (1, 2)", &[])?;
        tx.execute("UPDATE sale SET n = 3 WHERE k = 1 AND n = 1", &[])?;
        Ok(1)
    });
    assert_eq!(here.unwrap(), 1);
    let counted: serde_json::Value =
        database.ask("SELECT body::jsonb -> 'effects' -> 'public.sale' FROM phasegate.journal");
    assert_eq!(
        counted,
        serde_json::json!({"inserted": 2, "updated": 1, "deleted": 0})
    );
    for sql in [
        "INSERT INTO sale VALUES (2, 1)",
        "UPDATE sale SET n = 4",
        "DELETE FROM sale WHERE n = 100",
    ] {
        let there = database.draft_by(&draft(sql), |_, tx| {
            tx.execute(sql, &[])?;
            Ok(1)
        });
        let rollback = rollback(there);
        assert!(
            rollback.to_string().contains("a foreign table is written"),
            "{rollback}"
        );
    }
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM away"), 0);
}

#[test]
fn a_runner_that_may_write_a_foreign_partition_itself_is_refused() {
    let Some(database) = with_a_foreign_partition() else {
        return;
    };
    database.sql(&format!(
        "GRANT INSERT ON sale_2 TO {}",
        database.runner.name()
    ));
    let refused = refused_for(&database);
    assert!(refused[0].0.contains("sale_2"), "{refused:?}");
}
