//! `Post` comes after `Freeze`: without the receipt of `Freeze` it cannot be performed.

use ledger_closing::{Books, Post};
use phasegate::prelude::*;

fn skips<'run>(run: &mut Run<'run, Live, Books>, on: &KillSwitchOn<'run>) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Post { entries: vec![] }).perform(on, sg1, Start)?;
    Ok(())
}

fn main() {}
