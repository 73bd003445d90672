//! The steps of a live phase: which there are, in which order, and that a refusal stops at its own.

mod pipeline;
mod server;
mod traced;

use phasegate::testing::{ApprovesEverything, Calls, Recorder, ScriptedSwitch, TripwireConnector};
use phasegate::{
    DryRunner, Gate, Sg1, Sg2,
    approval::Authority,
    connect::{ConnectError, Connection, Connector, PostgresConnector},
    error::{RefusalReason, RollbackCause},
    operator::SwitchedOff,
    switch::WhichSwitch,
};
use postgres::NoTls;
use std::time::Duration;

use server::proxy::{Proxy, Verdict};
use server::{Database, PIPELINE, database, nowhere, refusal, rollback};
use traced::{
    Answers, CALLS, ORDER, TRACED, Traced, Traces, heard, live, on, plan, ready, stopped_after,
    traced,
};

#[test]
fn the_steps_of_a_live_phase_are_these_in_this_order() {
    let (database, plan) = ready();
    let (answer, calls) = live(
        plan,
        &TRACED,
        on(),
        ApprovesEverything,
        database.connector(),
    );
    assert_eq!(answer.unwrap(), 1);
    stopped_after("passed Committed", "Performed", &calls);
}

#[test]
fn the_steps_of_a_dry_phase_are_two() {
    let calls = Calls::new();
    CALLS.set(calls.clone());
    let dry = DryRunner::new(PIPELINE)
        .target(nowhere())
        .simulator(Recorder::new(Traces, &calls))
        .observer(heard(&calls))
        .run(|run, on| traced(run, on, &TRACED));
    assert_eq!(dry.unwrap().value, 1);
    let expected = [
        "begins traced 1 None",
        "validate",
        "passed Valid",
        "simulate traced",
        "passed Performed",
        "ends Performed",
    ];
    assert_eq!(calls.so_far(), expected);
}

#[test]
fn each_observer_that_was_added_is_told_the_same_in_their_order() {
    let (first, second, both) = (Calls::new(), Calls::new(), Calls::new());
    CALLS.set(Calls::new());
    let (one, other) = (both.clone(), both.clone());
    let dry = DryRunner::new(PIPELINE)
        .target(nowhere())
        .simulator(Recorder::new(Traces, &Calls::new()))
        .observer(heard(&first))
        .observer(move |_| one.record("first"))
        .observer(heard(&second))
        .observer(move |_| other.record("second"))
        .run(|run, on| traced(run, on, &TRACED));
    assert_eq!(dry.unwrap().value, 1);
    assert!(!first.so_far().is_empty());
    assert_eq!(first.so_far(), second.so_far());
    let (mut both, mut pairs) = (both.so_far(), 0);
    while let Some(rest) = both.strip_prefix(&["first".to_owned(), "second".to_owned()][..]) {
        (both, pairs) = (rest.to_vec(), pairs + 1);
    }
    assert!(both.is_empty() && pairs > 0, "{both:?}");
}

#[test]
fn a_switch_that_is_off_stops_before_the_spec_is_looked_at() {
    let off = ScriptedSwitch::on_for(1);
    let plan = plan(&nowhere(), &TRACED);
    let invalid = Traced {
        valid: false,
        ..TRACED
    };
    let (answer, mut calls) = live(plan, &invalid, off, ApprovesEverything, TripwireConnector);
    let refused = refusal(answer);
    assert_eq!(refused.phase(), Some("traced"));
    let RefusalReason::SwitchOff { switch } = refused.reason() else {
        panic!("not refused by the switch");
    };
    assert_eq!(switch.which(), WhichSwitch::OfTheRun);
    assert!(switch.name().contains("ScriptedSwitch"), "{switch}");
    // The last reading is the one that said no.
    assert_eq!(calls.remove(3), "read switch");
    stopped_after("begins traced 1 Some(1)", "Refused", &calls);
}

#[test]
fn an_invalid_spec_stops_before_the_comparison_with_the_plan() {
    let plan = plan(&nowhere(), &TRACED);
    let invalid = Traced {
        valid: false,
        ..TRACED
    };
    let (answer, calls) = live(plan, &invalid, on(), ApprovesEverything, TripwireConnector);
    let refusal = refusal(answer);
    assert!(
        matches!(refusal.reason(), RefusalReason::Invalid(_)),
        "{refusal}"
    );
    stopped_after("validate", "Refused", &calls);
}

#[test]
fn a_spec_that_was_not_planned_stops_before_connecting() {
    let plan = plan(&nowhere(), &TRACED);
    let other = Traced {
        output: Answers::Failing,
        ..TRACED
    };
    let (answer, calls) = live(plan, &other, on(), ApprovesEverything, TripwireConnector);
    let refusal = refusal(answer);
    assert!(
        matches!(refusal.reason(), RefusalReason::InputChanged { .. }),
        "{refusal}"
    );
    stopped_after("passed Valid", "Refused", &calls);
}

const BOUND: Duration = Duration::from_secs(10);

/// A connector that always fails.
struct Unreachable;

impl Connector for Unreachable {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        Err(ConnectError::new("there is no road"))
    }
}

#[test]
fn a_connector_that_fails_stops_there() {
    let plan = plan(&nowhere(), &TRACED);
    let (answer, calls) = live(plan, &TRACED, on(), ApprovesEverything, Unreachable);
    let refusal = refusal(answer);
    assert!(
        matches!(refusal.reason(), RefusalReason::NotConnected(_)),
        "{refusal}"
    );
    assert!(
        refusal.to_string().contains("there is no road"),
        "{refusal}"
    );
    stopped_after("connect", "Refused", &calls);
}

/// Gives a session that the server has ended already.
struct Ended<'a>(&'a Database);

impl Connector for Ended<'_> {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let mut client = self.0.runner.config().connect(NoTls)?;
        let _ = client.execute("SELECT pg_terminate_backend(pg_backend_pid())", &[]);
        Ok(client.into())
    }
}

#[test]
fn a_session_that_has_ended_stops_before_a_phase_is_opened() {
    let (database, plan) = ready();
    let (answer, calls) = live(plan, &TRACED, on(), ApprovesEverything, Ended(&database));
    let refusal = refusal(answer);
    assert!(
        matches!(refusal.reason(), RefusalReason::NotOpened(_)),
        "{refusal}"
    );
    stopped_after("connect", "Refused", &calls);
}

#[test]
fn another_target_stops_before_a_phase_is_opened() {
    let (database, _) = ready();
    let connector = database.connector();
    let plan = plan(&nowhere(), &TRACED);
    let (answer, calls) = live(plan, &TRACED, on(), ApprovesEverything, connector);
    let refusal = refusal(answer);
    assert!(
        matches!(refusal.reason(), RefusalReason::AnotherTarget { .. }),
        "{refusal}"
    );
    stopped_after("connect", "Refused", &calls);
    database.is_left_clean();
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM phasegate.attempt"),
        0
    );
}

#[test]
fn a_schema_that_reports_another_target_stops_there() {
    let (database, plan) = ready();
    database.sql(
        "CREATE OR REPLACE FUNCTION phasegate.open(p_request bytea) RETURNS text LANGUAGE sql AS $$ \
           SELECT jsonb_build_object('system_identifier', '7', 'database', 'elsewhere', 'role', 'runner', \
             'timeline', '1', 'backend_pid', 1, 'backend_start', '', 'session_age', 0, 'opened_at', '')::text $$",
    );
    let (answer, calls) = live(
        plan,
        &TRACED,
        on(),
        ApprovesEverything,
        database.connector(),
    );
    let refusal = refusal(answer);
    let elsewhere = matches!(refusal.reason(), RefusalReason::AnotherTarget { found, .. } if found.database() == "elsewhere");
    assert!(elsewhere, "{refusal}");
    stopped_after("connect", "Refused", &calls);
}

#[test]
fn a_server_that_opens_no_transaction_stops_before_the_adapter() {
    let (database, plan) = ready();
    let proxy = Proxy::new(&database.runner.config(), |_| {
        Verdict::Replace("BEGIN ISOLATION LEVEL", "BEGIN ISOLATION DEVIL")
    });
    let connector = PostgresConnector::no_tls(proxy.config.clone());
    let (answer, calls) = live(plan, &TRACED, on(), ApprovesEverything, connector);
    let refusal = refusal(answer);
    assert!(
        matches!(refusal.reason(), RefusalReason::NotOpened(_)),
        "{refusal}"
    );
    stopped_after("connect", "Refused", &calls);
    database.is_left_clean();
}

#[test]
fn a_lease_that_is_off_stops_before_the_adapter_is_entered() {
    let (database, plan) = ready();
    let off = database.operator().switch_off("a test", BOUND);
    assert_eq!(off.unwrap(), SwitchedOff::Drained);
    let (answer, calls) = live(
        plan,
        &TRACED,
        on(),
        ApprovesEverything,
        database.connector(),
    );
    let refusal = refusal(answer);
    let RefusalReason::SwitchOff { switch, .. } = refusal.reason() else {
        panic!("{refusal}");
    };
    assert_eq!(switch.which(), WhichSwitch::OfTheDatabase);
    assert_eq!(switch.reason(), Some("a test"));
    assert!(switch.actor().is_some() && switch.moment().is_some());
    let text = format!("{refusal}; {}", refusal.hint().unwrap());
    for said in [
        "is OFF (since: 20",
        "by: ",
        "why: a test",
        "SELECT phasegate.switch_on(",
    ] {
        assert!(text.contains(said), "{text}");
    }
    stopped_after("passed Connected", "Refused", &calls);
}

#[test]
fn an_adapter_that_fails_stops_before_the_switch_is_read_again() {
    for output in [Answers::Failing, Answers::Unkept] {
        let database = database();
        let spec = Traced { output, ..TRACED };
        let plan = plan(&database.target, &spec);
        database.admit(&plan);
        let (answer, calls) = live(plan, &spec, on(), ApprovesEverything, database.connector());
        let rollback = rollback(answer);
        match rollback.cause() {
            RollbackCause::Failed(_) => assert!(output == Answers::Failing, "{rollback}"),
            RollbackCause::Output(_) => assert!(output == Answers::Unkept, "{rollback}"),
            _ => panic!("{rollback}"),
        }
        stopped_after("row 1 of Some(1)", "RolledBack", &calls);
        assert_eq!(database.items(), []);
    }
}

#[test]
fn a_switch_that_is_off_at_the_second_reading_stops_the_commit() {
    let (database, plan) = ready();
    let (answer, calls) = live(
        plan,
        &TRACED,
        ScriptedSwitch::on_for(2),
        ApprovesEverything,
        database.connector(),
    );
    let rollback = rollback(answer);
    assert!(
        matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
        "{rollback}"
    );
    stopped_after("read switch", "RolledBack", &calls);
    assert_eq!(database.items(), []);
}

#[test]
fn a_commit_that_the_server_refuses_does_not_pass_its_step() {
    let database = database();
    database.sql("ALTER TABLE item ADD UNIQUE (state) DEFERRABLE INITIALLY DEFERRED");
    let spec = Traced {
        output: Answers::Breaking,
        ..TRACED
    };
    let plan = plan(&database.target, &spec);
    database.admit(&plan);
    let (answer, mut calls) = live(plan, &spec, on(), ApprovesEverything, database.connector());
    let rollback = rollback(answer);
    assert!(
        matches!(rollback.cause(), RollbackCause::CommitRefused(_)),
        "{rollback}"
    );
    assert_eq!(calls.remove(13), "row 2 of Some(2)");
    calls[12] = ORDER[12].to_owned();
    stopped_after("passed SwitchStillOn", "RolledBack", &calls);
    assert_eq!(database.items(), []);
}

#[test]
fn an_approval_that_is_denied_stops_before_the_phase_begins() {
    struct Denies;
    impl Authority for Denies {}
    let plan = plan(&nowhere(), &TRACED);
    let (answer, calls) = live(plan, &TRACED, on(), Denies, TripwireConnector);
    assert!(matches!(
        refusal(answer).reason(),
        RefusalReason::Approval { .. }
    ));
    assert_eq!(calls, ["read switch", "attest SG_1 for traced"]);
}

#[test]
fn the_names_of_the_gates_are_those_of_the_field() {
    assert_eq!((Sg1::NAME, Sg2::NAME), ("SG_1", "SG_2"));
}
