//! A live phase takes the token that the kill switch was ON, and nothing else.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, Live, NoSwitch, Run, Sg1Approved, Start};
use pipeline::{Adapter, Draft};

fn without_token<'run>(run: &mut Run<'run, Live, Adapter>, sg1: Sg1Approved<'run>) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(&NoSwitch, sg1, Start)?;
    Ok(())
}

fn main() {}
