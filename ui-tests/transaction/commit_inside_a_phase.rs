//! A phase cannot commit: the ending is the engine's.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Execute, Failure, PhaseTx};
use pipeline::Draft;

struct Hasty;

impl Execute<Draft> for Hasty {
    fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        tx.commit()?;
        Ok(1)
    }
}

fn main() {}
