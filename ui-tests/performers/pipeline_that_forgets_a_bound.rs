//! A pipeline says of whom it is performed: every phase is a bound.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Switch, Error, Mode, Perform, Run, Start, Ungated};
use pipeline::{Check, Draft};

fn half<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    let drafted = run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    run.phase(Check).perform(on, Ungated, &drafted)?;
    Ok(())
}

fn main() {}
