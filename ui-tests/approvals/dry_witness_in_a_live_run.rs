//! The approval of a dry run approves nothing live.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Approval, DryRun, KillSwitchOn, Phase, Sg1, Start};
use pipeline::Draft;

fn unapproved<'run>(on: &KillSwitchOn<'run>, dry: Approval<'run, Sg1, DryRun>) {
    let _ = Phase::live(Draft::of(&["a"]), on, dry, Start);
}

fn main() {}
