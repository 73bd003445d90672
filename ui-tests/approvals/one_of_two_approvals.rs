//! A phase behind two gates needs both approvals.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Live, Phase, Receipt, Sg1Approved};
use pipeline::{Draft, Enact, Publish};

fn half<'run>(
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
    drafted: &Receipt<'run, Draft, Live>,
    enacted: &Receipt<'run, Enact, Live>,
) {
    let _ = Phase::live(Publish, on, sg1, (drafted, enacted));
}

fn main() {}
