//! What was simulated was not performed: a dry receipt opens nothing live.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, KillSwitchOn, Phase, Receipt, Ungated};
use pipeline::{Check, Draft};

fn rehearsed<'run>(on: &KillSwitchOn<'run>, drafted: &Receipt<'run, Draft, DryRun>) {
    let _ = Phase::live(Check, on, Ungated, drafted);
}

fn main() {}
