//! Each refusal of the schema, by its own SQLSTATE, at the opening and at the commit.

use std::time::Duration;

use phasegate::{Plan, Target};
use postgres::Client;
use serde_json::{Value, json};

use crate::hand::{
    Attempt, DRAIN, INSERT, WAYS, does, finish, nothing_committed, open, psql, refuses, say,
};
use crate::pipeline::Draft;
use crate::server::{Database, all, database, drafting_plan};

/// Asserts that this opening is refused, and leaves nothing.
#[track_caller]
fn not_opened(database: &Database, request: &Value, sqlstate: &str) {
    let mut session = psql(database);
    refuses(&mut session, &format!("BEGIN; {}", open(request)), sqlstate);
    drop(session);
    nothing_committed(database);
}

/// An open phase that has written a row, and whose server will not end it by itself.
fn opened(database: &Database) -> (Client, Attempt) {
    let attempt = Attempt::admitted(database);
    let mut session = psql(database);
    does(&mut session, &attempt.begin());
    does(&mut session, "SET idle_in_transaction_session_timeout = 0");
    does(&mut session, "SET statement_timeout = 0");
    does(&mut session, INSERT);
    (session, attempt)
}

/// Asserts that the close is refused so, at the commit and not before.
#[track_caller]
fn not_committed(database: &Database, mut session: Client, attempt: &Attempt, sqlstate: &str) {
    for statement in [attempt.seal(), DRAIN.to_owned(), finish("1")] {
        does(&mut session, &statement);
    }
    refuses(&mut session, "COMMIT", sqlstate);
    drop(session);
    nothing_committed(database);
}

#[test]
fn a_phase_by_hand_that_lacks_nothing_is_committed() {
    // What all the refusals differ from.
    for way in WAYS {
        let database = database();
        let attempt = Attempt::admitted(&database);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        does(&mut session, INSERT);
        let refused = say(&mut session, way, &attempt.close());
        assert_eq!(refused, [""; 0]);
        assert_eq!(database.items(), all(&["smuggled"], "draft"));
    }
}

#[test]
fn while_the_switch_is_off_no_phase_is_opened_and_none_is_committed() {
    let database = database();
    // Its session would be ended; where it cannot be, it does not commit.
    database.sql(&format!("ALTER ROLE {} SUPERUSER", database.runner.name()));
    let (session, attempt) = opened(&database);
    let _ = database
        .operator()
        .switch_off("a test", Duration::ZERO)
        .unwrap();
    not_committed(&database, session, &attempt, "ZG002");
    not_opened(&database, &attempt.again().request(), "ZG002");
}

#[test]
fn a_switch_that_is_turned_off_ends_the_phase_that_is_open() {
    let database = database();
    let (session, _) = opened(&database);
    let _ = database
        .operator()
        .switch_off("a test", Duration::ZERO)
        .unwrap();
    nothing_committed(&database);
    drop(session);
}

#[test]
fn a_lease_that_is_over_opens_nothing_and_commits_nothing() {
    let database = database();
    let lease = Duration::from_secs(2);
    database
        .operator()
        .switch_on("a short test", lease)
        .unwrap();
    let (mut session, attempt) = opened(&database);
    // From 17 on the server itself would end the session; a phase can undo that, and comes no further.
    if database.ask("SELECT current_setting('server_version_num')::int >= 170000") {
        does(&mut session, "SET LOCAL transaction_timeout = 0");
    }
    database.until("the lease is over", |database| {
        database.ask("SELECT until < clock_timestamp() FROM phasegate.kill_switch")
    });
    not_committed(&database, session, &attempt, "ZG003");
    not_opened(&database, &attempt.again().request(), "ZG003");
}

#[test]
fn a_phase_of_another_epoch_is_not_committed() {
    let database = database();
    let (session, attempt) = opened(&database);
    // What turning it off and on again does, without ending the session.
    database.sql(
        "SELECT phasegate.write_switch(true, nextval('phasegate.epoch'), now() + '1 hour', 'again')",
    );
    not_committed(&database, session, &attempt, "ZG004");
    // The next one is of this epoch.
    let (session, attempt) = opened(&database);
    drop(session);
    nothing_committed(&database);
    assert_eq!(attempt.place, 1);
}

#[test]
fn a_lease_of_another_timeline_or_cluster_opens_nothing() {
    for elsewhere in ["timeline = 'FFFFFFFF'", "system_identifier = 1"] {
        let database = database();
        let attempt = Attempt::admitted(&database);
        database.sql(&format!(
            "UPDATE phasegate.kill_switch SET {elsewhere}, epoch = epoch + 1; \
             SELECT setval('phasegate.epoch', epoch) FROM phasegate.kill_switch"
        ));
        not_opened(&database, &attempt.request(), "ZG004");
    }
}

#[test]
fn a_switch_that_is_written_by_hand_is_off() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    database.sql("UPDATE phasegate.kill_switch SET until = until + interval '1 hour'");
    not_opened(&database, &attempt.request(), "ZG002");
}

#[test]
fn a_phase_out_of_order_is_not_opened() {
    let database = database();
    let plan = database.plan(&Draft::of(&["a"]));
    database.admit(&plan);
    for place in 2..=4 {
        not_opened(&database, &Attempt::of(&plan, place).request(), "ZG012");
    }
}

#[test]
fn what_is_not_in_the_plan_is_not_opened() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let other = "0".repeat(64);
    for changed in [
        json!({ "phase": "another" }),
        json!({ "input": other }),
        json!({ "place": 0 }),
        json!({ "place": 2 }),
        json!({ "place": -1 }),
        json!({ "phase": null }),
        json!({ "input": null }),
        json!({ "place": null }),
    ] {
        not_opened(&database, &attempt.request_but(&changed), "ZG011");
    }
}

#[test]
fn a_phase_leaves_an_output() {
    let database = database();
    let (mut session, attempt) = opened(&database);
    does(&mut session, &attempt.seal());
    does(&mut session, DRAIN);
    refuses(&mut session, "SELECT phasegate.finish(NULL)", "ZG017");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn a_plan_that_nobody_admitted_is_not_opened() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let plan = drafting_plan(&database.target, &Draft::of(&["never admitted"]));
    not_opened(&database, &Attempt::of(&plan, 1).request(), "ZG010");
    not_opened(
        &database,
        &attempt.request_but(&json!({ "plan": null })),
        "ZG010",
    );
}

#[test]
fn a_plan_for_another_role_is_not_opened() {
    let database = database();
    let here = &database.target;
    let another = database.role("another");
    database.sql(&format!("GRANT phasegate_runner TO {}", another.name()));
    let other = Target::new(here.system_identifier(), here.database(), another.name());
    let plan = drafting_plan(&other, &Draft::of(&["a"]));
    database.admit(&plan);
    not_opened(&database, &Attempt::of(&plan, 1).request(), "ZG021");
}

/// An approval of this gate for `plan`, admitted with this lifetime.
fn approve(database: &Database, plan: &Plan, gate: &str, nonce: &str, lifetime: &str) {
    database.sql(&format!(
        "SELECT phasegate.admit_approval('{nonce}', decode('{}', 'hex'), '{gate}', 'ada', \
           clock_timestamp() + interval '{lifetime}', '')",
        plan.digest()
    ));
}

#[test]
fn an_approval_that_is_missing_unknown_or_of_another_gate_or_plan_opens_nothing() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let plans = [Draft::of(&["b"]), Draft::of(&["c"])].map(|draft| database.plan(&draft));
    for plan in &plans {
        let _ = database.operator().admit_plan(plan).unwrap();
    }
    approve(&database, &plans[0], "SG_1", "of another plan", "1 hour");
    approve(&database, &plans[1], "SG_2", "of another gate", "1 hour");
    let draft = Attempt::of(&plans[1], 1);
    not_opened(
        &database,
        &draft.request_but(&json!({ "approvals": ["of another gate"] })),
        "ZG013",
    );
    for approvals in [
        json!(null),
        json!([]),
        json!([null]),
        json!(["never admitted"]),
        json!(["of another plan"]),
        json!("of another plan"),
        json!({ "0": attempt.request()["approvals"][0] }),
    ] {
        let request = attempt.request_but(&json!({ "approvals": approvals }));
        not_opened(&database, &request, "ZG013");
    }
}

#[test]
fn an_approval_that_has_expired_opens_nothing() {
    let database = database();
    let plan = drafting_plan(&database.target, &Draft::of(&["a"]));
    let _ = database.operator().admit_plan(&plan).unwrap();
    approve(&database, &plan, "SG_1", "short", "100 milliseconds");
    let request = Attempt::of(&plan, 1).request_but(&json!({ "approvals": ["short"] }));
    database.until("the approval has expired", |database| {
        database.ask("SELECT expires < clock_timestamp() FROM phasegate.approval")
    });
    not_opened(&database, &request, "ZG013");
}

#[test]
fn an_approval_that_was_spent_is_spent_for_ever_and_one_that_was_rolled_back_is_not() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    does(&mut session, "ROLLBACK");
    does(&mut session, &attempt.begin());
    say(&mut session, WAYS[0], &attempt.close());
    let spent: i64 = database.ask("SELECT count(*) FROM phasegate.approval_spent");
    assert_eq!(spent, 1);
    // Even if somebody wound the run back.
    database.sql("UPDATE phasegate.run SET committed = 0; ALTER TABLE phasegate.journal DISABLE TRIGGER never_changed; DELETE FROM phasegate.journal");
    refuses(&mut session, &attempt.again().begin(), "23505");
}

#[test]
fn an_opening_message_that_is_replayed_opens_nothing() {
    let database = database();
    // Of a phase that was committed: what it left is handed back.
    let plan = database.plan(&Draft::of(&["a"]));
    database.admit(&plan);
    let attempt = Attempt::of(&plan, 1);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    let refused = say(&mut session, WAYS[0], &attempt.close());
    assert_eq!(refused, [""; 0]);
    does(&mut session, &attempt.begin());
    refuses(&mut session, INSERT, "ZG007");
    does(&mut session, "ROLLBACK");
    // Its nonce, for another phase.
    let next = Attempt::of(&plan, 2).request_but(&json!({ "nonce": attempt.nonce }));
    refuses(&mut session, &format!("BEGIN; {}", open(&next)), "ZG019");
    does(&mut session, "ROLLBACK");
    // Of one whose fate was resolved.
    let resolved = Attempt::of(&plan, 2);
    let resolve = format!(
        "SELECT phasegate.resolve(decode('{}', 'hex'), '{}', clock_timestamp(), 0, clock_timestamp(), '1 s')",
        plan.digest(),
        resolved.nonce
    );
    does(&mut session, &resolve);
    refuses(&mut session, &resolved.begin(), "ZG019");
    assert_eq!(database.items(), []);
}

#[test]
fn a_fence_is_as_old_as_its_claim_whatever_the_claimant_says() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    let resolve = |nonce: &str, opened_at: &str| {
        format!(
            "SELECT phasegate.resolve(decode('{}', 'hex'), '{nonce}', {opened_at}, 0, clock_timestamp(), '1 s')",
            attempt.plan.digest()
        )
    };
    does(&mut session, &resolve(&attempt.nonce, "'-infinity'"));
    does(&mut session, &resolve(&attempt.again().nonce, "'infinity'"));
    let day = Duration::from_hours(24);
    assert_eq!(database.operator().housekeep(day).unwrap().attempts, 0);
    refuses(&mut session, &attempt.begin(), "ZG019");
    does(&mut session, "ROLLBACK");
    database.sql("UPDATE phasegate.attempt SET opened_at = opened_at - interval '2 days'");
    assert_eq!(database.operator().housekeep(day).unwrap().attempts, 2);
    for opened_at in ["'-infinity'", "NULL"] {
        refuses(&mut session, &resolve(&attempt.nonce, opened_at), "ZG022");
    }
}

#[test]
fn another_protocol_is_not_spoken() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    for protocol in [json!(null), json!(0), json!(2), json!("1")] {
        let request = attempt.request_but(&json!({ "protocol": protocol }));
        not_opened(&database, &request, "ZG017");
    }
    refuses(&mut psql(&database), "SELECT phasegate.open(NULL)", "ZG017");
}

#[test]
fn a_session_in_a_transaction_or_acting_as_another_role_opens_nothing() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let runner = database.runner.name();
    let mut session = psql(&database);
    does(&mut session, "BEGIN");
    refuses(&mut session, &attempt.open(), "ZG016");
    drop(session);
    database.sql(&format!(
        "GRANT pg_monitor TO {runner}; GRANT phasegate_runner TO pg_monitor"
    ));
    for role in ["pg_monitor", runner] {
        let mut session = psql(&database);
        does(&mut session, &format!("SET ROLE {role}"));
        refuses(&mut session, &attempt.begin(), "ZG016");
    }
    database.sql("REVOKE phasegate_runner FROM pg_monitor");
    nothing_committed(&database);
}

#[test]
fn without_counters_nothing_is_opened() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    database.sql(&format!(
        "ALTER ROLE {} SET track_counts = off",
        database.runner.name()
    ));
    not_opened(&database, &attempt.request(), "ZG015");
}

#[test]
fn a_rejection_that_comes_after_the_opening_refuses_the_commit() {
    let database = database();
    let (mut session, attempt) = opened(&database);
    database.sql(
        "SELECT phasegate.admit_rejection('n', plan, 'SG_1', 'ada', 'infinity', 'wrong', NULL, 'reject') \
         FROM phasegate.plan",
    );
    for statement in [&attempt.seal(), DRAIN, &finish("1")] {
        does(&mut session, statement);
    }
    refuses(&mut session, "COMMIT", "ZG024");
    drop(session);
    nothing_committed(&database);
}

/// Its snapshot would hide a rejection, and what the operator does to the lease.
#[test]
fn a_transaction_that_is_not_read_committed_opens_nothing() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let rehearsal = attempt
        .open()
        .replace("phasegate.open(", "phasegate.open_rehearsal(");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for open in [&attempt.open(), &rehearsal] {
            let begin = format!("BEGIN ISOLATION LEVEL {level}; {open}");
            refuses(&mut psql(&database), &begin, "ZG016");
            let set = format!("BEGIN; SET TRANSACTION ISOLATION LEVEL {level}; {open}");
            refuses(&mut psql(&database), &set, "ZG016");
        }
    }
    nothing_committed(&database);
}

/// A commit whose check has passed early, because it was made to, is waited for and named, as it is by the switch.
#[test]
fn a_rejection_waits_for_the_commits_that_were_let_through() {
    let database = database();
    let (mut session, attempt) = opened(&database);
    for statement in [&attempt.seal(), DRAIN, &finish("1"), DRAIN] {
        does(&mut session, statement);
    }
    database.sql(
        "SELECT phasegate.admit_rejection('n', plan, 'SG_1', 'ada', 'infinity', 'wrong', NULL, 'reject') \
         FROM phasegate.plan",
    );
    let waits = "SELECT phasegate.wait_for_commits('200 ms')";
    assert!(!database.ask::<bool>(waits));
    let named = "SELECT application_name FROM phasegate.commits_in_flight()";
    assert_eq!(database.ask::<String>(named), "by hand");
    does(&mut session, "ROLLBACK");
    assert!(database.ask::<bool>(waits));
    drop(session);
    nothing_committed(&database);
}

#[test]
fn a_phase_that_outlives_its_plan_or_its_approval_is_not_committed() {
    for (shorten, sqlstate, says) in [
        (
            "UPDATE phasegate.plan SET valid_until = clock_timestamp() + '1 s'",
            "ZG023",
            "the plan was over at",
        ),
        (
            "ALTER TABLE phasegate.approval DISABLE TRIGGER never_changed; \
             UPDATE phasegate.approval SET expires = clock_timestamp() + '1 s'",
            "ZG013",
            "the approval of gate SG_1 was over at",
        ),
    ] {
        let database = database();
        let attempt = Attempt::admitted(&database);
        database.sql(shorten);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        does(&mut session, INSERT);
        does(&mut session, "SELECT pg_sleep(1.2)");
        for statement in [&attempt.seal(), DRAIN, &finish("1")] {
            does(&mut session, statement);
        }
        let refused = session.batch_execute("COMMIT").unwrap_err();
        assert_eq!(crate::hand::code(&refused), sqlstate);
        let said = refused.as_db_error().unwrap().message();
        assert!(said.contains(says), "{said}");
        drop(session);
        nothing_committed(&database);
    }
}

#[test]
fn a_plan_for_a_role_that_cannot_perform_it_is_not_admitted() {
    let database = database();
    let role = database.role("auditor");
    for (name, says) in [
        (
            role.name(),
            format!("GRANT phasegate_runner TO {}", role.name()),
        ),
        ("nobody_is_called_so", "does not exist".to_owned()),
    ] {
        let here = &database.target;
        let target = Target::new(here.system_identifier(), here.database(), name);
        let plan = drafting_plan(&target, &Draft::of(&["a"]));
        let refused = database.operator().admit_plan(&plan).unwrap_err();
        let refused = format!("{refused}; {}", refused.hint().unwrap_or_default());
        assert!(refused.contains(&says), "{refused}");
    }
}

#[test]
fn another_runner_resolves_nothing_of_a_plan_that_is_not_its_own() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let plan = format!("decode('{}', 'hex')", attempt.plan.digest());
    let resolve = format!(
        "SELECT phasegate.resolve({plan}, gen_random_uuid(), clock_timestamp(), 0, clock_timestamp(), '1 s')"
    );
    let other = database.role("other");
    database.sql(&format!("GRANT phasegate_runner TO {}", other.name()));
    let mut session = other.config().connect(postgres::NoTls).unwrap();
    refuses(&mut session, &resolve, "ZG022");
    // To read it is not to resolve it.
    database.sql(&format!("GRANT phasegate_auditor TO {}", other.name()));
    refuses(&mut session, &resolve, "ZG022");
    // Of a plan that is not here nothing is committed, and asking leaves nothing behind.
    let unknown = resolve.replace(&plan, "'\\x00'");
    let answer: String = session.query_one(&unknown, &[]).unwrap().get(0);
    assert!(answer.contains("rolled back"), "{answer}");
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM phasegate.attempt"),
        0
    );
    // Its own role does, and what it claims is recorded with the plan.
    does(&mut psql(&database), &resolve);
    let claimed =
        format!("SELECT count(*) FROM phasegate.attempt WHERE state = 'claimed' AND plan = {plan}");
    assert_eq!(database.ask::<i64>(&claimed), 1);
}
