//! Installing the schema `phasegate`, and upgrading it.

use ::postgres::{Client, Transaction};
use refinery_core::error::Kind;
use refinery_core::traits::sync::{Query, Transaction as Migrated};
use refinery_core::{Migrate, Migration, Runner, Target};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::base::printable::{Listed, Printable};

mod repair;

const ROLES: &str = include_str!("roles.sql");

/// In order. One that was released is never changed: the next release adds another.
const MIGRATIONS: [(&str, &str); 9] = [
    ("V1__kill_switch", include_str!("V1__kill_switch.sql")),
    (
        "V2__plans_and_approvals",
        include_str!("V2__plans_and_approvals.sql"),
    ),
    (
        "V3__runs_and_journal",
        include_str!("V3__runs_and_journal.sql"),
    ),
    ("V4__phase", include_str!("V4__phase.sql")),
    ("V5__effects", include_str!("V5__effects.sql")),
    ("V6__guard", include_str!("V6__guard.sql")),
    ("V7__settling", include_str!("V7__settling.sql")),
    ("V8__rehearsal", include_str!("V8__rehearsal.sql")),
    ("V9__rows", include_str!("V9__rows.sql")),
];

/// The oldest server whose roles and parameters have everything that the interlock asks about.
const OLDEST_SERVER: i32 = 150_000;

/// What an install has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installed {
    /// The versions of the schema that were applied now, in order; none if it was up to date.
    pub applied: Vec<String>,
    /// The functions that were missing or otherwise than this release has them, and were put back.
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
    /// A migration was refused.
    #[error("not installed: {0}")]
    Migration(#[source] Box<refinery_core::Error>),
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
/// One transaction; a second call changes nothing, but puts back functions that were dropped or altered; of two at
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
    install_up_to(client, Target::Latest)
}

fn install_up_to(client: &mut Client, target: Target) -> Result<Installed, InstallError> {
    let mut tx = client.transaction()?;
    refuse_unfit(&mut tx)?;
    // One install at a time, and whatever the session's settings are, these are what the SQL means.
    tx.batch_execute(
        "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL standard_conforming_strings = on; \
         SET LOCAL check_function_bodies = on; SET LOCAL client_min_messages = warning; \
         SELECT pg_catalog.pg_advisory_xact_lock(7309453175411201908)",
    )?;
    let was_member = acts_as_owner(&mut tx)?;
    tx.batch_execute(ROLES)?;
    let mut runner = Runner::new(&migrations()?)
        .set_grouped(true)
        .set_target(target);
    runner.set_migration_table_name("phasegate.migration");
    refuse_unmigrated(&mut tx)?;
    let report = runner
        .run(&mut InOneTransaction(&mut tx))
        .map_err(explain)?;
    let applied = report
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect();
    let repaired = match target {
        Target::Latest => repair::repair(&mut tx)?,
        _ => Vec::new(),
    };
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

/// A schema in which something is, and no migration says what.
fn refuse_unmigrated(tx: &mut Transaction<'_>) -> Result<(), InstallError> {
    let row = tx.query_one(
        "SELECT pg_catalog.array_agg(p.oid::pg_catalog.regprocedure::text) \
         FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace \
         WHERE n.nspname = 'phasegate' AND pg_catalog.to_regclass('phasegate.migration') IS NULL",
        &[],
    )?;
    match row.try_get::<_, Option<Vec<String>>>(0)? {
        Some(found) => Err(InstallError::Foreign { found }),
        None => refuse_without_history(tx),
    }
}

/// The definitions of a schema without its rows, which say what was applied.
fn refuse_without_history(tx: &mut Transaction<'_>) -> Result<(), InstallError> {
    let row = tx.query_one(
        "SELECT pg_catalog.to_regclass('phasegate.migration') IS NOT NULL \
            AND pg_catalog.to_regclass('phasegate.kill_switch') IS NOT NULL",
        &[],
    )?;
    if !row.try_get::<_, bool>(0)? {
        return Ok(());
    }
    let row = tx.query_one("SELECT EXISTS (SELECT FROM phasegate.migration)", &[])?;
    if row.try_get(0)? {
        return Ok(());
    }
    Err(InstallError::Incomplete {
        missing: vec!["its rows, as after a dump of definitions alone".to_owned()],
    })
}

fn migrations() -> Result<Vec<Migration>, InstallError> {
    let unapplied = |(name, sql): &(&str, &str)| Migration::unapplied(name, sql).map_err(explain);
    MIGRATIONS.iter().map(unapplied).collect()
}

fn refuse_unfit(tx: &mut Transaction<'_>) -> Result<(), InstallError> {
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

fn explain(error: refinery_core::Error) -> InstallError {
    match error.kind() {
        Kind::MissingVersion(found) => InstallError::Newer {
            found: found.to_string(),
        },
        Kind::DivergentVersion(found, _) => InstallError::Divergent {
            found: found.to_string(),
        },
        _ => InstallError::Migration(Box::new(error)),
    }
}

/// The library would begin and commit transactions of its own.
struct InOneTransaction<'a, 'tx>(&'a mut Transaction<'tx>);

impl Migrated for InOneTransaction<'_, '_> {
    type Error = Unmigrated;

    fn execute<'a, T: Iterator<Item = &'a str>>(
        &mut self,
        queries: T,
    ) -> Result<usize, Unmigrated> {
        let mut done = 0;
        for query in queries {
            self.0.batch_execute(query)?;
            done += 1;
        }
        Ok(done)
    }
}

impl Query<Vec<Migration>> for InOneTransaction<'_, '_> {
    fn query(&mut self, query: &str) -> Result<Vec<Migration>, Unmigrated> {
        let mut applied = Vec::new();
        for row in self.0.query(query, &[])? {
            let unreadable =
                || Unmigrated("phasegate.migration has a row that cannot be read".to_owned());
            let at = OffsetDateTime::parse(row.try_get(2)?, &Rfc3339).map_err(|_| unreadable())?;
            let checksum = row
                .try_get::<_, &str>(3)?
                .parse()
                .map_err(|_| unreadable())?;
            applied.push(Migration::applied(
                row.try_get(0)?,
                row.try_get(1)?,
                at,
                checksum,
            ));
        }
        Ok(applied)
    }
}

impl Migrate for InOneTransaction<'_, '_> {}

/// What the server said to a migration, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unmigrated(String);

impl From<::postgres::Error> for Unmigrated {
    fn from(error: ::postgres::Error) -> Self {
        let said = crate::outcome::describe(&error);
        // An event trigger, which its function names.
        let context = error
            .as_db_error()
            .and_then(::postgres::error::DbError::where_);
        match context.and_then(|context| context.lines().next()) {
            Some(by) => Unmigrated(format!("{said}; raised by {}", Printable(by))),
            None => Unmigrated(said),
        }
    }
}

#[cfg(all(test, unix, feature = "testing"))]
mod tests;
