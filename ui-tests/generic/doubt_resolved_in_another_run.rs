//! What is in doubt in one run is resolved in that run.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn doubt_resolved_in_another_run<'run, 'other, M: Mode, W>(
    run: &mut Run<'run, M, W>,
    unresolved: phasegate::runner::UnresolvedPhase<'_, 'other, Draft, M>,
) -> Result<(), Error> {
    let patience = std::time::Duration::from_secs(10);
    run.resolve(unresolved, patience).into_result().map(drop)
}

fn main() {}
