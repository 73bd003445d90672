//! A second target: the plan is for one database.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRunner, Error, Target};
use pipeline::Simulator;

fn runs(target: Target, other: Target) -> Result<phasegate::runner::DryRunReport<()>, Error> {
    DryRunner::new("items")
        .target(target)
        .target(other)
        .simulator(Simulator)
        .run(|_, _| Ok(()))
}

fn main() {}
