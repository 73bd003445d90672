//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::marker::PhantomData;

use phasegate::{And, Approval, DryRun, Error, Gate, KillSwitchOn, Live, Switch, Phase, PhaseSpec, Receipt, Run, Sg1, Sg1Approved, Sg2, Sg2Approved, Start, Ungated};
use pipeline::{Adapter, Draft, Enact, Publish, Simulator};
use serde::{Deserialize, Serialize};

fn live_without_approval<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn dry_witness_in_a_live_run<'run>(on: &KillSwitchOn<'run>, sg1: Sg1Approved<'run>) {
    let _ = Phase::live(Draft::of(&["a"]), on, sg1, Start);
}

fn approval_of_another_gate<'run>(on: &KillSwitchOn<'run>, sg1: Sg1Approved<'run>) {
    let _ = Phase::live(Draft::of(&["a"]), on, sg1, Start);
}

fn reuse_an_approval<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
    another: Sg1Approved<'run>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    run.phase(Draft::of(&["b"])).perform(on, another, Start)?;
    Ok(())
}

fn approval_of_another_run<'this>(
    run: &mut Run<'this, Live, Adapter>,
    on: &KillSwitchOn<'this>,
    sg1: Sg1Approved<'this>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn one_of_two_approvals<'run>(
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
    sg2: Sg2Approved<'run>,
    drafted: &Receipt<'run, Draft, Live>,
    enacted: &Receipt<'run, Enact, Live>,
) {
    let _ = Phase::live(Publish, on, sg1.and(sg2), (drafted, enacted));
}

fn two_approvals_in_another_order<'run>(
    on: &KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
    sg2: Sg2Approved<'run>,
    drafted: &Receipt<'run, Draft, Live>,
    enacted: &Receipt<'run, Enact, Live>,
) {
    let _ = Phase::live(Publish, on, sg1.and(sg2), (drafted, enacted));
}

fn no_gate_by_silence() {
    #[derive(Serialize, Deserialize)]
    struct Sweep;

    impl PhaseSpec for Sweep {
        const NAME: &'static str = "sweep";
        type Gate = Ungated;
        type After = Start;
        type Output = ();
    }
}

fn gate_or_nothing() {
    #[derive(Serialize, Deserialize)]
    struct Sweep;

    impl PhaseSpec for Sweep {
        const NAME: &'static str = "sweep";
        type Gate = And<Sg1, Sg2>;
        type After = Start;
        type Output = ();
    }
}

fn wrong_gate_in_a_dry_run<'run>(
    run: &mut Run<'run, DryRun, Simulator>,
    on: &Switch<'run, DryRun>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn rehearsed_witness_in_a_live_run<'run>(
    on: &KillSwitchOn<'run>,
    live: &mut Run<'run, Live, Adapter>,
) -> Result<(), Error> {
    let sg1 = live.approval::<Sg1>()?;
    let _ = Phase::live(Draft::of(&["a"]), on, sg1, Start);
    Ok(())
}

struct Level<T>(PhantomData<T>);
type High = Level<fn(&'static ())>;

impl Gate for High {
    const NAME: &'static str = "HIGH";
}

fn approval_of_a_subtype_of_the_gate<'run>(on: &KillSwitchOn<'run>, high: Approval<'run, High, Live>) {
    #[derive(Serialize, Deserialize)]
    struct Sweep;

    impl PhaseSpec for Sweep {
        const NAME: &'static str = "sweep";
        type Gate = High;
        type After = Start;
        type Output = ();
    }

    let _ = Phase::live(Sweep, on, high, Start);
}
