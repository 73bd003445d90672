//! What performs a phase live does not simulate it.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, Error, NoSwitch, Run, Start, Unapproved};
use pipeline::{Adapter, Draft};

fn dry<'run>(run: &mut Run<'run, DryRun, Adapter>, on: &NoSwitch) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, Unapproved, Start)?;
    Ok(())
}

fn main() {}
