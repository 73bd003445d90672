//! The versions of the schema, and which of them a database has.

use ::postgres::Transaction;

use super::error::InstallError;
use crate::base::digest::Digest;

macro_rules! sql {
    ($($file:literal),* $(,)?) => {
        concat!($(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $file)), "\n"),*)
    };
}

/// The SQL of each version, from version 1 on. A released version never changes: a later release adds another.
pub(super) const VERSIONS: [&str; 1] = [sql!(
    "01_version.sql",
    "02_membership.sql",
    "03_lease.sql",
    "04_switch.sql",
    "05_plan.sql",
    "06_approval.sql",
    "07_journal.sql",
    "08_attempt.sql",
    "09_counting.sql",
    "10_effects.sql",
    "11_guard.sql",
    "12_resolution.sql",
    "13_privileges.sql",
    "14_session.sql",
    "15_open.sql",
    "16_finish.sql",
    "17_interlock.sql",
    "18_rehearsal.sql",
    "19_rows.sql",
    "20_fingerprint.sql",
    "21_preflight.sql",
    "22_contents.sql",
    "23_grants.sql",
)];

/// Applies the versions that the database does not have, and returns their numbers.
///
/// # Errors
///
/// Returns an error if the database has a version that is not among these, or one with another
/// content, or if it has objects of the schema and no version.
pub(super) fn apply(
    tx: &mut Transaction<'_>,
    versions: &[&str],
) -> Result<Vec<String>, InstallError> {
    let installed = read(tx)?;
    for (number, digest) in &installed {
        let known = usize::try_from(i64::from(*number) - 1)
            .ok()
            .and_then(|at| versions.get(at));
        let found = format!("version {number}");
        match known {
            None => return Err(InstallError::Newer { found }),
            Some(sql) if Digest::of(sql.as_bytes()).to_string() != *digest => {
                return Err(InstallError::Divergent { found });
            }
            Some(_) => {}
        }
    }
    let mut applied = Vec::new();
    for (sql, number) in versions.iter().zip(1_i32..).skip(installed.len()) {
        tx.batch_execute(sql).map_err(InstallError::Migration)?;
        tx.execute(
            "INSERT INTO phasegate.schema_version (version, digest) VALUES ($1, $2)",
            &[&number, &Digest::of(sql.as_bytes()).to_string()],
        )?;
        applied.push(number.to_string());
    }
    Ok(applied)
}

/// Reads the versions that the database has, with their digests, in order.
fn read(tx: &mut Transaction<'_>) -> Result<Vec<(i32, String)>, InstallError> {
    let row = tx.query_one(
        "SELECT pg_catalog.to_regclass('phasegate.schema_version') IS NOT NULL, \
                pg_catalog.to_regclass('phasegate.kill_switch') IS NOT NULL",
        &[],
    )?;
    let (has_versions, has_tables): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if !has_versions {
        ensure_no_functions(tx)?;
        return Ok(Vec::new());
    }
    let rows = tx.query(
        "SELECT version, digest FROM phasegate.schema_version ORDER BY version",
        &[],
    )?;
    if rows.is_empty() && has_tables {
        return Err(InstallError::Incomplete {
            missing: vec!["its rows, as after a dump of definitions alone".to_owned()],
        });
    }
    let version = |row: &::postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(version).collect()
}

/// Returns an error if the schema has functions, which no version has created.
fn ensure_no_functions(tx: &mut Transaction<'_>) -> Result<(), InstallError> {
    let row = tx.query_one(
        "SELECT pg_catalog.array_agg(p.oid::pg_catalog.regprocedure::text) \
         FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace \
         WHERE n.nspname = 'phasegate'",
        &[],
    )?;
    match row.try_get::<_, Option<Vec<String>>>(0)? {
        Some(found) => Err(InstallError::Foreign { found }),
        None => Ok(()),
    }
}
