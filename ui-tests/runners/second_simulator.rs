//! A second simulator, which would replace the first one.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRunner, Error, Target};
use pipeline::Simulator;

fn runs(target: Target) -> Result<phasegate::runner::DryRunReport<()>, Error> {
    DryRunner::new("items")
        .target(target)
        .simulator(Simulator)
        .simulator(Simulator)
        .run(|_, _| Ok(()))
}

fn main() {}
