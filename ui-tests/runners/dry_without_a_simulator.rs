//! A dry run that was not given a simulator does not compile.

use phasegate::{DryRunner, Error, Target};

fn runs(target: Target) -> Result<(), Error> {
    DryRunner::new("items").target(target).run(|_, _| Ok(()))?;
    Ok(())
}

fn main() {}
