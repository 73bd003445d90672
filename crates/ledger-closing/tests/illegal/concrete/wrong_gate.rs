//! `Post` is behind `SG_1`: an approval of `SG_2` does not open it.

use ledger_closing::{Books, Freeze, Post};
use phasegate::prelude::*;

fn posts<'run>(
    run: &mut Run<'run, Live, Books>,
    on: &KillSwitchOn<'run>,
    frozen: &Receipt<'run, Freeze, Live>,
) -> Result<(), Error> {
    let sg2 = run.approval::<Sg2>()?;
    run.phase(Post { entries: vec![] }).perform(on, sg2, frozen)?;
    Ok(())
}

fn main() {}
