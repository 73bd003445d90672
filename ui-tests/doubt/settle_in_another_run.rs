//! A doubt is settled in the run that has it: what comes back is of that run.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::time::Duration;

use phasegate::{Attempt, Live, Run, Unsettled};
use pipeline::{Adapter, Draft};

fn settles<'a, 'one, 'other>(
    run: &'a mut Run<'other, Live, Adapter>,
    unsettled: Unsettled<'one, 'one, Draft, Live>,
) {
    if let Attempt::Performed(receipt) = run.settle(unsettled, Duration::from_secs(10)) {
        println!("{receipt:?}");
    }
}

fn main() {}
