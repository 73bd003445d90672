//! What simulates a phase does not rehearse it: a rehearsal is the real thing, rolled back.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, Switch, Rehearsal, Run, Start};
use pipeline::{Draft, Simulator};

fn rehearse<'run>(run: &mut Run<'run, Rehearsal, Simulator>, on: &Switch<'run, Rehearsal>) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn main() {}
