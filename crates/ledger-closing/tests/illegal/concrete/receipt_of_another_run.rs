//! Two runs of one pipeline: the receipt of one opens nothing in the other.

use ledger_closing::{Books, Freeze, Post};
use phasegate::prelude::*;

fn posts<'this, 'other>(
    run: &mut Run<'this, Live, Books>,
    on: &KillSwitchOn<'this>,
    frozen: &Receipt<'other, Freeze, Live>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Post { entries: vec![] }).perform(on, sg1, frozen)?;
    Ok(())
}

fn main() {}
