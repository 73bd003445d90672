//! What is committed is not part of a rehearsal, which performs it by itself.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, Live, Switch, Receipt, Rehearsal, Run, Ungated};
use pipeline::{Adapter, Check, Draft};

fn goes_on<'run>(
    run: &mut Run<'run, Rehearsal, Adapter>,
    on: &Switch<'run, Rehearsal>,
    drafted: &Receipt<'run, Draft, Live>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}

fn main() {}
