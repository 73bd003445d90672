//! The approval of one gate does not open another.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn approval_of_another_gate<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg2 = run.approval::<Sg2>()?;
    run.phase(Draft::of(&["a"])).perform(on, sg2, Start)?;
    Ok(())
}

fn main() {}
