//! What stands for an approval in a dry run stands for nothing in a live one.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Phase, Sg1, Start, Unapproved};
use pipeline::Draft;

fn unapproved(on: &KillSwitchOn<'_>, dry: Unapproved<Sg1>) {
    let _ = Phase::live(Draft::of(&["a"]), on, dry, Start);
}

fn main() {}
