//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, Error, Execute, Failure, KillSwitchOn, Live, Mode, Switch, Perform, PhaseTx, Rehearsal, Run, Sg1Approved, Start, Ungated};
use pipeline::{Adapter, Check, Draft, Simulator, pipeline};

fn simulator_as_adapter<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn adapter_as_simulator<'run>(
    run: &mut Run<'run, DryRun, Simulator>,
    on: &Switch<'run, DryRun>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn adapter_that_lacks_a_phase<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
) -> Result<(), Error> {
    let drafted = run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    run.phase(Check).perform(on, Ungated, &drafted)?;
    Ok(())
}

fn anything_as_adapter<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
) -> Result<u64, Error> {
    pipeline(run, on, Draft::of(&["a"]))
}

fn both_roles_by_one_impl() {
    struct Both;

    impl Execute<Draft> for Both {
        fn execute(&mut self, _: &Draft, (): (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> {
            Ok(0)
        }
    }

    fn performs<W: Perform<Live, Draft>>(_: W) {}
    performs(Both);
}

fn pipeline_that_forgets_a_bound<'run, M: Mode, W: Perform<M, Draft> + Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    let drafted = run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    run.phase(Check).perform(on, Ungated, &drafted)?;
    Ok(())
}

fn simulator_in_a_rehearsal<'run>(
    run: &mut Run<'run, Rehearsal, Adapter>,
    on: &Switch<'run, Rehearsal>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}
