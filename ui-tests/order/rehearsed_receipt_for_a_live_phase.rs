//! What was rehearsed was rolled back: its receipt opens nothing live.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Phase, Receipt, Rehearsal, Ungated};
use pipeline::{Check, Draft};

fn rehearsed<'run>(on: &KillSwitchOn<'run>, drafted: &Receipt<'run, Draft, Rehearsal>) {
    let _ = Phase::live(Check, on, Ungated, drafted);
}

fn main() {}
