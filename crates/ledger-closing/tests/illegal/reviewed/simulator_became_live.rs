//! The simulator is asserted to be no live adapter, and has become one.

use ledger_closing::Freeze;
use phasegate::prelude::*;

struct Predict;

impl Execute<Freeze> for Predict {
    fn execute(&mut self, _: &Freeze, _: (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        Ok(0)
    }
}

phasegate::assert_not_live!(Predict: Freeze);

fn main() {}
