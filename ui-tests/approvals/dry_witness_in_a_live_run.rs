//! What stands for an approval in a dry run stands for nothing in a live one.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Phase, Start, Unapproved};
use pipeline::Draft;

fn unapproved(on: &KillSwitchOn<'_>) {
    let _ = Phase::live(Draft::of(&["a"]), on, Unapproved, Start);
}

fn main() {}
