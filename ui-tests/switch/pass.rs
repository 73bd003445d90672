//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::time::Duration;

use phasegate::{Error, KillSwitchOn, Live, Run, Sg1Approved, Start, operator::{Operator, OperatorError, SwitchedOff}};
use pipeline::{Adapter, Draft};

fn live_without_the_token<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn token_of_another_run<'this>(
    run: &mut Run<'this, Live, Adapter>,
    on: &KillSwitchOn<'this>,
    sg1: Sg1Approved<'this>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn ignore_that_a_commit_is_in_flight(operator: &mut Operator) -> Result<bool, OperatorError> {
    let off = operator.switch_off("stop", Duration::from_secs(2))?;
    Ok(off == SwitchedOff::Drained)
}
