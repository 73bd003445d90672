//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{And, Approval, Error, KillSwitchOn, Live, Switch, Perform, Phase, PhaseSpec, Receipt, Rehearsal, Run, Sg1, Sg2, Sg2Approved, Start, Ungated};
use pipeline::{Adapter, Check, Draft, Enact, Publish};

#[derive(serde::Serialize, serde::Deserialize)]
struct Batch(u32);

impl PhaseSpec for Batch {
    const NAME: &'static str = "batch";
    type Gate = Ungated;
    type After = Start;
    type Output = u32;
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Total;

impl PhaseSpec for Total {
    const NAME: &'static str = "total";
    type Gate = Ungated;
    type After = Vec<Batch>;
    type Output = u32;
}

fn one_receipt_for_a_list<'run, W: Perform<Live, Batch> + Perform<Live, Total>>(
    run: &mut Run<'run, Live, W>,
    on: &KillSwitchOn<'run>,
) -> Result<u32, Error> {
    let batches = vec![run.phase(Batch(1)).perform(on, Ungated, Start)?];
    Ok(run.phase(Total).perform(on, Ungated, &batches)?.into_output())
}

fn phase_before_its_turn<'run>(
    run: &mut Run<'run, Live, Adapter>,
    on: &KillSwitchOn<'run>,
    drafted: &Receipt<'run, Draft, Live>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}

fn receipt_of_another_phase<'run>(
    on: &KillSwitchOn<'run>,
    sg2: Sg2Approved<'run>,
    checked: &Receipt<'run, Check, Live>,
) {
    let _ = Phase::live(Enact, on, sg2, checked);
}

fn dry_receipt_for_a_live_phase<'run>(
    on: &KillSwitchOn<'run>,
    drafted: &Receipt<'run, Draft, Live>,
) {
    let _ = Phase::live(Check, on, Ungated, drafted);
}

fn dry_phase_in_a_live_run<'run>(
    run: &mut Run<'run, Live, Adapter>,
    phase: Phase<'_, 'run, Draft, Live>,
) -> Result<(), Error> {
    run.perform(phase)?;
    Ok(())
}

fn one_of_two_receipts<'run>(
    on: &KillSwitchOn<'run>,
    both: Approval<'run, And<Sg1, Sg2>, Live>,
    drafted: &Receipt<'run, Draft, Live>,
    enacted: &Receipt<'run, Enact, Live>,
) {
    let _ = Phase::live(Publish, on, both, (drafted, enacted));
}

fn rehearsed_receipt_for_a_live_phase<'run>(
    on: &KillSwitchOn<'run>,
    drafted: &Receipt<'run, Draft, Live>,
) {
    let _ = Phase::live(Check, on, Ungated, drafted);
}

fn live_receipt_in_a_rehearsal<'run>(
    run: &mut Run<'run, Rehearsal, Adapter>,
    on: &Switch<'run, Rehearsal>,
    drafted: &Receipt<'run, Draft, Rehearsal>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}
