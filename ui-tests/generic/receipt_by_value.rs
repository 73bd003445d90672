//! A receipt is lent to the phases that come after it.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Check, Draft};

fn receipt_by_value<'run, M: Mode, W: Perform<M, Draft> + Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    let drafted = run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}

fn main() {}
