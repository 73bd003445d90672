//! Sessions that send all messages of a rehearsal in a random order.

use phasegate::testing::TestPostgres;
use postgres::Client;

use crate::attacks::{ARM, MEASURE, begin};
use crate::hand::{Attempt, DRAIN, finish, psql};
use crate::random::{self, Random};
use crate::server::{database, database_on};

const LENGTH: usize = 12;

/// What is in the tables that a rehearsal could write: under guard, and of the schema itself.
fn left(admin: &mut Client) -> i64 {
    let row = admin.query_one(
        "SELECT (SELECT count(*) FROM item) + (SELECT count(*) FROM phasegate.attempt) + (SELECT count(*) FROM phasegate.journal) \
              + (SELECT count(*) FROM phasegate.counted) + (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())",
        &[],
    );
    row.unwrap().get(0)
}

#[test]
fn random_statements_in_any_order_commit_nothing_of_a_rehearsal() {
    let database = database();
    let sessions = random::runs(50, 200);
    let attempt = Attempt::admitted(&database);
    let words = [
        ARM.to_owned(),
        ARM.to_owned(),
        DRAIN.to_owned(),
        DRAIN.to_owned(),
        MEASURE.to_owned(),
        "INSERT INTO item VALUES (gen_random_uuid()::text, 'draft')".to_owned(),
        "UPDATE item SET state = 'changed'".to_owned(),
        "SAVEPOINT s".to_owned(),
        "ROLLBACK TO s".to_owned(),
        "RELEASE s".to_owned(),
        "SET CONSTRAINTS ALL DEFERRED".to_owned(),
        "SET CONSTRAINTS phasegate.interlock DEFERRED".to_owned(),
        "SET CONSTRAINTS phasegate.interlock IMMEDIATE".to_owned(),
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1".to_owned(),
        "CLOSE ALL".to_owned(),
        "RESET ALL".to_owned(),
        "DO $$ BEGIN SET CONSTRAINTS ALL IMMEDIATE; EXCEPTION WHEN OTHERS THEN NULL; END $$".to_owned(),
        "DO $$ BEGIN PERFORM phasegate.drain_rehearsal(); RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $$".to_owned(),
        attempt.seal(),
        finish("1"),
        attempt.open(),
        begin().replace("BEGIN; ", ""),
    ];
    let ends = [
        "COMMIT",
        "END",
        "COMMIT AND CHAIN",
        "PREPARE TRANSACTION 'chance'",
    ];
    let seed = random::seed();
    let mut random = Random::new(seed);
    let mut committing = 0;
    let mut admin = database.admin();
    for _ in 0..sessions {
        let mut session = psql(&database);
        let mut said = Vec::new();
        session.simple_query(&begin()).unwrap();
        session.simple_query("SAVEPOINT s").unwrap();
        let mut alive = true;
        for _ in 0..LENGTH {
            let word = &words[random.below(words.len())];
            said.push(word.as_str());
            alive = session.simple_query(word).is_ok();
            if !alive {
                // Goes on from the savepoint, if that is there still.
                alive = session.simple_query("ROLLBACK TO s").is_ok();
            }
        }
        let end = ends[random.below(ends.len())];
        let answer = session.simple_query(end);
        // A transaction that had failed is rolled back without a word.
        assert!(
            answer.is_err() || !alive,
            "seed {seed}: {said:#?}, then {end}"
        );
        committing += usize::from(alive);
        drop(session);
        assert_eq!(left(&mut admin), 0, "seed {seed}: {said:#?}, then {end}");
    }
    assert!(
        committing > sessions / 10,
        "{committing} came as far as their end"
    );
    database.is_left_clean();
}

#[test]
fn where_transactions_can_be_prepared_a_rehearsal_cannot() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .setting("max_prepared_transactions", "4")
        .start()
        .unwrap();
    let database = database_on(&server);
    let mut admin = database.admin();
    for before in [vec![], vec![ARM], vec![ARM, DRAIN, MEASURE]] {
        let mut session = psql(&database);
        session.simple_query(&begin()).unwrap();
        session
            .simple_query("INSERT INTO item VALUES ('a', 'draft')")
            .unwrap();
        for said in before {
            session.simple_query(said).unwrap();
        }
        let refused = session
            .simple_query("PREPARE TRANSACTION 'kept'")
            .unwrap_err();
        let code = refused.code().map(postgres::error::SqlState::code);
        assert_eq!(code, Some("ZG001"), "{refused}");
        assert_eq!(left(&mut admin), 0);
    }
}
