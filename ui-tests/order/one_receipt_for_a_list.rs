//! A phase that comes after all batches is given the receipt of one.

use phasegate::{Error, Live, KillSwitchOn, Perform, PhaseSpec, Run, Start, Ungated};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Batch(u32);

impl PhaseSpec for Batch {
    const NAME: &'static str = "batch";
    type Gate = Ungated;
    type After = Start;
    type Output = u32;
}

#[derive(Serialize, Deserialize)]
struct Total;

impl PhaseSpec for Total {
    const NAME: &'static str = "total";
    type Gate = Ungated;
    type After = Vec<Batch>;
    type Output = u32;
}

fn all<'run, W: Perform<Live, Batch> + Perform<Live, Total>>(
    run: &mut Run<'run, Live, W>,
    on: &KillSwitchOn<'run>,
) -> Result<u32, Error> {
    let batch = run.phase(Batch(1)).perform(on, Ungated, Start)?;
    Ok(run.phase(Total).perform(on, Ungated, &batch)?.into_output())
}

fn main() {}
