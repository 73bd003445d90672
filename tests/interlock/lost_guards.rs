//! A guard that is gone without `unprotect` is missed: dropped alone, or gone with the table whose place another one
//! took.

use crate::hand::{does, psql, refuses};
use crate::powers::{passes_once_remedied, refused};
use crate::server::{Database, database};

const GONE: &str = "it may write public.item, which was put under guard, and has none";

const DROP_ALL: &str = "SELECT phasegate.protect('item', 'statements'); DROP TRIGGER phasegate_guard ON item; DROP TRIGGER phasegate_count_inserted ON item; \
                        DROP TRIGGER phasegate_count_updated ON item; DROP TRIGGER phasegate_count_deleted ON item";

#[test]
fn a_guard_that_was_dropped_is_missed() {
    for dropped in [DROP_ALL, "DROP TRIGGER phasegate_guard ON item"] {
        let database = database();
        let remedies = refused(&database, dropped, &[GONE]);
        passes_once_remedied(&database, &remedies);
    }
}

#[test]
fn a_table_in_the_place_of_a_guarded_one_is_missed() {
    let database = database();
    let swap = "CREATE TABLE item_new (LIKE item INCLUDING ALL); ALTER TABLE item RENAME TO item_old; \
                ALTER TABLE item_new RENAME TO item; GRANT SELECT, INSERT ON item TO RUNNER";
    let remedies = refused(&database, swap, &[GONE]);
    passes_once_remedied(&database, &remedies);
}

#[test]
fn what_the_runner_cannot_write_holds_up_no_phase() {
    let database = database();
    database.sql("CREATE TABLE apart (a int); SELECT phasegate.protect('apart')");
    database.sql("DROP TABLE apart; CREATE TABLE apart (a int)");
    assert_eq!(powers(&database), "");
    database.sql(&format!(
        "GRANT INSERT ON apart TO {}",
        database.runner.name()
    ));
    assert_eq!(powers(&database), GONE.replace("item", "apart"));
    // A view writes the tables below it, which have their own guards.
    database.sql("DROP TABLE apart; CREATE VIEW apart AS SELECT 1 AS a");
    database.sql(&format!(
        "GRANT INSERT ON apart TO {}",
        database.runner.name()
    ));
    assert_eq!(powers(&database), "");
}

#[test]
fn a_partition_whose_guard_was_dropped_is_reported_once() {
    let database = database();
    database.sql(
        "CREATE TABLE parted (k int) PARTITION BY LIST (k); \
         CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1); \
         SELECT phasegate.protect('parted'); DROP TRIGGER phasegate_guard ON parted_1",
    );
    database.sql(&format!(
        "GRANT INSERT ON parted_1 TO {}",
        database.runner.name()
    ));
    assert_eq!(
        powers(&database),
        "it may write public.parted_1, which has no guard, and has one above or below it"
    );
}

#[test]
fn unprotect_is_no_loss_and_is_for_the_owner_alone() {
    let database = database();
    // The runner cannot have what was dropped forgotten.
    database.sql(DROP_ALL);
    refuses(
        &mut psql(&database),
        "SELECT phasegate.forget_protection('item')",
        "42501",
    );
    refuses(
        &mut psql(&database),
        "SELECT phasegate.unprotect('item')",
        "42501",
    );
    assert_eq!(powers(&database), GONE);
    // An owner who is no superuser can, also as a role of its session.
    let owner = database.role("keeper");
    database.sql(&format!(
        "ALTER TABLE item OWNER TO {0}; SET ROLE {0}; SELECT phasegate.unprotect('item')",
        owner.name()
    ));
    assert_eq!(powers(&database), "");
    // To record is to say what is so: without a guard nothing is recorded.
    does(
        &mut psql(&database),
        "SELECT phasegate.record_protection('item')",
    );
    assert_eq!(powers(&database), "");
}

fn powers(database: &Database) -> String {
    database.ask(&format!(
        "SELECT coalesce(string_agg(privilege, '; '), '') FROM phasegate.bypass_privileges('{}')",
        database.runner.name()
    ))
}
