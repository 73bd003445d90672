//! What was prepared in one phase cannot be kept for the next.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Execute, Failure, PhaseTx, connect::PreparedStatement};
use pipeline::Draft;

struct Keeper<'kept> {
    kept: Option<PreparedStatement<'kept>>,
}

impl<'kept> Execute<Draft> for Keeper<'kept> {
    fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        self.kept = Some(tx.prepare("SELECT 1")?);
        Ok(0)
    }
}

fn main() {}
