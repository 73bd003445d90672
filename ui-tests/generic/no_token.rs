//! A phase is not performed without the switch.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn no_token<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Draft::of(&["a"])).perform(sg1, Start)?;
    Ok(())
}

fn main() {}
