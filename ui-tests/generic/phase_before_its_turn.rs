//! A phase that comes after another takes its receipt.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Check};

fn phase_before_its_turn<'run, M: Mode, W: Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, Start)?;
    Ok(())
}

fn main() {}
