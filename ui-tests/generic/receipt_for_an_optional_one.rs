//! A phase after a phase that not every run has takes an option.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

#[derive(serde::Serialize, serde::Deserialize)]
struct Cleanup;

impl PhaseSpec for Cleanup {
    const NAME: &'static str = "cleanup";
    type Gate = Ungated;
    type After = Option<Draft>;
    type Output = ();
}

fn receipt_for_an_optional_one<'run, M: Mode, W: Perform<M, Cleanup>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
) -> Result<(), Error> {
    run.phase(Cleanup).perform(on, Ungated, drafted)?;
    Ok(())
}

fn main() {}
