//! The kill switch between the rows of a phase: a long loop does not outlast it.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use phasegate::testing::ScriptedSwitch;
use phasegate::{
    Error, Failure, PhaseTx, Receipt,
    error::{Rollback, RollbackCause},
    switch::{InProcessSwitch, KillSwitch},
};
use pipeline::Draft;
use server::{Database, database, does, drafting, drafting_plan};

const ROWS: usize = 200;

fn draft() -> Draft {
    let rows = (1..=ROWS).map(|row| format!("row {row:03}")).collect();
    Draft::of_rows(rows)
}

/// Writes every row, counts those that were written, and lets `after` do what it likes after each.
fn write(
    draft: &Draft,
    tx: &mut PhaseTx<'_>,
    written: &mut usize,
    after: impl Fn(usize),
) -> Result<u64, Failure> {
    let insert = tx.prepare("INSERT INTO item VALUES ($1, 'draft')")?;
    let done = tx.for_each_row(
        &draft.rows,
        |row| *row,
        |tx, row| {
            tx.execute(&insert, &[row])?;
            *written += 1;
            after(*written);
            Ok(())
        },
    )?;
    Ok(done.len() as u64)
}

fn rolled_back<F>(database: &Database, switch: &impl KillSwitch, f: F) -> Rollback
where
    F: FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    let draft = draft();
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), does(f))
        .kill_switch(switch)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    match answer {
        Err(Error::RolledBack(rollback)) => rollback,
        other => panic!("not rolled back: {other:?}"),
    }
}

#[test]
fn a_switch_that_is_turned_off_is_seen_within_64_rows() {
    let database = database();
    let switch = InProcessSwitch::new();
    let mut written = 0;
    let press = |row| {
        if row == 70 {
            switch.off();
        }
    };
    let rollback = switch.on_while(|| {
        rolled_back(&database, &switch, |draft, tx| {
            write(draft, tx, &mut written, press)
        })
    });
    assert!(
        matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
        "{rollback}"
    );
    assert_eq!(written, 128);
    assert_eq!(database.items(), []);
    database.is_left_clean();
}

#[test]
fn an_adapter_that_ignores_it_is_rolled_back_all_the_same() {
    let database = database();
    // On for the run and for the phase, off at the first reading between rows, and on again.
    let on = Some(phasegate::switch::SwitchState::On);
    let off = Some(phasegate::switch::SwitchState::Off);
    let switch = ScriptedSwitch::new([on, on, off, on]);
    let mut written = 0;
    let rollback = rolled_back(&database, &switch, |draft, tx| {
        assert!(write(draft, tx, &mut written, |_| ()).is_err());
        Ok(0)
    });
    assert!(
        matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
        "{rollback}"
    );
    assert_eq!(written, 64);
    assert_eq!(database.items(), []);
}

#[test]
fn a_switch_that_cannot_be_read_between_rows_stops_the_phase() {
    let database = database();
    let switch = ScriptedSwitch::unreadable_after(2);
    let mut written = 0;
    let rollback = rolled_back(&database, &switch, |draft, tx| {
        write(draft, tx, &mut written, |_| ())
    });
    assert!(
        matches!(rollback.cause(), RollbackCause::SwitchUnreadable(_)),
        "{rollback}"
    );
    assert_eq!(written, 64);
    assert_eq!(database.items(), []);
}
