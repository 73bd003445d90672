//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]
#![deny(unused_must_use)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::time::Duration;

use phasegate::{Attempt, Error, Live, Phase, Run, connect::Connector, error::{InDoubt, Resolution, ResolveError}, runner::UnresolvedPhase};
use pipeline::{Adapter, Draft};

fn perform_again_while_in_doubt<'run>(
    run: &mut Run<'run, Live, Adapter>,
    phase: Phase<'_, 'run, Draft, Live>,
) -> Result<(), Error> {
    run.perform(phase)?;
    Ok(())
}

fn resolve_the_same_doubt_twice<'r, 'run>(
    run: &mut Run<'run, Live, Adapter>,
    unresolved: UnresolvedPhase<'r, 'run, Draft, Live>,
) -> Attempt<'r, 'run, Draft, Live> {
    let patience = Duration::from_secs(10);
    match run.resolve(unresolved, patience) {
        Attempt::InDoubt(unresolved) => run.resolve(unresolved, patience),
        resolved => resolved,
    }
}

fn resolve_in_another_run<'a, 'one>(
    run: &'a mut Run<'one, Live, Adapter>,
    unresolved: UnresolvedPhase<'one, 'one, Draft, Live>,
) {
    if let Attempt::Performed(receipt) = run.resolve(unresolved, Duration::from_secs(10)) {
        println!("{receipt:?}");
    }
}

fn ignore_what_resolving_said(doubt: &InDoubt, connector: impl Connector) -> Result<bool, ResolveError> {
    let resolved = doubt.resolve(connector, Duration::from_secs(10))?;
    Ok(matches!(resolved, Resolution::Committed(_)))
}
