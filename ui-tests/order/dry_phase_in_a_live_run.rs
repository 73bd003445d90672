//! A phase that was built dry is not performed live.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, Error, Live, Phase, Run};
use pipeline::{Adapter, Draft};

fn performs<'run>(
    run: &mut Run<'run, Live, Adapter>,
    phase: Phase<'_, 'run, Draft, DryRun>,
) -> Result<(), Error> {
    run.perform(phase)?;
    Ok(())
}

fn main() {}
