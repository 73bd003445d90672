//! Ways to seal, to drain and to finish otherwise than the engine does.

use crate::hand::{
    Attempt, DRAIN, INSERT, WAYS, Way, does, finish, held, nothing_committed, psql, refuses,
    rolled_back_by, say,
};
use crate::pipeline::Draft;
use crate::server::{Database, database};

/// Opens a phase by hand, writes, and says this to it, with the secret at hand; the first refusal is
/// `sqlstate`, and nothing is committed.
#[track_caller]
fn with_the_secret(database: &Database, sqlstate: &str, said: impl Fn(&Attempt) -> Vec<String>) {
    for way in WAYS {
        let attempt = Attempt::admitted(database);
        let mut statements = vec![attempt.begin(), INSERT.to_owned()];
        statements.extend(said(&attempt));
        let mut session = psql(database);
        let refused = say(&mut session, way, &statements);
        let first = refused.first().map(String::as_str);
        // A message that has more in it than the end of the phase finishes none.
        let in_one = matches!(way, Way::OneMessage) && first == Some("ZG001");
        assert!(in_one || first == Some(sqlstate), "{way:?}: {refused:?}");
        drop(session);
        nothing_committed(database);
    }
}

fn texts<const N: usize>(statements: [&str; N]) -> Vec<String> {
    statements.map(str::to_owned).to_vec()
}

#[test]
fn a_phase_does_not_seal_itself_by_a_guess_nor_by_its_lock() {
    let database = database();
    for guess in [
        "SELECT phasegate.seal(NULL)",
        "SELECT phasegate.seal('')",
        "SELECT phasegate.seal(pg_catalog.decode('00', 'hex'))",
    ] {
        held(&database, &[guess, "COMMIT"], "ZG001", "ZG001");
    }
    // What was sent in the opening message is the hash.
    with_the_secret(&database, "ZG001", |attempt| {
        let lock = attempt.request()["lock"].as_str().unwrap().to_owned();
        vec![format!(
            "SELECT phasegate.seal(pg_catalog.decode('{lock}', 'hex'))"
        )]
    });
}

#[test]
fn the_secret_of_one_attempt_does_not_seal_another() {
    let database = database();
    with_the_secret(&database, "ZG001", |attempt| vec![attempt.again().seal()]);
}

#[test]
fn a_lock_that_is_missing_is_opened_by_nothing() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let request = attempt.request_but(&serde_json::json!({ "lock": null }));
    let mut session = psql(&database);
    does(
        &mut session,
        &format!("BEGIN; {}", crate::hand::open(&request)),
    );
    refuses(&mut session, "SELECT phasegate.seal(NULL)", "ZG001");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn nobody_writes_the_state_of_an_attempt() {
    let database = database();
    for statement in [
        "INSERT INTO phasegate.attempt (nonce, state, xid, opened_at) \
         VALUES ('00000000000000000000000000000001', 'finished', pg_current_xact_id(), clock_timestamp())",
        "UPDATE phasegate.attempt SET state = 'finished'",
        "DELETE FROM phasegate.attempt",
        "MERGE INTO phasegate.attempt USING (SELECT 1) AS s (one) ON true WHEN MATCHED THEN DELETE",
        "INSERT INTO phasegate.journal SELECT NULL, 1, NULL, '', ''",
        "UPDATE phasegate.run SET committed = 1",
        "SELECT state FROM phasegate.attempt",
        "SELECT lock FROM phasegate.attempt",
    ] {
        held(&database, &[statement, "COMMIT"], "42501", "42501");
    }
}

#[test]
fn a_sealed_phase_that_writes_on_does_not_commit() {
    let database = database();
    with_the_secret(&database, "ZG001", |attempt| {
        let mut said = vec![attempt.seal(), DRAIN.to_owned()];
        said.extend(texts(["INSERT INTO item VALUES ('late')", "COMMIT"]));
        said
    });
    with_the_secret(&database, "ZG001", |attempt| {
        vec![attempt.seal(), "COMMIT".to_owned()]
    });
}

#[test]
fn the_drain_is_made_once() {
    let database = database();
    with_the_secret(&database, "ZG001", |attempt| {
        vec![attempt.seal(), DRAIN.to_owned(), DRAIN.to_owned()]
    });
    for drain in [DRAIN, "SET CONSTRAINTS phasegate.interlock IMMEDIATE"] {
        with_the_secret(&database, "ZG001", |_| texts([drain]));
        with_the_secret(&database, "ZG001", |attempt| {
            let mut said = vec![attempt.seal(), DRAIN.to_owned()];
            said.extend(texts([drain, "COMMIT"]));
            said
        });
    }
}

#[test]
fn the_seal_the_drain_and_the_finish_are_each_made_once_and_in_order() {
    let database = database();
    with_the_secret(&database, "ZG001", |attempt| {
        vec![attempt.seal(), attempt.seal()]
    });
    with_the_secret(&database, "ZG001", |_| vec![finish("1")]);
    with_the_secret(&database, "ZG001", |attempt| {
        vec![attempt.seal(), finish("1")]
    });
    with_the_secret(&database, "ZG001", |attempt| {
        vec![attempt.seal(), DRAIN.to_owned(), finish("1"), finish("2")]
    });
    with_the_secret(&database, "ZG001", |attempt| {
        vec![
            attempt.seal(),
            DRAIN.to_owned(),
            finish("1"),
            attempt.seal(),
        ]
    });
}

#[test]
fn after_the_finish_no_guarded_table_is_written() {
    let database = database();
    with_the_secret(&database, "ZG007", |attempt| {
        vec![
            attempt.seal(),
            DRAIN.to_owned(),
            finish("1"),
            INSERT.to_owned(),
        ]
    });
}

#[test]
fn what_writes_any_other_table_after_the_finish_does_not_commit() {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE beside (n int); GRANT INSERT ON beside TO {}",
        database.runner.name()
    ));
    with_the_secret(&database, "ZG007", |attempt| {
        vec![
            attempt.seal(),
            DRAIN.to_owned(),
            finish("1"),
            "INSERT INTO beside VALUES (1)".to_owned(),
            "COMMIT".to_owned(),
        ]
    });
}

#[test]
fn a_savepoint_around_the_seal_the_drain_or_the_finish_takes_them_back_and_not_the_interlock() {
    let database = database();
    let back = || texts(["ROLLBACK TO s", "COMMIT"]);
    let with = |steps: &dyn Fn(&Attempt) -> Vec<String>| {
        with_the_secret(&database, "ZG001", |attempt| {
            [texts(["SAVEPOINT s"]), steps(attempt), back()].concat()
        });
    };
    with(&|attempt| vec![attempt.seal()]);
    with(&|attempt| vec![attempt.seal(), DRAIN.to_owned()]);
    with(&|attempt| vec![attempt.seal(), DRAIN.to_owned(), finish("1")]);
    // The last event is used up, and comes back.
    with(&|attempt| {
        vec![
            attempt.seal(),
            DRAIN.to_owned(),
            finish("1"),
            DRAIN.to_owned(),
        ]
    });
    // The same from half way, and out of a savepoint inside a savepoint.
    with_the_secret(&database, "ZG001", |attempt| {
        let mut said = vec![attempt.seal(), DRAIN.to_owned()];
        said.extend(texts(["SAVEPOINT s", "SAVEPOINT t"]));
        said.extend([finish("1"), DRAIN.to_owned()]);
        said.extend(texts(["RELEASE t", "ROLLBACK TO s"]));
        said.extend(texts(["INSERT INTO item VALUES ('late')", "COMMIT"]));
        said
    });
}

#[test]
fn a_savepoint_around_the_opening_takes_the_phase_back() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    let open = format!("BEGIN; SAVEPOINT s; {}", attempt.open());
    does(&mut session, &open);
    does(&mut session, INSERT);
    does(&mut session, "ROLLBACK TO s");
    refuses(&mut session, INSERT, "ZG007");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn a_transaction_opens_one_phase() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    refuses(&mut session, &attempt.again().open(), "ZG016");
    drop(session);
    // In one message, where the second cannot be told by its time.
    let plan = database.plan(&Draft::of(&["a"]));
    database.admit(&plan);
    for next in [Attempt::of(&plan, 1), Attempt::of(&plan, 2)] {
        let first = Attempt::of(&plan, 1);
        let close = [first.seal(), DRAIN.to_owned(), finish("1")].join("; ");
        for between in ["SELECT 1", &close] {
            let all = format!("{}; {between}; {}", first.begin(), next.open());
            let error = psql(&database).simple_query(&all);
            let code = error.map(drop).map_err(|error| crate::hand::code(&error));
            // Nor is one finished in the message that opens it.
            let expected = if between == "SELECT 1" {
                "ZG012"
            } else {
                "ZG001"
            };
            assert_eq!(code, Err(expected.to_owned()), "{between}");
            nothing_committed(&database);
        }
    }
}

/// Such a cursor is materialised after the deferred triggers.
const HOLD: &str = "DECLARE c CURSOR WITH HOLD FOR SELECT writes()";

fn with_a_function_that_writes() -> Database {
    let database = database();
    database.sql(
        "CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN \
           INSERT INTO item VALUES ('held'); RETURN 1; END $$",
    );
    database
}

#[test]
fn a_cursor_that_outlives_the_commit_is_refused_before_and_after_the_finish() {
    let database = with_a_function_that_writes();
    with_the_secret(&database, "ZG005", |attempt| {
        let mut said = texts([HOLD]);
        said.extend(attempt.close());
        said
    });
    with_the_secret(&database, "ZG005", |attempt| {
        let mut said = vec![attempt.seal(), DRAIN.to_owned(), finish("1")];
        said.extend(texts([HOLD, "COMMIT"]));
        said
    });
    held(&database, &[HOLD, "COMMIT"], "ZG001", "not sent");
}

#[test]
fn a_cursor_that_outlives_the_commit_rolls_an_adapters_phase_back() {
    let database = with_a_function_that_writes();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| Ok(tx.execute(HOLD, &[])?));
    rolled_back_by(&database, answer, "ZG005");
}

#[test]
fn a_cursor_of_before_the_phase_is_refused_too() {
    let database = with_a_function_that_writes();
    let mut session = psql(&database);
    does(&mut session, "DECLARE c CURSOR WITH HOLD FOR SELECT 1");
    let attempt = Attempt::admitted(&database);
    does(&mut session, &attempt.begin());
    let refused = say(&mut session, WAYS[1], &attempt.close());
    assert_eq!(refused, ["ZG005"]);
    drop(session);
    nothing_committed(&database);
}
