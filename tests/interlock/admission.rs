//! What an operator hears of a plan and of a rejection, and what a runner hears of an attempt.

use std::thread;
use std::time::{Duration, SystemTime};

use phasegate::{
    approval::{ApprovalStatement, Attestation, Decision},
    operator::{PlanAdmission, Rejected},
};
use postgres::Client;
use serde_json::json;

use crate::hand::{
    Attempt, DRAIN, INSERT, does, finish, nothing_committed, open, psql, refuses, tell,
};
use crate::pipeline::Draft;
use crate::server::{Database, database, drafting_plan};

/// A phase by hand that lacks nothing but its commit.
fn finished(database: &Database, attempt: &Attempt) -> Client {
    let mut session = psql(database);
    for statement in [
        attempt.begin(),
        INSERT.to_owned(),
        attempt.seal(),
        DRAIN.to_owned(),
        finish("1"),
    ] {
        does(&mut session, &statement);
    }
    session
}

fn rejection(database: &Database, attempt: &Attempt) -> Attestation {
    let now = SystemTime::now();
    let statement = ApprovalStatement {
        decision: Decision::Reject,
        gate: "SG_1".to_owned(),
        plan: attempt.plan.digest(),
        target: database.target.clone(),
        valid_from: now,
        expires: now + Duration::from_hours(1),
        nonce: "a rejection".to_owned(),
        comment: "wrong".to_owned(),
    };
    Attestation::assert_verified(statement, "ada")
}

#[test]
fn a_plan_is_new_then_unfinished_then_performed() {
    let database = database();
    let plan = drafting_plan(&database.target, &Draft::of(&["a"]));
    let admit = || database.operator().admit_plan(&plan).unwrap();
    assert_eq!(admit(), PlanAdmission::New);
    let again = admit();
    assert!(
        matches!(
            again,
            PlanAdmission::Unfinished {
                committed: 0,
                phases: 1,
                ..
            }
        ),
        "{again}"
    );
    database.admit(&plan);
    does(&mut finished(&database, &Attempt::of(&plan, 1)), "COMMIT");
    let performed = admit();
    assert!(
        matches!(performed, PlanAdmission::Performed { .. }),
        "{performed}"
    );
    assert!(
        performed.to_string().contains("changes nothing"),
        "{performed}"
    );
}

#[test]
fn a_plan_of_another_format_database_or_role_is_not_admitted() {
    let database = database();
    let plan = drafting_plan(&database.target, &Draft::of(&["a"]));
    let text = str::from_utf8(plan.bytes()).unwrap();
    let format = r#""schema":"phasegate/plan/2""#;
    for (from, to) in [
        (format, r#""schema":"phasegate/plan/3""#),
        (format, r#""scheme":"none""#),
        (database.target.database(), "elsewhere"),
        (database.target.system_identifier(), "1"),
        (database.target.role(), "nobody_by_this_name"),
        (database.target.role(), "phasegate_auditor"),
    ] {
        let other = text.replace(from, to);
        assert_ne!(other, text);
        let admit = format!(
            "SELECT phasegate.admit_plan(convert_to('{}', 'UTF8'))",
            other.replace('\'', "''")
        );
        refuses(&mut database.admin(), &admit, "ZG020");
    }
    let _ = database.operator().admit_plan(&plan).unwrap();
}

#[test]
fn an_approval_of_a_gate_that_no_phase_has_is_not_admitted() {
    let database = database();
    let plan = drafting_plan(&database.target, &Draft::of(&["a"]));
    let _ = database.operator().admit_plan(&plan).unwrap();
    let admit = |nonce: &str, gate: &str| {
        format!(
            "SELECT phasegate.admit_approval('{nonce}', decode('{}', 'hex'), '{gate}', 'ada', 'infinity', 'why')",
            plan.digest()
        )
    };
    refuses(&mut database.admin(), &admit("1", "SG_2"), "ZG020");
    does(&mut database.admin(), &admit("2", "SG_1"));
}

#[test]
fn the_operator_hears_which_commit_a_rejection_waits_for() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = finished(&database, &attempt);
    does(&mut session, DRAIN); // its check has passed early
    let rejection = rejection(&database, &attempt);
    let admit = |patience| {
        database
            .operator()
            .admit_rejection(&rejection, patience)
            .unwrap()
    };
    let Rejected::Pending(holders) = admit(Duration::from_millis(200)) else {
        panic!("it was drained");
    };
    assert_eq!(holders.len(), 1);
    assert_eq!(holders[0].application_name.as_deref(), Some("by hand"));
    does(&mut session, "ROLLBACK");
    assert_eq!(admit(Duration::from_secs(5)), Rejected::Drained);
    drop(session);
    nothing_committed(&database);
}

/// The interlock reads rejections once it holds the lock that a rejection waits for, and not before.
#[test]
fn a_rejection_that_comes_while_the_interlock_waits_refuses_the_commit() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = finished(&database, &attempt);
    let mut blocks = database.admin();
    blocks
        .batch_execute("BEGIN; LOCK TABLE phasegate.kill_switch IN EXCLUSIVE MODE")
        .unwrap();
    let said = thread::scope(|scope| {
        let commit = scope.spawn(|| tell(&mut session, "COMMIT"));
        database.until("the interlock waits", |database| {
            database.ask(
                "SELECT count(*) = 1 FROM pg_locks \
                 WHERE NOT granted AND relation = 'phasegate.kill_switch'::regclass",
            )
        });
        database.sql(
            "SELECT phasegate.admit_rejection('n', plan, 'SG_1', 'ada', 'infinity', 'wrong', NULL, 'reject') \
             FROM phasegate.plan",
        );
        blocks.batch_execute("ROLLBACK").unwrap();
        commit.join().unwrap()
    });
    assert_eq!(said.as_deref(), Some("ZG024"));
    drop(session);
    nothing_committed(&database);
}

#[test]
fn a_nonce_of_another_plan_is_not_resolved_under_ones_own() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let other = drafting_plan(&database.target, &Draft::of(&["b"]));
    let _ = database.operator().admit_plan(&other).unwrap();
    does(&mut finished(&database, &attempt), "COMMIT");
    let resolve = format!(
        "SELECT phasegate.resolve(decode('{}', 'hex'), '{}', clock_timestamp(), 0, clock_timestamp(), '1 s')",
        other.digest(),
        attempt.nonce
    );
    refuses(&mut psql(&database), &resolve, "ZG022");
}

/// In another isolation the commit that it asks about may be invisible.
#[test]
fn an_attempt_is_resolved_in_read_committed_only() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    does(&mut finished(&database, &attempt), "COMMIT");
    let resolve = format!(
        "SELECT phasegate.resolve(decode('{}', 'hex'), '{}', clock_timestamp(), 0, clock_timestamp(), '1 s')",
        attempt.plan.digest(),
        attempt.nonce
    );
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        let resolve = format!("BEGIN ISOLATION LEVEL {isolation}; {resolve}");
        refuses(&mut psql(&database), &resolve, "ZG022");
    }
    does(&mut psql(&database), &resolve);
}

#[test]
fn a_program_that_says_too_much_of_itself_opens_nothing() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let begin = |bytes| {
        let request = attempt.request_but(&json!({ "program": { "name": "x".repeat(bytes) } }));
        format!("BEGIN; {}", open(&request))
    };
    refuses(&mut psql(&database), &begin(2_000), "ZG011");
    does(&mut psql(&database), &begin(1_000));
}
