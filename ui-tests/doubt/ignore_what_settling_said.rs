//! Whether it was committed is what settling is for.
#![deny(unused_must_use)]

use std::time::Duration;

use phasegate::{Connector, InDoubt, StillInDoubt};

fn settles(doubt: &InDoubt, connector: impl Connector) -> Result<(), StillInDoubt> {
    doubt.settle(connector, Duration::from_secs(10))?;
    Ok(())
}

fn main() {}
