//! An erased phase that was never one.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, Live, Run, runner::ErasedPhase};
use pipeline::Adapter;

struct Impostor;

impl<'run> ErasedPhase<'run, Live, Adapter> for Impostor {
    fn name(&self) -> String {
        "impostor".to_owned()
    }

    fn perform(self: Box<Self>, _: &mut Run<'run, Live, Adapter>) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
