//! Two transactions cannot be exchanged: the phase that failed would be the one that commits.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Execute, Failure, PhaseTx};
use pipeline::Draft;

struct Inner<'outer, 'tx> {
    outer: &'outer mut PhaseTx<'tx>,
}

impl Execute<Draft> for Inner<'_, '_> {
    fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        std::mem::swap(self.outer, tx);
        Ok(0)
    }
}

fn main() {}
