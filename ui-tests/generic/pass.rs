//! The legal twin of each mistake in this folder, under the mistake's name: pipelines that are written once, for every mode.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Check, Draft, Enact, Publish, Simulator};

fn ungated_for_a_gated_phase<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn approval_of_another_gate<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn approval_that_may_be_an_error<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn approval_for_two_phases<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["b"])).perform(on, sg1, Start)?;
    Ok(())
}

fn one_of_two_approvals<'run, M: Mode, W: Perform<M, Publish>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
    enacted: &Receipt<'run, Enact, M>,
) -> Result<(), Error> {
    let both = run.approval::<And<Sg1, Sg2>>()?;
    run.phase(Publish).perform(on, both, (drafted, enacted))?;
    Ok(())
}

fn two_approvals_in_another_order<'run, M: Mode, W: Perform<M, Publish>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
    enacted: &Receipt<'run, Enact, M>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    let both = sg1.and(run.approval::<Sg2>()?);
    run.phase(Publish).perform(on, both, (drafted, enacted))?;
    Ok(())
}

fn live_approval_in_any_mode<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    sg1: Approval<'run, Sg1, M>,
) -> Result<(), Error> {
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn approval_for_an_ungated_phase<'run, M: Mode, W: Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}

fn approval_asked_for_inside_the_call<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn approval_of_no_gate<'run, M: Mode, W>(
    run: &mut Run<'run, M, W>,
) -> Result<(), Error> {
    let _ = run.approval::<Sg1>()?;
    Ok(())
}

fn approval_of_a_phase<'run, M: Mode, W>(
    run: &mut Run<'run, M, W>,
) -> Result<(), Error> {
    let _ = run.approval::<Sg1>()?;
    Ok(())
}

fn approval_of_any_gate<'run, G: Gate, S: PhaseSpec<Gate = G, After = Start>, M: Mode, W: Perform<M, S>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    phase: S,
    approved: Approval<'run, G, M>,
) -> Result<(), Error> {
    run.phase(phase).perform(on, approved, Start)?;
    Ok(())
}

fn nothing_for_an_approval<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn live_token_in_any_mode<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn token_of_another_run<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn no_token<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval::<Sg1>()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn phase_before_its_turn<'run, M: Mode, W: Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}

fn receipt_by_value<'run, M: Mode, W: Perform<M, Draft> + Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    let drafted = run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    run.phase(Check).perform(on, Ungated, &drafted)?;
    Ok(())
}

fn receipt_of_another_phase<'run, M: Mode, W: Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}

fn live_receipt_in_any_mode<'run, M: Mode, W: Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}

fn receipts_in_another_order<'run, M: Mode, W: Perform<M, Publish>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
    enacted: &Receipt<'run, Enact, M>,
) -> Result<(), Error> {
    let both = run.approval::<And<Sg1, Sg2>>()?;
    run.phase(Publish).perform(on, both, (drafted, enacted))?;
    Ok(())
}


#[derive(serde::Serialize, serde::Deserialize)]
struct Summary;

impl PhaseSpec for Summary {
    const NAME: &'static str = "summary";
    type Gate = Ungated;
    type After = Vec<Draft>;
    type Output = ();
}

fn one_receipt_for_all_of_a_type<'run, M: Mode, W: Perform<M, Summary>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &[Receipt<'run, Draft, M>],
) -> Result<(), Error> {
    run.phase(Summary).perform(on, Ungated, drafted)?;
    Ok(())
}


#[derive(serde::Serialize, serde::Deserialize)]
struct Cleanup;

impl PhaseSpec for Cleanup {
    const NAME: &'static str = "cleanup";
    type Gate = Ungated;
    type After = Option<Draft>;
    type Output = ();
}

fn receipt_for_an_optional_one<'run, M: Mode, W: Perform<M, Cleanup>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    drafted: &Receipt<'run, Draft, M>,
) -> Result<(), Error> {
    run.phase(Cleanup).perform(on, Ungated, Some(drafted))?;
    Ok(())
}

fn start_for_an_optional_one<'run, M: Mode, W: Perform<M, Cleanup>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    run.phase(Cleanup).perform(on, Ungated, None)?;
    Ok(())
}

fn bound_of_a_simulator<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}

fn bound_of_an_adapter<'run, W: Execute<Draft>>(
    run: &mut Run<'run, Live, W>,
    on: &KillSwitchOn<'run>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
    Ok(())
}


fn pipeline_of_two<'run, M: Mode, W: Perform<M, Draft> + Perform<M, Check>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start).map(drop)
}

fn simulator_that_lacks_a_phase(target: Target) {
    let _ = DryRunner::new("items").target(target).simulator(Simulator).run(pipeline_of_two);
}

fn what_was_committed_in_any_mode<'run>(
    drafted: &Receipt<'run, Draft, Live>,
) -> String {
    drafted.committed().xid().to_owned()
}

fn attestations_in_any_mode<'run, W>(
    run: &Run<'run, Live, W>,
) -> usize {
    run.attestations().count()
}

fn erased_phase_of_a_live_run<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    let phase: Box<dyn phasegate::runner::ErasedPhase<'run, M, W> + '_> =
        Phase::new(Draft::of(&["a"]), on, sg1, Start).erase();
    phase.perform(run)
}

fn doubt_resolved_in_another_run<'run, M: Mode, W>(
    run: &mut Run<'run, M, W>,
    unresolved: phasegate::runner::UnresolvedPhase<'_, 'run, Draft, M>,
) -> Result<(), Error> {
    let patience = std::time::Duration::from_secs(10);
    run.resolve(unresolved, patience).into_result().map(drop)
}

fn closure_for_another_phase(target: Target) {
    let simulator = phasegate::simulator_fn(|_: &Draft, (), _: &mut Effects| Ok(1));
    let _ = DryRunner::new("items").target(target).simulator(simulator).run(|run, on| {
        let sg1 = run.approval()?;
        run.phase(Draft::of(&["a"])).perform(on, sg1, Start).map(drop)
    });
}

fn closure_with_another_output() {
    let _ = phasegate::adapter_fn(|_: &Draft, (), _: &mut PhaseTx<'_>| Ok(1));
}
