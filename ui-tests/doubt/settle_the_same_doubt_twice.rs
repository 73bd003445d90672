//! Settling takes the phase away: it comes back from there, as a receipt or as a phase.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::time::Duration;

use phasegate::{Attempt, Live, Run, Unsettled};
use pipeline::{Adapter, Draft};

fn settles<'r, 'run>(
    run: &mut Run<'run, Live, Adapter>,
    unsettled: Unsettled<'r, 'run, Draft, Live>,
) -> [Attempt<'r, 'run, Draft, Live>; 2] {
    let patience = Duration::from_secs(10);
    [run.settle(unsettled, patience), run.settle(unsettled, patience)]
}

fn main() {}
