//! A dry run that does not say which database it plans for does not compile.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRunner, Error};
use pipeline::Simulator;

fn runs() -> Result<(), Error> {
    DryRunner::new("items").simulator(Simulator).run(|_, _| Ok(()))?;
    Ok(())
}

fn main() {}
