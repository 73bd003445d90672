//! What can go wrong on the way to a server, each with what to do about it.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

/// Says what was wrong, where, and what to do; never contains a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// `DATABASE_URL` is set but cannot be used; no other source was tried in its place.
    #[error(
        "DATABASE_URL is set but cannot be used: {reason}.\n\
         Correct it, or unset it to have a private server started instead."
    )]
    DatabaseUrl {
        /// What was wrong with it.
        reason: String,
    },

    /// `PG_BIN_DIR` is set but holds no usable server; no other place was searched.
    #[error(
        "PG_BIN_DIR is set to {} but cannot be used: {reason}.\n\
         Point it at a directory with `initdb` and `postgres`, or unset it.", path.display()
    )]
    BinDir {
        /// The directory that `PG_BIN_DIR` names.
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
    },

    /// The directory that the builder was given holds no server that can be used.
    #[error(
        "the server in {} cannot be used: {reason}.\n\
         Give `TestPostgresBuilder::bin_dir` a directory with `initdb` and `postgres`.", path.display()
    )]
    GivenDir {
        /// The directory.
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
    },

    /// There is no PostgreSQL to use on this machine.
    #[error(
        "no PostgreSQL to test with: DATABASE_URL {url}; installed: {installed}; \
         embedded: {embedded}.\n\
         Install one (`apt-get install postgresql`, `brew install postgresql`), \
         name its directory in PG_BIN_DIR, or set DATABASE_URL."
    )]
    NoServer {
        /// Whether `DATABASE_URL` was unset or was not to be asked.
        url: &'static str,
        /// What was found in the search for an installed server.
        installed: String,
        /// Why the embedded server was not used.
        embedded: String,
    },

    /// The directory of the private server could not be made or used.
    #[error(
        "no directory for the private server at {}: {reason}.\n\
         Set TMPDIR to a directory that {account} can enter and write, such as /tmp.",
        path.display()
    )]
    Directory {
        /// The directory, or the one that it was to be made in.
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
        /// The account that has to use it.
        account: String,
    },

    /// A program that runs the private server could not be started or ended early.
    #[error(
        "cannot {doing} ({program}): {reason}.\n\
         See that this account may run it, or name another server in PG_BIN_DIR or DATABASE_URL."
    )]
    Program {
        /// What it was to do.
        doing: &'static str,
        /// Which program, from where.
        program: String,
        /// What happened.
        reason: String,
    },

    /// `initdb` or `postgres` failed, or did not answer in time.
    #[error(
        "{stage} failed for {server}: {reason}. The last lines of its log:\n{log}\n\
         Correct what the log names, or name another server in PG_BIN_DIR or DATABASE_URL."
    )]
    Start {
        /// `initdb` or `postgres`.
        stage: &'static str,
        /// Which server, from where.
        server: String,
        /// What happened.
        reason: String,
        /// The last lines of the server's log.
        log: String,
    },

    /// The server refused a statement of the harness.
    #[error("cannot {doing}: {}", whole(source))]
    Sql {
        /// What the statement was for.
        doing: String,
        /// The server's or the driver's answer.
        #[source]
        source: postgres::Error,
    },

    /// The server did not answer in time.
    #[error(
        "cannot {doing}: no answer within {limit:?}; see what holds up the server and run again"
    )]
    NoAnswer {
        /// What it was asked.
        doing: String,
        /// How long the answer was waited for.
        limit: Duration,
    },

    /// The server answers, but cannot be what the caller needs.
    #[error("the server cannot be used: {reason}")]
    Unfit {
        /// What is missing and what to do about it.
        reason: String,
    },

    /// The operation needs a server that the harness started itself.
    #[error(
        "cannot {doing}: the server comes from DATABASE_URL and is not ours to break.\n\
         Build it with `TestPostgres::builder().ignore_database_url()`."
    )]
    NotPrivate {
        /// The operation.
        doing: &'static str,
    },

    /// The private server did not end in time.
    #[error(
        "the private server in {} did not end: {reason}.\n\
         End its processes and remove the directory by hand.", path.display()
    )]
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
        }
    }
}

/// The driver's error with its causes: by itself it says no more than "db error".
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
