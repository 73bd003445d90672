//! Ways to a commit that pass by the seal.

use phasegate::testing::TestPostgres;

use crate::hand::{
    Attempt, INSERT, WAYS, code, does, held, held_by_hand, nothing_committed, psql, refuses, say,
};
use crate::server::{database, database_on};

#[test]
fn a_transaction_without_a_row_of_the_journal_does_not_write() {
    let database = database();
    for way in WAYS {
        let refused = say(&mut psql(&database), way, &["BEGIN", INSERT, "COMMIT"]);
        assert_eq!(refused, ["ZG007"], "{way:?}");
        nothing_committed(&database);
    }
    refuses(&mut psql(&database), INSERT, "ZG007");
    nothing_committed(&database);
}

#[test]
fn after_a_smuggled_rollback_nothing_commits_by_itself() {
    let database = database();
    for ending in ["ROLLBACK", "ABORT", "ROLLBACK AND CHAIN"] {
        held(&database, &[ending, INSERT], "ZG007", "not sent");
    }
    let in_a_block = "DO $$ BEGIN INSERT INTO item VALUES ('smuggled'); COMMIT; END $$";
    held_by_hand(&database, &["ROLLBACK", in_a_block], "ZG007");
}

#[test]
fn every_word_for_commit_is_refused_without_the_seal() {
    let database = database();
    for ending in [
        "COMMIT",
        "END",
        "COMMIT AND CHAIN",
        "COMMIT WORK",
        "END TRANSACTION AND NO CHAIN",
    ] {
        held(&database, &[ending], "ZG001", "not sent");
    }
}

#[test]
fn a_transaction_that_a_message_implies_is_refused_without_the_seal() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    // A message of the extended protocol has begun its transaction before it is performed.
    refuses(&mut psql(&database), &attempt.open(), "ZG016");
    for message in [
        attempt.open(),
        [attempt.open(), INSERT.to_owned()].join("; "),
    ] {
        let refused = psql(&database).simple_query(&message).unwrap_err();
        assert_eq!(code(&refused), "ZG001");
    }
    let block = format!(
        "DO $$ BEGIN PERFORM {}; {INSERT}; END $$",
        &attempt.open()[7..]
    );
    let refused = psql(&database).simple_query(&block).unwrap_err();
    assert_eq!(code(&refused), "ZG001");
    nothing_committed(&database);
}

#[test]
fn a_block_and_a_procedure_that_commit_are_refused_inside_a_phase_and_guarded_outside() {
    let database = database();
    database.sql(
        "CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN \
           INSERT INTO item VALUES ('called'); COMMIT; END $$; \
         CREATE PROCEDURE goes_on() LANGUAGE plpgsql AS $$ BEGIN \
           ROLLBACK; INSERT INTO item VALUES ('called'); COMMIT; END $$",
    );
    for statement in [
        "DO $$ BEGIN COMMIT; END $$",
        "DO $$ BEGIN ROLLBACK; END $$",
        "CALL commits()",
        "CALL goes_on()",
    ] {
        held(&database, &[statement], "2D000", "2D000");
    }
    for statement in ["CALL commits()", "CALL goes_on()"] {
        refuses(&mut psql(&database), statement, "ZG007");
    }
    // A procedure that opens the phase itself has not sealed it either.
    let attempt = Attempt::admitted(&database);
    let opens = format!(
        "DO $$ BEGIN PERFORM {}; {INSERT}; COMMIT; END $$",
        &attempt.open()[7..]
    );
    assert_eq!(
        code(&psql(&database).simple_query(&opens).unwrap_err()),
        "ZG001"
    );
    nothing_committed(&database);
}

#[test]
fn a_phase_that_is_not_sealed_cannot_be_prepared() {
    let server = TestPostgres::builder()
        .setting("max_prepared_transactions", "4")
        .start()
        .expect("a server");
    let database = database_on(&server);
    held(
        &database,
        &["PREPARE TRANSACTION 'mine'"],
        "ZG001",
        "not sent",
    );
    // Nor one that is sealed, and not finished.
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    does(&mut session, INSERT);
    does(&mut session, &attempt.seal());
    refuses(&mut session, "PREPARE TRANSACTION 'mine'", "ZG001");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn discard_and_the_like_do_not_disarm_the_interlock() {
    let database = database();
    held(&database, &["DISCARD ALL"], "25001", "25001");
    for statement in [
        "DISCARD PLANS",
        "DISCARD SEQUENCES",
        "DISCARD TEMP",
        "RESET ALL",
        "DEALLOCATE ALL",
        "CLOSE ALL",
        "UNLISTEN *",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SELECT pg_catalog.pg_stat_clear_snapshot()",
        "SET CONSTRAINTS phasegate.interlock DEFERRED",
        "SET CONSTRAINTS ALL DEFERRED",
    ] {
        held_by_hand(&database, &[statement, "COMMIT"], "ZG001");
    }
}
