//! A private server starts, stops, restarts and leaves nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use phasegate::testing::{Shutdown, TestPostgres};
use postgres::NoTls;

use crate::processes::{assert_gone, descendants, runs, signal};

fn own() -> TestPostgres {
    TestPostgres::builder()
        .ignore_database_url()
        .start()
        .expect("there is a server to start")
}

fn send_and_sync<T: Send + Sync + 'static>(_: &T) {}

#[test]
fn it_accepts_connections_and_ends_with_its_value() {
    let server = own();
    send_and_sync(&server);
    let directory = server.directory().expect("it is private").to_owned();
    assert_eq!(
        fs::metadata(&directory)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
    let mut client = server.admin().connect(NoTls).expect("it answers");
    let row = client
        .query_one(
            "SELECT current_user::text, current_setting('listen_addresses'), \
                    current_setting('synchronous_commit'), \
                    current_setting('server_encoding'), current_setting('lc_messages')",
            &[],
        )
        .expect("it answers");
    let told: Vec<String> = (0..row.len()).map(|column| row.get(column)).collect();
    assert_eq!(told, ["postgres", "", "on", "UTF8", "C"]);
    let family = family(&server);
    assert!(family.len() > 3, "{family:?}");
    let begun = Instant::now();
    drop(server);
    println!("drop with a session open: {:?}", begun.elapsed());
    assert_gone(&directory, &family, Duration::ZERO);
    assert!(client.simple_query("SELECT 1").is_err());
}

#[test]
fn stop_tells_that_it_ended() {
    let server = own();
    let directory = server.directory().expect("it is private").to_owned();
    let family = family(&server);
    server.stop().expect("it ends");
    assert_gone(&directory, &family, Duration::ZERO);
}

#[test]
fn a_setting_is_set_and_what_the_harness_needs_cannot_be() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .setting("max_prepared_transactions", "5")
        .setting("listen_addresses", "*")
        .setting("port", "1")
        .start()
        .expect("it starts");
    let mut client = server.admin().connect(NoTls).expect("it answers");
    for (name, value) in [
        ("max_prepared_transactions", "5"),
        ("listen_addresses", ""),
        ("port", "5432"),
    ] {
        let row = client
            .query_one("SELECT current_setting($1)", &[&name])
            .expect("it answers");
        assert_eq!(row.get::<_, String>(0), value, "{name}");
    }
}

#[test]
fn a_bad_setting_is_an_error_with_the_log_and_leaves_nothing() {
    let error = TestPostgres::builder()
        .ignore_database_url()
        .setting("max_connections", "lots")
        .start()
        .expect_err("no server can have lots of connections")
        .to_string();
    assert!(error.contains("postgres failed for "), "{error}");
    assert!(
        error.contains("invalid value for parameter \"max_connections\": \"lots\""),
        "{error}"
    );
}

#[test]
fn data_outlive_every_kind_of_restart() {
    let server = own();
    let mut client = server.admin().connect(NoTls).expect("it answers");
    client
        .batch_execute("CREATE TABLE kept (how text)")
        .expect("a table");
    for (rows, how) in [
        (1, Shutdown::Fast),
        (2, Shutdown::Immediate),
        (3, Shutdown::Kill),
    ] {
        client
            .execute("INSERT INTO kept VALUES ($1)", &[&format!("{how:?}")])
            .expect("a row");
        let (before, family) = (server.process_id(), family(&server));
        let begun = Instant::now();
        server
            .shut_down(how)
            .unwrap_or_else(|error| panic!("{how:?}: {error}"));
        let down = begun.elapsed();
        assert_eq!(server.process_id(), None);
        // Collected by the first process of the machine, in its own time.
        let server_processes = &family[1..];
        assert!(server_processes.iter().all(|pid| !runs(*pid)), "{how:?}");
        assert!(client.simple_query("SELECT 1").is_err());
        server
            .start_again()
            .unwrap_or_else(|error| panic!("{how:?}: {error}"));
        println!(
            "{how:?}: down after {down:?}, up again after {:?}",
            begun.elapsed()
        );
        assert_ne!(server.process_id(), before);
        client = server.admin().connect(NoTls).expect("it answers again");
        let row = client
            .query_one("SELECT count(*) FROM kept", &[])
            .expect("the table is there");
        assert_eq!(row.get::<_, i64>(0), rows, "{how:?}");
    }
}

#[test]
fn kill_ends_busy_sessions_too() {
    let server = own();
    let mut client = server.admin().connect(NoTls).expect("it answers");
    let pid: i32 = client
        .query_one("SELECT pg_backend_pid()", &[])
        .expect("it answers")
        .get(0);
    // Counting, a session does not look whether its server lives.
    let busy = std::thread::spawn(move || {
        client.simple_query("SELECT count(*) FROM generate_series(1, 100000000000)")
    });
    std::thread::sleep(Duration::from_millis(300));
    server.shut_down(Shutdown::Kill).expect("it is killed");
    assert!(!runs(pid.cast_unsigned()));
    assert!(busy.join().expect("no panic").is_err());
    server
        .restart(Shutdown::Kill)
        .expect("it starts after being killed when it did not run");
    server.restart(Shutdown::Fast).expect("it restarts");
}

#[test]
fn it_starts_again_after_others_killed_it() {
    let server = own();
    for _ in 0..5 {
        let mut clients: Vec<_> = (0..5)
            .map(|_| server.admin().connect(NoTls).expect("it answers"))
            .collect();
        signal(server.process_id().expect("it runs"), "KILL");
        let begun = Instant::now();
        server.start_again().expect("it starts again");
        println!("killed by others: up again after {:?}", begun.elapsed());
        assert!(
            clients
                .iter_mut()
                .all(|client| client.simple_query("").is_err())
        );
    }
}

#[test]
fn it_ends_with_its_value_even_without_its_supervisor() {
    let server = own();
    let directory = server.directory().expect("it is private").to_owned();
    let family = family(&server);
    signal(family[0], "KILL");
    let error = server
        .shut_down(Shutdown::Fast)
        .expect_err("there is no supervisor")
        .to_string();
    assert!(error.contains("ended by signal 9"), "{error}");
    server.stop().expect("it ends");
    assert_gone(&directory, &family, Duration::from_secs(1));
}

#[test]
fn a_killed_server_ends_without_a_trace() {
    let server = own();
    let directory = server.directory().expect("it is private").to_owned();
    let family = family(&server);
    let segments = segments();
    server.shut_down(Shutdown::Kill).expect("it is killed");
    server.stop().expect("it ends");
    assert_gone(&directory, &family, Duration::ZERO);
    assert!(
        self::segments() <= segments,
        "a piece of shared memory is left"
    );
}

#[test]
fn two_servers_stand_side_by_side() {
    let (one, other) = (own(), own());
    assert_ne!(one.directory(), other.directory());
    one.admin()
        .connect(NoTls)
        .expect("it answers")
        .batch_execute("CREATE TABLE here ()")
        .expect("a table");
    let mut client = other.admin().connect(NoTls).expect("it answers");
    client
        .batch_execute("CREATE TABLE here ()")
        .expect("it has a namespace of its own");
    drop(one);
    client.simple_query("SELECT 1").expect("the other goes on");
}

#[test]
fn it_may_be_used_within_an_async_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let server = own();
        let database = server.create_database().expect("a database");
        let _role = database.create_role("runner").expect("a role");
    });
}

/// The processes of the server, the supervisor first.
fn family(server: &TestPostgres) -> Vec<u32> {
    let main = server.process_id().expect("it runs");
    let ours = descendants(std::process::id());
    // Tests run side by side: only those below the supervisor of this server.
    let supervisor = ours
        .iter()
        .find(|pid| descendants(**pid).contains(&main))
        .copied()
        .expect("it is ours");
    let mut family = vec![supervisor];
    family.extend(descendants(supervisor));
    family
}

/// Returns the number of System V shared memory segments without a process.
fn segments() -> usize {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    table
        .lines()
        .skip(1)
        .filter(|line| line.split_whitespace().nth(6) == Some("0"))
        .count()
}
