//! Switched off is not drained: a commit may still be in flight, and the result has the blocking sessions.
#![deny(unused_must_use)]

use std::time::Duration;

use phasegate::operator::{Operator, OperatorError};

fn stops(operator: &mut Operator) -> Result<(), OperatorError> {
    operator.switch_off("stop", Duration::from_secs(2))?;
    Ok(())
}

fn main() {}
