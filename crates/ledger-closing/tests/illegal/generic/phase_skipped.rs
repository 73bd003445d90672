//! `Post` comes after `Freeze`: without the receipt of `Freeze` it cannot be performed, in any mode.

use ledger_closing::Post;
use phasegate::prelude::*;

fn skips<'run, M: Mode, W: Perform<M, Post>>(run: &mut Run<'run, M, W>, on: &Switch<'run, M>) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Post { entries: vec![] }).perform(on, sg1, Start)?;
    Ok(())
}

fn main() {}
