//! What performs a phase live does not simulate it.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, Error, Switch, Run, Start};
use pipeline::{Adapter, Draft};

fn dry<'run>(run: &mut Run<'run, DryRun, Adapter>, on: &Switch<'run, DryRun>) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn main() {}
