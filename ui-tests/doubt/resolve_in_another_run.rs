//! A doubt is resolved in the run that has it: what comes back is of that run.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::time::Duration;

use phasegate::{Attempt, Live, Run, runner::UnresolvedPhase};
use pipeline::{Adapter, Draft};

fn resolves<'a, 'one, 'other>(
    run: &'a mut Run<'other, Live, Adapter>,
    unresolved: UnresolvedPhase<'one, 'one, Draft, Live>,
) {
    if let Attempt::Performed(receipt) = run.resolve(unresolved, Duration::from_secs(10)) {
        println!("{receipt:?}");
    }
}

fn main() {}
