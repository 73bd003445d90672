//! A transaction cannot be kept beyond the phase that it was lent to.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Execute, Failure, PhaseTx};
use pipeline::Draft;

struct Keeper<'kept> {
    kept: Option<&'kept mut PhaseTx<'kept>>,
}

impl<'kept> Execute<Draft> for Keeper<'kept> {
    fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        self.kept = Some(tx);
        Ok(0)
    }
}

fn main() {}
