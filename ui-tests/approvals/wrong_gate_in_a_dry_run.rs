//! A dry run checks which gate an approval is of, as a live one does.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, Error, Switch, Run, Sg2, Start};
use pipeline::{Draft, Simulator};

fn dry<'run>(run: &mut Run<'run, DryRun, Simulator>, on: &Switch<'run, DryRun>) -> Result<(), Error> {
    let sg2 = run.approval::<Sg2>()?;
    run.phase(Draft::of(&["a"])).perform(on, sg2, Start)?;
    Ok(())
}

fn main() {}
