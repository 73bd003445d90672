//! A pipeline for every mode is performed by what performs its phases in every mode.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn bound_of_a_simulator<'run, M: Mode, W: Simulate<Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn main() {}
