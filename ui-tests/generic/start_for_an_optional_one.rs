//! Where a phase that not every run has was not performed, that is `None`.

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

fn start_for_an_optional_one<'run, M: Mode, W: Perform<M, Cleanup>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    run.phase(Cleanup).perform(on, Ungated, Start)?;
    Ok(())
}

fn main() {}
