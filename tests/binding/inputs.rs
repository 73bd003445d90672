//! The inputs of a plan as files: people read them, and the live run performs them.

use std::fs;

use phasegate::plan::{InputsError, PlanInputs};
use phasegate::{Error, Mode, Perform, PhaseSpec, Plan, Receipt, Run, Sg1, Start, Switch};
use serde::{Deserialize, Serialize};

use crate::pipeline::Draft;
use crate::server::{PIPELINE, all, database, does, nowhere, refusal};
use crate::{inserts, rehearse};

/// As `drafting`, with an input that the pipeline looks up.
fn looking<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    found: &[&str],
) -> Result<u64, Error> {
    let draft = run.input(|| Ok(Draft::of(found)))?;
    let sg1 = run.approval()?;
    run.phase(draft)
        .perform(on, sg1, Start)
        .map(Receipt::into_output)
}

#[test]
fn a_live_run_performs_the_input_that_people_saw() {
    let database = database();
    let rehearsed = rehearse(&database, &Draft::of(&["a", "b"]), inserts).unwrap();
    let plan = rehearsed.plan;
    let directory = tempfile::tempdir().unwrap();
    rehearsed.inputs.save(&plan, directory.path()).unwrap();
    let file = directory.path().join("01-draft.json");
    assert_eq!(fs::read_to_string(&file).unwrap(), r#"{"rows":["a","b"]}"#);
    let inputs = PlanInputs::read(&plan, directory.path()).unwrap();
    assert_eq!(inputs, rehearsed.inputs);
    let shown = plan.with_inputs(&inputs).to_string();
    assert!(
        shown.contains("      {\"rows\":[\"a\",\"b\"]}\n"),
        "{shown}"
    );

    database.admit(&plan);
    // What the pipeline would find now is another input.
    let without = database.live_by(plan.clone(), does(inserts));
    let refused = without.run(|run, on| looking(run, on, &["c"]));
    assert_eq!(refusal(refused).code(), "input_changed");
    let with = database
        .live_by(plan.clone(), does(inserts))
        .runner()
        .inputs(inputs);
    let _ = with.run(|run, on| looking(run, on, &["c"])).unwrap();
    assert_eq!(database.items(), all(&["a", "b"], "draft"));
}

#[test]
fn a_file_that_is_not_the_planned_input_is_refused() {
    let database = database();
    let rehearsed = rehearse(&database, &Draft::of(&["a"]), inserts).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let missing = PlanInputs::read(&rehearsed.plan, directory.path()).unwrap_err();
    assert_eq!(missing.code(), "file_not_read");
    rehearsed
        .inputs
        .save(&rehearsed.plan, directory.path())
        .unwrap();
    // Saved again, the same bytes are no error; others are kept.
    rehearsed
        .inputs
        .save(&rehearsed.plan, directory.path())
        .unwrap();
    let file = directory.path().join("01-draft.json");
    fs::write(&file, r#"{"rows":["b"]}"#).unwrap();
    let changed = PlanInputs::read(&rehearsed.plan, directory.path()).unwrap_err();
    assert!(
        matches!(changed, InputsError::NotPlanned { .. }),
        "{changed}"
    );
    assert!(changed.to_string().contains("01-draft.json"), "{changed}");
    let kept = rehearsed
        .inputs
        .save(&rehearsed.plan, directory.path())
        .unwrap_err();
    assert_eq!(kept.code(), "file_not_written");
    assert_eq!(fs::read_to_string(&file).unwrap(), r#"{"rows":["b"]}"#);
    fs::write(&file, "x".repeat(1_000)).unwrap();
    let large = PlanInputs::read(&rehearsed.plan, directory.path()).unwrap_err();
    assert_eq!(large.code(), "file_too_large");
}

#[test]
fn the_inputs_of_another_plan_are_refused() {
    let database = database();
    let first = rehearse(&database, &Draft::of(&["a"]), inserts).unwrap();
    let second = rehearse(&database, &Draft::of(&["a"]), inserts).unwrap();
    database.admit(&second.plan);
    let run = database
        .live_by(second.plan.clone(), does(inserts))
        .runner()
        .inputs(first.inputs.clone());
    let refused = run.run(|run, on| looking(run, on, &["a"]));
    assert_eq!(refusal(refused).code(), "inputs_of_another_plan");
    let directory = tempfile::tempdir().unwrap();
    let saved = first
        .inputs
        .save(&second.plan, directory.path())
        .unwrap_err();
    assert_eq!(saved.code(), "inputs_of_another_plan");
}

/// A phase with an input that is not shown.
#[derive(Serialize, Deserialize)]
struct Letter {
    to: String,
}

impl PhaseSpec for Letter {
    const NAME: &'static str = "letter";
    const PERSONAL: bool = true;
    type Gate = Sg1;
    type After = Start;
    type Output = u64;
}

fn letter() -> phasegate::runner::DryRunReport<u64> {
    phasegate::DryRunner::new(PIPELINE)
        .target(nowhere())
        .simulator(phasegate::simulator_fn::<Letter, _>(|_, (), _| Ok(1)))
        .run(|run, on| {
            let sg1 = run.approval()?;
            let letter = Letter {
                to: "ada@example.org".to_owned(),
            };
            Ok(run.phase(letter).perform(on, sg1, Start)?.into_output())
        })
        .unwrap()
}

#[test]
fn a_personal_input_is_not_shown_and_may_be_missing() {
    let dry = letter();
    let plan: &Plan = &dry.plan;
    assert!(plan.phases()[0].is_personal());
    let shown = plan.with_inputs(&dry.inputs).to_string();
    assert!(!shown.contains("ada@example.org"), "{shown}");
    assert!(shown.contains("bytes, personal\n"), "{shown}");
    assert!(!format!("{:?}", dry.inputs).contains("ada@example.org"));
    let directory = tempfile::tempdir().unwrap();
    let none = PlanInputs::read(plan, directory.path()).unwrap();
    assert_eq!(none.at(1), None);
    assert_eq!(dry.inputs.without_personal(plan).unwrap(), none);
    dry.inputs.save(plan, directory.path()).unwrap();
    let file = directory.path().join("01-letter.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    assert!(file.exists());
}
