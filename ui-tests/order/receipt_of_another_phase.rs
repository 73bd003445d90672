//! The receipt of one phase does not stand for that of another.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Live, Phase, Receipt, Sg2Approved};
use pipeline::{Draft, Enact};

fn skips<'run>(
    on: &KillSwitchOn<'run>,
    sg2: Sg2Approved<'run>,
    drafted: &Receipt<'run, Draft, Live>,
) {
    let _ = Phase::live(Enact, on, sg2, drafted);
}

fn main() {}
