//! A phase sends one statement per message, so that none hides behind another.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Execute, Failure, PhaseTx};
use pipeline::Draft;

struct Hasty;

impl Execute<Draft> for Hasty {
    fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        tx.batch_execute("SELECT 1; COMMIT")?;
        Ok(0)
    }
}

fn main() {}
