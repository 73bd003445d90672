//! A live phase takes the token that the kill switch was ON, and nothing else.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, Error, Live, Run, Sg1Approved, Start, Switch};
use pipeline::{Adapter, Draft};

fn without_token<'run>(
    run: &mut Run<'run, Live, Adapter>,
    dry: &Switch<'run, DryRun>,
    sg1: Sg1Approved<'run>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(dry, sg1, Start)?;
    Ok(())
}

fn main() {}
