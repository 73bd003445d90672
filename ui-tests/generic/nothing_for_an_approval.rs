//! `()` is not an approval.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn nothing_for_an_approval<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, (), Start)?;
    Ok(())
}

fn main() {}
