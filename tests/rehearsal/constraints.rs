//! Deferred constraints are checked at the end of each phase, as the close of a live one would, and are
//! as they were declared in the next.

use phasegate::{Error, Failure, PhaseTx, error::RollbackCause};

use crate::server::{Database, database, rollback};
use crate::{Each, next, nothing_remains, rehearsal};

/// A parent and its children, with a constraint that is checked as `when` says.
fn family(database: &Database, when: &str) {
    database.sql(&format!(
        "CREATE TABLE parent (id int PRIMARY KEY); \
         CREATE TABLE child (of int, CONSTRAINT has_parent FOREIGN KEY (of) REFERENCES parent DEFERRABLE {when}); \
         GRANT ALL ON parent, child TO {}",
        database.runner.name()
    ));
}

const ORPHAN: &str = "INSERT INTO child VALUES (1)";

/// Performs one phase for each list of statements, and returns which of them failed, and by which
/// constraint.
fn failures(database: &Database, phases: &[&[&str]]) -> Vec<(usize, String, bool)> {
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        let done = tx.for_each_row(
            phases[number].iter().copied(),
            |sql| *sql,
            |tx, sql| Ok(tx.execute(*sql, &[])?),
        );
        done.map(|done| done.len() as u64)
    });
    let mut failures = Vec::new();
    let rehearsed = rehearsal(database, adapter).run(|run, on| {
        for number in 0..phases.len() {
            match next(run, on, number) {
                Ok(_) => {}
                Err(Error::RolledBack(rollback)) => {
                    let failure = rollback.failure();
                    let constraint = failure.and_then(Failure::constraint).unwrap_or("none");
                    let at_a_row = rollback.row().is_some();
                    failures.push((number, constraint.to_owned(), at_a_row));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    assert_eq!(rehearsed.unwrap().failed.len(), failures.len());
    nothing_remains(database);
    failures
}

fn by(constraint: &str, phase: usize, at_a_row: bool) -> (usize, String, bool) {
    (phase, constraint.to_owned(), at_a_row)
}

#[test]
fn a_violated_deferred_constraint_is_reported_for_its_phase() {
    let database = database();
    family(&database, "INITIALLY DEFERRED");
    let failed = failures(
        &database,
        &[
            &["INSERT INTO parent VALUES (7)"],
            &["INSERT INTO child VALUES (7)", ORPHAN],
            // Violated for a moment, as live.
            &[ORPHAN, "INSERT INTO parent VALUES (1)"],
            &["DELETE FROM parent WHERE id = 1"],
            &["INSERT INTO child VALUES (7)"],
        ],
    );
    assert_eq!(
        failed,
        [by("has_parent", 1, false), by("has_parent", 3, false)]
    );
}

#[test]
fn a_violated_deferred_constraint_reports_a_refused_commit() {
    let database = database();
    family(&database, "INITIALLY DEFERRED");
    let adapter = Each(|_, tx: &mut PhaseTx<'_>| Ok(tx.execute(ORPHAN, &[])?));
    let rehearsed = rehearsal(&database, adapter).run(|run, on| next(run, on, 0).map(drop));
    let rollback = rollback(rehearsed);
    assert!(matches!(rollback.cause(), RollbackCause::CommitRefused(_)));
    let said = rollback.to_string();
    assert!(
        said.starts_with(
            "phase `part[0]` (rehearsal) would have been refused by the server at the commit: "
        ),
        "{said}"
    );
}

#[test]
fn an_immediate_constraint_is_immediate_in_the_next_phase_too() {
    let database = database();
    family(&database, "INITIALLY IMMEDIATE");
    let put_off = "SET CONSTRAINTS has_parent DEFERRED";
    let failed = failures(
        &database,
        &[
            &["INSERT INTO parent VALUES (7)"],
            &["INSERT INTO child VALUES (7)", ORPHAN],
            &[put_off, ORPHAN, "INSERT INTO parent VALUES (1)"],
            // What the phase before had put off is not put off here.
            &[
                "INSERT INTO child VALUES (2)",
                "INSERT INTO parent VALUES (2)",
            ],
            &[put_off, "INSERT INTO child VALUES (3)"],
        ],
    );
    assert_eq!(
        failed,
        [
            by("has_parent", 1, true),
            by("has_parent", 3, true),
            by("has_parent", 4, false)
        ]
    );
}

#[test]
fn a_failed_phase_leaves_no_constraint_in_another_mode() {
    let database = database();
    family(&database, "INITIALLY DEFERRED");
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        if number == 0 {
            // The savepoint is released before the phase is rolled back, which the server then does not undo.
            tx.savepoint(|tx| Ok(tx.execute("SET CONSTRAINTS has_parent IMMEDIATE", &[])?))?;
            return Err(Failure::new("not yet"));
        }
        tx.execute(ORPHAN, &[])?;
        Ok(tx.execute("INSERT INTO parent VALUES (1)", &[])?)
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        rollback(next(run, on, 0));
        next(run, on, 1).map(drop)
    });
    assert_eq!(rehearsed.unwrap().phases.len(), 1);
    nothing_remains(&database);
}

#[test]
fn ambiguous_quoted_or_foreign_constraint_names_are_handled() {
    let database = database();
    family(&database, "INITIALLY IMMEDIATE");
    database.sql(&format!(
        "CREATE TABLE odd (n int, CONSTRAINT \"Ünï\"\"que; ROLLBACK\" UNIQUE (n) DEFERRABLE); \
         CREATE TABLE twin_1 (n int, CONSTRAINT twin FOREIGN KEY (n) REFERENCES parent DEFERRABLE); \
         CREATE TABLE twin_2 (n int, CONSTRAINT twin FOREIGN KEY (n) REFERENCES parent DEFERRABLE INITIALLY DEFERRED); \
         CREATE TABLE plain (n int, CONSTRAINT has_parent CHECK (n > 0)); \
         CREATE SCHEMA theirs; \
         CREATE TABLE theirs.t (n int, CONSTRAINT other UNIQUE (n) DEFERRABLE); \
         GRANT ALL ON odd, twin_1, twin_2, plain TO {}",
        database.runner.name()
    ));
    let failed = failures(
        &database,
        &[
            &["INSERT INTO odd VALUES (1)"],
            &["INSERT INTO odd VALUES (1)"],
            &[ORPHAN],
            // Of one name and both kinds: put off to the end of the phase, and found there.
            &[
                "INSERT INTO twin_2 VALUES (9)",
                "INSERT INTO parent VALUES (9)",
            ],
            &["INSERT INTO twin_1 VALUES (8)"],
        ],
    );
    assert_eq!(
        failed,
        [
            by("Ünï\"que; ROLLBACK", 1, true),
            by("has_parent", 2, true),
            by("twin", 4, false)
        ]
    );
}

#[test]
fn what_a_deferred_trigger_writes_is_there_for_the_next_phase() {
    let database = database();
    database.at_commit("UPDATE public.item SET state = 'seen' WHERE name = new.name");
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        if number == 0 {
            return Ok(tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?);
        }
        let state: String = tx.query_one("SELECT state FROM item", &[])?.get(0);
        assert_eq!(state, "seen");
        Ok(1)
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        let first = next(run, on, 0)?;
        assert_eq!(first.rehearsed().effects.of("public.item").updated, 1);
        next(run, on, 1).map(drop)
    });
    assert_eq!(rehearsed.unwrap().phases.len(), 2);
    nothing_remains(&database);
}
