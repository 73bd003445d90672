//! What a rehearsal's plan binds: the statements, the definitions that they use, the occasion, the inputs, the program.
#![allow(clippy::unwrap_used)]

mod demands;
mod inputs;
mod means;
mod occasion;
#[path = "../pipeline/mod.rs"]
mod pipeline;
mod preflight;
mod program;
#[path = "../server/mod.rs"]
mod server;
mod statements;

use phasegate::{
    Error, Failure, PhaseTx, Plan, Receipt, RehearsalRunner, Start,
    runner::{LiveReport, RehearsalReport},
};

use pipeline::Draft;
use server::{Database, PIPELINE, does, drafting};

/// Rehearses the one phase `Draft` by what `f` does.
fn rehearse<F>(database: &Database, draft: &Draft, f: F) -> Result<RehearsalReport<u64>, Error>
where
    F: FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    RehearsalRunner::new(PIPELINE)
        .connector(database.connector())
        .adapter(does(f))
        .run(|run, on| drafting(run, on, draft).map(Receipt::into_output))
}

/// The plan of that rehearsal, admitted with every approval.
fn rehearsed<F>(database: &Database, draft: &Draft, f: F) -> Plan
where
    F: FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    let plan = rehearse(database, draft, f).expect("a rehearsal").plan;
    database.admit(&plan);
    plan
}

/// Performs `plan` live by what `f` does.
fn live<F>(database: &Database, plan: &Plan, draft: &Draft, f: F) -> Result<u64, Error>
where
    F: FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    database
        .live_by(plan.clone(), does(f))
        .run(|run, on| {
            let sg1 = run.approval()?;
            Ok(run
                .phase(draft.clone())
                .perform(on, sg1, Start)?
                .into_output())
        })
        .map(LiveReport::into_value)
}

const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

/// Inserts each row by a statement of its own.
fn inserts(draft: &Draft, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
    for row in &draft.rows {
        tx.execute(INSERT, &[row])?;
    }
    Ok(draft.rows.len() as u64)
}
