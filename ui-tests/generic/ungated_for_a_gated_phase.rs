//! `Ungated` approves nothing: a phase behind a gate takes the approval of the gate, in every mode.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn ungated_for_a_gated_phase<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, Ungated, Start)?;
    Ok(())
}

fn main() {}
