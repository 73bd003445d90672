//! What a session remembers of its open phase, so that the guard need not look for the row: it says
//! nothing that the row would not, and nobody puts it there.

use crate::hand::{
    Attempt, DRAIN, INSERT, does, finish, held_by_hand, nothing_committed, psql, refuses, say,
};
use crate::hand::{WAYS, Way};
use crate::pipeline::Draft;
use crate::server::{Database, all, database};

const HINT: &str = "SET phasegate.open_here = 'yes'";
const HINT_AWAY: &str = "SET phasegate.open_here = ''";

/// What the one phase that was committed has done to the table.
fn counted(database: &Database) -> String {
    database.ask("SELECT body::jsonb -> 'effects' ->> 'public.item' FROM phasegate.journal")
}

#[test]
fn an_opening_that_an_exception_handler_takes_back_leaves_the_guard_shut() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let opens = attempt.open().replacen("SELECT", "PERFORM", 1);
    for taken_back in [
        format!("BEGIN; SAVEPOINT a; {}; ROLLBACK TO a", attempt.open()),
        format!(
            "BEGIN; SAVEPOINT a; SAVEPOINT b; {}; RELEASE b; ROLLBACK TO a",
            attempt.open()
        ),
        format!(
            "BEGIN; DO $$ BEGIN {opens}; RAISE 'back'; EXCEPTION WHEN raise_exception THEN NULL; END $$"
        ),
        format!(
            "BEGIN; DO $$ BEGIN BEGIN {opens}; EXCEPTION WHEN division_by_zero THEN NULL; END; PERFORM 1 / 0; \
                 EXCEPTION WHEN division_by_zero THEN NULL; END $$"
        ),
    ] {
        for write in [INSERT, "UPDATE item SET state = 'x'", "DELETE FROM item"] {
            for way in WAYS {
                // Whatever the hint says, and also in a session that remembers a phase of before.
                for before in ["SELECT 1", HINT, &attempt.begin()] {
                    let mut session = psql(&database);
                    does(&mut session, before);
                    does(&mut session, "ROLLBACK");
                    does(&mut session, &taken_back);
                    let refused = say(&mut session, way, &[write, "COMMIT"]);
                    let shut = refused == ["ZG007"] || before == HINT && refused == ["55000"];
                    assert!(shut, "{taken_back}; {write}: {refused:?}");
                }
            }
        }
    }
    nothing_committed(&database);
}

#[test]
fn a_phase_that_is_opened_in_a_savepoint_writes_and_is_counted_all_the_same() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let opens = attempt.open().replacen("SELECT", "PERFORM", 1);
    let mut session = psql(&database);
    let block =
        format!("BEGIN; DO $$ BEGIN {opens}; EXCEPTION WHEN division_by_zero THEN NULL; END $$");
    does(&mut session, &block);
    does(&mut session, INSERT);
    assert_eq!(say(&mut session, WAYS[0], &attempt.close()), [""; 0]);
    assert_eq!(database.items(), all(&["smuggled"], "draft"));
    assert_eq!(
        counted(&database),
        r#"{"deleted": 0, "updated": 0, "inserted": 1}"#
    );
}

#[test]
fn a_savepoint_that_takes_an_opening_back_takes_nothing_from_the_next_one() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    let open = attempt.open();
    does(
        &mut session,
        &format!(
            "BEGIN; SAVEPOINT a; {open}; ROLLBACK TO a; RELEASE a; {}",
            attempt.open()
        ),
    );
    does(&mut session, INSERT);
    assert_eq!(say(&mut session, WAYS[0], &attempt.close()), [""; 0]);
    assert_eq!(database.items(), all(&["smuggled"], "draft"));
}

#[test]
fn what_is_remembered_ends_with_its_transaction_however_that_ends() {
    let database = database();
    for end in [
        "ROLLBACK",
        "ROLLBACK AND CHAIN",
        "ROLLBACK; BEGIN",
        "ABORT; BEGIN ISOLATION LEVEL SERIALIZABLE",
    ] {
        let attempt = Attempt::admitted(&database);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        does(&mut session, INSERT);
        session.simple_query(end).unwrap();
        refuses(&mut session, INSERT, "ZG007");
        does(&mut session, "ROLLBACK");
        does(&mut session, HINT);
        refuses(&mut session, INSERT, "ZG007");
        does(&mut session, "BEGIN");
        // With a number of its own, which a transaction has only once it needs one.
        does(&mut session, "SELECT pg_current_xact_id()");
        refuses(&mut session, INSERT, "ZG007");
    }
    nothing_committed(&database);
    for end in ["COMMIT AND CHAIN", "COMMIT"] {
        let database = crate::server::database();
        let attempt = Attempt::admitted(&database);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        does(&mut session, INSERT);
        does(&mut session, HINT);
        let mut close = attempt.close();
        end.clone_into(&mut close[3]);
        assert_eq!(say(&mut session, WAYS[0], &close), [""; 0]);
        refuses(&mut session, "DELETE FROM item", "ZG007");
        drop(session);
        assert_eq!(database.items(), all(&["smuggled"], "draft"));
    }
}

#[test]
fn a_session_performs_one_phase_after_another_by_hand() {
    let database = database();
    let plan = database.plan(&Draft::of(&["a"]));
    database.admit(&plan);
    let mut session = psql(&database);
    for (place, write) in [
        (1, INSERT),
        (2, "SELECT 1"),
        (3, "UPDATE item SET state = 'enacted'"),
    ] {
        let attempt = Attempt::of(&plan, place);
        does(&mut session, &attempt.begin());
        does(&mut session, write);
        assert_eq!(say(&mut session, WAYS[0], &attempt.close()), [""; 0]);
        refuses(&mut session, INSERT, "ZG007");
        // Its counters go on otherwise.
        does(&mut session, "SELECT pg_stat_force_next_flush()");
    }
    assert_eq!(database.items(), all(&["smuggled"], "enacted"));
}

#[test]
fn nobody_but_the_owner_sets_or_reads_what_a_session_remembers() {
    let database = database();
    for (sequence, statement) in ["secret", "begun"].into_iter().flat_map(|sequence| {
        [
            "SELECT setval('phasegate.NAME', 7)",
            "SELECT setval('phasegate.NAME', 7, false)",
            "SELECT nextval('phasegate.NAME')",
            "SELECT currval('phasegate.NAME')",
            "SELECT last_value FROM phasegate.NAME",
            "ALTER SEQUENCE phasegate.NAME RESTART WITH 7",
            "GRANT ALL ON SEQUENCE phasegate.NAME TO CURRENT_USER",
            "DROP SEQUENCE phasegate.NAME",
        ]
        .map(|statement| (sequence, statement))
    }) {
        let statement = statement.replace("NAME", sequence);
        let mut session = psql(&database);
        does(&mut session, HINT);
        does(&mut session, "BEGIN");
        refuses(&mut session, &statement, "42501");
        drop(session);
        held_by_hand(&database, &[&statement], "42501");
    }
}

#[test]
fn the_hint_lets_nobody_pass_and_keeps_nobody_who_has_a_phase_open() {
    let database = database();
    // There is nothing to look at in a session that has opened none.
    for way in WAYS {
        let refused = say(&mut psql(&database), way, &[HINT, INSERT]);
        assert_eq!(refused, ["55000"]);
    }
    nothing_committed(&database);
    // Without the hint there is nothing that counts, which is found.
    for away in [HINT_AWAY, "RESET ALL"] {
        held_by_hand(
            &crate::server::database(),
            &[away, "DELETE FROM item"],
            "ZG006",
        );
        let database = crate::server::database();
        let attempt = Attempt::admitted(&database);
        let mut session = psql(&database);
        for statement in [&attempt.begin(), INSERT, away, &attempt.seal(), DRAIN] {
            does(&mut session, statement);
        }
        refuses(&mut session, &finish("1"), "ZG006");
    }
}

#[test]
fn a_session_that_forgets_its_sequences_in_a_phase_writes_no_more_in_it() {
    held_by_hand(&database(), &["DISCARD SEQUENCES", INSERT], "55000");
    // Afterwards it is refused in the words that it always is.
    let database = database();
    let mut session = psql(&database);
    does(&mut session, &Attempt::admitted(&database).begin());
    does(&mut session, "ROLLBACK");
    does(&mut session, "DISCARD ALL");
    refuses(&mut session, INSERT, "ZG007");
}

#[test]
fn a_finish_shuts_the_guard_and_one_that_is_taken_back_opens_it_again() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    for statement in [
        &attempt.begin(),
        INSERT,
        &attempt.seal(),
        DRAIN,
        "SAVEPOINT a",
        &finish("1"),
        "SAVEPOINT b",
    ] {
        does(&mut session, statement);
    }
    for hint in [HINT, HINT_AWAY] {
        does(&mut session, hint);
        refuses(&mut session, "UPDATE item SET state = 'late'", "ZG007");
        does(&mut session, "ROLLBACK TO b");
    }
    does(&mut session, "ROLLBACK TO a");
    does(&mut session, "UPDATE item SET state = 'again'");
    let rest = [finish("1"), "COMMIT".to_owned()];
    assert_eq!(say(&mut session, Way::OneByOne, &rest), [""; 0]);
    assert_eq!(database.items(), all(&["smuggled"], "again"));
    assert_eq!(
        counted(&database),
        r#"{"deleted": 0, "updated": 1, "inserted": 1}"#
    );
}

#[test]
fn who_is_not_concerned_writes_whatever_the_session_remembers_or_is_told() {
    let database = database();
    let other = database.role("other");
    database.sql(&format!(
        "GRANT SELECT, INSERT, DELETE ON item TO {}",
        other.name()
    ));
    let mut session = other.config().connect(postgres::NoTls).unwrap();
    does(&mut session, HINT_AWAY);
    does(&mut session, INSERT);
    does(&mut session, "DELETE FROM item");
    let mut admin = database.admin();
    does(&mut admin, INSERT);
    does(&mut admin, "TRUNCATE item");
    let left: i64 = database.ask("SELECT count(*) FROM phasegate.counted");
    assert_eq!(left, 0);
}
