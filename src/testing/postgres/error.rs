//! The errors of finding and starting a server.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::outcome::server_hint;

/// Why there is no server, with a [hint](ServerError::hint). The message never contains a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// `DATABASE_URL` is set but cannot be used; no other source was tried in its place.
    #[error("DATABASE_URL is set but cannot be used: {reason}")]
    DatabaseUrl {
        /// What is wrong with it.
        reason: String,
        /// The remedy, if more is known than to correct the variable.
        remedy: Option<String>,
    },

    /// `PG_BIN_DIR` is set but holds no usable server; no other place was searched.
    #[error("PG_BIN_DIR is set to {} but cannot be used: {reason}", path.display())]
    BinDir {
        /// The directory that `PG_BIN_DIR` names.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The directory that was passed to the builder holds no usable server.
    #[error("the server in {} cannot be used: {reason}", path.display())]
    GivenDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// There is no PostgreSQL to use on this machine.
    #[error(
        "no PostgreSQL to test with: DATABASE_URL {url}; installed: {installed}; \
         embedded: {embedded}"
    )]
    NoServer {
        /// Whether `DATABASE_URL` was unset or ignored.
        url: &'static str,
        /// The result of the search for an installed server.
        installed: String,
        /// Why the embedded server was not used.
        embedded: String,
    },

    /// The directory of the private server could not be created or used.
    #[error("no directory for the private server at {}: {reason}", path.display())]
    Directory {
        /// The directory, or its parent.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The account that has to use it.
        account: String,
    },

    /// A program that the private server needs could not be started, or ended early.
    #[error("cannot {doing} ({program}): {reason}")]
    Program {
        /// The program's task.
        doing: &'static str,
        /// The program, with its directory.
        program: String,
        /// What happened.
        reason: String,
    },

    /// `initdb` or `postgres` failed, or did not respond in time.
    #[error("{stage} failed for {server}: {reason}; the last lines of its log:\n{log}")]
    Start {
        /// `initdb` or `postgres`.
        stage: &'static str,
        /// The server, with its directory.
        server: String,
        /// What happened.
        reason: String,
        /// The last lines of the server's log.
        log: String,
    },

    /// The server refused a statement of the harness.
    #[error("cannot {doing}: {}", whole(error))]
    Sql {
        /// The purpose of the statement.
        doing: String,
        /// The error of the server or the driver.
        error: postgres::Error,
    },

    /// The server did not respond in time.
    #[error("cannot {doing}: no answer within {limit:?}")]
    NoAnswer {
        /// The purpose of the statement.
        doing: String,
        /// The time limit.
        limit: Duration,
    },

    /// The server responds, but lacks what the caller needs.
    #[error("the server cannot be used: {reason}")]
    Unfit {
        /// The missing feature or setting.
        reason: String,
        /// The remedy, if it is known.
        remedy: Option<String>,
    },

    /// The operation needs a server that the harness started itself.
    #[error("cannot {doing}: the server comes from DATABASE_URL and is not ours to break")]
    NotPrivate {
        /// The operation.
        doing: &'static str,
    },

    /// The private server did not end in time.
    #[error("the private server in {} did not end: {reason}", path.display())]
    Stop {
        /// The server's directory.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
}

impl ServerError {
    pub(super) fn url(reason: impl Into<String>) -> Self {
        Self::DatabaseUrl {
            reason: reason.into(),
            remedy: None,
        }
    }

    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ServerError::DatabaseUrl { .. } => "test_server_database_url",
            ServerError::BinDir { .. } => "test_server_bin_dir",
            ServerError::GivenDir { .. } => "test_server_given_dir",
            ServerError::NoServer { .. } => "test_server_not_found",
            ServerError::Directory { .. } => "test_server_directory",
            ServerError::Program { .. } => "test_server_program",
            ServerError::Start { .. } => "test_server_start",
            ServerError::Sql { .. } => "test_server_sql",
            ServerError::NoAnswer { .. } => "test_server_no_answer",
            ServerError::Unfit { .. } => "test_server_unfit",
            ServerError::NotPrivate { .. } => "test_server_not_private",
            ServerError::Stop { .. } => "test_server_stop",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ServerError::DatabaseUrl { remedy, .. } => match remedy {
                Some(remedy) => remedy,
                None => "Correct it, or unset it to have a private server started instead.",
            },
            ServerError::BinDir { .. } => {
                "Point it at a directory with `initdb` and `postgres`, or unset it."
            }
            ServerError::GivenDir { .. } => {
                "Give `TestPostgresBuilder::bin_dir` a directory with `initdb` and `postgres`."
            }
            ServerError::NoServer { .. } => {
                "Install one (`apt-get install postgresql`, `brew install postgresql`), name its directory in PG_BIN_DIR, or set DATABASE_URL."
            }
            ServerError::Directory { account, .. } => {
                return Some(format!(
                    "Set TMPDIR to a directory that {account} can enter and write, such as /tmp."
                ));
            }
            ServerError::Program { .. } => {
                "Let this account run it, or name another server in PG_BIN_DIR or DATABASE_URL."
            }
            ServerError::Start { .. } => {
                "Correct what the log names, or name another server in PG_BIN_DIR or DATABASE_URL."
            }
            ServerError::Sql { error, .. } => return server_hint(error),
            ServerError::NoAnswer { .. } => "Look at what the server waits for, and run it again.",
            ServerError::Unfit { remedy, .. } => return remedy.clone(),
            ServerError::NotPrivate { .. } => {
                "Build it with `TestPostgres::builder().ignore_database_url()`."
            }
            ServerError::Stop { .. } => "End its processes and remove the directory by hand.",
        };
        Some(hint.to_owned())
    }
}

/// Returns the driver's error with its causes: the error itself prints only "db error".
pub(super) fn whole(error: &postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(error.to_string().trim_end());
        cause = error.source();
    }
    text
}
