use crate::base::printable::{Listed, Printable};
use crate::outcome::{message_of, server_hint};

/// The schema could not be installed. The database is as it was: all of it is one transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The server is older than the interlock requires.
    #[error("not installed: the server is PostgreSQL {found}, and 15 or newer is needed")]
    OldServer {
        /// The server's `server_version`.
        found: String,
    },
    /// The encoding of the database is not UTF-8.
    #[error("not installed: the database is in {found}")]
    NotUtf8 {
        /// The encoding of the database.
        found: String,
    },
    /// The installed schema is of a newer release.
    #[error("not installed: the schema has {found}, which this release does not know")]
    Newer {
        /// The version that this release does not know.
        found: String,
    },
    /// The installed schema has other content under a version that this release knows.
    #[error("not installed: {found} in the database is not that of this release")]
    Divergent {
        /// The version that differs.
        found: String,
    },
    /// A table, a sequence or a trigger of the schema is missing: a dump was restored in part, or it was dropped.
    #[error(
        "not installed: the schema lacks {}",
        Listed::new(.missing, ", ")
    )]
    Incomplete {
        /// The names of the missing objects.
        missing: Vec<String>,
    },
    /// The schema has functions that no release has created.
    #[error(
        "not installed: the schema has functions that this release does not have: {}",
        Listed::new(.found, ", ")
    )]
    Foreign {
        /// The functions, with their argument types.
        found: Vec<String>,
    },
    /// Roles or a schema of these names exist, and do not have the required form.
    #[error("not installed: {}", message_of(.0))]
    Unfit(::postgres::Error),
    /// The installing role lacks a privilege; the message names the privilege, and who can grant it.
    #[error("not installed: {}", message_of(.0))]
    Privilege(::postgres::Error),
    /// The server refused the SQL of a version; the message names an event trigger if one refused it.
    #[error("not installed: {}", describe_with_context(.0))]
    Migration(::postgres::Error),
    /// The server refused a statement, or the connection was lost.
    #[error("not installed: {}", message_of(.0))]
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

    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            InstallError::OldServer { .. } => "install_old_server",
            InstallError::NotUtf8 { .. } => "install_encoding",
            InstallError::Newer { .. } => "install_newer_schema",
            InstallError::Divergent { .. } => "install_divergent",
            InstallError::Incomplete { .. } => "install_incomplete",
            InstallError::Foreign { .. } => "install_foreign_functions",
            InstallError::Unfit(_) => "install_unfit",
            InstallError::Privilege(_) => "install_privilege",
            InstallError::Migration(_) => "install_migration",
            InstallError::Database(_) => "install_failed",
        }
    }

    /// Returns what to do about it. For an error of the server, that is its HINT.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            InstallError::OldServer { .. } => "Upgrade the server to PostgreSQL 15 or newer.",
            InstallError::NotUtf8 { .. } => {
                "Create another: CREATE DATABASE name TEMPLATE template0 ENCODING 'UTF8'."
            }
            InstallError::Newer { .. } => "Install with the newer release.",
            InstallError::Divergent { .. } => {
                "It was changed by hand, or comes from an unreleased state. Use the release that made it, or drop the schema: DROP SCHEMA phasegate CASCADE."
            }
            InstallError::Incomplete { .. } => {
                "Restore it whole, in one transaction: `pg_restore -1`. If nothing in it is needed, drop it: DROP SCHEMA phasegate CASCADE."
            }
            InstallError::Foreign { .. } => {
                "Look at who created them, and drop them: DROP FUNCTION name."
            }
            InstallError::Unfit(error)
            | InstallError::Privilege(error)
            | InstallError::Migration(error)
            | InstallError::Database(error) => return server_hint(error),
        };
        Some(hint.to_owned())
    }
}

impl From<::postgres::Error> for InstallError {
    fn from(error: ::postgres::Error) -> Self {
        InstallError::database(error)
    }
}

/// Returns the server's message, with the function that raised it: an event trigger's.
fn describe_with_context(error: &::postgres::Error) -> String {
    let message = message_of(error);
    let context = error
        .as_db_error()
        .and_then(::postgres::error::DbError::where_);
    match context.and_then(|context| context.lines().next()) {
        Some(line) => format!("{message}; raised by {}", Printable(line)),
        None => message,
    }
}
