//! The plan as a file: anyone can check its digest, it expires, and hostile files are refused.

mod pipeline;
mod server;

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::process::Command;
use std::time::{Duration, SystemTime};

use phasegate::{
    DryRunner, Plan,
    error::{ReadFileError, RefusalReason},
    plan::{EffectsSource, PlanError},
};

use pipeline::{Draft, Simulator, pipeline};
use server::{Database, PIPELINE, all, database, nowhere, plan_for, refusal};

const DAY: Duration = Duration::from_hours(24);

/// The plan of the small pipeline, as `with` completes the dry run.
fn plan_valid_until(database: &Database, draft: &Draft, moment: SystemTime) -> Plan {
    let dry = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Simulator)
        .valid_until(moment)
        .run(|run, on| pipeline(run, on, draft.clone()));
    dry.expect("a dry run").plan
}

fn draft() -> Draft {
    Draft::of(&["a", "b"])
}

#[test]
fn sha256sum_of_the_file_as_saved_is_the_digest() {
    let plan = plan_for(&nowhere(), &draft());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.json");
    fs::write(&path, plan.bytes()).unwrap();
    let sum = Command::new("sha256sum")
        .arg(&path)
        .output()
        .expect("sha256sum");
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(sum.split(' ').next(), Some(&*plan.digest().to_string()));
    assert_eq!(Plan::from_file(&path, plan.digest()).unwrap(), plan);
}

#[test]
fn the_same_pipeline_with_the_same_input_leaves_the_same_plan() {
    let moment = SystemTime::now() + DAY;
    let dry = || {
        DryRunner::new(PIPELINE)
            .target(nowhere())
            .simulator(Simulator)
            .author("ada@example.org")
            .last_editor("ben@example.org")
            .valid_until(moment)
            .run(|run, on| pipeline(run, on, draft()))
            .unwrap()
            .plan
    };
    let plan = dry();
    assert_eq!(dry().bytes(), plan.bytes());
    assert_eq!(plan.author(), Some("ada@example.org"));
    assert_eq!(plan.last_editor(), Some("ben@example.org"));
    assert_eq!(plan.made_by(), EffectsSource::Prediction);
    // To the second, and never later than it was said.
    let until = plan.valid_until().unwrap();
    assert!(until <= moment && moment < until + Duration::from_secs(1));
}

#[test]
fn the_heading_of_a_plan_is_part_of_its_digest() {
    let dry = || {
        DryRunner::new(PIPELINE)
            .target(nowhere())
            .simulator(Simulator)
    };
    let runs = [
        dry(),
        dry().author("ada"),
        dry().last_editor("ada"),
        dry().author("ada").last_editor("ben"),
        dry().valid_until(SystemTime::now() + DAY),
        dry().valid_until(SystemTime::now() + 2 * DAY),
    ];
    let mut digests: Vec<_> = runs
        .into_iter()
        .map(|dry| dry.run(|run, on| pipeline(run, on, draft())).unwrap())
        .map(|planned| planned.plan.digest())
        .collect();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 6);
}

#[test]
fn an_author_who_is_not_what_it_looks_like_is_refused() {
    for author in ["ada\u{202e}", "ada\nben", "ada\u{1b}[31m"] {
        let dry = DryRunner::new(PIPELINE)
            .target(nowhere())
            .simulator(Simulator)
            .author(author)
            .run(|run, on| pipeline(run, on, draft()));
        let refusal = refusal(dry);
        assert!(
            matches!(refusal.reason(), RefusalReason::PlanFlawed { .. })
                && refusal.phase().is_none(),
            "{refusal}"
        );
        assert!(!refusal.to_string().contains(author), "{refusal}");
    }
}

#[test]
fn a_plan_that_is_over_is_neither_admitted_nor_performed() {
    let database = database();
    let draft = draft();
    let over = SystemTime::now() - Duration::from_secs(5);
    let plan = plan_valid_until(&database, &draft, over);
    let not_admitted = database.operator().admit_plan(&plan).unwrap_err();
    assert!(
        not_admitted
            .to_string()
            .contains("the plan was valid until"),
        "{not_admitted}"
    );
    let live = phasegate::LiveRunner::new(PIPELINE)
        .plan(plan.clone())
        .kill_switch(phasegate::testing::ScriptedSwitch::always_on())
        .authority(phasegate::testing::ApprovesEverything)
        .connector(database.connector())
        .adapter(phasegate::testing::TripwireAdapter);
    let refusal = refusal(live.run(|run, on| pipeline(run, on, draft)));
    let RefusalReason::PlanExpired { valid_until } = refusal.reason() else {
        panic!("{refusal}");
    };
    assert_eq!(
        (refusal.phase(), Some(*valid_until)),
        (Some("draft"), plan.valid_until())
    );
    assert!(
        refusal
            .hint()
            .is_some_and(|hint| hint.contains("Make a new plan")),
        "{refusal}"
    );
    assert_eq!(database.items(), []);
}

#[test]
fn the_servers_clock_is_the_judge_of_a_plans_life() {
    let database = database();
    let draft = draft();
    let plan = plan_valid_until(&database, &draft, SystemTime::now() + DAY);
    database.admit(&plan);
    // As if the clock of the server were two days ahead.
    database.sql("UPDATE phasegate.plan SET valid_until = valid_until - interval '2 days'");
    let refused = refusal(database.live(plan).run(|run, on| pipeline(run, on, draft)));
    assert!(
        matches!(refused.reason(), RefusalReason::PlanExpired { .. }),
        "{refused}"
    );
    assert_eq!(database.items(), []);
}

#[test]
fn a_plan_that_expires_half_way_performs_no_further_phase() {
    let database = database();
    let draft = draft();
    let plan = plan_valid_until(
        &database,
        &draft,
        SystemTime::now() + Duration::from_secs(10),
    );
    database.admit(&plan);
    let enacted_late = database.live(plan.clone()).run(|run, on| {
        let sg1 = run.approval()?;
        let drafted = run
            .phase(draft.clone())
            .perform(on, sg1, phasegate::Start)?;
        // Bounded: until the plan's own moment.
        while SystemTime::now() <= plan.valid_until().unwrap() {
            std::thread::sleep(Duration::from_millis(50));
        }
        run.phase(pipeline::Check)
            .perform(on, phasegate::Ungated, &drafted)
            .map(drop)
    });
    let refused = refusal(enacted_late);
    assert!(
        matches!(refused.reason(), RefusalReason::PlanExpired { .. })
            && refused.phase() == Some("check"),
        "{refused}"
    );
    assert_eq!(database.items(), all(&["a", "b"], "draft"));

    // Again: the first phase's receipt is returned, the second phase refused.
    let again = database.live(plan).run(|run, on| {
        let sg1 = run.approval()?;
        let drafted = run
            .phase(draft.clone())
            .perform(on, sg1, phasegate::Start)?;
        assert_eq!(*drafted.output(), 2);
        run.phase(pipeline::Check)
            .perform(on, phasegate::Ungated, &drafted)
            .map(drop)
    });
    let again = refusal(again);
    assert!(
        matches!(again.reason(), RefusalReason::PlanExpired { .. }),
        "{again}"
    );
    assert_eq!(again.phase(), Some("check"));
}

#[test]
fn a_file_of_a_gigabyte_is_refused_unread() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.json");
    let plan = plan_for(&nowhere(), &draft());
    let mut file = File::create(&path).unwrap();
    file.write_all(plan.bytes()).unwrap();
    file.set_len(1 << 30).unwrap();
    let refused = Plan::from_file(&path, plan.digest()).unwrap_err();
    assert!(
        matches!(refused, PlanError::File(ReadFileError::TooLarge { .. })),
        "{refused}"
    );
    // Nor is one that has no end.
    let refused = Plan::from_file("/dev/zero", plan.digest()).unwrap_err();
    assert!(
        matches!(refused, PlanError::File(ReadFileError::NotAFile { .. })),
        "{refused}"
    );
}

#[test]
fn a_missing_empty_or_changed_file_has_its_own_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.json");
    let plan = plan_for(&nowhere(), &draft());
    let refused = Plan::from_file(&path, plan.digest()).unwrap_err();
    assert!(
        matches!(&refused, PlanError::File(ReadFileError::NotRead { path: named, .. }) if *named == path),
        "{refused}"
    );
    fs::write(&path, "").unwrap();
    let refused = Plan::from_file(&path, plan.digest()).unwrap_err();
    assert!(
        matches!(refused, PlanError::Truncated { length: 0 }),
        "{refused}"
    );
    let mut file = File::create(&path).unwrap();
    file.write_all(plan.bytes()).unwrap();
    file.rewind().unwrap();
    file.write_all(b"[").unwrap();
    let refused = Plan::from_file(&path, plan.digest()).unwrap_err();
    assert!(matches!(refused, PlanError::Malformed(_)), "{refused}");
    let other = plan_for(&nowhere(), &Draft::of(&["other"]));
    fs::write(&path, other.saved()).unwrap();
    let refused = Plan::from_file(&path, plan.digest()).unwrap_err();
    assert!(
        matches!(refused, PlanError::NotApproved { .. }),
        "{refused}"
    );
    assert_eq!(Plan::inspect_file(&path).unwrap().digest(), other.digest());
}

/// The commands in the documentation of `Plan` compute the digest of a saved plan without this crate.
#[test]
fn the_digest_of_a_saved_plan_is_recomputed_without_this_crate() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan_for(&nowhere(), &Draft::of(&["é \u{1F600} \"quoted\" \\ /"]));
    fs::write(directory.path().join("plan.json"), plan.saved()).unwrap();
    let documented = include_str!("../src/plan/mod.rs");
    let mut commands = documented
        .lines()
        .filter_map(|line| line.strip_prefix("/// ")?.strip_suffix(" | sha256sum"));
    for program in ["jq", "python3"] {
        let command = commands.next().unwrap();
        assert!(command.starts_with(program), "{command}");
        let look = format!("command -v {program}");
        let there = Command::new("sh").args(["-c", &look]).output().unwrap();
        if !there.status.success() {
            eprintln!("skipped: {program} is not installed");
            continue;
        }
        let printed = Command::new("sh")
            .args(["-c", command])
            .current_dir(&directory)
            .output()
            .unwrap();
        assert_eq!(printed.stdout, plan.bytes(), "{program}");
    }
}
