//! An approval given in one run opens nothing in another.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, KillSwitchOn, Live, Run, Sg1Approved, Start};
use pipeline::{Adapter, Draft};

fn mixes<'this, 'other>(
    run: &mut Run<'this, Live, Adapter>,
    on: &KillSwitchOn<'this>,
    sg1: Sg1Approved<'other>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn main() {}
