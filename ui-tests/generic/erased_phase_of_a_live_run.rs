//! Erasing the type of a phase keeps its mode.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn erased_phase_of_a_live_run<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    let phase: Box<dyn phasegate::runner::ErasedPhase<'run, Live, W> + '_> =
        Phase::new(Draft::of(&["a"]), on, sg1, Start).erase();
    phase.perform(run)
}

fn main() {}
