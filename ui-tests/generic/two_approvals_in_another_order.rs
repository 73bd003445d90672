//! Two approvals have the order that the gate has.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft, Enact, Publish};

fn two_approvals_in_another_order<'run, M: Mode, W: Perform<M, Publish>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
    enacted: &Receipt<'run, Enact, M>,
) -> Result<(), Error> {
    let sg2 = run.approval::<Sg2>()?;
    let both = sg2.and(run.approval::<Sg1>()?);
    run.phase(Publish).perform(on, both, (drafted, enacted))?;
    Ok(())
}

fn main() {}
