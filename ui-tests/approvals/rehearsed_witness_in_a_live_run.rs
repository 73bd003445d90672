//! The approval of a rehearsal approves nothing live.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, KillSwitchOn, Phase, Rehearsal, Run, Sg1, Start};
use pipeline::{Adapter, Draft};

fn unapproved<'run>(
    on: &KillSwitchOn<'run>,
    rehearsal: &mut Run<'run, Rehearsal, Adapter>,
) -> Result<(), Error> {
    let sg1 = rehearsal.approval::<Sg1>()?;
    let _ = Phase::live(Draft::of(&["a"]), on, sg1, Start);
    Ok(())
}

fn main() {}
