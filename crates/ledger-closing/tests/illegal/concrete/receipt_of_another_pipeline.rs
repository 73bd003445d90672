//! Another pipeline has a phase of the same name and output. Its receipt opens nothing here.

use ledger_closing::{Books, Post};
use phasegate::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Freeze;

impl PhaseSpec for Freeze {
    const NAME: &'static str = "freeze";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;
}

fn posts<'run>(
    run: &mut Run<'run, Live, Books>,
    on: &KillSwitchOn<'run>,
    frozen: &Receipt<'run, Freeze, Live>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Post { entries: vec![] }).perform(on, sg1, frozen)?;
    Ok(())
}

fn main() {}
