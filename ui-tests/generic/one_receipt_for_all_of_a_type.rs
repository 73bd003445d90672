//! A phase after all phases of a type takes the list of their receipts.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

#[derive(serde::Serialize, serde::Deserialize)]
struct Summary;

impl PhaseSpec for Summary {
    const NAME: &'static str = "summary";
    type Gate = Ungated;
    type After = Vec<Draft>;
    type Output = ();
}

fn one_receipt_for_all_of_a_type<'run, M: Mode, W: Perform<M, Summary>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
) -> Result<(), Error> {
    run.phase(Summary).perform(on, Ungated, drafted)?;
    Ok(())
}

fn main() {}
