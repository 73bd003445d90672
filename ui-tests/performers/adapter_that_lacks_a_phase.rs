//! An adapter of one phase does not perform the next.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, Execute, Failure, KillSwitchOn, Live, PhaseTx, Run, Sg1Approved, Start, Ungated};
use pipeline::{Check, Draft};

struct Half;

impl Execute<Draft> for Half {
    fn execute(&mut self, _: &Draft, (): (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        Ok(0)
    }
}

fn live<'run>(
    run: &mut Run<'run, Live, Half>,
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
) -> Result<(), Error> {
    let drafted = run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    run.phase(Check).perform(on, Ungated, &drafted)?;
    Ok(())
}

fn main() {}
