//! Ways to bypass a switch that is off, and ways in which a stop could end an unrelated session.

use std::time::Duration;

use phasegate::operator::SwitchedOff;
use postgres::NoTls;

use crate::hand::{Hand, code, task, tasks};
use crate::server::database;

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_check_inside_a_rolled_back_savepoint_is_made_again() {
    let database = database();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    hand.close_with("SAVEPOINT s; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO s")
        .unwrap();
    // It holds nothing that off would wait for, so it is a phase like any other.
    let off = database.operator().switch_off("stop", LONG).unwrap();
    assert_eq!(off, SwitchedOff::Drained);
    assert!(hand.commit().is_err());
    assert_eq!(database.items(), []);
}

#[test]
fn a_check_that_passed_early_holds_off_up_until_its_commit() {
    let database = database();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    hand.close_with("SAVEPOINT s; SET CONSTRAINTS ALL IMMEDIATE; RELEASE s")
        .unwrap();
    let off = database
        .operator()
        .switch_off("stop", Duration::ZERO)
        .unwrap();
    assert!(matches!(off, SwitchedOff::Pending(_)), "{off:?}");
    hand.commit().unwrap();
    let status = database.operator().status().unwrap();
    assert!(status.drained);
    assert_eq!(database.items().len(), 1);
}

#[test]
fn the_runner_can_neither_lock_nor_write_the_switch() {
    let database = database();
    for attempt in [
        "LOCK TABLE phasegate.kill_switch IN ACCESS SHARE MODE",
        "LOCK TABLE phasegate.kill_switch IN ROW SHARE MODE",
        "LOCK TABLE phasegate.phase_in_progress IN ROW SHARE MODE",
        "LOCK TABLE phasegate.switch_history IN ACCESS SHARE MODE",
        "SELECT * FROM phasegate.kill_switch FOR SHARE",
        "UPDATE phasegate.kill_switch SET is_on = true",
        "SELECT setval('phasegate.epoch', 1)",
        "SELECT nextval('phasegate.epoch')",
        "SELECT phasegate.switch_on('mine', '1 hour')",
        "SELECT phasegate.switch_off('mine')",
        "SELECT phasegate.drain('1 hour')",
        "SELECT phasegate.end_commits_in_flight()",
        "SELECT phasegate.stop_phases()",
        "SELECT phasegate.end_sessions(ARRAY[1])",
    ] {
        let refused = Hand::of(&database)
            .client
            .batch_execute(&format!("BEGIN; {attempt}"))
            .unwrap_err();
        assert_eq!(code(&refused), "42501", "{attempt}");
    }
}

#[test]
fn a_stop_ends_phases_and_no_other_session() {
    let database = database();
    let tasks = tasks(&database, 2);
    let runner = database.runner.name();
    database.sql(&format!("GRANT phasegate_auditor TO {runner}"));
    let mut phase = Hand::of(&database);
    phase.begin(&tasks[0], "a");

    // A session of the runner that calls itself a phase, one whose phase was rolled back, an auditor
    // in a transaction, an operator, and another database's phase.
    let mut namesake = Hand::of(&database);
    let name = "SET application_name = 'by hand'; BEGIN; SELECT * FROM item";
    namesake.client.batch_execute(name).unwrap();
    let mut former = Hand::of(&database);
    former.begin(&tasks[1], "b");
    former.client.batch_execute("ROLLBACK").unwrap();
    let mut auditor = Hand::of(&database);
    let look = "BEGIN; SELECT * FROM phasegate.kill_switch; SELECT * FROM phasegate.switch_history";
    auditor.client.batch_execute(look).unwrap();
    let mut operator = database.admin_config().connect(NoTls).unwrap();
    operator
        .batch_execute("BEGIN; LOCK TABLE phasegate.kill_switch IN ROW SHARE MODE")
        .unwrap();
    let elsewhere = crate::server::database();
    let task = task(&elsewhere);
    let mut other = Hand::of(&elsewhere);
    other.begin(&task, "a");

    let off = database
        .operator()
        .switch_off("stop", Duration::ZERO)
        .unwrap();
    // The superuser's lock is one of those that a commit holds.
    assert!(matches!(off, SwitchedOff::Pending(_)), "{off:?}");
    assert!(phase.commit().is_err());
    for innocent in [&mut namesake, &mut former, &mut auditor] {
        innocent.client.batch_execute("SELECT 1").unwrap();
    }
    operator.batch_execute("SELECT 1; COMMIT").unwrap();
    other.close_with("COMMIT").unwrap();
}

#[test]
fn a_phase_resolves_and_returns_while_the_switch_is_off() {
    let database = database();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    hand.close_with("COMMIT").unwrap();
    let _ = database.operator().switch_off("stop", LONG).unwrap();
    // Committed before: its receipt is returned, and nothing is opened.
    hand.open_at("READ COMMITTED", &task).unwrap();
    let _ = database.operator().switch_off("stop", LONG).unwrap();
    hand.client.batch_execute("ROLLBACK").unwrap();
    let resolve = "SELECT phasegate.resolve($1, gen_random_uuid(), now(), 0, now(), '1 second')";
    let resolved: String = hand
        .client
        .query_one(resolve, &[&task.plan])
        .unwrap()
        .get(0);
    assert!(resolved.contains("rolled back"), "{resolved}");
}
