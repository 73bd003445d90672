//! `Ungated` is nothing that can be approved.

use phasegate::prelude::*;

fn approval_of_no_gate<'run, M: Mode, W>(
    run: &mut Run<'run, M, W>,
) -> Result<(), Error> {
    run.approval::<Ungated>()?;
    Ok(())
}

fn main() {}
