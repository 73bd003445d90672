//! Installs the schema `phasegate`: the SQL in `sql/`, its versions, and the repair of what is missing.

use ::postgres::{Client, Transaction};

use crate::base::printable::{Listed, Printable};

mod repair;
mod versions;

use versions::VERSIONS;

/// Run at every install, before the versions.
const ROLES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/roles.sql"));

/// The oldest server whose roles and parameters have everything that the interlock asks about.
const OLDEST_SERVER: i32 = 150_000;

/// What an install has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installed {
    /// The versions of the schema that were applied now, in order; none if it was up to date.
    pub applied: Vec<String>,
    /// The functions and views that were missing or altered, and were restored.
    pub repaired: Vec<String>,
    /// What the role that installed could not grant, each with what is lost and what helps; empty if nothing is.
    pub lacking: Vec<String>,
}

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
    Unfit(#[source] ::postgres::Error),
    /// The role that installs lacks a privilege; the message says which, and who can give it.
    #[error("not installed: {}", crate::outcome::describe(.0))]
    Privilege(#[source] ::postgres::Error),
    /// The server refused the SQL of a version; the message names an event trigger that did.
    #[error("not installed: {}", describe_with_context(.0))]
    Migration(#[source] ::postgres::Error),
    /// The server refused a statement, or the connection was lost.
    #[error("not installed: {}", crate::outcome::describe(.0))]
    Database(#[source] ::postgres::Error),
}

impl InstallError {
    fn database(error: ::postgres::Error) -> Self {
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

/// Installs the schema `phasegate`, with its roles, or upgrades it to that of this release.
///
/// One transaction; a second call changes nothing, but restores functions and views that were dropped or altered; of two at
/// once, one waits for the other. A schema, or roles, of these names that another role has made are refused. It takes
/// no superuser: a role that may create roles and schemas will do, and an error says what is missing and who can give
/// it. Two such administrators may take turns; from PostgreSQL 16 on the second needs `GRANT phasegate_owner TO second
/// WITH ADMIN OPTION` of the first. The page `docs/managed.md` has the steps for managed services. The
/// roles `phasegate_owner`, `phasegate_operator`, `phasegate_runner` and `phasegate_auditor` belong
/// to the whole cluster. Then:
///
/// - `GRANT phasegate_runner TO ..` for the role that performs phases, and `phasegate_operator` for
///   the people who admit plans and turn the switch on; never both for one;
/// - `REVOKE TEMPORARY ON DATABASE .. FROM PUBLIC`, which everybody has by default;
/// - [`protect`](crate::protect) each table that phases write.
///
/// ```no_run
/// let mut superuser = postgres::Client::connect("host=/run/postgresql user=postgres", postgres::NoTls)?;
/// phasegate::install(&mut superuser)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`InstallError`]; nothing was changed.
pub fn install(client: &mut Client) -> Result<Installed, InstallError> {
    install_versions(client, &VERSIONS)
}

fn install_versions(client: &mut Client, versions: &[&str]) -> Result<Installed, InstallError> {
    let mut tx = client.transaction()?;
    ensure_fit(&mut tx)?;
    // One install at a time, and whatever the session's settings are, these are what the SQL means.
    tx.batch_execute(
        "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL standard_conforming_strings = on; \
         SET LOCAL check_function_bodies = on; SET LOCAL client_min_messages = warning; \
         SELECT pg_catalog.pg_advisory_xact_lock(7309453175411201908)",
    )?;
    let was_member = acts_as_owner(&mut tx)?;
    tx.batch_execute(ROLES)?;
    let applied = versions::apply(&mut tx, versions)?;
    let repaired = repair::repair(&mut tx, versions)?;
    tx.batch_execute("RESET ROLE")?;
    if !was_member {
        // A member of the owner's role could change the schema, and where that role is granted a runner's, would be
        // under the guard as a runner is.
        tx.batch_execute("REVOKE phasegate_owner FROM CURRENT_USER")?;
    }
    let lacking = lacking(&mut tx)?;
    tx.commit()?;
    Ok(Installed {
        applied,
        repaired,
        lacking,
    })
}

/// Whether the role that installs may act as the schema's owner without a grant of ours.
fn acts_as_owner(tx: &mut Transaction<'_>) -> Result<bool, InstallError> {
    let row = tx.query_one(
        "SELECT pg_catalog.current_setting('is_superuser') = 'on' OR EXISTS ( \
             SELECT FROM pg_catalog.pg_roles AS r \
             WHERE r.rolname = 'phasegate_owner' AND pg_catalog.pg_has_role(r.oid, \
                 CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000 \
                      THEN 'SET' ELSE 'MEMBER' END))",
        &[],
    )?;
    Ok(row.try_get(0)?)
}

/// What the owner's role could not be granted.
fn lacking(tx: &mut Transaction<'_>) -> Result<Vec<String>, InstallError> {
    let has = "SELECT pg_catalog.pg_has_role('phasegate_owner', $1, 'MEMBER')";
    let mut lacking = Vec::new();
    for (role, lost) in [
        (
            "pg_signal_backend",
            "turning the switch off does not end the sessions of open phases, which cannot commit",
        ),
        (
            "pg_read_all_stats",
            "no phase is opened, since the owner cannot see how old its session is",
        ),
    ] {
        if !tx.query_one(has, &[&role])?.try_get::<_, bool>(0)? {
            lacking.push(format!(
                "{role}: {lost}; an administrator who has it WITH ADMIN OPTION grants it: `GRANT {role} TO phasegate_owner`; or grant the role of each runner: `GRANT runner TO phasegate_owner`"
            ));
        }
    }
    Ok(lacking)
}

fn ensure_fit(tx: &mut Transaction<'_>) -> Result<(), InstallError> {
    let row = tx.query_one(
        "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
                pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_encoding')",
        &[],
    )?;
    if row.try_get::<_, i32>(0)? < OLDEST_SERVER {
        return Err(InstallError::OldServer {
            found: row.try_get(1)?,
        });
    }
    match row.try_get::<_, String>(2)? {
        utf8 if utf8 == "UTF8" => Ok(()),
        found => Err(InstallError::NotUtf8 { found }),
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

#[cfg(all(test, unix, feature = "testing"))]
mod tests;
