//! Resolving takes the phase away: it comes back from there, as a receipt or as a phase.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::time::Duration;

use phasegate::{Attempt, Live, Run, runner::UnresolvedPhase};
use pipeline::{Adapter, Draft};

fn resolves<'r, 'run>(
    run: &mut Run<'run, Live, Adapter>,
    unresolved: UnresolvedPhase<'r, 'run, Draft, Live>,
) -> [Attempt<'r, 'run, Draft, Live>; 2] {
    let patience = Duration::from_secs(10);
    [run.resolve(unresolved, patience), run.resolve(unresolved, patience)]
}

fn main() {}
