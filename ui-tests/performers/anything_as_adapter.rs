//! What performs nothing is no adapter, for any phase of the pipeline.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, KillSwitchOn, Live, Run};
use pipeline::{Draft, pipeline};

fn live<'run>(
    run: &mut Run<'run, Live, String>,
    on: &KillSwitchOn<'run>,
) -> Result<u64, Error> {
    pipeline(run, on, Draft::of(&["a"]))
}

fn main() {}
