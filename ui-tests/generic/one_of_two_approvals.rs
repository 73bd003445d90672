//! A phase behind two gates takes both approvals.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft, Enact, Publish};

fn one_of_two_approvals<'run, M: Mode, W: Perform<M, Publish>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
    enacted: &Receipt<'run, Enact, M>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Publish).perform(on, sg1, (drafted, enacted))?;
    Ok(())
}

fn main() {}
