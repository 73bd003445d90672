//! A phase behind a gate is not performed live on the word `Ungated`.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, KillSwitchOn, Live, Run, Start, Ungated};
use pipeline::{Adapter, Draft};

fn unapproved<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, Ungated, Start)?;
    Ok(())
}

fn main() {}
