//! Another pipeline has a phase of the same name and output. Its receipt opens nothing here, in any mode.

use ledger_closing::Post;
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

fn posts<'run, M: Mode, W: Perform<M, Post>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    frozen: &Receipt<'run, Freeze, M>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Post { entries: vec![] }).perform(on, sg1, frozen)?;
    Ok(())
}

fn main() {}
