//! A function for any gate does not have the approval of the one that the phase is behind.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn approval_of_any_gate<'run, G: Gate, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    approved: Approval<'run, G, M>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, approved, Start)?;
    Ok(())
}

fn main() {}
