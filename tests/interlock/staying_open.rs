//! What the wall does not stop, each shown, so that nobody believes otherwise.

use std::time::Duration;

use phasegate::operator::SwitchedOff;
use phasegate::testing::TestPostgres;
use postgres::Client;

use crate::hand::{
    Attempt, DRAIN, INSERT, WAYS, code, does, finish, nothing_committed, psql, refuses,
    rolled_back_by, say,
};
use crate::pipeline::Draft;
use crate::server::{Database, all, database, database_on};

#[test]
fn the_runners_role_can_perform_by_hand_a_phase_that_is_planned_approved_and_switched_on() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    // What it likes, not what the plan's input says.
    does(
        &mut session,
        "INSERT INTO item VALUES ('not in the plan', 'draft')",
    );
    for statement in [
        attempt.seal(),
        DRAIN.to_owned(),
        finish("4711"),
        "COMMIT".to_owned(),
    ] {
        does(&mut session, &statement);
    }
    assert_eq!(database.items(), all(&["not in the plan"], "draft"));
    // The journal has it: the output as it was said, and who, from where, and how many rows.
    let journalled: String = database.ask(
        "SELECT concat_ws(' ', b ->> 'output', b ->> 'role', b ->> 'application_name', \
                          b -> 'effects' -> 'public.item' ->> 'inserted') \
         FROM (SELECT body::jsonb AS b FROM phasegate.journal) AS j",
    );
    assert_eq!(
        journalled,
        format!("4711 {} by hand 1", database.runner.name())
    );
    // And it is spent: nobody performs it again.
    refuses(&mut session, INSERT, "ZG007");
    does(&mut session, &attempt.again().begin());
    refuses(&mut session, INSERT, "ZG007");
}

#[test]
fn a_phase_by_hand_can_write_between_the_drain_and_the_finish_and_is_counted() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    for statement in [
        &attempt.begin(),
        &attempt.seal(),
        DRAIN,
        INSERT,
        &finish("1"),
        "COMMIT",
    ] {
        does(&mut session, statement);
    }
    let inserted: String = database.ask(
        "SELECT body::jsonb -> 'effects' -> 'public.item' ->> 'inserted' FROM phasegate.journal",
    );
    assert_eq!(inserted, "1");
}

#[test]
fn a_table_that_is_not_under_guard_can_be_written_outside_a_phase_and_not_after_its_finish() {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE open (n int); GRANT INSERT ON open TO {}",
        database.runner.name()
    ));
    does(&mut psql(&database), "INSERT INTO open VALUES (1)");
    let mut session = psql(&database);
    let attempt = Attempt::admitted(&database);
    let write = "INSERT INTO open VALUES (2)";
    for statement in [
        &attempt.begin(),
        &attempt.seal(),
        DRAIN,
        &finish("1"),
        write,
    ] {
        does(&mut session, statement);
    }
    refuses(&mut session, "COMMIT", "ZG007");
    drop(session);
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM open"), 1);
}

#[test]
fn a_trigger_of_an_owner_that_puts_itself_off_writes_after_the_interlock_but_no_guarded_table() {
    for (table, commits) in [("open", true), ("item", false)] {
        let database = database();
        database.sql("CREATE TABLE open (name text, state text)");
        database.at_commit(&format!(
            "IF new.name = 'first' THEN SET CONSTRAINTS public.at_commit DEFERRED; \
               INSERT INTO public.item VALUES ('second', 'draft'); \
             ELSE INSERT INTO public.{table} VALUES ('late', 'draft'); END IF"
        ));
        let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
            Ok(tx.execute("INSERT INTO item VALUES ('first', 'draft')", &[])?)
        });
        if commits {
            assert_eq!(answer.unwrap(), 1);
            assert_eq!(database.ask::<i64>("SELECT count(*) FROM open"), 1);
        } else {
            rolled_back_by(&database, answer, "ZG007");
        }
    }
}

/// A phase by hand that has made the last check fire before its commit.
fn checked_early(database: &Database) -> Client {
    let attempt = Attempt::admitted(database);
    let mut session = psql(database);
    does(&mut session, &attempt.begin());
    does(&mut session, "SET idle_in_transaction_session_timeout = 0");
    does(&mut session, INSERT);
    for statement in [
        attempt.seal(),
        DRAIN.to_owned(),
        finish("1"),
        DRAIN.to_owned(),
    ] {
        does(&mut session, &statement);
    }
    session
}

#[test]
fn a_phase_by_hand_can_pass_its_check_early_but_then_the_switch_says_who_holds_it_up_and_ends_it() {
    let database = database();
    let mut session = checked_early(&database);
    let moment = Duration::from_millis(50);
    let off = database.operator().switch_off("a test", moment).unwrap();
    let SwitchedOff::Pending(holders) = off else {
        panic!("it is not drained while that is open");
    };
    let roles: Vec<_> = holders
        .iter()
        .map(|holder| holder.role.as_deref())
        .collect();
    assert_eq!(roles, [Some(database.runner.name())]);
    let patience = Duration::from_secs(10);
    let ended = database.operator().end_commits_in_flight(patience).unwrap();
    assert_eq!(ended, SwitchedOff::Drained);
    assert!(session.execute("COMMIT", &[]).is_err());
    nothing_committed(&database);
}

#[test]
fn a_phase_by_hand_that_has_passed_its_check_early_commits_after_the_lease_is_over() {
    let database = database();
    let lease = Duration::from_secs(2);
    database
        .operator()
        .switch_on("a short test", lease)
        .unwrap();
    let mut session = checked_early(&database);
    database.until("the lease is over", |database| {
        database.ask("SELECT until < clock_timestamp() FROM phasegate.kill_switch")
    });
    does(&mut session, "COMMIT");
    assert_eq!(database.items(), all(&["smuggled"], "draft"));
}

#[test]
fn a_phase_by_hand_can_be_prepared_but_then_the_switch_is_not_drained_and_names_it() {
    let server = TestPostgres::builder()
        .setting("max_prepared_transactions", "4")
        .start()
        .expect("a server");
    let database = database_on(&server);
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    for statement in [
        &attempt.begin(),
        INSERT,
        &attempt.seal(),
        DRAIN,
        &finish("1"),
    ] {
        does(&mut session, statement);
    }
    does(&mut session, "PREPARE TRANSACTION 'by hand'");
    let moment = Duration::from_millis(50);
    let off = database.operator().switch_off("a test", moment).unwrap();
    let SwitchedOff::Pending(holders) = off else {
        panic!("it is not drained while that is prepared");
    };
    assert_eq!(holders[0].prepared.as_deref(), Some("by hand"));
    does(&mut session, "COMMIT PREPARED 'by hand'");
    assert_eq!(database.items(), all(&["smuggled"], "draft"));
}

#[test]
fn a_session_of_the_runners_role_can_end_another_one_and_spoil_its_phase() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut phase = psql(&database);
    does(&mut phase, &attempt.begin());
    let pid: i32 = phase
        .query_one("SELECT pg_backend_pid()", &[])
        .unwrap()
        .get(0);
    does(
        &mut psql(&database),
        &format!("SELECT pg_terminate_backend({pid}, 10000)"),
    );
    assert!(phase.execute(INSERT, &[]).is_err());
    nothing_committed(&database);
}

#[test]
fn a_session_of_the_runners_role_can_keep_a_plan_to_itself_until_the_switch_is_off() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut idle = psql(&database);
    does(&mut idle, &attempt.begin());
    let request = attempt
        .again()
        .request_but(&serde_json::json!({ "lock_timeout": 50 }));
    let waits = format!("BEGIN; {}", crate::hand::open(&request));
    refuses(&mut psql(&database), &waits, "55P03");
    let _ = database
        .operator()
        .switch_off("a test", Duration::ZERO)
        .unwrap();
    assert!(idle.execute("SELECT 1", &[]).is_err(), "it was ended");
}

#[test]
fn anybody_can_keep_an_install_waiting() {
    let database = database();
    let mut session = psql(&database);
    does(&mut session, "SELECT pg_advisory_lock(7309453175411201908)");
    let mut admin = database.admin();
    admin.batch_execute("SET lock_timeout = 50").unwrap();
    let refused = phasegate::schema::install(&mut admin).unwrap_err();
    assert!(refused.to_string().contains("55P03"), "{refused}");
    drop(session);
    assert_eq!(
        phasegate::schema::install(&mut database.admin())
            .unwrap()
            .applied,
        [""; 0]
    );
}

#[test]
fn a_write_that_a_function_catches_is_not_made_and_says_nothing() {
    let database = database();
    let catches =
        "DO $$ BEGIN INSERT INTO item VALUES ('smuggled'); EXCEPTION WHEN OTHERS THEN NULL; END $$";
    for way in WAYS {
        assert_eq!(say(&mut psql(&database), way, &[catches]), [""; 0]);
    }
    let refused = psql(&database).execute(INSERT, &[]).unwrap_err();
    assert_eq!(code(&refused), "ZG007");
    nothing_committed(&database);
}

#[test]
fn anybody_can_fill_the_lock_table_and_then_the_switch_cannot_be_turned_until_that_session_is_ended()
 {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .setting("max_locks_per_transaction", "10")
        .setting("max_connections", "12")
        .start()
        .expect("a server");
    let database = database_on(&server);
    let mut admin = database.admin();
    let mut greedy = psql(&database);
    let greed = "DO $$ BEGIN FOR i IN 1..1000000 LOOP BEGIN PERFORM pg_advisory_lock(i); \
                   EXCEPTION WHEN out_of_memory THEN EXIT; END; END LOOP; END $$";
    does(&mut greedy, greed);
    let off = || {
        database
            .operator()
            .switch_off("a test", Duration::from_secs(1))
    };
    assert!(off().unwrap_err().to_string().contains("53200"));
    // To look for it takes locks too: who is on the server's own machine ends it.
    refuses(&mut admin, "SELECT count(*) FROM pg_stat_activity", "53200");
    drop(greedy);
    database.until("its locks are given back", |_| off().is_ok());
}
