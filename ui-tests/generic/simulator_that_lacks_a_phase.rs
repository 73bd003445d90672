//! The performer of a pipeline performs each of its phases, and the pipeline's own bound requires it.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Check, Draft};

#[diagnostic::on_unimplemented(
    message = "`{Self}` does not perform every phase of the pipeline in mode `{M}`",
    note = "a simulator implements `Simulate` for each of its phases, a live adapter `Execute`"
)]
trait Performs<M: Mode>: Perform<M, Draft> + Perform<M, Check> {}
impl<M: Mode, W: Perform<M, Draft> + Perform<M, Check>> Performs<M> for W {}

struct DraftsOnly;

impl Simulate<Draft> for DraftsOnly {
    fn simulate(&mut self, _: &Draft, (): (), _: &mut Effects) -> Result<u64, Failure> {
        Ok(1)
    }
}

fn steps<'run, M: Mode, W: Performs<M>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start).map(drop)
}

fn simulator_that_lacks_a_phase(target: Target) {
    let _ = DryRunner::new("items").target(target).simulator(DraftsOnly).run(steps);
}

fn main() {}
