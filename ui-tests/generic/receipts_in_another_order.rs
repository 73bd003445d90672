//! Several receipts have the order that the phase gives them.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft, Enact, Publish};

fn receipts_in_another_order<'run, M: Mode, W: Perform<M, Publish>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
    enacted: &Receipt<'run, Enact, M>,
) -> Result<(), Error> {
    let both = run.approval::<And<Sg1, Sg2>>()?;
    run.phase(Publish).perform(on, both, (enacted, drafted))?;
    Ok(())
}

fn main() {}
