//! A pooler between client and server that reuses sessions: pgbouncer, and a double of it.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use phasegate::testing::TestPostgres;
use phasegate::{
    LiveRunner, approval::AdmittedApprovals, connect::PostgresConnector, error::RefusalReason,
    switch::LeaseSwitch,
};
use postgres::Config;
use postgres::config::Host;

use crate::cases::{Answer, Case};
use crate::page;
use crate::pipeline::Adapter;
use crate::rule::{committed, judge, runs_again};
use crate::server::{Database, PIPELINE, database_on};
use crate::wire::server;

/// How long pgbouncer may take to start.
const BOUND: Duration = Duration::from_secs(20);

/// How old the only session of the runner's is, in seconds.
fn age(database: &Database) -> f64 {
    database.ask(&format!(
        "SELECT extract(epoch FROM clock_timestamp() - backend_start)::float8 \
           FROM pg_stat_activity WHERE usename = '{}'",
        database.runner.name()
    ))
}

/// Leads to one session of the server's, which was there before, for one client after the other.
struct Pool {
    config: Config,
    _directory: tempfile::TempDir,
}

impl Pool {
    fn new(config: &Config) -> Self {
        let Host::Unix(server) = &config.get_hosts()[0] else {
            panic!("the server is on the network")
        };
        let server = UnixStream::connect(server.join(".s.PGSQL.5432")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let (user, database) = (config.get_user().unwrap(), config.get_dbname().unwrap());
        let mut through = Config::new();
        through
            .host_path(directory.path())
            .user(user)
            .dbname(database);
        let parameters = format!("user\0{user}\0database\0{database}\0client_encoding\0UTF8\0\0");
        let mut startup = u32::try_from(parameters.len() + 8)
            .unwrap()
            .to_be_bytes()
            .to_vec();
        startup.extend(196_608_u32.to_be_bytes());
        startup.extend(parameters.as_bytes());
        (&server).write_all(&startup).unwrap();
        let greeting = until_ready(&server).unwrap();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A client that goes away leaves the session to the next one.
                let _ = hand_out(&client, &server, &greeting);
            }
        });
        Pool {
            config: through,
            _directory: directory,
        }
    }
}

/// One message, with its header; the first of a client has no type.
fn message(mut from: &UnixStream, header: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; header];
    from.read_exact(&mut bytes)?;
    let length = bytes[header - 4..]
        .iter()
        .fold(0, |all, byte| all << 8 | usize::from(*byte));
    bytes.resize(header + length - 4, 0);
    from.read_exact(&mut bytes[header..])?;
    Ok(bytes)
}

fn until_ready(server: &UnixStream) -> std::io::Result<Vec<u8>> {
    let mut said = Vec::new();
    loop {
        let message = message(server, 5)?;
        let ready = message[0] == b'Z';
        said.extend(message);
        if ready {
            return Ok(said);
        }
    }
}

fn hand_out(
    mut client: &UnixStream,
    mut server: &UnixStream,
    greeting: &[u8],
) -> std::io::Result<()> {
    message(client, 4)?;
    client.write_all(greeting)?;
    loop {
        let message = message(client, 5)?;
        if message[0] == b'X' {
            return Ok(());
        }
        server.write_all(&message)?;
        if matches!(message[0], b'Q' | b'S') {
            client.write_all(&until_ready(server)?)?;
        }
    }
}

/// How old the session was, if that is why it was refused.
fn not_new(answer: &Answer) -> Option<f64> {
    match answer.as_ref().err()?.reason() {
        Some(RefusalReason::SessionNotNew { age }) => Some(*age),
        _ => None,
    }
}

#[test]
fn a_session_older_than_its_request_is_refused_by_name() {
    let database = database_on(server());
    let direct = database.runner.config();
    let mut client = database.admin();
    let pool = Pool::new(&direct);
    let case = Case::admitted(&database, "handed on");
    // Older than a message may be late, however busy the machine is.
    database.until("the session is 1 s old", |database| age(database) >= 1.0);
    let mut before = 0.0;
    for _ in 0..2 {
        let answer = case.perform(case.live(PostgresConnector::no_tls(pool.config.clone())));
        let age = not_new(&answer).unwrap_or_else(|| panic!("not refused by name: {answer:?}"));
        assert!(age > before);
        before = age;
        assert_eq!(committed(&mut client, &case), 0);
    }
    runs_again(&mut client, &direct, &case, 0);
}

/// pgbouncer, before the server of `config`.
struct Bouncer {
    child: Child,
    config: Config,
    _directory: tempfile::TempDir,
}

impl Bouncer {
    fn start(tool: &Path, server: &TestPostgres, config: &Config, mode: &str) -> Self {
        let owner = fs::metadata(server.directory().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let (user, database) = (config.get_user().unwrap(), config.get_dbname().unwrap());
        fs::write(at.join("users"), format!("\"{user}\" \"\"\n")).unwrap();
        let ini = format!(
            "[databases]\n{database} = host={server} port=5432\n[pgbouncer]\npool_mode = {mode}\n\
             auth_type = trust\nauth_file = {at}/users\nunix_socket_dir = {at}\nlisten_port = 5432\n\
             logfile = {at}/log\n",
            server = server.directory().unwrap().display(),
            at = at.display(),
        );
        fs::write(at.join("ini"), ini).unwrap();
        let mut command = Command::new(tool);
        command
            .arg("-q")
            .arg(at.join("ini"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // It refuses to be root, as the server does.
        if fs::metadata("/proc/self").unwrap().uid() != owner.uid() {
            for path in [at.to_owned(), at.join("users"), at.join("ini")] {
                chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
            }
            command.uid(owner.uid()).gid(owner.gid());
        }
        let child = command.spawn().unwrap();
        let mut through = Config::new();
        through.host_path(at).user(user).dbname(database);
        // It opens a session for each client that logs in, without another query.
        let begun = Instant::now();
        while UnixStream::connect(at.join(".s.PGSQL.5432")).is_err() {
            assert!(begun.elapsed() < BOUND, "pgbouncer does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        Bouncer {
            child,
            config: through,
            _directory: directory,
        }
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pgbouncer() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin".into()]);
    places
        .map(|place| place.join("pgbouncer"))
        .find(|tool| tool.is_file())
}

#[test]
fn through_pgbouncer_only_a_new_session_is_accepted() {
    let Some(tool) = pgbouncer() else {
        println!("SKIPPED: a run through pgbouncer: there is none on PATH or in /usr/sbin");
        return;
    };
    let database = database_on(server());
    let direct = database.runner.config();
    let mut client = database.admin();
    let bouncer = Bouncer::start(&tool, server(), &direct, "transaction");
    let through = || PostgresConnector::no_tls(bouncer.config.clone());
    let mut lines = page::head(&[
        "the session that pgbouncer returns",
        "the run returns, journal",
    ]);

    assert_eq!(database.sessions(), 0, "pgbouncer has a session already");
    let case = Case::admitted(&database, "the first");
    let answer = case.perform(case.live(through()));
    let judged = judge(&mut client, &direct, &case, answer).to_string();
    lines.push(page::row(&["is a new one", &judged]));

    // It is kept, for the next client.
    database.until("only pgbouncer's session is left", |database| {
        database.sessions() == 1
    });
    database.until("it is 1 s old", |database| age(database) >= 1.0);
    let case = Case::admitted(&database, "the second");
    let answer = case.perform(case.live(through()));
    assert!(
        not_new(&answer).is_some(),
        "not refused by name: {answer:?}"
    );
    let judged = judge(&mut client, &direct, &case, answer).to_string();
    lines.push(page::row(&["was another's: `SessionNotNew`", &judged]));

    // The phases of a run share a session, which is the same process of the server while no other client has it.
    let fresh = Bouncer::start(&tool, server(), &direct, "transaction");
    drop(bouncer);
    database.until("no session is left", |database| database.sessions() == 0);
    let case = Case::two(&database.target, "two");
    database.admit(&case.plan);
    let answer = case.perform(case.live(PostgresConnector::no_tls(fresh.config.clone())));
    let judged = judge(&mut client, &direct, &case, answer).to_string();
    lines.push(page::row(&["was that of the phase before", &judged]));
    page::has("pgbouncer", &lines);
}

/// With `server_lifetime = 0` a session ends with its client, or with its transaction.
#[test]
fn through_pgbouncer_with_a_session_for_each_client_a_run_works() {
    let Some(tool) = pgbouncer() else {
        println!("SKIPPED: a run through pgbouncer: there is none on PATH or in /usr/sbin");
        return;
    };
    for mode in ["session", "transaction"] {
        let database = database_on(server());
        let direct = database.runner.config();
        let mut client = database.admin();
        // Kept for the next client, a session is refused in both modes.
        let kept = Bouncer::start(&tool, server(), &direct, mode);
        let through = || PostgresConnector::no_tls(kept.config.clone());
        let case = Case::two(&database.target, "first");
        database.admit(&case.plan);
        let answer = case.perform(case.live(through()));
        assert_eq!(answer.map(|all| all.len()).unwrap(), 2, "{mode}");
        database.until("it is 1 s old", |database| age(database) >= 1.0);
        let case = Case::admitted(&database, "kept");
        let answer = case.perform(case.live(through()));
        assert!(not_new(&answer).is_some(), "{mode}: {answer:?}");
        drop(kept);

        let mode = format!("{mode}\nserver_lifetime = 0");
        let fresh = Bouncer::start(&tool, server(), &direct, &mode);
        let through = || PostgresConnector::no_tls(fresh.config.clone());
        for name in ["one", "two", "three"] {
            let case = Case::two(&database.target, name);
            database.admit(&case.plan);
            // Whose approvals and switch are read through it as well.
            let answer = case.perform_with(
                LiveRunner::new(PIPELINE)
                    .plan(case.plan.clone())
                    .kill_switch(LeaseSwitch::new(through()))
                    .authority(AdmittedApprovals::through(through()))
                    .connector(through())
                    .adapter(Adapter),
            );
            assert_eq!(answer.map(|all| all.len()).unwrap(), 2, "{mode}, {name}");
            assert_eq!(committed(&mut client, &case), 2);
        }
    }
}
