//! The plan: a live run performs what was planned, in that order, on that database, and nothing else.

mod pipeline;
mod server;

use phasegate::testing::{
    ApprovesEverything, Calls, Recorder, ScriptedSwitch, TripwireAdapter, TripwireConnector,
};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, Mode, Perform, Phase, PhaseSpec,
    PhaseTx, Plan, Run, Simulate, Start, Switch, Target, Ungated,
    connect::PostgresConnector,
    error::{Refusal, RefusalReason},
    runner::ErasedPhase,
};
use serde::{Deserialize, Serialize};

use pipeline::{Draft, pipeline};
use server::{PIPELINE, all, database, does, drafting, drafting_plan, nowhere, plan_for, refusal};

/// One of several phases of one type.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Batch(u32);

impl PhaseSpec for Batch {
    const NAME: &'static str = "batch";
    type Gate = Ungated;
    type After = Start;
    type Output = u32;

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

struct Batches;

impl Simulate<Batch> for Batches {
    fn simulate(&mut self, batch: &Batch, (): (), effects: &mut Effects) -> Result<u32, Failure> {
        effects.insert("public.item", 1);
        Ok(batch.0)
    }
}

impl Execute<Batch> for Batches {
    fn execute(&mut self, batch: &Batch, (): (), tx: &mut PhaseTx<'_>) -> Result<u32, Failure> {
        tx.execute(
            "INSERT INTO item VALUES ($1, 'batch')",
            &[&batch.0.to_string()],
        )?;
        Ok(batch.0)
    }
}

/// Performs the batches in this order, erased.
fn batches<'run, M: Mode, W: Perform<M, Batch>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    order: &[u32],
) -> Result<(), Error> {
    let phases: Vec<Box<dyn ErasedPhase<'run, M, W> + '_>> = order
        .iter()
        .map(|&batch| Phase::new(Batch(batch), on, Ungated, Start).erase())
        .collect();
    phases.into_iter().try_for_each(|phase| phase.perform(run))
}

fn batch_plan(target: &Target, order: &[u32]) -> Result<Plan, Error> {
    let dry = DryRunner::new(PIPELINE)
        .target(target.clone())
        .simulator(Batches)
        .run(|run, on| batches(run, on, order));
    dry.map(|planned| planned.plan)
}

/// Plans some batches, performs others live, and returns how that ended and which are there.
fn planned_and_performed(planned: &[u32], live: &[u32]) -> (Result<(), Error>, Vec<String>) {
    let database = database();
    let plan = batch_plan(&database.target, planned).expect("a dry run");
    let answer = database
        .live_by(plan, Batches)
        .run(|run, on| batches(run, on, live))
        .map(phasegate::runner::LiveReport::into_value);
    database.is_left_clean();
    let names = database.items().into_iter().map(|(name, _)| name).collect();
    (answer, names)
}

#[test]
fn erased_phases_in_a_vector_run_and_differ_by_their_instance() {
    let plan = batch_plan(&nowhere(), &[1, 2, 3]).unwrap();
    let names: Vec<_> = plan
        .phases()
        .iter()
        .map(phasegate::plan::PlannedPhase::name)
        .collect();
    assert_eq!(names, ["batch[1]", "batch[2]", "batch[3]"]);
    let (answer, there) = planned_and_performed(&[1, 2, 3], &[1, 2, 3]);
    answer.unwrap();
    assert_eq!(there, ["1", "2", "3"]);
}

#[test]
fn another_phase_than_the_plans_next_is_refused() {
    let (answer, there) = planned_and_performed(&[1, 2, 3], &[1, 3, 2]);
    let refusal = refusal(answer);
    let RefusalReason::NotNextInPlan { planned, .. } = refusal.reason() else {
        panic!("{refusal}");
    };
    assert_eq!(
        (refusal.phase(), planned.as_deref()),
        (Some("batch[3]"), Some("batch[2]"))
    );
    assert_eq!(there, ["1"]);
}

#[test]
fn a_phase_that_was_performed_is_not_performed_again() {
    let (answer, there) = planned_and_performed(&[1, 2], &[1, 1]);
    let refusal = refusal(answer);
    assert!(
        matches!(refusal.reason(), RefusalReason::NotNextInPlan { .. }),
        "{refusal}"
    );
    assert_eq!(there, ["1"]);
}

#[test]
fn a_phase_too_many_is_refused() {
    let (answer, there) = planned_and_performed(&[1, 2], &[1, 2, 3]);
    let refusal = refusal(answer);
    assert!(
        matches!(
            refusal.reason(),
            RefusalReason::NotNextInPlan { planned: None, .. }
        ),
        "{refusal}"
    );
    assert!(
        refusal.to_string().contains("no further phase"),
        "{refusal}"
    );
    assert_eq!(there, ["1", "2"]);
}

#[test]
fn phases_left_out_are_reported_as_missing() {
    let (answer, there) = planned_and_performed(&[1, 2, 3], &[1]);
    let Err(Error::Incomplete(incomplete)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(incomplete.performed(), ["batch[1]"]);
    assert_eq!(incomplete.missing(), ["batch[2]", "batch[3]"]);
    let said = incomplete.to_string();
    assert!(
        said.contains("performed and committed: `batch[1]`; not performed: `batch[2]`"),
        "{said}"
    );
    assert_eq!(there, ["1"]);
}

#[test]
fn a_pipeline_that_drops_a_failure_and_says_ok_is_incomplete() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let fails = does(|_, _| Err(Failure::new("no")));
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), fails)
        .run(|run, on| {
            let _dropped = drafting(run, on, &draft);
            Ok(())
        });
    let Err(Error::Incomplete(incomplete)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(
        (incomplete.performed().len(), incomplete.missing()),
        (0, &["draft".to_owned()][..])
    );
}

#[test]
fn a_dry_run_without_a_phase_leaves_no_plan() {
    let refusal = refusal(batch_plan(&nowhere(), &[]));
    assert!(
        matches!(refusal.reason(), RefusalReason::EmptyPlan),
        "{refusal}"
    );
}

#[test]
fn two_phases_of_one_name_are_refused_in_a_dry_run() {
    let refusal = refusal(batch_plan(&nowhere(), &[1, 2, 1]));
    let duplicate = matches!(refusal.reason(), RefusalReason::DuplicatePhase)
        && refusal.phase() == Some("batch[1]");
    assert!(duplicate, "{refusal}");
}

/// The refusal of a live run that must not connect.
fn refused_before_connecting(planned: &Draft, presented: &Draft) -> Refusal {
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan_for(&nowhere(), planned))
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(TripwireConnector)
        .adapter(TripwireAdapter)
        .run(|run, on| pipeline(run, on, presented.clone()));
    refusal(answer)
}

#[test]
fn an_input_that_is_not_the_planned_one_is_refused() {
    let planned = Draft::of(&["a", "b"]);
    for changed in [&["a", "c"][..], &["a"], &["b", "a"], &["a", "b", "b"]] {
        let refusal = refused_before_connecting(&planned, &Draft::of(changed));
        assert!(
            matches!(refusal.reason(), RefusalReason::InputChanged { .. }),
            "{changed:?}: {refusal}"
        );
    }
}

#[test]
fn the_plan_of_another_pipeline_is_refused() {
    let plan = plan_for(&nowhere(), &Draft::of(&["a"]));
    let answer = LiveRunner::new("another")
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(TripwireConnector)
        .adapter(TripwireAdapter)
        .run(|_, _| -> Result<(), Error> { panic!("the pipeline was entered") });
    let refusal = refusal(answer);
    assert!(
        matches!(refusal.reason(), RefusalReason::AnotherPipeline { .. }),
        "{refusal}"
    );
}

/// Bears the name of `Draft` and has its input, but not its gate.
#[derive(Serialize, Deserialize)]
struct UngatedDraft {
    rows: Vec<String>,
}

impl PhaseSpec for UngatedDraft {
    const NAME: &'static str = Draft::NAME;
    type Gate = Ungated;
    type After = Start;
    type Output = u64;
}

#[test]
fn a_planned_phase_without_its_planned_gate_is_refused() {
    let draft = Draft::of(&["a"]);
    let answer = LiveRunner::new(PIPELINE)
        .plan(drafting_plan(&nowhere(), &draft))
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(TripwireConnector)
        .adapter(TripwireAdapter)
        .run(|run, on| {
            let rows = draft.rows;
            let receipt = run
                .phase(UngatedDraft { rows })
                .perform(on, Ungated, Start)?;
            Ok(receipt.into_output())
        });
    let refusal = refusal(answer);
    let RefusalReason::GateChanged {
        planned, presented, ..
    } = refusal.reason()
    else {
        panic!("{refusal}");
    };
    assert_eq!((planned.len(), presented.len()), (1, 0));
}

#[test]
fn another_target_than_the_plans_is_refused_before_the_adapter() {
    let (planned, other) = (database(), database());
    let draft = Draft::of(&["a"]);
    let another_role = PostgresConnector::no_tls(planned.admin_config());
    for (connector, what) in [(other.connector(), "database"), (another_role, "role")] {
        let calls = Calls::new();
        let answer = planned
            .live_by(planned.plan(&draft), TripwireAdapter)
            .connector(Recorder::new(connector, &calls))
            .run(|run, on| pipeline(run, on, draft.clone()));
        let refusal = refusal(answer);
        let RefusalReason::AnotherTarget {
            planned: expected,
            found,
            ..
        } = refusal.reason()
        else {
            panic!("{refusal}");
        };
        assert_eq!(**expected, planned.target);
        assert_ne!(found, expected);
        let said = format!("this is not the {what} of the plan");
        assert!(refusal.to_string().contains(&said), "{refusal}");
        assert_eq!(calls.so_far(), ["connect"]);
    }
    // Another cluster, as far as the plan knows.
    let target = Target::new("1", planned.target.database(), planned.target.role());
    let answer = planned
        .live_by(plan_for(&target, &draft), TripwireAdapter)
        .run(|run, on| pipeline(run, on, draft));
    assert!(matches!(
        refusal(answer).reason(),
        RefusalReason::AnotherTarget { .. }
    ));
    other.is_left_clean();
    planned.is_left_clean();
}

#[test]
fn a_plan_that_was_saved_and_read_again_is_performed() {
    let database = database();
    let draft = Draft::of(&["a", "b"]);
    let made = database.plan(&draft);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.json");
    std::fs::write(&path, made.bytes()).unwrap();
    let saved = Plan::from_saved(&std::fs::read(&path).unwrap(), made.digest()).unwrap();
    let answer = database.live(saved).run(|run, on| pipeline(run, on, draft));
    assert_eq!(answer.unwrap().value, 2);
    assert_eq!(database.items(), all(&["a", "b"], "published"));
}
