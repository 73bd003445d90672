//! What simulates a phase does not perform it live.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, KillSwitchOn, Live, Run, Sg1Approved, Start};
use pipeline::{Draft, Simulator};

fn live<'run>(
    run: &mut Run<'run, Live, Simulator>,
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn main() {}
