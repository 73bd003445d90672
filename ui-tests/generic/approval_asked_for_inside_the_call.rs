//! The run is lent to the phase already: the approval is asked for in a line of its own.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn approval_asked_for_inside_the_call<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, run.approval()?, Start)?;
    Ok(())
}

fn main() {}
