//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]
#![deny(unused_must_use)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::time::Duration;

use phasegate::{
    Attempt, Connector, Error, InDoubt, Live, Phase, Run, Settled, StillInDoubt, Unsettled,
};
use pipeline::{Adapter, Draft};

fn perform_again_while_in_doubt<'run>(
    run: &mut Run<'run, Live, Adapter>,
    phase: Phase<'_, 'run, Draft, Live>,
) -> Result<(), Error> {
    run.perform(phase)?;
    Ok(())
}

fn settle_the_same_doubt_twice<'r, 'run>(
    run: &mut Run<'run, Live, Adapter>,
    unsettled: Unsettled<'r, 'run, Draft, Live>,
) -> Attempt<'r, 'run, Draft, Live> {
    let patience = Duration::from_secs(10);
    match run.settle(unsettled, patience) {
        Attempt::InDoubt(unsettled) => run.settle(unsettled, patience),
        settled => settled,
    }
}

fn settle_in_another_run<'a, 'one>(
    run: &'a mut Run<'one, Live, Adapter>,
    unsettled: Unsettled<'one, 'one, Draft, Live>,
) {
    if let Attempt::Performed(receipt) = run.settle(unsettled, Duration::from_secs(10)) {
        println!("{receipt:?}");
    }
}

fn ignore_what_settling_said(doubt: &InDoubt, connector: impl Connector) -> Result<bool, StillInDoubt> {
    let settled = doubt.settle(connector, Duration::from_secs(10))?;
    Ok(matches!(settled, Settled::Committed(_)))
}

fn main() {}
