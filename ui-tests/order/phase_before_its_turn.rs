//! A phase that comes after another needs its receipt; `Start` is not a receipt.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, KillSwitchOn, Live, Run, Start, Ungated};
use pipeline::{Adapter, Check};

fn early<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, Start)?;
    Ok(())
}

fn main() {}
