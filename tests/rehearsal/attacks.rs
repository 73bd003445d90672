//! No statement in its session lets a rehearsal commit.

use phasegate::{Failure, PhaseTx, connect::SqlError};
use postgres::Client;

use crate::hand::{
    Attempt, DRAIN, WAYS, Way, code, does, finish, nothing_committed, open, psql, refuses, say,
    tell,
};
use crate::pipeline::Draft;
use crate::server::{Database, database, does as doing, drafting};
use crate::{Each, next, rehearsal};

const WRITE: &str = "INSERT INTO item VALUES ('smuggled', 'draft')";
pub(crate) const ARM: &str = "SELECT phasegate.drain_rehearsal()";
pub(crate) const MEASURE: &str = "SELECT phasegate.measure_rehearsal()";

/// The opening message of a rehearsal.
pub(crate) fn begin() -> String {
    format!("BEGIN; {}", open_rehearsal())
}

fn open_rehearsal() -> String {
    let request = serde_json::json!({
        "protocol": 1, "application_name": "by hand", "refuse_privileged_role": false,
    });
    open(&request).replace("phasegate.open(", "phasegate.open_rehearsal(")
}

/// A session of the runner's in which a rehearsal is open and has written.
fn rehearsing(database: &Database) -> Client {
    let mut session = psql(database);
    does(&mut session, &begin());
    does(&mut session, WRITE);
    session
}

#[test]
fn no_statement_that_ends_a_transaction_commits_a_rehearsal() {
    let secret = "SELECT phasegate.seal(pg_catalog.decode('00', 'hex'))";
    let before: [&[&str]; 16] = [
        &[],
        &[ARM],
        &[ARM, DRAIN],
        &[ARM, DRAIN, MEASURE],
        &[ARM, DRAIN, MEASURE, "SET CONSTRAINTS ALL DEFERRED"],
        &[ARM, DRAIN, ARM],
        &[ARM, DRAIN, ARM, DRAIN, ARM],
        &["SET CONSTRAINTS ALL DEFERRED"],
        &["SET CONSTRAINTS phasegate.interlock DEFERRED"],
        &[ARM, "SET CONSTRAINTS phasegate.interlock IMMEDIATE"],
        &["SAVEPOINT s", ARM, DRAIN, "ROLLBACK TO s"],
        &["SAVEPOINT s", ARM, DRAIN, "RELEASE s"],
        &["SAVEPOINT s", DRAIN, "ROLLBACK TO s"],
        &[ARM, "SAVEPOINT s", DRAIN, "ROLLBACK TO s"],
        &["SAVEPOINT s", secret, "ROLLBACK TO s"],
        &[
            ARM,
            "DO $$ BEGIN SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL IMMEDIATE; \
               EXCEPTION WHEN OTHERS THEN NULL; END $$",
        ],
    ];
    let ends = [
        "COMMIT",
        "END",
        "COMMIT AND CHAIN",
        "PREPARE TRANSACTION 'x'",
    ];
    let database = database();
    for said in before {
        for end in ends {
            for way in WAYS {
                let mut session = rehearsing(&database);
                // With a savepoint an expected error is rolled back, one by one.
                if matches!(way, Way::OneMessage) && said.first() == Some(&"SAVEPOINT s") {
                    continue;
                }
                let mut refused = say(&mut session, way, said);
                refused.retain(|code| code != "ZG001");
                assert_eq!(refused, [""; 0], "{said:?}");
                let refused = tell(&mut session, end);
                assert_eq!(refused.as_deref(), Some("ZG001"), "{said:?}, then {end}");
                // Whatever transaction there is now, it is no rehearsal.
                say(&mut session, Way::OneByOne, &["ROLLBACK"]);
                refuses(&mut session, WRITE, "ZG007");
                drop(session);
                nothing_committed(&database);
            }
        }
    }
}

#[test]
fn a_rehearsal_in_one_message_with_its_commit_does_not_commit() {
    let database = database();
    for rest in [
        vec![WRITE, "COMMIT"],
        vec![WRITE, ARM, "COMMIT"],
        vec![WRITE, ARM, DRAIN, MEASURE, "COMMIT"],
    ] {
        let all = format!("{}; {}", begin(), rest.join("; "));
        refuses(&mut psql(&database), &all, "ZG001");
        nothing_committed(&database);
    }
    // Without BEGIN, the message itself is the transaction.
    let implicit = format!("{}; {WRITE}", open_rehearsal());
    let answer = psql(&database).simple_query(&implicit);
    assert_eq!(code(&answer.unwrap_err()), "ZG001");
    nothing_committed(&database);
}

#[track_caller]
fn nothing_committed_after(session: Client, database: &Database) {
    drop(session);
    nothing_committed(database);
}

#[test]
fn code_in_the_server_does_not_commit_a_rehearsal() {
    let database = database();
    database.sql("CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$");
    for (said, sqlstate) in [
        ("DO $$ BEGIN COMMIT; END $$", "2D000"),
        ("CALL commits()", "2D000"),
        ("DO $$ BEGIN CALL commits(); END $$", "2D000"),
        ("DO $$ BEGIN EXECUTE 'COMMIT'; END $$", "0A000"),
        (
            "DO $$ BEGIN PERFORM phasegate.drain_rehearsal(); COMMIT; END $$",
            "2D000",
        ),
    ] {
        let mut session = rehearsing(&database);
        refuses(&mut session, said, sqlstate);
        refuses(&mut session, "SELECT 1", "25P02");
        nothing_committed_after(session, &database);
    }
}

#[test]
fn a_cursor_with_hold_does_not_carry_a_write_over_the_end() {
    let database = database();
    database.sql(
        "CREATE TABLE open_to_all (n int); GRANT INSERT ON open_to_all TO PUBLIC; \
         CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN \
           INSERT INTO item VALUES ('late'); INSERT INTO open_to_all VALUES (1); RETURN 1; END $$",
    );
    let cursor = "DECLARE c CURSOR WITH HOLD FOR SELECT writes()";
    for before in [vec![cursor], vec![cursor, ARM], vec![ARM, DRAIN, cursor]] {
        let mut session = rehearsing(&database);
        assert_eq!(say(&mut session, Way::OneByOne, &before), [""; 0]);
        refuses(&mut session, "COMMIT", "ZG001");
        nothing_committed_after(session, &database);
    }
    let mut session = rehearsing(&database);
    assert_eq!(
        say(&mut session, Way::OneByOne, &[cursor, ARM, DRAIN]),
        [""; 0]
    );
    refuses(&mut session, MEASURE, "ZG005");
    let written: i64 = database.ask("SELECT count(*) FROM open_to_all");
    assert_eq!(written, 0);
}

#[test]
fn after_a_rollback_by_hand_the_guard_is_shut() {
    let database = database();
    for end in ["ROLLBACK", "ROLLBACK AND CHAIN", "ABORT", "ROLLBACK; BEGIN"] {
        let mut session = rehearsing(&database);
        session.simple_query(end).unwrap();
        refuses(&mut session, WRITE, "ZG007");
        say(&mut session, Way::OneByOne, &["ROLLBACK"]);
        for function in [ARM, MEASURE] {
            refuses(&mut session, function, "ZG001");
        }
        nothing_committed_after(session, &database);
    }
    // Opened inside a savepoint that is rolled back, it never was.
    let mut session = psql(&database);
    let open = format!("BEGIN; SAVEPOINT s; {}", open_rehearsal());
    does(&mut session, &open);
    does(&mut session, WRITE);
    does(&mut session, "ROLLBACK TO s");
    refuses(&mut session, WRITE, "ZG007");
}

#[test]
fn a_rehearsal_cannot_become_a_phase_nor_a_phase_a_rehearsal() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    // A phase in a rehearsal: later, and in the same message.
    refuses(&mut rehearsing(&database), &attempt.open(), "ZG016");
    let both = format!("{}; {}", begin(), attempt.open());
    refuses(&mut psql(&database), &both, "ZG012");
    // A rehearsal in a phase, and in a rehearsal.
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    refuses(&mut session, &open_rehearsal(), "ZG016");
    drop(session);
    for first in [attempt.begin(), begin()] {
        let both = format!("{first}; {}", open_rehearsal());
        refuses(&mut psql(&database), &both, "ZG012");
    }
    // What closes a phase does not close a rehearsal.
    for said in [attempt.seal(), finish("1")] {
        refuses(&mut rehearsing(&database), &said, "ZG001");
        let mut session = rehearsing(&database);
        assert_eq!(say(&mut session, Way::OneByOne, &[ARM, DRAIN]), [""; 0]);
        refuses(&mut session, &said, "ZG001");
    }
    // And what a rehearsal is ended with means nothing in a phase.
    for said in [ARM, MEASURE, "SELECT phasegate.rehearse('\\x7b7d')"] {
        let mut session = psql(&database);
        does(&mut session, &attempt.again().begin());
        refuses(&mut session, said, "ZG001");
    }
    nothing_committed(&database);
}

#[test]
fn what_is_not_drained_is_not_measured() {
    let database = database();
    let mut session = rehearsing(&database);
    does(&mut session, ARM);
    refuses(&mut session, MEASURE, "ZG001");
    nothing_committed_after(session, &database);
}

#[test]
fn resolving_the_nonce_of_a_rehearsal_does_not_let_it_commit() {
    let database = database();
    database.sql(&format!(
        "GRANT SELECT ON phasegate.attempt TO {}",
        database.runner.name()
    ));
    let plan = Attempt::admitted(&database).plan.digest();
    for from_within in [true, false] {
        let mut session = rehearsing(&database);
        let row = session.query_one(
            "SELECT nonce::text FROM phasegate.attempt WHERE state = 'rehearsal'",
            &[],
        );
        let nonce: String = row.unwrap().get(0);
        let resolve = format!(
            "SELECT phasegate.resolve(decode('{plan}', 'hex'), '{nonce}', clock_timestamp(), 0, now(), '50 ms')"
        );
        if from_within {
            does(&mut session, "SAVEPOINT s");
            assert!(tell(&mut session, &resolve).is_some());
            does(&mut session, "ROLLBACK TO s");
        } else {
            refuses(&mut psql(&database), &resolve, "55P03");
        }
        refuses(&mut session, "COMMIT", "ZG001");
        nothing_committed_after(session, &database);
    }
}

#[test]
fn a_deferred_trigger_in_the_drain_cannot_commit_a_rehearsal() {
    let database = database();
    database.sql(
        "CREATE FUNCTION arms() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           PERFORM phasegate.drain_rehearsal(); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER arms AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION arms()",
    );
    for before in [
        vec![],
        vec![ARM],
        vec![ARM, DRAIN],
        vec![ARM, DRAIN, WRITE_MORE],
    ] {
        let mut session = rehearsing(&database);
        assert_eq!(say(&mut session, Way::OneByOne, &before), [""; 0]);
        refuses(&mut session, "COMMIT", "ZG001");
        nothing_committed_after(session, &database);
    }
}

const WRITE_MORE: &str = "INSERT INTO item VALUES ('more', 'draft')";

#[test]
fn an_adapter_that_says_everything_it_can_commits_nothing() {
    let database = database();
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        tx.execute(
            &format!("INSERT INTO item VALUES ('{number}', 'draft')"),
            &[],
        )?;
        let said = [
            "COMMIT",
            "END",
            "ROLLBACK",
            "COMMIT AND CHAIN",
            "PREPARE TRANSACTION 'x'",
            "RELEASE phasegate_phase",
            "DO $$ BEGIN COMMIT; END $$",
            DRAIN,
            "SELECT phasegate.seal('')",
            "SELECT phasegate.finish('')",
        ][number];
        let sent = tx.savepoint(|tx| match tx.execute(said, &[]) {
            Err(SqlError::TransactionControl { .. }) => Err(Failure::new("not sent")),
            other => Ok(other.map(drop)?),
        });
        assert!(sent.is_err(), "{said}");
        Ok(1)
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        for number in 0..10 {
            next(run, on, number)?;
        }
        Ok(())
    });
    assert_eq!(rehearsed.unwrap().phases.len(), 10);
    nothing_committed(&database);
}

#[test]
fn an_adapter_that_arms_and_drains_by_itself_disturbs_nobody() {
    let database = database();
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        tx.execute(
            &format!("INSERT INTO item VALUES ('{number}', 'draft')"),
            &[],
        )?;
        for said in &[ARM, DRAIN, ARM][..number] {
            tx.execute(*said, &[])?;
        }
        Ok(1)
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        for number in 0..=3 {
            next(run, on, number)?;
        }
        Ok(())
    });
    assert_eq!(rehearsed.unwrap().phases.len(), 4);
    nothing_committed(&database);
}

#[test]
fn a_live_run_is_not_disturbed_by_a_rehearsal_inside_it() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let mut inner = None;
    let live = database.draft_by(&draft, |_, tx| {
        let rows = tx.execute(WRITE_MORE, &[])?;
        let rehearsed = rehearsal(&database, doing(|_, tx| Ok(tx.execute(WRITE, &[])?)));
        inner = Some(rehearsed.run(|run, on| Ok(drafting(run, on, &draft)?.into_output())));
        Ok(rows)
    });
    assert_eq!(live.unwrap(), 1);
    assert_eq!(inner.unwrap().unwrap().value, 1);
    assert_eq!(database.items(), [("more".to_owned(), "draft".to_owned())]);
}
