//! Two runs of one pipeline: the receipt of one opens nothing in the other, in any mode.

use ledger_closing::{Freeze, Post};
use phasegate::prelude::*;

fn posts<'this, 'other, M: Mode, W: Perform<M, Post>>(
    run: &mut Run<'this, M, W>,
    on: &Switch<'this, M>,
    frozen: &Receipt<'other, Freeze, M>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Post { entries: vec![] }).perform(on, sg1, frozen)?;
    Ok(())
}

fn main() {}
