//! Everything that stands between a plan and its run, as one list, before anything is touched.

use std::time::Duration;

use phasegate::connect::PostgresConnector;
use phasegate::runner::{Preflight, PreflightReport, Readiness, RehearsalReport};
use phasegate::{Plan, RehearsalRunner};

use crate::pipeline::{Adapter, Draft, pipeline};
use crate::server::{Database, PIPELINE, database};

/// A rehearsal of the whole small pipeline.
fn rehearsal(database: &Database) -> RehearsalReport<u64> {
    RehearsalRunner::new(PIPELINE)
        .connector(database.connector())
        .adapter(Adapter)
        .run(|run, on| pipeline(run, on, draft()))
        .unwrap()
}

fn draft() -> Draft {
    Draft::of(&["a", "b"])
}

/// The preflight of the pipeline with this input.
fn preflight(database: &Database, of: &RehearsalReport<u64>, draft: Draft) -> PreflightReport {
    Preflight::of(&of.plan).outputs(of.outputs.clone()).run(
        PIPELINE,
        &mut database.connector(),
        |run, on| pipeline(run, on, draft),
    )
}

/// The codes of what stands in the way, each with its phase.
fn missing(report: &PreflightReport) -> Vec<(&str, &str)> {
    let missing = report.lines().iter();
    let missing = missing.filter(|line| line.readiness == Readiness::Missing);
    missing
        .map(|line| (&*line.code, line.phase.as_deref().unwrap_or_default()))
        .collect()
}

#[test]
fn a_plan_that_lacks_nothing_is_ready_and_nothing_is_touched() {
    let database = database();
    let rehearsed = rehearsal(&database);
    database.admit(&rehearsed.plan);
    let report = preflight(&database, &rehearsed, draft());
    assert!(report.is_ready(), "{report}");
    let shown = report.to_string();
    for line in [
        "  ok       its 4 phases are those of the plan\n",
        "nothing committed yet\n",
        "  ok       approved: SG_1 until ",
        "  ok       the switch of the database is ON for ",
        "  ok       the tables that it changes are under guard\n",
        "  ok       what its statements use is as it was\n",
        "A run would begin. Nothing was touched.",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    assert_eq!(database.items(), []);
    let attempts: i64 = database.ask("SELECT count(*) FROM phasegate.attempt");
    assert_eq!(attempts, 0);
    let live = database.live(rehearsed.plan.clone());
    live.run(|run, on| pipeline(run, on, draft()))
        .map(drop)
        .unwrap();
    // Performed, it says so.
    let report = preflight(&database, &rehearsed, draft());
    assert!(report.is_ready(), "{report}");
    assert!(
        report
            .to_string()
            .contains("performed: all phases are committed")
    );
}

#[test]
fn everything_that_is_missing_is_found_at_once_each_with_its_remedy() {
    let database = database();
    database.sql("CREATE TABLE other (n int)");
    let rehearsed = rehearsal(&database);
    let _ = database.operator().admit_plan(&rehearsed.plan).unwrap();
    let _ = database
        .operator()
        .switch_off("ticket 1207 done", Duration::from_secs(5))
        .unwrap();
    database.sql("SELECT phasegate.unprotect('item'); ALTER TABLE item ADD more int");
    let report = preflight(&database, &rehearsed, Draft::of(&["a", "c"]));
    let mut found = missing(&report);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("approval_not_admitted", ""),
            ("input_changed", "draft"),
            ("means_changed", ""),
            ("not_opened", ""),
            ("switch_off", ""),
        ],
        "{report}"
    );
    let shown = report.to_string();
    for part in [
        "table public.item",
        "An operator admits the approval.",
        "SELECT phasegate.protect('public.item')",
        "5 things are missing. Nothing was touched.",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn a_plan_that_is_not_admitted_is_said_with_what_the_pipeline_differs_in() {
    let database = database();
    let rehearsed = rehearsal(&database);
    let report = preflight(&database, &rehearsed, Draft::of(&["other"]));
    assert_eq!(
        missing(&report),
        [("input_changed", "draft"), ("not_admitted", "")]
    );
    assert!(
        report.to_string().contains("`Operator::admit_plan`"),
        "{report}"
    );
}

#[test]
fn a_pipeline_that_ends_early_or_has_another_name_is_found() {
    let database = database();
    let rehearsed = rehearsal(&database);
    database.admit(&rehearsed.plan);
    let report = Preflight::of(&rehearsed.plan)
        .outputs(rehearsed.outputs.clone())
        .run("other", &mut database.connector(), |run, on| {
            crate::server::drafting(run, on, &draft()).map(drop)
        });
    assert_eq!(
        missing(&report),
        [("another_pipeline", ""), ("incomplete", "")]
    );
    assert!(
        report.to_string().contains("check, enact, publish"),
        "{report}"
    );
}

#[test]
fn without_the_outputs_it_says_how_far_it_has_looked() {
    let database = database();
    let rehearsed = rehearsal(&database);
    database.admit(&rehearsed.plan);
    let report =
        Preflight::of(&rehearsed.plan).run(PIPELINE, &mut database.connector(), |run, on| {
            pipeline(run, on, draft())
        });
    assert_eq!(missing(&report), [("failed", "check")], "{report}");
    assert!(
        report
            .to_string()
            .contains("the output that its rehearsal had is not known")
    );
    let directory = tempfile::tempdir().unwrap();
    rehearsed
        .outputs
        .save(&rehearsed.plan, directory.path())
        .unwrap();
    let outputs = phasegate::plan::PlanOutputs::read(&rehearsed.plan, directory.path()).unwrap();
    assert_eq!(outputs, rehearsed.outputs);
}

#[test]
fn without_the_pipeline_the_database_is_checked() {
    let database = database();
    let rehearsed = rehearsal(&database);
    database.admit(&rehearsed.plan);
    let report = Preflight::of(&rehearsed.plan).check(&mut database.connector());
    assert!(report.is_ready(), "{report}");

    let auditor = database.role("auditor");
    database.sql(&format!("GRANT phasegate_auditor TO {}", auditor.name()));
    let mut connector = PostgresConnector::no_tls(auditor.config());
    let report = Preflight::of(&rehearsed.plan).check(&mut connector);
    assert!(report.is_ready(), "{report}");
    assert!(
        report
            .to_string()
            .contains("  warning  the role and the target were not checked")
    );

    let stranger = database.role("stranger");
    database.sql(&format!("GRANT phasegate_runner TO {}", stranger.name()));
    let mut connector = PostgresConnector::no_tls(stranger.config());
    let report = Preflight::of(&rehearsed.plan).check(&mut connector);
    assert_eq!(missing(&report), [("not_admitted", "")]);
}

#[test]
fn a_privileged_role_and_an_expired_approval_are_found() {
    let database = database();
    let rehearsed = rehearsal(&database);
    database.admit(&rehearsed.plan);
    database.sql(&format!(
        "ALTER TABLE phasegate.approval DISABLE TRIGGER never_changed; \
         UPDATE phasegate.approval SET expires = clock_timestamp() - interval '1 second' WHERE gate = 'SG_2'; \
         ALTER TABLE phasegate.approval ENABLE ALWAYS TRIGGER never_changed; \
         ALTER TABLE item OWNER TO {}",
        database.runner.name()
    ));
    let report = Preflight::of(&rehearsed.plan).check(&mut database.connector());
    assert_eq!(
        missing(&report),
        [("approval_not_admitted", ""), ("privileged_role", "")],
        "{report}"
    );
    assert!(
        report.to_string().contains("gate SG_2 has no approval"),
        "{report}"
    );
}

#[test]
fn a_dry_runs_plan_is_warned_of() {
    let database = database();
    let plan: Plan = database.plan(&draft());
    database.admit(&plan);
    let report = Preflight::of(&plan).check(&mut database.connector());
    assert!(report.is_ready(), "{report}");
    assert!(
        report
            .to_string()
            .contains("  warning  its effects are predicted")
    );
}

#[test]
fn a_database_that_cannot_be_asked_is_one_line_of_the_list() {
    let database = database();
    let rehearsed = rehearsal(&database);
    let mut config = database.runner.config();
    config.dbname("none_of_this_name");
    let report = Preflight::of(&rehearsed.plan).check(&mut PostgresConnector::no_tls(config));
    assert_eq!(missing(&report), [("not_connected", "")]);
}

#[test]
fn it_does_not_wait_for_a_phase_that_is_open() {
    let database = database();
    let rehearsed = rehearsal(&database);
    database.admit(&rehearsed.plan);
    let mut admin = database.admin();
    let mut tx = admin.transaction().unwrap();
    // As the opening of a phase has it.
    tx.execute("SELECT FROM phasegate.run FOR UPDATE", &[])
        .unwrap();
    let (done, ready) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let (database, plan) = (&database, &rehearsed.plan);
        scope.spawn(move || {
            let report = Preflight::of(plan).check(&mut database.connector());
            done.send(report.is_ready()).unwrap();
        });
        let ready = ready.recv_timeout(Duration::from_secs(20));
        tx.rollback().unwrap();
        assert_eq!(ready, Ok(true));
    });
}
