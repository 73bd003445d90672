//! Each way of moving a row to another partition, one of which drops it: a row that is moved is counted as deleted, and as
//! inserted where it arrives; by statements, as updated where it arrives.

use std::collections::BTreeMap;

use phasegate::testing::{ApprovesEverything, ScriptedSwitch};
use phasegate::{
    DryRunner, Effects, Error, Failure, LiveRunner, Plan, RehearsalRunner, Simulate,
    audit::Journal, plan::RowCounts,
};

use crate::change::{Change, Does, Performs, Seen, perform_all};
use crate::diff::Tables;
use crate::schema::Schema;
use crate::server::{Database, PIPELINE};

const MOVES: Schema = Schema {
    sql: include_str!("schemas/moves.sql"),
    name: "moves",
    statements: &[],
    copies: &[],
    resolve: None,
};

fn change(statement: &str) -> Change {
    Change {
        number: 1,
        does: vec![Does::Statement(statement.to_owned())],
        resolve: None,
    }
}

fn live(database: &Database, plan: &Plan, changes: &[Change]) -> Result<(), Error> {
    database.admit(plan);
    LiveRunner::new(PIPELINE)
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(database.connector())
        .adapter(Performs)
        .run(|run, on| perform_all(run, on, changes).remove(0).map(drop))
        .map(drop)
}

/// Performs a statement in a rehearsal and live, and compares both with the rows that remain.
#[track_caller]
fn counts(statement: &str, expected: &[(&str, [u64; 3])]) {
    let database = MOVES.build();
    let mut admin = database.admin();
    let tables = Tables::of(&mut admin);
    let before = tables.snapshot(&mut admin);
    let changes = [change(statement)];
    let rehearsed = RehearsalRunner::new(PIPELINE)
        .connector(database.connector())
        .adapter(Performs)
        .run(|run, on| Ok(perform_all(run, on, &changes)))
        .unwrap();
    assert_eq!(tables.snapshot(&mut admin), before, "{statement}");
    let tags = &rehearsed.value[0].as_ref().unwrap().tags;
    assert!(tags[0].is_some(), "{statement} failed");
    let measured = &rehearsed.phases[0].effects;
    let rows: Vec<_> = measured.tables().collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(table, [i, u, d])| (*table, RowCounts::new(*i, *u, *d)))
        .collect();
    assert_eq!(rows, expected, "{statement}");

    live(&database, &rehearsed.plan, &changes).unwrap();
    let journal = Journal::read(&mut admin, rehearsed.plan.digest()).unwrap();
    assert_eq!(&journal.verify().unwrap()[0].effects, measured);
    let versions = tables.between(&before, &tables.snapshot(&mut admin));
    assert_eq!(versions.len(), expected.len(), "{statement}");
    for (table, rows) in expected {
        let seen = versions[table];
        assert_eq!(seen.came, rows.inserted + rows.updated, "{table}");
        assert_eq!(seen.went, rows.updated + rows.deleted, "{table}");
    }
}

/// Performs a statement in a rehearsal, which refuses it; and live, by a plan of the same phase that says that it changes
/// nothing, which is refused and leaves nothing.
#[track_caller]
fn refused_by_statements(statement: &str, why: &str) {
    let database = MOVES.build();
    database.sql("SELECT phasegate.protect('moves.part', 'statements')");
    let mut admin = database.admin();
    let tables = Tables::of(&mut admin);
    let before = tables.snapshot(&mut admin);
    let changes = [change(statement)];
    let rehearsal = RehearsalRunner::new(PIPELINE)
        .connector(database.connector())
        .adapter(Performs)
        .run(|run, on| perform_all(run, on, &changes).remove(0).map(drop));
    let text = rehearsal.unwrap_err().to_string();
    assert!(text.contains(why), "{statement}: {text}");

    let plan = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Predicts)
        .run(|run, on| perform_all(run, on, &changes).remove(0).map(drop));
    let plan = plan.unwrap().plan;
    let answer = live(&database, &plan, &changes);
    let text = answer.unwrap_err().to_string();
    assert!(text.contains(why), "{statement}: {text}");
    assert_eq!(tables.snapshot(&mut admin), before, "{statement}");
}

/// That nothing is changed.
struct Predicts;

impl Simulate<Change> for Predicts {
    fn simulate(&mut self, _: &Change, (): (), _: &mut Effects) -> Result<Seen, Failure> {
        Ok(Seen {
            tags: Vec::new(),
            tried: BTreeMap::new(),
            is_exact: true,
        })
    }
}

#[test]
fn an_update_through_a_middle_level() {
    counts(
        "UPDATE moves.part SET k = 1 WHERE k = 0 AND (n <= 3 OR n > 100)",
        &[("moves.part", [2, 0, 5])],
    );
}

#[test]
fn an_update_of_the_middle_level_itself() {
    counts(
        "UPDATE moves.middle SET n = n - 150 WHERE n < 204",
        &[("moves.part", [0, 0, 3])],
    );
}

#[test]
fn a_merge() {
    counts(
        "MERGE INTO moves.part AS p USING generate_series(1, 12) AS g ON p.k = 0 AND p.n = g \
         WHEN MATCHED AND g <= 2 THEN DELETE WHEN MATCHED AND g <= 5 THEN UPDATE SET k = 1 \
         WHEN MATCHED THEN UPDATE SET v = 1 WHEN NOT MATCHED THEN INSERT VALUES (2, g)",
        &[("moves.part", [2, 5, 5])],
    );
}

/// The server fires statement triggers for the kinds of action that a `MERGE` has, and hands a row that moves to those
/// for DELETE and INSERT. Without both, no trigger is given all of it.
#[test]
fn statement_guards_refuse_a_merge_that_moves_rows() {
    const MERGE: &str = "MERGE INTO moves.part AS p USING generate_series(1, 3) AS g ON p.k = 0 AND p.n = g WHEN MATCHED";
    for moves in [
        format!("{MERGE} THEN UPDATE SET k = 2"),
        format!("{MERGE} THEN UPDATE SET k = 1"),
        format!("{MERGE} AND p.n = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET k = 2"),
        format!("{MERGE} THEN UPDATE SET k = 2 WHEN NOT MATCHED THEN INSERT VALUES (2, g + 100)"),
        format!("DO $q$ BEGIN {MERGE} THEN UPDATE SET k = 2; END $q$"),
        format!("DO $q$ BEGIN EXECUTE $s${MERGE} THEN UPDATE SET k = 1$s$; END $q$"),
        "SELECT moves.by_sql()".to_owned(),
        "SELECT moves.by_plpgsql()".to_owned(),
    ] {
        refused_by_statements(&moves, "MERGE has moved rows to another partition");
    }
}

#[test]
fn a_merge_that_moves_rows_is_counted() {
    const MERGE: &str = "MERGE INTO moves.part AS p USING generate_series(1, 3) AS g ON p.k = 0 AND p.n = g WHEN MATCHED";
    for (moves, counted) in [
        (format!("{MERGE} THEN UPDATE SET k = 2"), [3, 0, 3]),
        (format!("{MERGE} THEN UPDATE SET k = 1"), [0, 0, 3]),
        (
            format!("{MERGE} AND p.n = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET k = 2"),
            [2, 0, 3],
        ),
        (
            format!("DO $q$ BEGIN {MERGE} THEN UPDATE SET k = 2; END $q$"),
            [3, 0, 3],
        ),
        ("SELECT moves.by_sql()".to_owned(), [0, 0, 3]),
    ] {
        counts(&moves, &[("moves.part", counted)]);
    }
}

#[test]
fn a_merge_that_moves_no_row_is_counted() {
    counts(
        "MERGE INTO moves.part AS p USING generate_series(1, 3) AS g ON p.k = 0 AND p.n = g \
         WHEN MATCHED THEN UPDATE SET v = 7",
        &[("moves.part", [0, 3, 0])],
    );
    counts("SELECT moves.update_by_sql()", &[("moves.part", [0, 0, 3])]);
}

#[test]
fn a_writable_cte() {
    counts(
        "WITH moved AS (UPDATE moves.part SET k = 1 WHERE n <= 3 RETURNING n) \
         DELETE FROM moves.plain WHERE id <= 2",
        &[("moves.part", [0, 0, 3]), ("moves.plain", [0, 0, 2])],
    );
}

#[test]
fn a_delete_that_a_rule_makes_an_update() {
    counts(
        "DELETE FROM moves.retired WHERE n <= 4",
        &[("moves.part", [0, 0, 4])],
    );
}

#[test]
fn a_delete_that_a_rule_makes_one_of_another_table() {
    counts(
        "DELETE FROM moves.erased WHERE id <= 4",
        &[("moves.plain", [0, 0, 4])],
    );
}

#[test]
fn an_update_that_cascades() {
    counts(
        "UPDATE moves.parent SET k = 1 WHERE k = 0",
        &[("moves.follower", [0, 0, 10]), ("moves.parent", [0, 1, 0])],
    );
}

#[test]
fn a_delete_that_cascades() {
    counts(
        "DELETE FROM moves.parent WHERE k = 0",
        &[("moves.follower", [0, 0, 10]), ("moves.parent", [0, 0, 1])],
    );
}

/// The server itself refuses to move a row on a conflict.
#[test]
fn an_insert_with_a_conflict_moves_no_row() {
    let database = MOVES.build();
    let mut admin = database.admin();
    let moves = "INSERT INTO moves.part VALUES (0, 1) ON CONFLICT (k, n) DO UPDATE SET k = 2";
    let refused = admin.batch_execute(moves).unwrap_err();
    let refused = refused.as_db_error().unwrap().message().to_owned();
    assert!(
        refused.contains("invalid ON UPDATE specification"),
        "{refused}"
    );
    counts(
        "INSERT INTO moves.part VALUES (0, 1), (2, 1) ON CONFLICT (k, n) DO UPDATE SET v = 5",
        &[("moves.part", [1, 1, 0])],
    );
}
