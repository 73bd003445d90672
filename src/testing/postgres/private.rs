//! A private server: created, started, killed and ended.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use postgres::Config;

use super::error::ServerError;
use super::sql;
use super::supervisor::{Supervisor, Verb};

const INITDB: Duration = Duration::from_mins(2);
const READY: Duration = Duration::from_mins(1);
const HALT: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(10);

/// The server's message while children of its predecessor still run.
const ORPHANS: &str = "pre-existing shared memory block";

/// How a test ends the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are ended and everything is written, as by `pg_ctl stop -m fast`.
    Fast,
    /// Nothing is written; the next start recovers from the log, as by `pg_ctl stop -m immediate`.
    Immediate,
    /// SIGKILL to the server and to every process of it, as by a power cut (to the processes, not
    /// to the disk).
    Kill,
}

/// A server under a supervisor. Dropping it ends the server and removes its directory.
pub(super) struct PrivateServer {
    supervisor: Mutex<Supervisor>,
    directory: PathBuf,
    port: u16,
    /// The server's name in errors.
    label: String,
}

impl PrivateServer {
    /// Creates a cluster under `supervisor` and starts the server; it accepts connections when this returns.
    pub(super) fn start(
        mut supervisor: Supervisor,
        label: String,
        port: u16,
    ) -> Result<Self, ServerError> {
        let directory = supervisor.directory().to_owned();
        supervisor.command(Verb::Initdb, INITDB)?;
        let deadline = Instant::now() + INITDB;
        loop {
            match supervisor.exited() {
                Some(0) => break,
                Some(status) => {
                    return Err(failed(
                        &supervisor,
                        "initdb",
                        &label,
                        format!("status {status}"),
                    ));
                }
                None if Instant::now() > deadline => {
                    return Err(failed(
                        &supervisor,
                        "initdb",
                        &label,
                        format!("it took longer than {INITDB:?}"),
                    ));
                }
                None => thread::sleep(POLL),
            }
        }
        let server = Self {
            supervisor: Mutex::new(supervisor),
            directory,
            port,
            label,
        };
        server.start_again()?;
        Ok(server)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the configuration of the superuser, for the database `postgres`.
    pub(super) fn admin(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(&self.directory)
            .port(self.port)
            .user("postgres")
            .dbname("postgres");
        config
    }

    pub(super) fn pid(&self) -> Option<u32> {
        let supervisor = self.supervisor();
        if supervisor.exited().is_some() {
            None
        } else {
            supervisor.pid()
        }
    }

    pub(super) fn log(&self) -> String {
        self.supervisor().log()
    }

    pub(super) fn halt(&self, how: Shutdown) -> Result<(), ServerError> {
        let verb = match how {
            Shutdown::Fast => Verb::Fast,
            Shutdown::Immediate => Verb::Immediate,
            Shutdown::Kill => Verb::Kill,
        };
        self.supervisor().command(verb, HALT)
    }

    /// Starts the server unless it runs; it accepts connections when this returns.
    pub(super) fn start_again(&self) -> Result<(), ServerError> {
        let mut supervisor = self.supervisor();
        let before = supervisor.pid();
        supervisor.command(Verb::Start, HALT)?;
        let admin = self.admin();
        let deadline = Instant::now() + READY;
        loop {
            let answer = sql::session(&admin, "reach the server", READY, |client| {
                client.simple_query("")
            });
            let Err(refusal) = answer else { return Ok(()) };
            if let Some(status) = supervisor.exited() {
                // A server that another process has killed may just have been ending, and its children end a moment
                // after it.
                let again = supervisor.pid() == before || supervisor.log().contains(ORPHANS);
                if again && Instant::now() < deadline {
                    thread::sleep(POLL * 10);
                    supervisor.command(Verb::Start, HALT)?;
                    continue;
                }
                return Err(failed(
                    &supervisor,
                    "postgres",
                    &self.label,
                    format!("it ended with status {status}"),
                ));
            }
            if Instant::now() > deadline {
                return Err(failed(
                    &supervisor,
                    "postgres",
                    &self.label,
                    format!("no response within {READY:?}: {refusal}"),
                ));
            }
            thread::sleep(POLL);
        }
    }

    /// Ends the server and removes its directory.
    pub(super) fn end(&self) -> Result<(), ServerError> {
        self.supervisor().end()
    }

    /// A panic elsewhere has left no inconsistent state: the script responds to every command.
    fn supervisor(&self) -> MutexGuard<'_, Supervisor> {
        self.supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(
    supervisor: &Supervisor,
    stage: &'static str,
    server: &str,
    reason: String,
) -> ServerError {
    ServerError::Start {
        stage,
        server: server.into(),
        reason,
        log: supervisor.log(),
    }
}
