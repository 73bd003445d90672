//! A loop and calls over rows keep one rule: all rows, or the phase does not commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use phasegate::{Error, Failure, PhaseTx, error::RollbackCause};

use crate::pipeline::Draft;
use crate::server::{Database, all, database};

const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

/// Inserts `a`, which is what is planned, and fails at the second row by itself: no statement has failed.
fn in_a_loop(tx: &mut PhaseTx<'_>, at_b: fn() -> Failure) -> Result<(), Failure> {
    let rows = ["a", "b"];
    tx.for_each_row(
        rows,
        |row| *row,
        |tx, row| {
            if *row == "b" {
                return Err(at_b());
            }
            Ok(tx.execute(INSERT, &[row])?)
        },
    )?;
    Ok(())
}

fn in_calls(tx: &mut PhaseTx<'_>, at_b: fn() -> Failure) -> Result<(), Failure> {
    let rows = tx.batch(["a", "b"]).key(|row| *row);
    rows.execute(
        "INSERT INTO item SELECT $1, 'draft' WHERE $1 = 'a'",
        |row, params| params.with(row),
        |row, _| if *row == "b" { Err(at_b()) } else { Ok(()) },
    )?;
    Ok(())
}

fn not_b() -> Failure {
    Failure::new("not b")
}

fn panics() -> Failure {
    panic!("in the middle of the rows")
}

/// That the adapter returns `Ok` does not commit the first row.
#[track_caller]
fn swallowed(database: &Database, says: &str, adapter: impl Fn(&mut PhaseTx<'_>)) {
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        adapter(tx);
        Ok(1)
    });
    let Err(Error::RolledBack(rollback)) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        matches!(rollback.cause(), RollbackCause::Swallowed { .. }),
        "{rollback}"
    );
    assert!(rollback.to_string().contains(says), "{rollback}");
    assert_eq!(database.items(), []);
}

#[test]
fn a_failure_that_is_dropped_commits_no_row_before_it() {
    let database = database();
    for over_rows in [in_a_loop, in_calls] {
        swallowed(&database, "row 2 (b): not b", |tx| {
            assert!(over_rows(tx, not_b).is_err());
        });
    }
}

#[test]
fn a_panic_that_is_caught_commits_no_row_before_it() {
    let database = database();
    for over_rows in [in_a_loop, in_calls] {
        swallowed(&database, "a panic was caught", |tx| {
            let caught = catch_unwind(AssertUnwindSafe(|| over_rows(tx, panics)));
            assert!(caught.is_err());
        });
    }
}

#[test]
fn a_failure_that_a_row_drops_is_kept_by_the_outer_rows() {
    let database = database();
    swallowed(&database, "row 2 (b): not b", |tx| {
        let outer = tx.for_each_row(
            ["once"],
            |row| *row,
            |tx, _| {
                assert!(in_a_loop(tx, not_b).is_err());
                Ok(())
            },
        );
        assert!(outer.is_ok());
    });
}

#[test]
fn a_savepoint_around_rows_undoes_them_and_the_phase_goes_on() {
    for over_rows in [in_a_loop, in_calls] {
        let database = database();
        let done = database.draft_by(&Draft::of(&["z"]), |_, tx| {
            let inside = tx.savepoint(|tx| {
                drop(over_rows(tx, not_b));
                Ok(())
            });
            assert!(inside.unwrap_err().to_string().contains("row 2 (b): not b"));
            assert!(tx.savepoint(|tx| over_rows(tx, not_b)).is_err());
            Ok(tx.execute(INSERT, &[&"z"])?)
        });
        assert_eq!(done.unwrap(), 1);
        assert_eq!(database.items(), all(&["z"], "draft"));
    }
}
