//! No token can be cloned.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Live, Phase, Receipt, Sg1Approved};
use pipeline::Draft;

fn doubled<T: Clone>(one: &T) -> T {
    one.clone()
}

fn forged<'run>(
    on: &KillSwitchOn<'run>,
    sg1: &Sg1Approved<'run>,
    receipt: &Receipt<'run, Draft, Live>,
    phase: &Phase<'_, 'run, Draft, Live>,
) {
    let _ = doubled(on);
    let _ = doubled(sg1);
    let _ = doubled(receipt);
    let _ = doubled(phase);
}

fn main() {}
