//! A phase that comes after two needs both receipts.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{And, Approval, KillSwitchOn, Live, Phase, Receipt, Sg1, Sg2};
use pipeline::{Draft, Publish};

fn half<'run>(
    on: &KillSwitchOn<'run>,
    both: Approval<'run, And<Sg1, Sg2>, Live>,
    drafted: &Receipt<'run, Draft, Live>,
) {
    let _ = Phase::live(Publish, on, both, drafted);
}

fn main() {}
