//! A session for simulators: the server itself refuses every write, whatever was said before.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use std::time::Duration;

use phasegate::{
    ConnectError, Connection, Connector, DryRunner, Effects, Failure, PostgresConnector,
    ReadOnlyError, ReadOnlySession, Receipt, Simulate, StatementError,
};
use pipeline::{Draft, TABLE};
use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client, Config, NoTls};
use server::{Database, PIPELINE, database, drafting};

const WRITE: &str = "INSERT INTO kept VALUES (1)";

/// A database with a table that everybody may write, and a session of its superuser, who may do
/// anything: what is refused is refused because the session is read-only.
fn powerful(database: &Database) -> ReadOnlySession {
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
fn said<T>(answer: Result<T, StatementError>) -> String {
    match answer {
        Ok(_) => String::new(),
        Err(StatementError::ReadOnly { .. }) => "not sent".to_owned(),
        Err(StatementError::Database(error)) => match error.as_db_error() {
            Some(said) => said.code().code().to_owned(),
            None => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

/// Asserts that nothing can be written in the session any more, now and after it was begun anew.
#[track_caller]
fn stays_shut(database: &Database, mut session: ReadOnlySession, after: &str) {
    let refused = said(session.query(WRITE, &[]));
    assert!(
        ["25006", "25P02"].contains(&&*refused),
        "after {after}: {refused:?}"
    );
    session.refresh().unwrap();
    // The first statement that it hands on.
    for opening in [
        "SET TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
    ] {
        let refused = said(session.query(opening, &[]));
        assert_eq!(refused, "25001", "after {after}");
        session.refresh().unwrap();
    }
    assert_eq!(said(session.query(WRITE, &[])), "25006", "after {after}");
    drop(session);
    let kept: i64 = database.ask("SELECT count(*) FROM kept");
    assert_eq!(kept, 0, "after {after}");
}

#[test]
fn after_whatever_the_server_accepts_a_write_is_refused() {
    let database = database();
    for accepted in [
        "SELECT 1",
        "SET default_transaction_read_only = off",
        "SET LOCAL default_transaction_read_only = off",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
        "RESET ALL",
        "RESET default_transaction_read_only",
        "SET TRANSACTION READ ONLY",
        "SET session_replication_role = replica",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET ROLE NONE",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SET standard_conforming_strings = off",
        "SET search_path = pg_temp, public",
        "DISCARD PLANS",
        "DEALLOCATE ALL",
        "LISTEN something",
        "NOTIFY something",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "DO $$ BEGIN NULL; END $$",
        "DO $$ BEGIN SET default_transaction_read_only = off; END $$",
        "DO $$ BEGIN INSERT INTO kept VALUES (4); EXCEPTION WHEN OTHERS THEN NULL; END $$",
        "DO $$ BEGIN SET transaction_read_only = off; EXCEPTION WHEN OTHERS THEN NULL; END $$",
        "DO $$ BEGIN COMMIT; EXCEPTION WHEN OTHERS THEN NULL; END $$",
        "DO $$ BEGIN EXECUTE 'PREPARE later AS INSERT INTO kept VALUES (5)'; END $$",
        "LOCK TABLE kept IN ACCESS SHARE MODE",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_export_snapshot()",
        "EXPLAIN INSERT INTO kept VALUES (6)",
    ] {
        let mut session = powerful(&database);
        assert_eq!(said(session.query(accepted, &[])), "", "{accepted}");
        stays_shut(&database, session, accepted);
    }
}

#[test]
fn what_would_write_or_open_the_transaction_is_refused_by_the_server() {
    let database = database();
    for (refused, sqlstate) in [
        ("SET TRANSACTION READ WRITE", "25001"),
        ("SET transaction_read_only = off", "25001"),
        ("SET LOCAL transaction_read_only = off", "25001"),
        (
            "SELECT set_config('transaction_read_only', 'off', true)",
            "25001",
        ),
        (
            "SELECT set_config('transaction_read_only', 'off', false)",
            "25001",
        ),
        (
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
            "25001",
        ),
        ("DO $$ BEGIN SET TRANSACTION READ WRITE; END $$", "25001"),
        ("DO $$ BEGIN COMMIT; END $$", "2D000"),
        ("DO $$ BEGIN ROLLBACK; END $$", "2D000"),
        ("CALL commits()", "2D000"),
        ("CALL rolls_back()", "2D000"),
        ("DO $$ BEGIN EXECUTE 'COMMIT'; END $$", "0A000"),
        ("SELECT opens()", "25006"),
        ("SELECT definer()", "25001"),
        (WRITE, "25006"),
        (
            "WITH w AS (INSERT INTO kept VALUES (7) RETURNING n) SELECT n FROM w",
            "25006",
        ),
        ("UPDATE kept SET n = 1", "25006"),
        ("DELETE FROM kept", "25006"),
        ("TRUNCATE kept", "25006"),
        ("EXPLAIN ANALYZE INSERT INTO kept VALUES (8)", "25006"),
        ("SELECT * FROM kept FOR UPDATE", "25006"),
        ("SELECT nextval('moves')", "25006"),
        ("SELECT setval('moves', 9)", "25006"),
        ("SELECT 1 AS n INTO taken", "25006"),
        ("CREATE TABLE taken (n int)", "25006"),
        ("CREATE TEMP TABLE taken (n int)", "25006"),
        ("ALTER TABLE kept ADD COLUMN m int", "25006"),
        ("DROP TABLE kept", "25006"),
        ("GRANT ALL ON kept TO PUBLIC", "25006"),
        (
            "ALTER ROLE CURRENT_USER SET default_transaction_read_only = off",
            "25006",
        ),
        (
            "ALTER SYSTEM SET default_transaction_read_only = off",
            "25001",
        ),
        ("VACUUM kept", "25001"),
        ("SELECT 1; COMMIT", "42601"),
    ] {
        let mut session = powerful(&database);
        assert_eq!(said(session.query(refused, &[])), sqlstate, "{refused}");
        stays_shut(&database, session, refused);
    }
}

#[test]
fn read_only_alone_can_be_opened_by_the_first_statement_and_a_query_before_it_shuts_that() {
    let database = database();
    drop(powerful(&database));
    let mut client = database.admin();
    client.batch_execute("BEGIN READ ONLY").unwrap();
    client.execute("SET TRANSACTION READ WRITE", &[]).unwrap();
    assert_eq!(client.execute(WRITE, &[]).unwrap(), 1);
    client
        .batch_execute("ROLLBACK; BEGIN READ ONLY; SELECT 1")
        .unwrap();
    let refused = client
        .execute("SET TRANSACTION READ WRITE", &[])
        .unwrap_err();
    assert_eq!(
        refused.code().map(postgres::error::SqlState::code),
        Some("25001")
    );
}

#[test]
fn whatever_would_come_after_its_transaction_would_be_read_only_too() {
    let database = database();
    let mut session = powerful(&database);
    let default = |session: &mut ReadOnlySession| -> String {
        session
            .query_one("SHOW default_transaction_read_only", &[])
            .unwrap()
            .get(0)
    };
    assert_eq!(default(&mut session), "on");
    session
        .query("SET default_transaction_read_only = off", &[])
        .unwrap();
    session.refresh().unwrap();
    assert_eq!(default(&mut session), "on");
}

#[test]
fn transaction_control_and_copy_are_not_sent() {
    let database = database();
    for control in [
        "COMMIT",
        "END",
        "ROLLBACK",
        "/* a */ rollback and chain",
        "ABORT",
        "BEGIN READ WRITE",
        "START TRANSACTION READ WRITE",
        "SAVEPOINT s",
        "RELEASE s",
        "PREPARE TRANSACTION 'x'",
        "PREPARE w AS INSERT INTO kept VALUES (1)",
        "COPY kept FROM STDIN",
        "COPY kept TO PROGRAM 'cat'",
    ] {
        let mut session = powerful(&database);
        assert_eq!(said(session.query(control, &[])), "not sent", "{control}");
        assert_eq!(said(session.query("SELECT 1", &[])), "", "{control}");
        stays_shut(&database, session, control);
    }
    let error = powerful(&database).query("commit", &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`COMMIT` was not sent: a read-only session is one transaction, which ends with it, and is asked by queries. \
         To look anew, use `ReadOnlySession::refresh`"
    );
}

#[test]
fn everything_that_is_seen_is_of_one_moment_until_it_is_refreshed() {
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
fn after_a_statement_that_failed_nothing_is_answered_until_it_is_refreshed() {
    let database = database();
    let mut session = powerful(&database);
    assert_eq!(said(session.query("SELECT 1 / 0", &[])), "22012");
    assert_eq!(said(session.query("SELECT 1", &[])), "25P02");
    session.refresh().unwrap();
    assert_eq!(said(session.query("SELECT 1", &[])), "");
}

#[test]
fn queries_take_parameters_and_answer_rows_in_every_way() {
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
    assert!(
        matches!(few, StatementError::ParameterCount { .. }),
        "{few}"
    );
}

#[test]
fn a_session_that_is_lost_writes_nothing_and_says_so() {
    let database = database();
    let mut session = powerful(&database);
    let ended = session.query("SELECT pg_terminate_backend(pg_backend_pid())", &[]);
    assert!(ended.is_err());
    assert!(session.query(WRITE, &[]).is_err());
    assert!(matches!(session.refresh(), Err(ReadOnlyError::NotBegun(_))));
    let error = session.query(WRITE, &[]).unwrap_err();
    assert!(matches!(error, StatementError::Ended), "{error}");
    let kept: i64 = database.ask("SELECT count(*) FROM kept");
    assert_eq!(kept, 0);
}

/// Hands out sessions in which something was said before.
struct Said(Config, &'static str);

impl Connector for Said {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let mut client: Client = self.0.connect(NoTls)?;
        client.batch_execute(self.1)?;
        Ok(client.into())
    }
}

#[test]
fn a_session_that_is_in_a_transaction_already_is_refused_whatever_it_has_done() {
    let database = database();
    drop(powerful(&database));
    for before in ["BEGIN", "BEGIN; INSERT INTO kept VALUES (1)"] {
        let opened = ReadOnlySession::open(&mut Said(database.admin_config(), before));
        let error = opened.unwrap_err();
        assert!(
            matches!(
                error,
                ReadOnlyError::InTransaction | ReadOnlyError::NotBegun(_)
            ),
            "{error}"
        );
    }
    let kept: i64 = database.ask("SELECT count(*) FROM kept");
    assert_eq!(kept, 0);
}

#[test]
fn what_the_role_could_write_is_said_and_a_reader_can_be_demanded() {
    let database = database();
    let (reader, member) = (database.role("reader"), database.role("member"));
    database.sql(&format!(
        "GRANT SELECT ON item TO {reader}; CREATE ROLE {member}_of NOLOGIN; ALTER ROLE {member} NOINHERIT; \
         GRANT {member}_of TO {member}; GRANT UPDATE (state) ON item TO {member}_of",
        reader = reader.name(),
        member = member.name()
    ));
    let open = |config| ReadOnlySession::open_as_reader(&mut PostgresConnector::no_tls(config));
    let session = open(reader.config()).unwrap();
    assert_eq!(session.could_write(), [""; 0]);
    assert_eq!(session.target().role(), reader.name());
    for (config, could) in [
        (database.runner.config(), "public.item"),
        (member.config(), "public.item"),
        (database.admin_config(), "it is a superuser"),
    ] {
        let error = open(config.clone()).unwrap_err();
        let ReadOnlyError::CouldWrite { what, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(what, &[could]);
        let session = ReadOnlySession::open(&mut PostgresConnector::no_tls(config)).unwrap();
        assert_eq!(session.could_write(), [could]);
    }
    database.sql(&format!("GRANT pg_write_server_files TO {}", reader.name()));
    let error = open(reader.config()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "no read-only session: role `{}` can do more than read: it may act as pg_write_server_files. \
             Give it SELECT and nothing else, or say `ReadOnlySession::open`",
            reader.name()
        )
    );
    database.sql(&format!(
        "DROP OWNED BY {0}_of; DROP ROLE {0}_of",
        member.name()
    ));
}

#[test]
fn what_waits_for_a_commit_never_comes_of_it() {
    let database = database();
    let mut listener = database.admin();
    listener.batch_execute("LISTEN something").unwrap();
    let mut session = powerful(&database);
    assert_eq!(said(session.query("NOTIFY something", &[])), "");
    // Servers before 16 let a read-only transaction write one.
    let large = said(session.query("SELECT lo_create(4242)", &[]));
    assert!(["", "25006"].contains(&&*large), "{large}");
    drop(session);
    listener
        .batch_execute("NOTIFY something, 'of somebody else'")
        .unwrap();
    let mut notifications = listener.notifications();
    let heard = notifications
        .timeout_iter(Duration::from_secs(10))
        .next()
        .unwrap();
    assert_eq!(heard.unwrap().payload(), "of somebody else");
    let left: i64 = database.ask("SELECT count(*) FROM pg_largeobject_metadata");
    assert_eq!(left, 0);
}

#[test]
fn what_no_rollback_takes_back_is_not_refused() {
    let database = database();
    let mut session = powerful(&database);
    let locked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77";
    session.query("SELECT pg_advisory_lock(77)", &[]).unwrap();
    assert_eq!(database.ask::<i64>(locked), 1);
    // A program on the server, by way of code in the server.
    let program = "DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''cat > /dev/null'''; END $$";
    assert_eq!(said(session.query(program, &[])), "");
    // And so is another session.
    let victim = database.admin();
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle'";
    let ended = session.query(sql, &[]).unwrap();
    assert!(!ended.is_empty());
    drop((session, victim));
    database.until("its locks are gone", |database| {
        database.ask::<i64>(locked) == 0
    });
}

#[test]
fn another_connection_is_another_transaction() {
    let database = database();
    let there: bool =
        database.ask("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'dblink')");
    if !there {
        #[allow(clippy::print_stdout)]
        {
            println!("not proved here: this server has no extension dblink");
        }
        return;
    }
    let mut session = powerful(&database);
    database.sql("CREATE EXTENSION dblink");
    let link = "SELECT dblink_exec(format('host=%s port=%s dbname=%s user=%s', \
                  replace(split_part(current_setting('unix_socket_directories'), ',', 1), '\"', ''), \
                  current_setting('port'), current_database(), session_user), 'INSERT INTO kept VALUES (9)')";
    session.refresh().unwrap();
    assert_eq!(said(session.query(link, &[])), "");
    let kept: i64 = database.ask("SELECT count(*) FROM kept");
    assert_eq!(kept, 1);
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
fn a_simulator_looks_at_the_real_data_and_its_dry_run_is_sent_like_any_other() {
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
