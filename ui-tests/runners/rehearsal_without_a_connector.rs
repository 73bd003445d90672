//! A rehearsal that was not given a connector does not compile.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, RehearsalRunner};
use pipeline::Adapter;

fn runs() -> Result<(), Error> {
    RehearsalRunner::new("items").adapter(Adapter).run(|_, _| Ok(()))?;
    Ok(())
}

fn main() {}
