//! A receipt of one run proves nothing in another.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, KillSwitchOn, Live, Receipt, Run, Ungated};
use pipeline::{Adapter, Check, Draft};

fn mixes<'this, 'other>(
    run: &mut Run<'this, Live, Adapter>,
    on: &KillSwitchOn<'this>,
    drafted: &Receipt<'other, Draft, Live>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}

fn main() {}
