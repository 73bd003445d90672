//! A phase whose commit is in doubt is not performed again: it may be committed.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, Live, Run, runner::UnresolvedPhase};
use pipeline::{Adapter, Draft};

fn performs_again<'run>(
    run: &mut Run<'run, Live, Adapter>,
    unresolved: UnresolvedPhase<'_, 'run, Draft, Live>,
) -> Result<(), Error> {
    run.perform(unresolved)?;
    Ok(())
}

fn main() {}
