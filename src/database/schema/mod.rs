//! Installs the schema `phasegate`: the SQL in `sql/`, its versions, and the repair of missing objects.

use ::postgres::{Client, Transaction};

mod error;
mod repair;
mod versions;

pub use error::InstallError;
use versions::VERSIONS;

/// The SQL of the roles. It runs at every install, before the versions.
const ROLES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/roles.sql"));

/// The oldest server version whose roles and parameters have everything that the interlock reads.
const OLDEST_SERVER: i32 = 150_000;

/// The changes that an install has made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installed {
    /// The versions of the schema that this install applied, in order; empty if the schema was up to date.
    pub applied: Vec<String>,
    /// The functions and views that were missing or altered, and were restored.
    pub repaired: Vec<String>,
    /// The privileges that the installing role could not grant, each with its consequence and its remedy; empty if it
    /// could grant all.
    pub lacking: Vec<String>,
}

/// Installs the schema `phasegate`, with its roles, or upgrades it to that of this release.
///
/// The install is one transaction. A second call changes nothing, except that it restores functions and views that
/// were dropped or altered. Of two calls at once, one waits for the other. The install refuses a schema, or roles, of
/// these names that another role has created. It does not need a superuser: a role that may create roles and schemas
/// is enough, and an error names the missing privilege and who can grant it. Two such administrators may take turns;
/// from PostgreSQL 16 on, the second needs `GRANT phasegate_owner TO second WITH ADMIN OPTION` from the first. The
/// page `docs/managed.md` has the steps for managed services. The roles `phasegate_owner`, `phasegate_operator`,
/// `phasegate_runner` and `phasegate_auditor` belong to the whole cluster. After the install:
///
/// - `GRANT phasegate_runner TO ..` for the role that performs phases, and `phasegate_operator` for the people who
///   admit plans and turn the switch on; never grant both to one role;
/// - `REVOKE TEMPORARY ON DATABASE .. FROM PUBLIC`: every role has that privilege by default;
/// - [`protect`](crate::schema::protect) each table that phases write.
///
/// ```no_run
/// let mut superuser = postgres::Client::connect("host=/run/postgresql user=postgres", postgres::NoTls)?;
/// phasegate::schema::install(&mut superuser)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns an [`InstallError`]; then nothing was changed.
pub fn install(client: &mut Client) -> Result<Installed, InstallError> {
    install_versions(client, &VERSIONS)
}

/// Returns the SQL that installs the schema, roles included, for administrators who read it first.
#[cfg(feature = "program")]
pub(crate) fn schema_sql() -> String {
    format!("{ROLES}\n{}", VERSIONS.concat())
}

fn install_versions(client: &mut Client, versions: &[&str]) -> Result<Installed, InstallError> {
    let mut tx = client.transaction()?;
    ensure_fit(&mut tx)?;
    // One install at a time. The settings are set here because the session's own could change the meaning of the SQL.
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
        // A member of the owner's role could change the schema; and where the owner's role is granted a runner's role,
        // the member would be guarded as a runner is.
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

/// Returns whether the installing role may act as the schema's owner without a grant by this crate.
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

/// Returns the privileges that the owner's role could not be granted.
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

#[cfg(all(test, unix, feature = "testing"))]
mod tests;
