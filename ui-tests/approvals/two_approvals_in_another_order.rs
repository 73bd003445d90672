//! Two approvals are joined in the order that the phase names.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Live, Phase, Receipt, Sg1Approved, Sg2Approved};
use pipeline::{Draft, Enact, Publish};

fn reversed<'run>(
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
    sg2: Sg2Approved<'run>,
    drafted: &Receipt<'run, Draft, Live>,
    enacted: &Receipt<'run, Enact, Live>,
) {
    let _ = Phase::live(Publish, on, sg2.and(sg1), (drafted, enacted));
}

fn main() {}
