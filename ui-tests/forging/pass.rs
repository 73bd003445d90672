//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Digest, DryRun, DryRunner, Error, KillSwitchOn, Live, Switch, Phase, Plan, Receipt, Run, Sg1Approved, Start, Target, Ungated, approval::{ApprovalStatement, Attestation, Evidence}, switch::InProcessSwitch};
use pipeline::{Adapter, Draft, Simulator, pipeline};

fn token_by_literal<'a, 'run>(lent: &'a KillSwitchOn<'run>) -> &'a KillSwitchOn<'run> {
    lent
}

fn approval_by_literal<'run>(run: &mut Run<'run, Live, Adapter>) -> Result<Sg1Approved<'run>, Error> {
    run.approval()
}

fn receipt_by_literal<'run>(
    run: &mut Run<'run, DryRun, Simulator>,
    on: &Switch<'run, DryRun>,
) -> Result<Receipt<'run, Draft, DryRun>, Error> {
    let sg1 = run.approval()?;
    run.phase(Draft::of(&["a"])).perform(on, sg1, Start)
}

fn phase_by_literal<'r, 'run>(
    on: &'r KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
) -> Phase<'r, 'run, Draft, Live> {
    Phase::live(Draft::of(&["a"]), on, sg1, Start)
}

fn by_default() {
    fn from_nothing<T: Default>() -> T {
        T::default()
    }
    let _: InProcessSwitch = from_nothing();
}

fn by_clone(plan: &Plan, switch: &InProcessSwitch) {
    fn doubled<T: Clone>(one: &T) -> T {
        one.clone()
    }
    let _ = doubled(plan);
    let _ = doubled(switch);
}

fn by_copy() {
    fn copied<T: Copy>(one: &T) -> T {
        *one
    }
    let _ = copied(&Ungated);
    let _ = copied(&Start);
}

fn by_deserializing(saved: &[u8], approved: Digest) {
    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
        serde_json::from_str(text).ok()
    }
    let _: Option<Target> = read("null");
    let _: Option<Plan> = Plan::from_saved(saved, approved).ok();
}

fn by_the_mint(statement: ApprovalStatement) -> Attestation {
    Attestation::assert_verified(statement, "ada")
}

fn attestation_out_of_evidence(statement: ApprovalStatement, evidence: Evidence) -> Attestation {
    Attestation::assert_verified(statement, "ada").with_evidence(evidence)
}

fn plan_by_hand(target: Target) -> Result<Plan, Error> {
    let planned = DryRunner::new("items")
        .target(target)
        .simulator(Simulator)
        .run(|run, on| pipeline(run, on, Draft::of(&["a"])))?;
    Ok(planned.plan)
}
