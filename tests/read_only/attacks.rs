//! After every statement that the session accepts, the server refuses writes.

use phasegate::connect::{
    ConnectError, Connection, Connector, ReadOnlyError, ReadOnlySession, SqlError,
};
use postgres::{Client, Config, NoTls};

use crate::server::{Database, database};
use crate::{WRITE, powerful, said};

/// Asserts that nothing can be written in the session any more, now and after a refresh.
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
fn after_every_accepted_statement_a_write_is_refused() {
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
        "LOCK TABLE kept IN ACCESS EXCLUSIVE MODE",
        "ANALYZE kept",
        "REINDEX TABLE kept",
        "CHECKPOINT",
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
fn writes_and_changes_of_the_transaction_mode_are_refused() {
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
fn a_first_query_prevents_that_read_only_becomes_read_write() {
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
fn every_later_transaction_would_be_read_only_too() {
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
        "`COMMIT` was not sent: a read-only session is one transaction, asked by queries"
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains("`ReadOnlySession::refresh`"), "{hint}");
}

#[test]
fn a_lost_session_writes_nothing_and_is_reported() {
    let database = database();
    let mut session = powerful(&database);
    let ended = session.query("SELECT pg_terminate_backend(pg_backend_pid())", &[]);
    assert!(ended.is_err());
    assert!(session.query(WRITE, &[]).is_err());
    assert!(matches!(session.refresh(), Err(ReadOnlyError::NotBegun(_))));
    let error = session.query(WRITE, &[]).unwrap_err();
    assert!(matches!(error, SqlError::Ended), "{error}");
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
fn a_session_that_is_in_a_transaction_already_is_refused() {
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
