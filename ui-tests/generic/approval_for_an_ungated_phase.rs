//! A phase behind no gate takes `Ungated`, not an approval.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Check, Draft};

fn approval_for_an_ungated_phase<'run, M: Mode, W: Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Check).perform(on, sg1, drafted)?;
    Ok(())
}

fn main() {}
