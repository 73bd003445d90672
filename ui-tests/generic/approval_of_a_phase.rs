//! What is approved is a gate, not a phase.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn approval_of_a_phase<'run, M: Mode, W>(
    run: &mut Run<'run, M, W>,
) -> Result<(), Error> {
    run.approval::<Draft>()?;
    Ok(())
}

fn main() {}
