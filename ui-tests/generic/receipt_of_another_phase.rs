//! The receipt of one phase is not that of another.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Check, Enact};

fn receipt_of_another_phase<'run, M: Mode, W: Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    enacted: &Receipt<'run, Enact, M>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, enacted)?;
    Ok(())
}

fn main() {}
