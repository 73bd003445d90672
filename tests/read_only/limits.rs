//! What a role could do if it were let, and what no read-only transaction refuses.

use std::time::Duration;

use phasegate::connect::{PostgresConnector, ReadOnlyError, ReadOnlySession};
use postgres::fallible_iterator::FallibleIterator;

use crate::server::database;
use crate::{powerful, said};

#[test]
fn the_writable_tables_are_listed_and_a_reader_can_be_required() {
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
    let error = open(reader.config()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no read-only session: role `{}` can do more than read: it may act as pg_write_server_files",
            reader.name()
        )
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains("SELECT and nothing else"), "{hint}");
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
fn effects_that_no_rollback_undoes_are_not_refused() {
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
