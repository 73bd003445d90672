//! The server of tests and demos.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use postgres::Config;

use super::error::ServerError;
use super::private::{PrivateServer, Shutdown};
use super::scratch::{self, ScratchDatabase};
use super::source::Source;
use crate::operator::Operator;

/// A running PostgreSQL; a private one ends with this value, and its directory with it.
///
/// ```no_run
/// use phasegate::testing::TestPostgres;
///
/// let server = TestPostgres::find_or_start()?;
/// // PostgreSQL 15.18 from /usr/lib/postgresql/15/bin, started privately
/// println!("{}", server.source());
/// let database = server.create_database()?;
/// let runner = database.create_role("runner")?;
/// let client = runner.config().connect(postgres::NoTls)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A private server listens on a Unix socket in a directory of mode 0700 and on nothing else. The server and its
/// directory are removed with this value, and when the program ends, even by SIGKILL: a small shell script holds the
/// other end of a pipe from this process. So a `static OnceLock<TestPostgres>`, which is never dropped, is fine: one
/// server per test binary, one [`ScratchDatabase`] per test. For tests that stop or kill a server, start a server of
/// their own with [`TestPostgres::builder`].
///
/// Root may run this: the server then runs as `postgres`, or else as `nobody`. Every wait for the server is bounded,
/// and every method may be called within an async runtime.
pub struct TestPostgres {
    pub(super) source: Source,
    pub(super) admin: Config,
    /// `None` if the server was started by others.
    pub(super) server: Option<PrivateServer>,
    /// The name of the database with the schema that others are copied from, after the first was requested.
    pub(super) template: Mutex<Option<String>>,
}

impl TestPostgres {
    /// Returns the origin of the server; its `Display` is for people.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns a configuration that connects as the superuser to the database `postgres`, or as `DATABASE_URL` says.
    pub fn admin(&self) -> Config {
        self.admin.clone()
    }

    /// Creates an empty database with a new name; the database and its roles are dropped with the returned value.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the call, or does not respond in time; nothing is left in the server.
    pub fn create_database(&self) -> Result<ScratchDatabase, ServerError> {
        ScratchDatabase::create(&self.admin, self.server.is_none(), "template0")
    }

    /// Creates a database with the schema `phasegate` in it, turns its kill switch on for a day, and returns the
    /// session of an operator too; the database and its roles are dropped with the returned database.
    ///
    /// A private server installs the schema once, and copies it.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the call, or does not respond in time.
    pub fn create_installed_database(&self) -> Result<(ScratchDatabase, Operator), ServerError> {
        if self.server.is_none() {
            // A shared server must be left clean, so that no template database is created in it.
            let database = self.create_database()?;
            let operator = database.install()?;
            return Ok((database, operator));
        }
        let database = ScratchDatabase::create(&self.admin, false, &self.template()?)?;
        let operator = scratch::switched_on(database.connect_admin()?)?;
        Ok((database, operator))
    }

    /// Returns the name of the database that has the schema; it is removed with the server.
    fn template(&self) -> Result<String, ServerError> {
        let mut template = self.template.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = &*template {
            return Ok(name.clone());
        }
        let database = self.create_database()?;
        database.install_schema()?;
        Ok(template.insert(database.into_name()).clone())
    }

    /// Returns the private server's directory, which is removed with the server; `None` for the server of
    /// `DATABASE_URL`.
    pub fn directory(&self) -> Option<&Path> {
        self.server.as_ref().map(PrivateServer::directory)
    }

    /// Returns the process id of the private server's main process; `None` for the server of `DATABASE_URL`, and for a
    /// private one that is not running.
    pub fn process_id(&self) -> Option<u32> {
        self.server.as_ref().and_then(PrivateServer::pid)
    }

    /// Returns the last lines of the private server's log; `None` for the server of `DATABASE_URL`.
    pub fn log_tail(&self) -> Option<String> {
        self.server.as_ref().map(PrivateServer::log)
    }

    /// Ends the private server in the way of `how`; none of its processes runs when this returns. Its data are kept.
    ///
    /// # Errors
    ///
    /// Returns an error if the server is not private, or its supervisor was killed.
    pub fn shut_down(&self, how: Shutdown) -> Result<(), ServerError> {
        self.private("shut the server down")?.halt(how)
    }

    /// Starts the private server again after [`shut_down`](Self::shut_down) or a crash; it accepts connections when
    /// this returns.
    ///
    /// # Errors
    ///
    /// Returns an error if the server is not private, or did not start; then with the last lines of its log.
    pub fn start_again(&self) -> Result<(), ServerError> {
        self.private("start the server again")?.start_again()
    }

    /// Shuts the private server down in the way of `how` and starts it again; it accepts connections when this
    /// returns.
    ///
    /// # Errors
    ///
    /// As [`shut_down`](Self::shut_down) and [`start_again`](Self::start_again).
    pub fn restart(&self, how: Shutdown) -> Result<(), ServerError> {
        self.shut_down(how)?;
        self.start_again()
    }

    /// Ends the private server: its processes have ended and its directory is removed when this returns `Ok`.
    ///
    /// Dropping does the same but cannot report an error. The server of `DATABASE_URL` is not touched.
    ///
    /// # Errors
    ///
    /// Returns an error that tells what is left, and where.
    pub fn stop(self) -> Result<(), ServerError> {
        self.server.as_ref().map_or(Ok(()), PrivateServer::end)
    }

    fn private(&self, doing: &'static str) -> Result<&PrivateServer, ServerError> {
        self.server
            .as_ref()
            .ok_or(ServerError::NotPrivate { doing })
    }
}

impl fmt::Debug for TestPostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestPostgres")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
