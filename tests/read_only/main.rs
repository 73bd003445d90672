//! A session for simulators: the server itself refuses every write, after any statement.
#![allow(clippy::unwrap_used)]

#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../server/mod.rs"]
mod server;

mod attacks;
mod limits;

use phasegate::{
    DryRunner, Effects, Failure, Receipt, Simulate,
    connect::{PostgresConnector, ReadOnlySession, SqlError},
};
use pipeline::{Draft, TABLE};
use server::{Database, PIPELINE, database, drafting};

pub(crate) const WRITE: &str = "INSERT INTO kept VALUES (1)";

/// A database with a table that PUBLIC may write, and a session of its superuser, who may do
/// everything: every refusal comes from the session being read-only.
pub(crate) fn powerful(database: &Database) -> ReadOnlySession {
    database.sql(
        "DROP TABLE IF EXISTS kept; CREATE TABLE kept (n int); GRANT ALL ON kept TO PUBLIC; \
         CREATE OR REPLACE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; \
         CREATE OR REPLACE PROCEDURE rolls_back() LANGUAGE plpgsql AS $$ BEGIN ROLLBACK; END $$; \
         CREATE OR REPLACE FUNCTION opens() RETURNS int LANGUAGE plpgsql \
           SET default_transaction_read_only = off AS $$ BEGIN INSERT INTO public.kept VALUES (2); RETURN 1; END $$; \
         CREATE OR REPLACE FUNCTION definer() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
           SET transaction_read_only = off; INSERT INTO public.kept VALUES (3); RETURN 1; END $$; \
         CREATE SEQUENCE IF NOT EXISTS moves",
    );
    let mut connector = PostgresConnector::no_tls(database.admin_config());
    ReadOnlySession::open(&mut connector).unwrap()
}

/// The SQLSTATE of what the server said, `not sent`, or nothing.
pub(crate) fn said<T>(answer: Result<T, SqlError>) -> String {
    match answer {
        Ok(_) => String::new(),
        Err(SqlError::ReadOnly { .. }) => "not sent".to_owned(),
        Err(SqlError::Database(error)) => match error.as_db_error() {
            Some(said) => said.code().code().to_owned(),
            None => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_query_sees_one_moment_until_a_refresh() {
    let database = database();
    let mut session = powerful(&database);
    let count = "SELECT count(*) FROM kept";
    let seen =
        |session: &mut ReadOnlySession| -> i64 { session.query_one(count, &[]).unwrap().get(0) };
    database.sql(WRITE);
    assert_eq!(seen(&mut session), 0);
    session.refresh().unwrap();
    assert_eq!(seen(&mut session), 1);
}

#[test]
fn after_a_failed_statement_every_query_fails_until_a_refresh() {
    let database = database();
    let mut session = powerful(&database);
    assert_eq!(said(session.query("SELECT 1 / 0", &[])), "22012");
    assert_eq!(said(session.query("SELECT 1", &[])), "25P02");
    session.refresh().unwrap();
    assert_eq!(said(session.query("SELECT 1", &[])), "");
}

#[test]
fn queries_take_parameters_and_return_rows_in_every_way() {
    let database = database();
    let mut session = powerful(&database);
    let row = session.query_one("SELECT $1::int + 1", &[&2]).unwrap();
    assert_eq!(row.get::<_, i32>(0), 3);
    let none = session.query_opt("SELECT 1 WHERE $1::text IS NULL", &[&"a"]);
    assert!(none.unwrap().is_none());
    let rows = session
        .query_raw("SELECT generate_series(1, $1::int)", &[&4])
        .unwrap();
    let numbers: Vec<i32> = rows.map(|row| row.unwrap().get(0)).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let mut failing = session
        .query_raw("SELECT 1 / (2 - g) FROM generate_series(1, 2) AS g", &[])
        .unwrap();
    assert!(failing.next().unwrap().is_ok());
    assert_eq!(said(failing.next().unwrap()), "22012");
    drop(failing);
    session.refresh().unwrap();
    let few = session.query("SELECT $1::int", &[]).unwrap_err();
    assert!(matches!(few, SqlError::ParameterCount { .. }), "{few}");
}

/// Predicts by what is there.
struct Looks(ReadOnlySession);

impl Simulate<Draft> for Looks {
    fn simulate(&mut self, draft: &Draft, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        let found = "SELECT count(*) FROM item WHERE name = ANY ($1)";
        let found: i64 = self.0.query_one(found, &[&draft.rows])?.try_get(0)?;
        let new = draft.rows.len() as u64 - found.unsigned_abs();
        effects.insert(TABLE, new);
        Ok(new)
    }
}

#[test]
fn a_simulator_reads_the_real_data_in_a_dry_run() {
    let database = database();
    database.sql("INSERT INTO item VALUES ('a', 'there')");
    let mut connector = PostgresConnector::no_tls(database.admin_config());
    let session = ReadOnlySession::open(&mut connector).unwrap();
    let runner = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Looks(session));
    let planned = std::thread::spawn(move || {
        runner.run(|run, on| drafting(run, on, &Draft::of(&["a", "b"])).map(Receipt::into_output))
    });
    assert_eq!(planned.join().unwrap().unwrap().value, 1);
}
