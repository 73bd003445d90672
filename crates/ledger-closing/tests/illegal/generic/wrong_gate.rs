//! `Post` is behind `SG_1`: an approval of `SG_2` does not open it, in any mode.

use ledger_closing::{Freeze, Post};
use phasegate::prelude::*;

fn posts<'run, M: Mode, W: Perform<M, Post>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    frozen: &Receipt<'run, Freeze, M>,
) -> Result<(), Error> {
    let sg2 = run.approval::<Sg2>()?;
    run.phase(Post { entries: vec![] }).perform(on, sg2, frozen)?;
    Ok(())
}

fn main() {}
