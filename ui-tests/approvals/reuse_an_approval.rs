//! Performing a phase consumes its approval.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, KillSwitchOn, Live, Run, Sg1Approved, Start};
use pipeline::{Adapter, Draft};

fn twice<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    run.phase(Draft::of(&["b"])).perform(on, sg1, Start)?;
    Ok(())
}

fn main() {}
