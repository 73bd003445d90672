use crate::base::printable::{Listed, Printable};

/// The schema could not be installed. The database is as it was: all of it is one transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The server is older than the interlock needs.
    #[error("not installed: the server is PostgreSQL {found}, and 15 or newer is needed")]
    OldServer {
        /// Its `server_version`.
        found: String,
    },
    /// The database cannot hold all characters.
    #[error("not installed: the database is in {found}; create one with ENCODING 'UTF8'")]
    NotUtf8 {
        /// Its encoding.
        found: String,
    },
    /// The schema there is of a newer release.
    #[error(
        "not installed: the schema has {found}, which this release does not know; use the newer release"
    )]
    Newer {
        /// The version that is unknown.
        found: String,
    },
    /// The schema there has another content under a version that this release knows.
    #[error(
        "not installed: {found} in the database is not that of this release; it was changed by hand, or comes from an unreleased state. Drop the schema, or use the release that made it"
    )]
    Divergent {
        /// The version that differs.
        found: String,
    },
    /// A table, a sequence or a trigger of the schema is missing: a dump was restored in part, or it was dropped.
    #[error(
        "not installed: the schema lacks {}. Restore it whole, in one transaction (`pg_restore -1`); or, if nothing in it is needed, drop it: `DROP SCHEMA phasegate CASCADE`",
        Listed::new(.missing, ", ")
    )]
    Incomplete {
        /// What is missing.
        missing: Vec<String>,
    },
    /// The schema has functions that no release put there.
    #[error(
        "not installed: the schema has functions that this release has not: {}. Look at who made them, and drop them",
        Listed::new(.found, ", ")
    )]
    Foreign {
        /// The functions.
        found: Vec<String>,
    },
    /// The roles or the schema were there before, and are not as they have to be.
    #[error("not installed: {}", crate::outcome::describe(.0))]
    Unfit(::postgres::Error),
    /// The role that installs lacks a privilege; the message says which, and who can give it.
    #[error("not installed: {}", crate::outcome::describe(.0))]
    Privilege(::postgres::Error),
    /// The server refused the SQL of a version; the message names an event trigger that did.
    #[error("not installed: {}", describe_with_context(.0))]
    Migration(::postgres::Error),
    /// The server refused a statement, or the connection was lost.
    #[error("not installed: {}", crate::outcome::describe(.0))]
    Database(::postgres::Error),
}

impl InstallError {
    pub(super) fn database(error: ::postgres::Error) -> Self {
        match error.code().map(::postgres::error::SqlState::code) {
            Some("42501") => InstallError::Privilege(error),
            Some("ZG020") => InstallError::Unfit(error),
            _ => InstallError::Database(error),
        }
    }
}

impl From<::postgres::Error> for InstallError {
    fn from(error: ::postgres::Error) -> Self {
        InstallError::database(error)
    }
}

/// The server's message, with the function that raised it: that of an event trigger.
fn describe_with_context(error: &::postgres::Error) -> String {
    let message = crate::outcome::describe(error);
    let context = error
        .as_db_error()
        .and_then(::postgres::error::DbError::where_);
    match context.and_then(|context| context.lines().next()) {
        Some(line) => format!("{message}; raised by {}", Printable(line)),
        None => message,
    }
}
