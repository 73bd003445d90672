//! Whether it was committed is what resolving is for.
#![deny(unused_must_use)]

use std::time::Duration;

use phasegate::{connect::Connector, error::{InDoubt, ResolveError}};

fn resolves(doubt: &InDoubt, connector: impl Connector) -> Result<(), ResolveError> {
    doubt.resolve(connector, Duration::from_secs(10))?;
    Ok(())
}

fn main() {}
